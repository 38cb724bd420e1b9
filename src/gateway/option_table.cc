#include "gateway/option_table.h"

#include <algorithm>
#include <cctype>

namespace sluice {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kGiB = 1024 * kMiB;
constexpr uint64_t kSecond = 1'000;  // durations are in milliseconds
constexpr uint64_t kHour = 3'600 * kSecond;
constexpr uint64_t kDay = 24 * kHour;

using O = Options;
using U = OptionUnit;

// name, field, unit, minimum, maximum, what 0 means, help, what happens at the bound, alias
constexpr OptionSpec kTable[] = {
    {"listen", &O::listen, U::kText, 0, 0, "",
     "Address to serve streams and publishes on: ADDR:PORT, [ADDR]:PORT or unix:PATH.", "", ""},
    {"shards", &O::shards, U::kCount, 1, 256, "one a usable core",
     "Threads, each with its engine and its slice of the subscribers.", "", ""},
    {"cpus", &O::cpus, U::kCpuList, 0, 4'095, "",
     "Processors to pin the shards to, in order, such as 0,2-3; without it shards are pinned only "
     "if they fill the affinity mask.",
     "", ""},
    {"engine", &O::engine, U::kEngine, 0, 0, "",
     "Kernel interface: auto, io_uring or epoll; a forced one that cannot be had is an error.", "",
     ""},
    {"log_level", &O::log_level, U::kText, 0, 0, "",
     "What the program logs to standard error: trace, debug, info, warn or error.", "", ""},

    {"admin.listen", &O::admin_listen, U::kText, 0, 0, "",
     "Address where /stats needs no key, beside /healthz and /readyz.", "", ""},

    {"http.stream_paths", &O::stream_paths, U::kText, 0, 0, "",
     "Paths of the stream: the first is the path, the others are its aliases.", "", ""},
    {"http.broadcast_paths", &O::broadcast_paths, U::kText, 0, 0, "",
     "Paths that publish: the first is the path, the others are its aliases.", "", ""},
    {"http.cors_origins", &O::cors_origins, U::kText, 0, 0, "",
     "Origins whose pages may use the gateway: * for any, without credentials, or a list of "
     "scheme://host[:port], with credentials.",
     "", ""},
    {"http.header_bytes_max", &O::header_bytes_max, U::kBytes, 1 * kKiB, 1 * kMiB, "",
     "A request's line and headers in all.", "431, and the connection is closed", ""},
    {"http.target_bytes_max", &O::target_bytes_max, U::kBytes, 64, 1 * kMiB, "",
     "A request's target (path and query).", "414, and the connection is closed", ""},
    {"http.body_bytes_max", &O::body_bytes_max, U::kBytes, 1, 1 * kGiB, "", "A request's body.",
     "413, at once if the length was announced", ""},
    {"http.json_depth_max", &O::json_depth_max, U::kCount, 1, 1'024, "",
     "Nesting of arrays and objects in a JSON body.", "400 invalid_json", ""},
    {"http.request_timeout", &O::request_timeout_ms, U::kDuration, 100, kHour, "",
     "Time for a request's head and body in all, from its first byte.",
     "408, and the connection is closed", ""},
    {"http.idle_timeout", &O::idle_timeout_ms, U::kDuration, 100, kDay, "",
     "How long a connection that is no stream may be idle between requests.",
     "the connection is closed", ""},
    {"http.idle_connections_max", &O::idle_connections_max, U::kCount, 1, 1'000'000, "",
     "Connections a shard that are no streams.", "the one idle longest is closed", ""},

    {"publish.key_file", &O::publish_key_file, U::kText, 0, 0, "",
     "File with the keys that may publish and read /stats, one a line; without it publishing is "
     "keyless.",
     "", ""},
    {"publish.keyless", &O::keyless_publish, U::kSwitch, 0, 0, "",
     "Without a key file, whether to take publishes from programs on this host (a loopback peer, "
     "not through a proxy).",
     "", "keyless-publish"},
    {"publish.ack", &O::publish_ack, U::kText, 0, 0, "",
     "What a publish's 200 waits for: memory (its place in the order), written or synced (the "
     "journal), and matched (every shard has counted its subscribers), comma separated; a request "
     "may ask otherwise with ?ack=.",
     "", "ack"},
    {"publish.ack_timeout", &O::publish_ack_timeout_ms, U::kDuration, 10, kHour, "",
     "How long a publish's reply waits for that.",
     "503 ack_timeout: the event was accepted, the acknowledgement was not had", ""},
    {"publish.idempotency_window", &O::idempotency_window_ms, U::kDuration, kSecond, kDay, "",
     "How long a publish that is sent again with its Idempotency-Key gets the first answer and "
     "publishes nothing.",
     "it is published again", ""},
    {"publish.idempotency_keys_max", &O::idempotency_keys_max, U::kCount, 1, 1 << 24, "",
     "Idempotency keys held for that, of all shards together; each takes 300 bytes at most.",
     "the oldest is forgotten before its time, counted in /stats", ""},

    {"topics.per_subscription_max", &O::topics_per_subscription_max, U::kCount, 1, 1'024, "",
     "Topics and patterns that one stream may ask for.", "400 invalid_topic", ""},
    {"topics.per_event_max", &O::topics_per_event_max, U::kCount, 1, 256, "",
     "Topics that one event may go to.", "400 invalid_topic", ""},

    {"ledger.events_max", &O::ledger_events_max, U::kCount, 2, 1 << 24, "",
     "The newest events of which /deliveries/ID tells what became of them, at least what twice the "
     "ring holds; rounded up to a power of two, 40 bytes each a shard.",
     "older ones are 404 ledger_forgotten", ""},

    {"event.frame_bytes_max", &O::frame_bytes_max, U::kBytes, 256, 1 * kGiB, "",
     "An encoded event; each line end in the data costs 7 bytes.", "413 frame_too_large", ""},

    {"stream.retry_min", &O::retry_ms_min, U::kDuration, 1, kHour, "",
     "The `retry:` that a stream opens with is spread from this ...", "", ""},
    {"stream.retry_max", &O::retry_ms_max, U::kDuration, 1, kHour, "",
     "... to this, so that readers do not all return in the same moment.", "", ""},
    {"stream.heartbeat", &O::heartbeat_ms, U::kDuration, 100, kDay, "never",
     "A reader that has all events and had no bytes for so long gets a comment line.", "", ""},
    {"stream.age_max", &O::stream_age_max_ms, U::kDuration, 100, 365 * kDay / 10, "never",
     "A stream is ended after so long, with 20 % jitter; its reader reconnects.",
     "the stream ends with a goodbye, counted as stream_age", "max-stream-age"},
    {"stream.subscribers_max", &O::subscribers_max, U::kCount, 1, 100'000'000,
     "what the engine can hold", "Subscribers a shard.",
     "an EventSource is told to come back, others get 503 subscribers_full", ""},

    {"lag.policy", &O::lag_policy, U::kText, 0, 0, "",
     "What happens to a reader past one of these bounds: disconnect; skip (to the newest event, "
     "with a gap event); conflate (of each topic and key it gets only the newest event).",
     "", ""},
    {"lag.bytes_max", &O::lag_bytes_max, U::kBytes, 1 * kKiB, 64 * kGiB, "",
     "Bytes that one reader may be behind.",
     "as the policy says; a disconnect is counted as lag_bytes", ""},
    {"lag.events_max", &O::lag_events_max, U::kCount, 1, 1'000'000'000, "",
     "Events that one reader may be behind.",
     "as the policy says; a disconnect is counted as lag_events", ""},
    {"lag.age_max", &O::lag_age_max_ms, U::kDuration, 100, kDay, "",
     "Age of the oldest event that one reader has not taken.",
     "as the policy says; a disconnect is counted as lag_age. Who takes nothing at all for so long "
     "is disconnected under any policy",
     ""},
    {"lag.table_events_max", &O::lag_table_events_max, U::kCount, 1, 1 << 24, "",
     "Newest events of their topics and keys, and events without a key, that are held for the "
     "readers of one subscription that conflate.",
     "the oldest go, those without a key first; a reader that did not have them is told of a gap",
     ""},
    {"lag.table_bytes_max", &O::lag_table_bytes_max, U::kBytes, 1 * kKiB, 64 * kGiB, "",
     "Bytes of those; they count toward log.bytes_max too.", "the same", ""},

    {"ring.events_max", &O::ring_events_max, U::kCount, 2, 1 << 24, "",
     "Slots of the ring, a power of two.", "503 ring_full with Retry-After", ""},
    {"ring.bytes_max", &O::ring_bytes_max, U::kBytes, 1 * kKiB, 64 * kGiB, "",
     "Bytes of the frames on the ring.", "503 ring_full with Retry-After", ""},

    {"log.bytes_max", &O::log_bytes_max, U::kBytes, 4 * kKiB, 1'024 * kGiB, "",
     "Bytes of a shard's channel logs in all.",
     "the readers furthest behind are disconnected, counted as log_budget, or skip or conflate; "
     "after that publishes are refused",
     ""},
    {"log.segment_bytes", &O::segment_bytes, U::kBytes, 1 * kKiB, 1 * kGiB, "",
     "One block of a channel's log; a larger frame gets a block of its own size.", "", ""},

    {"history.events_max", &O::history_events_max, U::kCount, 1, 1'000'000'000, "no history",
     "Events held for readers that come back.",
     "the oldest are dropped; a reader that still wanted them is told of a gap", ""},
    {"history.bytes_max", &O::history_bytes_max, U::kBytes, 64 * kKiB, 1'024 * kGiB, "",
     "Memory of the history in all: events, index and topics.", "the oldest events are dropped",
     ""},
    {"history.age_max", &O::history_age_max_ms, U::kDuration, 1 * kSecond, 365 * kDay, "",
     "Age of the events held.", "older ones are dropped", ""},
    {"history.missing", &O::history_missing, U::kText, 0, 0, "",
     "Where a reader goes on whose place is gone or unknown: earliest (what is held) or live.", "",
     ""},
    {"history.values_bytes_max", &O::history_values_bytes_max, U::kBytes, 1 * kKiB, 64 * kGiB, "",
     "Bytes of the newest event of a topic and key (from=values) that are held past its event's "
     "end in the history.",
     "those held so for longest are dropped", ""},
    {"history.remembered_topics_max", &O::history_remembered_topics_max, U::kCount, 1, 100'000'000,
     "", "Topics without events, a class, of which the newest dropped event is known.",
     "a reader of a topic that was forgotten may be told of a gap that was none, never the reverse",
     ""},
    {"history.cache_bytes_max", &O::history_cache_bytes_max, U::kBytes, 64 * kKiB, 64 * kGiB, "",
     "What a shard keeps of its last readings of the history, for other readers at the same place; "
     "and as much again for readers that have not taken theirs.",
     "the history is read again", ""},

    {"journal.directory", &O::journal_directory, U::kText, 0, 0, "",
     "Directory of the journal: the history on disk, which outlives a restart. Without it none is "
     "kept.",
     "", "journal"},
    {"journal.events_max", &O::journal_events_max, U::kCount, 64, 1'000'000'000'000, "no bound",
     "Events that the journal holds.", "the oldest are dropped, a 64th of the bound at a time", ""},
    {"journal.bytes_max", &O::journal_bytes_max, U::kBytes, 1 * kMiB, 1'024 * kGiB, "no bound",
     "Bytes of the events that the journal holds.",
     "the oldest are dropped, a 64th of the bound (at most 4 MiB) at a time", ""},
    {"journal.age_max", &O::journal_age_max_ms, U::kDuration, kSecond, 10 * 365 * kDay, "no bound",
     "Age of the events that the journal holds.", "older ones are dropped", ""},
    {"journal.queue_bytes_max", &O::journal_queue_bytes_max, U::kBytes, 64 * kKiB, 64 * kGiB, "",
     "Events that wait for the disk.",
     "events go out live and are left out of the journal, which tells so; publishes that wait for "
     "it get 503 journal_unavailable",
     ""},
    {"journal.sync_interval", &O::journal_sync_interval_ms, U::kDuration, 1, kHour, "",
     "What is written is brought to the disk at least so often; with --ack synced each time.", "",
     ""},

    {"sweep.sends_max", &O::sweep_sends_max, U::kCount, 1, 65'536, "",
     "Sends between two looks at the engine's events: more is throughput, fewer is latency.",
     "the sweep goes on after the look", ""},
    {"sweep.send_bytes_max", &O::sweep_send_bytes_max, U::kBytes, 256, 1 * kGiB, "",
     "Bytes offered to one subscriber in one send.", "the rest goes with its next send", ""},
    {"sweep.drain_events_max", &O::drain_events_max, U::kCount, 1, 1 << 24, "",
     "Events taken from the ring in a turn of a shard's loop.", "the rest is taken next turn", ""},
    {"sweep.appends_max", &O::sweep_appends_max, U::kCount, 1, 1 << 24, "",
     "Channels' logs that events are appended to in a turn of a shard's loop.",
     "the rest of the event's channels get it next turn", ""},
    {"sweep.replay_bytes_max", &O::replay_bytes_max, U::kBytes, 4 * kKiB, 1 * kGiB, "",
     "Bytes of the history sent, in a turn of a shard's loop, to readers that have come back.",
     "the rest goes next turn, after the live events", ""},
    {"sweep.replay_share", &O::replay_share, U::kCount, 1, 100, "",
     "Percent of a shard's time for readers that have come back, while others get live events.",
     "they wait, so that live events need not; 100: they never do", ""},
    {"sweep.engine_events_max", &O::engine_events_max, U::kCount, 1, 65'536, "",
     "Events taken from the engine in a turn of a shard's loop.", "the rest is taken next turn",
     ""},

    {"send.zero_copy_bytes_min", &O::zero_copy_bytes_min, U::kBytes, 1 * kKiB, 1 * kGiB, "never",
     "Bytes of one event, from so many in a send on, are left to the kernel to read where they are "
     "(io_uring); not to loopback peers and others for which it reports that it copied them.",
     "a shard that has log.bytes_max of events out so, not yet given back, copies", ""},
    {"send.zero_copy_always", &O::zero_copy_always, U::kSwitch, 0, 0, "",
     "Whether to do so whatever the kernel reports; for tests.", "", ""},

    {"socket.backlog", &O::backlog, U::kCount, 1, 1 << 24, "",
     "Connections that wait to be accepted, a listening socket; the kernel cuts it to "
     "net.core.somaxconn.",
     "the kernel drops the SYN and the peer tries again", ""},
    {"socket.notsent_lowat_bytes", &O::notsent_lowat_bytes, U::kBytes, 1 * kKiB, 1 * kGiB, "",
     "TCP_NOTSENT_LOWAT: what a reader that stops can pin in the kernel.",
     "the reader lags in its channel's log instead", ""},
    {"socket.receive_buffer_bytes", &O::receive_buffer_bytes, U::kBytes, 2 * kKiB, 1 * kGiB, "",
     "SO_RCVBUF of accepted connections; the kernel doubles it.", "the peer has to wait", ""},
    {"socket.user_timeout", &O::user_timeout_ms, U::kDuration, 1 * kSecond, kDay, "",
     "TCP_USER_TIMEOUT: sent bytes that stay unacknowledged for so long end a connection.",
     "the connection ends, counted as peer_timed_out", ""},

    {"stop.delay", &O::stop_delay_ms, U::kDuration, 0, kHour, "at once",
     "After SIGTERM, how long /readyz says 503 while all is still served.", "", ""},
    {"stop.spread", &O::stop_spread_ms, U::kDuration, 0, kHour, "all at once",
     "Time over which the streams are closed after that.", "", ""},
    {"stop.timeout", &O::stop_timeout_ms, U::kDuration, 100, kHour, "",
     "From SIGTERM to exit, at most.", "what is still open is cut", ""},
};

// The edit distance of two words, for "did you mean".
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// What two spellings of one name share: letters in small, no separators.
std::string Letters(std::string_view text) {
  std::string letters;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return letters;
}

}  // namespace

