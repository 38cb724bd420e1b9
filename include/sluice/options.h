// Everything about a gateway that can be configured, with its default and its unit.
//
// A field's comment begins with its name in the configuration file; the flag and the environment
// variable are derived from it (`lag.bytes_max` is --lag-bytes-max and SLUICE_LAG_BYTES_MAX). A
// duration is written with its unit (`--stop-delay 10s`) and kept here in milliseconds. Names,
// units, ranges and what happens at a bound stand in gateway/option_table.cc, docs/configuration.md
// is written from there, and `Validate` (gateway/validation.h) checks the relations between the
// bounds, so that the code that uses them never has to.
//
// Thread: a value; a running gateway holds its own copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

enum class EngineChoice { kAuto, kIoUring, kEpoll };

// A class of topics with a history of its own; bounds that are not given are those of history.*.
struct HistoryPolicyOptions {
  std::string topics;  // a pattern
  std::optional<uint64_t> events_max = {};
  std::optional<uint64_t> bytes_max = {};
  std::optional<uint64_t> age_max_ms = {};
};

// Topics whose readers have a policy of their own when they fall behind; bounds that are not given
// are those of lag.*.
struct LagPolicyOptions {
  std::string topics;       // a pattern
  std::string policy = {};  // "disconnect", "skip" or "conflate"
  std::optional<uint64_t> events_max = {};
  std::optional<uint64_t> bytes_max = {};
  std::optional<uint64_t> age_max_ms = {};
};

struct Options {
  // listen: ADDR:PORT, [ADDR]:PORT or unix:PATH, where streams and publishes are served.
  std::vector<std::string> listen{"0.0.0.0:8181"};
  // admin.listen: where /stats stands without a key, and /healthz and /readyz too.
  std::vector<std::string> admin_listen;

  // shards: threads, each with its engine and its slice of the subscribers; 0 is one a usable core.
  uint32_t shards = 0;
  // cpus: the processors to pin the shards to, in order; empty pins only if they fill the mask.
  std::vector<uint32_t> cpus;
  // engine: the kernel interface; a forced one that cannot be had is an error.
  EngineChoice engine = EngineChoice::kAuto;

  // --- HTTP ---------------------------------------------------------------------------------
  // http.stream_paths, http.broadcast_paths: the first is the path, the rest its aliases.
  std::vector<std::string> stream_paths{"/stream", "/api/v1/sso/stream"};
  std::vector<std::string> broadcast_paths{"/broadcast", "/api/v1/sso/broadcast"};
  // http.cors_origins: "*" (no credentials), or the origins allowed, with credentials.
  std::vector<std::string> cors_origins{"*"};
  // http.header_bytes_max: a request's line and headers in all.
  uint32_t header_bytes_max = 16 * 1024;
  // http.target_bytes_max: the request target; longer is 414.
  uint32_t target_bytes_max = 8 * 1024;
  // http.body_bytes_max: a request's body; longer is 413.
  uint32_t body_bytes_max = 1024 * 1024;
  // http.json_depth_max: nesting of arrays and objects.
  uint32_t json_depth_max = 512;
  // http.request_timeout: a request's head and body in all, from its first byte.
  uint32_t request_timeout_ms = 10'000;
  // http.idle_timeout: a connection that is no stream, between requests (or before its first).
  uint32_t idle_timeout_ms = 60'000;
  // http.idle_connections_max: connections that are no stream, a shard; past it the idlest is
  // closed.
  uint32_t idle_connections_max = 4'096;

  // --- Publishing ---------------------------------------------------------------------------
  // publish.key_file: one key a line; empty means keyless.
  std::string publish_key_file;
  // publish.keyless: without a key file, take publishes from loopback peers only (see README).
  bool keyless_publish = true;
  // publish.ack: what a publish's 200 waits for: memory, written or synced, and matched.
  std::string publish_ack = "memory";
  // publish.ack_timeout: for so long at most; then 503, though the event was accepted.
  uint32_t publish_ack_timeout_ms = 10'000;
  // publish.idempotency_window: how long a publish that is sent again gets the first answer.
  uint32_t idempotency_window_ms = 600'000;
  // publish.idempotency_keys_max: keys held for that, of all shards together.
  uint32_t idempotency_keys_max = 65'536;

  // --- Topics -------------------------------------------------------------------------------
  // topics.per_subscription_max: names and patterns that one stream may ask for.
  uint32_t topics_per_subscription_max = 64;
  // topics.per_event_max: names that one event may go to.
  uint32_t topics_per_event_max = 64;

  // --- Accounts -----------------------------------------------------------------------------
  // ledger.events_max: the newest events of which /deliveries/ID tells what became of them.
  uint32_t ledger_events_max = 65'536;

  // --- Events and streams -------------------------------------------------------------------
  // event.frame_bytes_max: an encoded event; each line end in the data costs 7 bytes.
  uint32_t frame_bytes_max = 1280 * 1024;
  // stream.retry_min, stream.retry_max: the spread of the `retry:` a stream opens with.
  uint32_t retry_ms_min = 2'000;
  uint32_t retry_ms_max = 4'000;
  // stream.heartbeat: a reader at the tail that had no bytes for so long gets a comment line; 0 is
  // never.
  uint32_t heartbeat_ms = 15'000;
  // stream.age_max: a stream is ended after so long, with 20 % jitter; 0 is never.
  uint32_t stream_age_max_ms = 0;
  // stream.subscribers_max: a shard; past it a stream is refused. 0 is what the engine can hold.
  uint32_t subscribers_max = 0;

