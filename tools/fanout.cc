#include "fanout.h"

#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "crew.h"
#include "live_line.h"
#include "meter_thread.h"

namespace sluice::bench {
namespace {

constexpr int64_t kTickNs = 50 * kNsPerMs;
constexpr int64_t kSampleNs = 250 * kNsPerMs;
constexpr double kDrainMaxS = 120;
constexpr double kBusyShare = 0.97;  // a core this busy has nothing left to give
constexpr double kOfferedShareMin = 0.99;

int64_t Ns(double seconds) { return static_cast<int64_t>(seconds * 1e9); }

class Run {
 public:
  Run(const FanoutOptions& options, FanoutReport* report)
      : options_(options), report_(*report), live_(options.is_quiet) {}
  Status Do();

 private:
  Status Prepare();
  Status Join(Crew* crew);
  void Measure(Crew* crew);
  void Drain(Crew* crew);
  void ProbeSlow(Crew* crew);
  void Collect(const Crew& crew);
  void CompareOrders(const Crew& crew);
  void CollectLast(const Crew& crew);
  void Judge();
  int64_t MeterCpuNs() const;
  uint64_t ServerBufferBytes() const;

  const FanoutOptions options_;
  FanoutReport& report_;
  RunPlan plan_;
  std::unique_ptr<PayloadFormat> format_;
  LiveLine live_;
  uint64_t kernel_bytes_begin_ = 0;
  uint64_t buffer_bytes_begin_ = 0;  // of the server's sockets
  uint64_t buffer_bytes_peak_ = 0;
};

Status Run::Prepare() {
  plan_.payload_bytes = options_.payload_bytes;
  plan_.publishers = options_.publishers != 0 ? options_.publishers : options_.rate > 0 ? 64 : 8;
  plan_.churn = options_.churn;
  plan_.ahead_max = options_.ahead_max;
  plan_.has_storm = options_.has_storm;
  plan_.subscribers = options_.subscribers;
  plan_.slow = options_.slow;
  plan_.join_stall_s = options_.join_stall_s;
  plan_.cpus = options_.cpus;
  plan_.threads = options_.threads;
  plan_.topics = Topics(options_.topics);
  FanoutOptions& asked = report_.options;
  Status status =
      FillTopicUrls(asked.topics, asked.publish_body, &asked.stream_url, &asked.publish_url);
  if (status.ok()) {
    status = MakeTarget(asked.stream_url, asked.publish_url, asked.publish_body, asked.headers,
                        &plan_.target);
  }
  if (status.ok()) status = ChooseLoop(options_.engine, &plan_);
  if (status.ok()) status = PinTo(options_.cpus);
  if (!status.ok()) return status;
  report_.engine = plan_.loop_kind == LoopKind::kIoUring ? "io_uring" : "epoll";
  const int64_t now_ns = MonotonicNs();
  const auto nonce = static_cast<uint32_t>(now_ns ^ (int64_t{::getpid()} << 16));
  format_ = std::make_unique<PayloadFormat>(options_.payload_bytes, nonce, now_ns);
  return Status::Ok();
}

Status Run::Join(Crew* crew) {
  double connect_s = 0;
  const Status status = crew->Join([this, crew] { live_.Show("join", *crew); }, &connect_s);
  report_.connect_s = connect_s;
  report_.joined = static_cast<uint32_t>(crew->streaming());
  if (!status.ok()) return status;
  SleepFor(Ns(options_.settle_s));
  report_.memory.kernel_joined = SampleKernel();
  report_.memory.meter_joined = SampleProcess(::getpid(), true);
  if (options_.pid > 0) report_.memory.server_joined = SampleProcess(options_.pid, true);
  return status;
}

int64_t Run::MeterCpuNs() const {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * kNsPerSecond + used.tv_nsec;
}

// Asked for only where it is told: the kernel walks all its sockets for it.
uint64_t Run::ServerBufferBytes() const {
  const sockaddr_storage& address = plan_.target.stream.address;
  if (options_.slow == 0 || address.ss_family != AF_INET) return 0;
  return SocketBufferBytes(ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port));
}

void Run::Measure(Crew* crew) {
  RunControl& control = crew->control();
  const int64_t begin_ns = MonotonicNs() + 100 * kNsPerMs;
  double warmup_s = options_.warmup_s;
  double duration_s = options_.duration_s;
  if (options_.rate > 0) {
    // Whole periods: with few events a second the window must hold as many as it is long.
    warmup_s = std::max(1.0, std::round(warmup_s * options_.rate)) / options_.rate;
    duration_s = std::max(1.0, std::round(duration_s * options_.rate)) / options_.rate;
  }
  control.window = {begin_ns + Ns(warmup_s), begin_ns + Ns(warmup_s) + Ns(duration_s)};
  control.plan = {.rate = options_.rate,
                  .begin_ns = begin_ns,
                  .end_ns = control.window.end_ns,
                  .window_begin_ns = control.window.begin_ns,
                  .window_end_ns = control.window.end_ns};
  report_.window_s = duration_s;
  kernel_bytes_begin_ = SampleKernel().tcp_bytes;
  buffer_bytes_begin_ = ServerBufferBytes();
  crew->Enter(Phase::kPublish);

  while (MonotonicNs() < control.window.begin_ns - kTickNs) {
    SleepFor(kTickNs);
    live_.Show("warm-up", *crew);
  }
  SleepUntil(control.window.begin_ns);
  const bool has_server = options_.pid > 0;
  const int64_t meter_cpu_begin = MeterCpuNs();
  const int64_t meter_at_begin = MonotonicNs();
  const int64_t machine_cpu_begin = MachineCpuNs();
  if (has_server) {
    report_.server_command = CommandLine(options_.pid);
    report_.server_begin = SampleProcess(options_.pid, false);
  }
  ProcessSample before = report_.server_begin;
  for (int64_t at_ns = control.window.begin_ns + kSampleNs; at_ns < control.window.end_ns;
       at_ns += kSampleNs) {
    SleepUntil(at_ns);
    live_.Show("measure", *crew);
    uint64_t& tcp_bytes_peak = report_.memory.tcp_bytes_peak;
    tcp_bytes_peak = std::max(tcp_bytes_peak, SampleKernel().tcp_bytes);
    buffer_bytes_peak_ = std::max(buffer_bytes_peak_, ServerBufferBytes());
    TimelinePoint point;
    point.at_s = static_cast<double>(at_ns - control.window.begin_ns) / 1e9;
    if (has_server) {
      const ProcessSample now = SampleProcess(options_.pid, false);
      point.cpu_share = static_cast<double>(now.cpu_ns - before.cpu_ns) /
                        static_cast<double>(std::max<int64_t>(1, now.at_ns - before.at_ns));
      point.resident_bytes = static_cast<double>(now.resident_bytes);
      before = now;
    }
    report_.timeline.push_back(point);
  }
  SleepUntil(control.window.end_ns);
  if (has_server) report_.server_end = SampleProcess(options_.pid, false);
  const auto cores = static_cast<double>(std::max<size_t>(
      1, options_.cpus.empty() ? plan_.threads
                               : std::min<size_t>(plan_.threads, options_.cpus.size())));
  const auto elapsed = static_cast<double>(MonotonicNs() - meter_at_begin);
  const auto meter_cpu = static_cast<double>(MeterCpuNs() - meter_cpu_begin);
  report_.meter_cpu_share = meter_cpu / elapsed / cores;
  const double others =
      static_cast<double>(MachineCpuNs() - machine_cpu_begin) - meter_cpu -
      static_cast<double>(report_.server_end.cpu_ns - report_.server_begin.cpu_ns);
  report_.others_cpu_share =
      has_server
          ? std::max(0.0, others / elapsed / static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)))
          : 0;
  report_.has_server = has_server && report_.server_end.is_alive();
}

