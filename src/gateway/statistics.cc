#include "gateway/statistics.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "gateway/configuration.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

template <typename Get>
uint64_t Sum(const StatisticsSource& source, Get&& get) {
  uint64_t sum = 0;
  for (const auto& shard : source.shards) sum += get(*shard);
  return sum;
}

template <typename Get>
uint64_t Highest(const StatisticsSource& source, Get&& get) {
  uint64_t highest = 0;
  for (const auto& shard : source.shards) highest = std::max<uint64_t>(highest, get(*shard));
  return highest;
}

const DeliveryCounters& DeliveryOf(const Shard& shard) { return shard.counters().delivery; }
const ConnectionCounters& Connected(const Shard& shard) { return shard.counters().connections; }

double Microseconds(uint64_t ns) { return static_cast<double>(ns / 10) / 100.0; }

Json Percentiles(const HistogramSum& sum) {
  Json json;
  json["count"] = sum.total();
  json["p50"] = Microseconds(sum.Percentile(0.50));
  json["p90"] = Microseconds(sum.Percentile(0.90));
  json["p99"] = Microseconds(sum.Percentile(0.99));
  json["p999"] = Microseconds(sum.Percentile(0.999));
  json["max"] = Microseconds(sum.Percentile(1.0));
  // Each is [largest value, count]. What is above is since the start; two moments' buckets tell
  // what was between them.
  Json buckets = Json::array();
  sum.ForEachBucket([&buckets](uint64_t max_ns, uint64_t count) {
    buckets.push_back(Json::array({Microseconds(max_ns), count}));
  });
  json["buckets"] = std::move(buckets);
  return json;
}

Json Latencies(const StatisticsSource& source, Histogram DeliveryCounters::*histogram) {
  HistogramSum sum;
  for (const auto& shard : source.shards) sum.Merge(DeliveryOf(*shard).*histogram);
  return Percentiles(sum);
}

double FramesPerSend(uint64_t deliveries, uint64_t sends) {
  return sends == 0 ? 0 : static_cast<double>(deliveries * 100 / sends) / 100.0;
}

// "VmRSS:	  1234 kB" of /proc/self/status, in bytes.
uint64_t ProcessBytes(const char* name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    uint64_t kib = 0;
    if (word == name && status >> kib) return kib * 1024;
  }
  return 0;
}

Json OfShard(const Shard& shard) {
  const DeliveryCounters& delivery = DeliveryOf(shard);
  const ConnectionCounters& connections = Connected(shard);
  return {
      {"index", shard.index()},
      {"engine", Name(shard.engine_kind())},
      {"subscribers", delivery.subscribers.value()},
      {"subscribers_max", shard.subscribers_max()},
      {"connections", connections.connections.value()},
      {"channels", delivery.channels.value()},
      {"events_total", delivery.events.value()},
      {"appends_total", delivery.appends.value()},
      {"deliveries_total", delivery.deliveries.value()},
      {"bytes_out_total", delivery.bytes_out.value()},
      {"sends_total", delivery.sends.value()},
      {"sends_short_total", delivery.sends_short.value()},
      {"blocked_readers", delivery.blocked_readers.value()},
      {"furthest_lag_bytes", delivery.furthest_lag_bytes.value()},
      {"log_bytes", delivery.log_bytes.value()},
      {"ring_drained_highest_events", shard.counters().ring_depth_highest.value()},
      {"drain_pauses_total", delivery.drain_pauses.value()},
      {"turns_total", shard.counters().turns.value()},
      {"sleeps_total", shard.counters().sleeps.value()},
  };
}

Json Refusals(const StatisticsSource& source) {
  Json json;
  for (size_t i = 0; i < kRefusalCount; ++i) {
    json[std::string(Word(static_cast<Refusal>(i)))] = Sum(source, [i](const Shard& shard) {
      return shard.http_counters().refusals_total[i].value();
    });
  }
  return json;
}

Json Disconnects(const StatisticsSource& source) {
  Json json;
  for (size_t i = 0; i < kDisconnectCount; ++i) {
    json[std::string(Word(static_cast<Disconnect>(i)))] =
        Sum(source, [i](const Shard& shard) { return DeliveryOf(shard).disconnects[i].value(); });
  }
  return json;
}

