#include "base/wall_time.h"

#include <cstdio>
#include <ctime>

#include "base/clock.h"

namespace sluice {

int64_t WallOffsetNs() {
  timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  return int64_t{wall.tv_sec} * kNsPerSecond + wall.tv_nsec - MonotonicNs();
}

void AppendWallTime(std::string* out, int64_t wall_ns) {
  const time_t seconds = wall_ns / kNsPerSecond;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[80];
  const int bytes =
      std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", parts.tm_year + 1900,
                    parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                    static_cast<int>(wall_ns % kNsPerSecond / kNsPerUs));
  out->append(text, static_cast<size_t>(bytes));
}

}  // namespace sluice
