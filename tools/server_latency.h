// The latency that a sluice gateway counts itself, as its /stats tells it: the difference of two
// moments is what was counted between them.
//
// Thread: values and pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>

namespace sluice::bench {

class ServerLatency {
 public:
  // Of the histogram `name` ("fanout_latency_us") of an answer to GET /stats; empty if it has none.
  static ServerLatency Read(std::string_view stats, std::string_view name);

  ServerLatency Since(const ServerLatency& before) const;
  uint64_t count() const;
  // At most so many milliseconds took `quantile` (0 .. 1) of all; a bucket is 6 % wide. 0 without.
  double AtMs(double quantile) const;

 private:
  std::map<double, uint64_t> counts_;  // by the largest value of a bucket, in microseconds
};

}  // namespace sluice::bench