void Run::Drain(Crew* crew) {
  crew->Enter(Phase::kDrain);
  const int64_t begin_ns = MonotonicNs();
  int64_t moved_ns = begin_ns;
  uint64_t seen = crew->deliveries();
  uint64_t due = 0;
  for (;;) {
    SleepFor(2 * kNsPerMs);
    live_.Show("drain", *crew);
    const int64_t now_ns = MonotonicNs();
    const uint64_t deliveries = crew->deliveries();
    const uint64_t due_now = crew->front().deliveries_due.load();
    if (deliveries != seen || due_now != due) {
      seen = deliveries;
      due = due_now;
      moved_ns = now_ns;
    }
    const bool is_done = crew->front().publisher_is_done.load();
    const bool has_all = deliveries >= due && options_.churn <= 0 && !options_.has_storm;
    if (is_done && has_all) break;
    if (now_ns - moved_ns > Ns(options_.drain_s) || now_ns - begin_ns > Ns(kDrainMaxS)) break;
  }
  SleepFor(100 * kNsPerMs);  // what comes twice comes now
}

void Run::ProbeSlow(Crew* crew) {
  const uint64_t slow = options_.slow;
  if (slow == 0) return;
  const uint64_t peak = std::max(report_.memory.tcp_bytes_peak, SampleKernel().tcp_bytes);
  const uint64_t buffers = std::max(buffer_bytes_peak_, ServerBufferBytes());
  const auto each = [slow](uint64_t from, uint64_t to) {
    return static_cast<double>(to > from ? to - from : 0) / static_cast<double>(slow);
  };
  report_.slow_kernel_bytes = each(buffer_bytes_begin_, buffers);
  report_.slow_kernel_bytes_both = each(kernel_bytes_begin_, peak);
  crew->Enter(Phase::kProbe);
  for (int i = 0; i < 40; ++i) {
    SleepFor(kTickNs);
    if (crew->Sum([](const MeterThread& m) { return m.cut_off.load(); }) >= slow) break;
  }
}