  // --- Lag of one reader ----------------------------------------------------------------------
  // lag.policy: what happens past any of the bounds: "disconnect", "skip" or "conflate".
  std::string lag_policy = "disconnect";
  // [[lag.policy]], in the file only: the first whose pattern covers a subscription's topics
  // counts.
  std::vector<LagPolicyOptions> lag_policies;
  // lag.bytes_max
  uint64_t lag_bytes_max = 4 * 1024 * 1024;
  // lag.events_max
  uint64_t lag_events_max = 65'536;
  // lag.age_max: the age of the oldest event it has not taken.
  uint32_t lag_age_max_ms = 30'000;
  // lag.table_events_max, lag.table_bytes_max: what one channel holds for readers that conflate.
  uint64_t lag_table_events_max = 65'536;
  uint64_t lag_table_bytes_max = 16 * 1024 * 1024;

  // --- Memory of ring and logs ----------------------------------------------------------------
  // ring.events_max: slots of the ring, a power of two.
  uint32_t ring_events_max = 16'384;
  // ring.bytes_max: frames on the ring.
  uint64_t ring_bytes_max = 32 * 1024 * 1024;
  // log.bytes_max: a shard's channel logs in all.
  uint64_t log_bytes_max = 64 * 1024 * 1024;
  // log.segment_bytes: one block of a log.
  uint32_t segment_bytes = 256 * 1024;

  // --- History: what readers that come back can have ------------------------------------------
  // history.events_max: in all; 0 keeps none.
  uint64_t history_events_max = 65'536;
  // history.bytes_max: memory of the events held, index and topics included.
  uint64_t history_bytes_max = 64 * 1024 * 1024;
  // history.age_max
  uint64_t history_age_max_ms = 3'600'000;
  // history.missing: where a reader goes on whose place is gone or unknown: "earliest" or "live".
  std::string history_missing = "earliest";
  // history.values_bytes_max: of the newest events of their keys that are older than the history.
  uint64_t history_values_bytes_max = 16 * 1024 * 1024;
  // history.remembered_topics_max: topics without events of which the newest dropped one is known.
  uint32_t history_remembered_topics_max = 65'536;
  // [[history.policy]], in the file only: the first that matches one of an event's topics counts.
  std::vector<HistoryPolicyOptions> history_policies;
  // history.cache_bytes_max: what a shard keeps of its last readings, for other readers at the same
  // place; and as much again for readers that have not taken theirs.
  uint64_t history_cache_bytes_max = 16 * 1024 * 1024;

  // --- Journal: the history on disk, over restarts ---------------------------------------------
  // journal.directory: made if it is not there; empty keeps no journal.
  std::string journal_directory;
  // journal.events_max, journal.bytes_max, journal.age_max: what it holds; 0 is no bound.
  uint64_t journal_events_max = 0;
  uint64_t journal_bytes_max = uint64_t{1024} * 1024 * 1024;
  uint64_t journal_age_max_ms = 0;
  // journal.queue_bytes_max: events that the disk has not taken yet.
  uint64_t journal_queue_bytes_max = 64 * 1024 * 1024;
  // journal.sync_interval: what is written reaches the disk at least so often.
  uint32_t journal_sync_interval_ms = 1'000;

  // --- Work of one turn of a shard's loop (a trade of throughput against latency) -------------
  // sweep.sends_max: sends between two looks at the engine's events.
  uint32_t sweep_sends_max = 256;
  // sweep.send_bytes_max: bytes offered to one subscriber in one send.
  uint32_t sweep_send_bytes_max = 256 * 1024;
  // sweep.drain_events_max: events taken from the ring in a turn.
  uint32_t drain_events_max = 1'024;
  // sweep.appends_max: logs that events are appended to in a turn; an event that more channels want
  // goes on next turn.
  uint32_t sweep_appends_max = 2'048;
  // sweep.replay_bytes_max: bytes of the history sent in a turn to readers that have come back.
  uint64_t replay_bytes_max = 1024 * 1024;
  // sweep.replay_share: percent of the time for such readers, while others get live events.
  uint32_t replay_share = 25;
  // sweep.engine_events_max: events taken from the engine in a turn.
  uint32_t engine_events_max = 256;

  // --- Sends without a copy (io_uring only) ---------------------------------------------------
  // send.zero_copy_bytes_min: from this size on a large event's bytes are not copied; 0 is never.
  uint32_t zero_copy_bytes_min = 64 * 1024;
  // send.zero_copy_always: also to peers for which the kernel is known to copy all the same.
  bool zero_copy_always = false;

  // --- Sockets --------------------------------------------------------------------------------
  // socket.backlog: of each listening socket (the kernel cuts it to net.core.somaxconn).
  uint32_t backlog = 4'096;
  // socket.notsent_lowat_bytes: TCP_NOTSENT_LOWAT, what a reader that stops can pin in the kernel.
  uint32_t notsent_lowat_bytes = 16 * 1024;
  // socket.receive_buffer_bytes: SO_RCVBUF of accepted connections (the kernel doubles it).
  uint32_t receive_buffer_bytes = 32 * 1024;
  // socket.user_timeout: TCP_USER_TIMEOUT; unacknowledged bytes older than this end a connection.
  uint32_t user_timeout_ms = 60'000;

  // --- Stopping -------------------------------------------------------------------------------
  // stop.delay: /readyz is 503 and all is still served.
  uint32_t stop_delay_ms = 0;
  // stop.spread: the streams are closed evenly over this time.
  uint32_t stop_spread_ms = 1'000;
  // stop.timeout: from SIGTERM to exit, at most.
  uint32_t stop_timeout_ms = 30'000;

  // --- Log of the program ---------------------------------------------------------------------
  // log_level: trace, debug, info, warn, error.
  std::string log_level = "info";
};

}  // namespace sluice
