#include "http/site.h"

#include <ctime>

#include "base/clock.h"

namespace sluice::http {
namespace {

int64_t WallSeconds() { return std::time(nullptr); }

// RFC 9110's date, whatever the program's locale is.
std::string MakeDateLine(int64_t wall_seconds) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const time_t time = wall_seconds;
  tm parts{};
  gmtime_r(&time, &parts);
  char text[64];
  const int bytes = std::snprintf(text, sizeof(text), "Date: %s, %02d %s %d %02d:%02d:%02d GMT\r\n",
                                  kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                  parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return {text, static_cast<size_t>(bytes)};
}

}  // namespace

Site::Site(const Options& options, const PublishKeys& keys, Services services)
    : options_(options),
      keys_(keys),
      cors_(options.cors_origins),
      services_(services),
      publish_ack_(ParsePublishAck(options.publish_ack).value_or(PublishAck{})),
      head_bounds_{options.header_bytes_max, options.target_bytes_max},
      event_reader_(options),
      wall_seconds_(WallSeconds) {
  for (const std::string& path : options.broadcast_paths) {
    routes_.push_back({path, {RouteKind::kBroadcast}});
  }
  routes_.push_back({std::string(kPublishPath), {RouteKind::kPublishEvents}});
  for (const std::string& path : options.stream_paths) {
    routes_.push_back({path, {RouteKind::kStream}});
  }
  routes_.push_back({"/stats", {RouteKind::kStats}});
  routes_.push_back({"/topics", {RouteKind::kTopics}});
  routes_.push_back({"/healthz", {RouteKind::kHealthz}});
  routes_.push_back({"/readyz", {RouteKind::kReadyz}});
  for (const PageAsset& asset : PageAssets()) {
    routes_.push_back({std::string(asset.path), {RouteKind::kAsset, &asset}});
  }
}

int64_t Site::AckUntilNs(int64_t now_ns) const {
  return now_ns + options_.publish_ack_timeout_ms * kNsPerMs;
}

Route Site::FindRoute(std::string_view path, bool is_admin_listener,
                      std::optional<std::string_view>* topic) const {
  for (const Entry& entry : routes_) {
    if (entry.path != path) continue;
    const RouteKind kind = entry.route.kind;
    const bool is_report = kind == RouteKind::kStats || kind == RouteKind::kTopics ||
                           kind == RouteKind::kHealthz || kind == RouteKind::kReadyz;
    return is_report || !is_admin_listener ? entry.route : Route{};
  }
  if (path.starts_with(kDeliveriesPath) && path.size() > kDeliveriesPath.size()) {
    *topic = path.substr(kDeliveriesPath.size());
    return {RouteKind::kDeliveries};
  }
  return is_admin_listener ? Route{} : FindTopicRoute(path, topic);
}

// The longest path that `path` begins with, a "/" after it: what follows is the topic.
Route Site::FindTopicRoute(std::string_view path, std::optional<std::string_view>* topic) const {
  Route route;
  size_t longest = 0;
  for (const Entry& entry : routes_) {
    const bool has_topics =
        entry.route.kind == RouteKind::kStream || entry.route.kind == RouteKind::kPublishEvents;
    const size_t bytes = entry.path.size();
    if (!has_topics || bytes < longest || path.size() <= bytes + 1 || path[bytes] != '/' ||
        !path.starts_with(entry.path)) {
      continue;
    }
    longest = bytes;
    *topic = path.substr(bytes + 1);
    route.kind = entry.route.kind == RouteKind::kStream ? RouteKind::kStream : RouteKind::kPublish;
  }
  return route;
}

std::string_view Site::DateLine(int64_t now_ns) {
  if (const int64_t second = now_ns / kNsPerSecond; second != date_second_) {
    date_second_ = second;
    date_line_ = MakeDateLine(wall_seconds_());
  }
  return date_line_;
}

}  // namespace sluice::http