void Run::CompareOrders(const Crew& crew) {
  const OrderLog& first = crew.meters().front()->checker().log();
  uint64_t reordered = 0;
  for (const auto& meter : crew.meters()) reordered += first.OutOfOrderIn(meter->checker().log());
  report_.is_one_order = reordered == 0;
  report_.faults.reordered += reordered;
}

// The last subscriber of each measured event, over all threads; told by the first that saw it, as
// not every thread has readers of every topic.
void Run::CollectLast(const Crew& crew) {
  const auto& meters = crew.meters();
  for (size_t teller = 0; teller < meters.size(); ++teller) {
    const OrderLog& own = meters[teller]->checker().log();
    for (uint32_t i = 0; i < own.size(); ++i) {
      const Event& event = own[i];
      int64_t last_ns = event.last_ns;
      bool is_told = !event.is_measured;
      for (size_t t = 0; t < meters.size() && !is_told; ++t) {
        if (t == teller) continue;
        const OrderLog& log = meters[t]->checker().log();
        const uint32_t place = log.Find(event.publisher, event.number);
        if (place == kNoEvent) continue;
        is_told = t < teller;
        last_ns = std::max(last_ns, log[place].last_ns);
      }
      if (!is_told) report_.last.Record(last_ns - event.due_ns);
    }
  }
}

