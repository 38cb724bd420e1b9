// What all sessions of one shard share: configuration, routes, keys, CORS policy, counters, and the
// services of the layers above.
//
// Thread: its shard's; the counters may be read by any.
// Owner:  the shard; it outlives its sessions. Keys and services outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/reason.h"
#include "http/cors.h"
#include "http/event_reader.h"
#include "http/page.h"
#include "http/publish_ack.h"
#include "http/publish_keys.h"
#include "http/request_head.h"
#include "http/services.h"
#include "sluice/options.h"

namespace sluice::http {

enum class RouteKind : uint8_t {
  kNone,
  kStream,
  kBroadcast,      // an event without topics
  kPublish,        // an event to the path's topic
  kPublishEvents,  // events that say their topics themselves
  kStats,
  kDeliveries,  // what became of the event that the path names
  kTopics,
  kHealthz,
  kReadyz,
  kAsset,
};

inline constexpr bool IsPublish(RouteKind kind) {
  return kind == RouteKind::kBroadcast || kind == RouteKind::kPublish ||
         kind == RouteKind::kPublishEvents;
}

inline constexpr std::string_view kPublishPath = "/publish";
inline constexpr std::string_view kDeliveriesPath = "/deliveries/";

struct Route {
  RouteKind kind = RouteKind::kNone;
  const PageAsset* asset = nullptr;
};

struct HttpCounters {
  Counter requests_total;         // heads parsed
  Counter received_bytes_total;   // of connections that are no stream yet
  Counter publishes_total;        // accepted
  Counter publish_bytes_total;    // bodies of those
  Counter replays_total;          // publishes sent again that got their first answer
  Counter publish_streams_total;  // NDJSON publishes begun
  Counter room_waits_total;       // times one of them waited for room on the ring
  Counter replies_summed_total;   // its replies that were summed up, as nobody read them
  Counter streams_total;          // admitted
  Counter ack_waits_total;        // accepted publishes whose replies had to wait
  Counter pauses_total;           // times a peer that did not take its replies was held back
  std::array<Counter, kRefusalCount> refusals_total;

  Counter& refusals(Refusal refusal) { return refusals_total[static_cast<size_t>(refusal)]; }
};

class Site {
 public:
  Site(const Options& options, const PublishKeys& keys, Services services);
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  const Options& options() const { return options_; }
  const PublishKeys& keys() const { return keys_; }
  const CorsPolicy& cors() const { return cors_; }
  const Services& services() const { return services_; }
  // Of publishes that do not say themselves.
  const PublishAck& publish_ack() const { return publish_ack_; }
  int64_t AckUntilNs(int64_t now_ns) const;
  const HeadBounds& head_bounds() const { return head_bounds_; }
  HttpCounters& counters() { return counters_; }
  const HttpCounters& counters() const { return counters_; }

  // `path` is decoded; `topic` is what of it stands behind the route's own, for those that have
  // topics, or an id. On the admin listener only the reports stand.
  Route FindRoute(std::string_view path, bool is_admin_listener,
                  std::optional<std::string_view>* topic) const;
  EventReader& event_reader() { return event_reader_; }

  // "Date: ...\r\n", made anew when a second has passed on the shard's clock.
  std::string_view DateLine(int64_t now_ns);
  // Seconds since 1970; for simulations and tests that want the same bytes each time.
  void set_wall_clock(int64_t (*wall_seconds)()) { wall_seconds_ = wall_seconds; }

 private:
  struct Entry {
    std::string path;
    Route route;
  };

  Route FindTopicRoute(std::string_view path, std::optional<std::string_view>* topic) const;

  const Options options_;
  const PublishKeys& keys_;
  const CorsPolicy cors_;
  const Services services_;
  const PublishAck publish_ack_;
  const HeadBounds head_bounds_;
  std::vector<Entry> routes_;  // most wanted first
  EventReader event_reader_;
  int64_t (*wall_seconds_)();
  int64_t date_second_ = INT64_MIN;
  std::string date_line_;
  HttpCounters counters_;
};

}  // namespace sluice::http
