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