void Run::Collect(const Crew& crew) {
  const Publisher& publisher = *crew.meters().front()->publisher();
  const Publisher::Counts& published = publisher.counts();
  report_.events_posted = published.posted;
  report_.events_accepted = published.accepted;
  report_.publishes_retried = published.retried;
  report_.publish_errors = published.errors;
  report_.deliveries_due = published.deliveries_due;
  const std::vector<uint64_t> accepted = publisher.AcceptedByTopic();
  report_.publish_rate = static_cast<double>(published.accepted_measured) / report_.window_s;
  report_.answer = publisher.answer_time();
  report_.publish_lag = publisher.lag();
  if (options_.rate > 0) {
    const uint64_t asked = publisher.asked_measured();
    report_.offered_share = static_cast<double>(published.accepted_measured) /
                            static_cast<double>(std::max<uint64_t>(asked, 1));
  }
  uint64_t measured = 0;
  uint64_t bytes = 0;
  uint64_t joined = 0;
  for (const auto& meter : crew.meters()) {
    const StreamChecker& checker = meter->checker();
    report_.latency.Merge(checker.latency());
    report_.first_byte.Merge(meter->first_byte());
    measured += checker.counts().deliveries_measured;
    report_.deliveries += checker.counts().deliveries;
    bytes += checker.counts().bytes;
    joined += checker.counts().joined_blocks;
    report_.foreign += checker.counts().foreign;
    report_.faults.Add(meter->Settle(publisher, accepted));
    report_.disconnected += meter->disconnected();
    report_.reconnected += meter->reconnected();
    report_.connect_failures += meter->connect_failures();
    report_.slow_joined += meter->stopped.load();
    report_.slow_cut_off += meter->cut_off.load();
    if (!meter->problem().empty()) report_.problems.push_back(meter->problem());
    const auto& slots = checker.timeline();
    for (size_t i = 0; i < slots.size() && i < report_.timeline.size(); ++i) {
      report_.timeline[i].deliveries_a_second +=
          static_cast<double>(slots[i]) * 1e9 / StreamChecker::kSlotNs;
    }
  }
  if (!publisher.problem().empty()) report_.problems.push_back(publisher.problem());
  report_.deliveries_a_second = static_cast<double>(measured) / report_.window_s;
  if (report_.deliveries > 0) {
    report_.wire_bytes_an_event =
        static_cast<double>(bytes) / static_cast<double>(report_.deliveries);
    report_.joined_share = static_cast<double>(joined) / static_cast<double>(report_.deliveries);
  }
  CompareOrders(crew);
  CollectLast(crew);
  if (report_.has_server) {
    const ProcessSample& begin = report_.server_begin;
    const ProcessSample& end = report_.server_end;
    const double elapsed_s = static_cast<double>(end.at_ns - begin.at_ns) / 1e9;
    const double cpu_s = static_cast<double>(end.cpu_ns - begin.cpu_ns) / 1e9;
    report_.server_cpu_share = cpu_s / elapsed_s;
    if (measured > 0) {
      report_.server_cpu_us_a_delivery =
          report_.server_cpu_share * 1e6 / report_.deliveries_a_second;
    }
    report_.server_switches_a_second =
        static_cast<double>(end.switches_voluntary + end.switches_forced -
                            begin.switches_voluntary - begin.switches_forced) /
        elapsed_s;
  }
}

void Run::Judge() {
  FanoutReport& r = report_;
  r.meter_was_bottleneck =
      r.meter_cpu_share > kBusyShare &&
      (!r.has_server || r.server_cpu_share < kBusyShare * r.server_end.threads);
  if (r.has_server && r.server_cpu_share > kBusyShare) r.meter_was_bottleneck = false;
  if (r.offered_share < kOfferedShareMin) {
    r.problems.push_back("the asked load was not offered: see `asked load accepted`");
  }
  const bool is_wrong_process =
      options_.pid > 0 && (!r.has_server || r.server_end.cpu_ns <= r.server_begin.cpu_ns);
  if (is_wrong_process) {
    r.problems.push_back("the process of --pid used no CPU or is gone: it is not the server");
  }
  if (r.events_accepted == 0) r.problems.push_back("no event was accepted");
  const bool needs_no_end = options_.churn <= 0 && !options_.has_storm;
  r.passed = r.faults.total() == 0 && r.is_one_order && r.publish_errors == 0 &&
             (r.disconnected == 0 || !needs_no_end) && r.offered_share >= kOfferedShareMin &&
             r.events_accepted > 0 && !is_wrong_process;
}

Status Run::Do() {
  report_.options = options_;
  Status status = Prepare();
  if (!status.ok()) return status;
  report_.memory.meter_before = SampleProcess(::getpid(), true);
  if (options_.pid > 0) report_.memory.server_before = SampleProcess(options_.pid, true);
  report_.memory.kernel_before = SampleKernel();
  Crew crew(plan_, *format_);
  crew.Start();
  status = Join(&crew);
  if (!status.ok()) return status;
  Measure(&crew);
  Drain(&crew);
  ProbeSlow(&crew);
  crew.Stop();
  live_.Clear();
  Collect(crew);
  Judge();
  return Status::Ok();
}

}  // namespace

Status RunFanout(const FanoutOptions& options, FanoutReport* report) {
  return Run(options, report).Do();
}

}  // namespace sluice::bench
