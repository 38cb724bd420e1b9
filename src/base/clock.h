// Times are nanoseconds of CLOCK_MONOTONIC in an int64_t named `..._ns`. The shard reads the clock
// through its engine (Engine::Now), so that a simulated engine has a clock of its own.
#pragma once

#include <time.h>

#include <cstdint>

namespace sluice {

inline constexpr int64_t kNsPerUs = 1'000;
inline constexpr int64_t kNsPerMs = 1'000'000;
inline constexpr int64_t kNsPerSecond = 1'000'000'000;

inline int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

}  // namespace sluice