Json OfHistory(const StatisticsSource& source) {
  const auto delivery = [&](Counter DeliveryCounters::*counter) {
    return Sum(source, [=](const Shard& shard) { return (DeliveryOf(shard).*counter).value(); });
  };
  Json json;
  uint64_t evicted = 0;
  if (source.history != nullptr) {
    source.history->Look([&](const History& history) {
      const uint64_t oldest = history.oldest();
      json["events"] = history.events();
      json["bytes"] = history.charged_bytes();
      json["oldest_id"] = oldest == 0 ? std::string() : source.epoch.Id(oldest);
      for (size_t i = 0; i < history.classes(); ++i) evicted += history.store(i).first();
    });
  } else {
    json = {{"events", 0}, {"bytes", 0}, {"oldest_id", ""}};
  }
  json["events_max"] = source.options.history_events_max;
  json["bytes_max"] = source.options.history_bytes_max;
  json["evicted_total"] = evicted;
  json["replaying"] = delivery(&DeliveryCounters::replaying);
  json["replays_total"] = delivery(&DeliveryCounters::replays);
  json["readings_total"] = delivery(&DeliveryCounters::readings);
  json["replayed_events_total"] = delivery(&DeliveryCounters::replayed);
  for (size_t i = 0; i < kGapReasonCount; ++i) {
    json["gaps_total"][std::string(Word(static_cast<GapReason>(i)))] =
        Sum(source, [i](const Shard& shard) { return DeliveryOf(shard).gaps[i].value(); });
  }
  return json;
}

Json OfJournal(const StatisticsSource& source) {
  const int64_t now_ns = MonotonicNs();
  const JournalStatistics journal = source.journal->Statistics(now_ns);
  const size_t word_end = journal.state.find(": ");
  const bool has_reason = word_end != std::string::npos;
  HistogramSum commits;
  commits.Merge(source.journal->commit_ns());
  const Options& options = source.options;
  return {
      {"state", journal.state.substr(0, word_end)},
      {"reason", has_reason ? journal.state.substr(word_end + 2) : std::string()},
      {"written_sequence", journal.written_sequence},
      {"synced_sequence", journal.durable_sequence},
      {"reserved_sequence", journal.ceiling - 1},
      {"first_sequence", journal.first_sequence},
      {"events", journal.events_held},
      {"events_max", options.journal_events_max},
      {"bytes", journal.bytes_held},
      {"bytes_max", options.journal_bytes_max},
      {"age_max_ms", options.journal_age_max_ms},
      {"events_offered_total", journal.events_offered},
      {"events_written_total", journal.events_committed},
      {"events_lost_total", journal.events_lost},
      {"holes_total", journal.holes},
      {"events_dropped_total", journal.events_dropped},
      {"groups_total", journal.commits},
      {"events_per_group", FramesPerSend(journal.events_committed, journal.commits)},
      {"syncs_total", journal.syncs},
      {"failures_total", journal.failures},
      {"queue_bytes", journal.queue_bytes},
      {"queue_bytes_max", journal.queue_bytes_max},
      {"group_latency_us", Percentiles(commits)},
  };
}

// Of the policies with these indices, over all shards.
template <typename IsMeant>
Json LagSums(const StatisticsSource& source, IsMeant&& is_meant) {
  constexpr std::pair<const char*, Counter LagCounters::*> kCounters[] = {
      {"disconnects_total", &LagCounters::disconnects},
      {"skips_total", &LagCounters::skips},
      {"skipped_events_total", &LagCounters::skipped_events},
      {"conflations_total", &LagCounters::conflations},
      {"conflated_events_total", &LagCounters::conflated_events},
      {"conflating_readers", &LagCounters::conflating},
      {"table_events", &LagCounters::table_events},
      {"table_bytes", &LagCounters::table_bytes},
      {"table_highest_events", &LagCounters::table_events_highest},
      {"table_highest_bytes", &LagCounters::table_bytes_highest},
  };
  Json json;
  for (const auto& [name, counter] : kCounters) {
    json[name] = Sum(source, [&, of = counter](const Shard& shard) {
      const auto& lag = DeliveryOf(shard).lag;
      uint64_t sum = 0;
      for (size_t i = 0; i < lag.size(); ++i) sum += is_meant(i) ? (lag[i].*of).value() : 0;
      return sum;
    });
  }
  return json;
}

// By policy, and by the patterns of topics that have one; the last is for all other topics.
Json OfLag(const StatisticsSource& source) {
  const auto& listed = source.options.lag_policies;
  const auto word_of = [&](size_t i) {
    return std::string_view(i < listed.size() ? listed[i].policy : source.options.lag_policy);
  };
  Json json;
  for (const LagAction action : {LagAction::kDisconnect, LagAction::kSkip, LagAction::kConflate}) {
    const std::string_view word = Word(action);
    json["by_policy"][std::string(word)] =
        LagSums(source, [&](size_t i) { return word_of(i) == word; });
  }
  json["by_topics"] = Json::array();
  for (size_t i = 0; i <= listed.size(); ++i) {
    Json row = {{"topics", i < listed.size() ? listed[i].topics : ""}, {"policy", word_of(i)}};
    row.update(LagSums(source, [&](size_t index) { return index == i; }));
    json["by_topics"].push_back(std::move(row));
  }
  return json;
}

}  // namespace