std::string OptionSpec::Flag() const {
  std::string flag(name);
  std::replace_if(
      flag.begin(), flag.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  return flag;
}

std::string OptionSpec::Environment() const {
  std::string variable = "SLUICE_";
  for (const char c : name) {
    variable += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return variable;
}

std::span<const OptionSpec> OptionTable() { return kTable; }

const OptionSpec* FindOption(std::string_view name, bool* unit_in_name) {
  *unit_in_name = false;
  for (const OptionSpec& option : kTable) {
    if (option.name == name) return &option;
  }
  if (name.ends_with("_ms")) {
    const std::string_view stem = name.substr(0, name.size() - 3);
    for (const OptionSpec& option : kTable) {
      if (option.unit == OptionUnit::kDuration && option.name == stem) {
        *unit_in_name = true;
        return &option;
      }
    }
  }
  return nullptr;
}

std::string NearestOption(std::string_view text, std::string (*spell)(const OptionSpec&)) {
  const std::string wanted = Letters(text);
  std::string nearest;
  size_t best = std::max<size_t>(2, wanted.size() / 4) + 1;
  for (const OptionSpec& option : kTable) {
    const std::string spelled = spell(option);
    size_t distance = Distance(wanted, Letters(spelled));
    // A name without its section ("heartbeat") is near too, only less so.
    const size_t dot = option.name.find('.');
    if (dot != std::string_view::npos && Letters(option.name.substr(dot + 1)) == wanted) {
      distance = std::min<size_t>(distance, 1);
    }
    if (distance < best) {
      best = distance;
      nearest = spelled;
    }
  }
  return nearest;
}

}  // namespace sluice
