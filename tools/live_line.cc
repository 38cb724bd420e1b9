#include "live_line.h"

#include <algorithm>
#include <cstdio>

#include "base/clock.h"
#include "crew.h"

namespace sluice::bench {

void LiveLine::Show(const char* phase, const Crew& crew) {
  if (!IsDue(MonotonicNs())) return;
  Figures figures;
  figures.connected = crew.streaming();
  figures.events = crew.meters().front()->posted_events.load();
  figures.deliveries = crew.deliveries();
  figures.errors = crew.Sum([](const MeterThread& m) { return m.problems.load(); });
  for (const auto& meter : crew.meters()) {
    figures.p99_ns = std::max(figures.p99_ns, meter->p99_ns.load());
  }
  Show(phase, figures);
}

void LiveLine::Show(const char* phase, const Figures& figures) {
  const int64_t now_ns = MonotonicNs();
  if (!IsDue(now_ns)) return;
  const double rate = at_ns_ == 0 ? 0
                                  : static_cast<double>(figures.deliveries - deliveries_) * 1e9 /
                                        static_cast<double>(now_ns - at_ns_);
  std::fprintf(
      stderr, "\r%-8s %8llu connected %9llu events %11.0f deliveries/s  p99 %8.1f ms %5llu errors ",
      phase, static_cast<unsigned long long>(figures.connected),
      static_cast<unsigned long long>(figures.events), rate,
      static_cast<double>(figures.p99_ns) / 1e6, static_cast<unsigned long long>(figures.errors));
  is_shown_ = true;
  due_ns_ = now_ns + 500 * kNsPerMs;
  at_ns_ = now_ns;
  deliveries_ = figures.deliveries;
}

void LiveLine::Clear() {
  if (is_shown_) std::fprintf(stderr, "\r%110s\r", "");
  is_shown_ = false;
}

}  // namespace sluice::bench
