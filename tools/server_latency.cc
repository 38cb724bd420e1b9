#include "server_latency.h"

#include <cstdlib>
#include <string>

namespace sluice::bench {

ServerLatency ServerLatency::Read(std::string_view stats, std::string_view name) {
  ServerLatency latency;
  const std::string key = '"' + std::string(name) + '"';
  constexpr std::string_view kBuckets = "\"buckets\":";
  const size_t object = stats.find(key);
  if (object == std::string_view::npos) return latency;
  const size_t end = stats.find('}', object);
  const size_t buckets = stats.find(kBuckets, object);
  if (end == std::string_view::npos || buckets > end) return latency;
  // [[largest,count],[largest,count]...]
  const std::string text(stats.substr(buckets + kBuckets.size(), end - buckets - kBuckets.size()));
  for (size_t at = text.find('[', 1); at != std::string::npos; at = text.find('[', at + 1)) {
    char* comma = nullptr;
    const double largest = std::strtod(text.c_str() + at + 1, &comma);
    if (*comma != ',') break;
    latency.counts_[largest] += std::strtoull(comma + 1, nullptr, 10);
  }
  return latency;
}

ServerLatency ServerLatency::Since(const ServerLatency& before) const {
  ServerLatency since = *this;
  for (const auto& [largest, count] : before.counts_) {
    const auto found = since.counts_.find(largest);
    if (found != since.counts_.end()) found->second -= count;
  }
  return since;
}

uint64_t ServerLatency::count() const {
  uint64_t count = 0;
  for (const auto& bucket : counts_) count += bucket.second;
  return count;
}

double ServerLatency::AtMs(double quantile) const {
  const double wanted = quantile * static_cast<double>(count());
  uint64_t seen = 0;
  for (const auto& [largest, count] : counts_) {
    seen += count;
    if (count != 0 && static_cast<double>(seen) >= wanted) return largest / 1e3;
  }
  return 0;
}

}  // namespace sluice::bench