std::string StatisticsJson(const StatisticsSource& source, bool pretty) {
  const auto delivery = [&](Counter DeliveryCounters::*counter) {
    return Sum(source, [=](const Shard& shard) { return (DeliveryOf(shard).*counter).value(); });
  };
  const auto connected = [&](Counter ConnectionCounters::*counter) {
    return Sum(source, [=](const Shard& shard) { return (Connected(shard).*counter).value(); });
  };
  const auto http = [&](Counter http::HttpCounters::*counter) {
    return Sum(source,
               [=](const Shard& shard) { return (shard.http_counters().*counter).value(); });
  };
  const auto engine = [&](Counter EngineCounters::*counter) {
    return Sum(source,
               [=](const Shard& shard) { return (shard.engine_counters().*counter).value(); });
  };

  Json json;
  json["schema"] = 1;
  json["version"] = VersionText();
  json["engine"] = Name(source.shards.front()->engine_kind());
  json["phase"] = source.phase;
  json["epoch"] = source.epoch.text();
  json["uptime_seconds"] = (MonotonicNs() - source.started_ns) / kNsPerSecond;
  json["subscribers"] = delivery(&DeliveryCounters::subscribers);
  json["subscribed_total"] = delivery(&DeliveryCounters::subscribed);
  json["events_total"] = http(&http::HttpCounters::publishes_total);
  json["event_bytes_in_total"] = http(&http::HttpCounters::publish_bytes_total);
  json["publish"] = {
      {"replays_total", http(&http::HttpCounters::replays_total)},
      {"idempotency_keys", source.idempotency.keys},
      {"idempotency_keys_evicted_total", source.idempotency.evicted_total},
      {"line_streams_total", http(&http::HttpCounters::publish_streams_total)},
      {"line_room_waits_total", http(&http::HttpCounters::room_waits_total)},
      {"line_replies_summed_total", http(&http::HttpCounters::replies_summed_total)},
  };
  json["deliveries_total"] = delivery(&DeliveryCounters::deliveries);
  json["bytes_out_total"] = delivery(&DeliveryCounters::bytes_out);
  json["sends_total"] = delivery(&DeliveryCounters::sends);
  json["sends_short_total"] = delivery(&DeliveryCounters::sends_short);
  json["frames_per_send"] =
      FramesPerSend(delivery(&DeliveryCounters::deliveries), delivery(&DeliveryCounters::sends));
  json["zero_copy"] = {
      {"sends_total", engine(&EngineCounters::zero_copy_sends)},
      {"copied_total", engine(&EngineCounters::zero_copy_copied)},
      {"refused_total", engine(&EngineCounters::zero_copy_refused)},
      {"held_bytes", engine(&EngineCounters::zero_copy_held_bytes)},
  };
  json["heartbeats_total"] = delivery(&DeliveryCounters::heartbeats);
  json["requests_total"] = http(&http::HttpCounters::requests_total);
  json["refusals_total"] = Refusals(source);
  json["disconnects_total"] = Disconnects(source);
  json["connections"] = connected(&ConnectionCounters::connections);
  json["connections_accepted_total"] = connected(&ConnectionCounters::accepted);
  json["accept_failures_total"] = connected(&ConnectionCounters::accept_failures);
  json["idle_connections"] = connected(&ConnectionCounters::sessions);
  json["reply_sends_total"] = connected(&ConnectionCounters::reply_sends);
  json["idle_closed_total"] = connected(&ConnectionCounters::idle_closed);
  json["ring"] = {
      {"events", source.ring.depth()},
      {"events_max", source.ring.events_max()},
      {"drained_highest_events",
       Highest(source,
               [](const Shard& shard) { return shard.counters().ring_depth_highest.value(); })},
      {"newest_sequence", source.ring.newest_sequence()},
  };
  json["log"] = {
      {"bytes", delivery(&DeliveryCounters::log_bytes)},
      {"highest_bytes", delivery(&DeliveryCounters::log_bytes_highest)},
      {"bytes_max", source.options.log_bytes_max * source.shards.size()},
  };
  json["history"] = OfHistory(source);
  if (source.journal != nullptr) json["journal"] = OfJournal(source);
  json["lag"] = OfLag(source);
  json["furthest_lag_bytes"] = Highest(
      source, [](const Shard& shard) { return DeliveryOf(shard).furthest_lag_bytes.value(); });
  json["blocked_readers"] = delivery(&DeliveryCounters::blocked_readers);
  json["drain_pauses_total"] = delivery(&DeliveryCounters::drain_pauses);
  json["delivery_latency_us"] = Latencies(source, &DeliveryCounters::delivery_ns);
  json["fanout_latency_us"] = Latencies(source, &DeliveryCounters::fanout_ns);
  json["memory"] = {
      {"resident_bytes", ProcessBytes("VmRSS:")},
      {"highest_resident_bytes", ProcessBytes("VmHWM:")},
  };
  Json shards = Json::array();
  for (const auto& shard : source.shards) shards.push_back(OfShard(*shard));
  json["shards"] = std::move(shards);
  return json.dump(pretty ? 2 : -1);
}

}  // namespace sluice
