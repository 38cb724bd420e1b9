#include "idle.h"

#include <algorithm>

#include "base/clock.h"
#include "crew.h"
#include "live_line.h"

namespace sluice::bench {

double IdleReport::PssEach() const {
  return (static_cast<double>(server_idle.pss_bytes) -
          static_cast<double>(server_before.pss_bytes)) /
         std::max(1u, subscribers);
}

double IdleReport::KernelEach() const {
  const auto before = static_cast<double>(kernel_before.slab_bytes + kernel_before.tcp_bytes);
  const auto after = static_cast<double>(kernel_after.slab_bytes + kernel_after.tcp_bytes);
  return (after - before) / std::max(1u, subscribers);
}

double IdleReport::IdleCpuShare() const {
  const auto elapsed = static_cast<double>(server_idle.at_ns - server_after.at_ns);
  return elapsed <= 0 ? 0 : static_cast<double>(server_idle.cpu_ns - server_after.cpu_ns) / elapsed;
}

Status RunIdle(const IdleOptions& options, IdleReport* report) {
  const FanoutOptions& base = options.base;
  RunPlan plan;
  plan.subscribers = base.subscribers;
  plan.threads = base.threads;
  plan.cpus = base.cpus;
  plan.connecting_max = options.connecting;
  Status status = MakeTarget(base.stream_url, "", "", base.headers, &plan.target);
  if (status.ok()) status = ChooseLoop(base.engine, &plan);
  if (status.ok()) status = PinTo(base.cpus);
  if (!status.ok()) return status;
  const PayloadFormat format(kPayloadBytesMin, 0, MonotonicNs());

  report->subscribers = base.subscribers;
  report->connecting = plan.connecting_max * plan.threads;
  report->engine = plan.loop_kind == LoopKind::kIoUring ? "io_uring" : "epoll";
  Crew crew(plan, format);
  report->kernel_before = SampleKernel();
  if (base.pid > 0) report->server_before = SampleProcess(base.pid, true);
  const int64_t begin_ns = MonotonicNs();
  crew.Start();
  double seconds = 0;
  LiveLine live(base.is_quiet);
  status = crew.Join([&] { live.Show("join", crew); }, &seconds);
  if (!status.ok()) return status;
  if (base.pid > 0) report->server_after = SampleProcess(base.pid, false);
  const int64_t idle_until_ns = MonotonicNs() + static_cast<int64_t>(options.idle_s * 1e9);
  while (MonotonicNs() < idle_until_ns) {
    SleepUntil(std::min(idle_until_ns, MonotonicNs() + kNsPerSecond / 2));
    live.Show("idle", crew);
  }
  report->idle_s = options.idle_s;
  if (base.pid > 0) report->server_idle = SampleProcess(base.pid, true);
  report->kernel_after = SampleKernel();
  crew.Stop();
  live.Clear();
  int64_t last_ns = begin_ns;
  for (const auto& meter : crew.meters()) {
    report->first_byte.Merge(meter->first_byte());
    report->connect_failures += meter->connect_failures();
    last_ns = std::max(last_ns, meter->last_head_ns());
  }
  report->connect_s = static_cast<double>(last_ns - begin_ns) / 1e9;
  return Status::Ok();
}

}  // namespace sluice::bench
