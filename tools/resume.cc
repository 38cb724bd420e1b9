#include "resume.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "base/clock.h"
#include "crew.h"
#include "http_call.h"
#include "live_line.h"
#include "server_probe.h"

namespace sluice::bench {
namespace {

constexpr int64_t kTickNs = 2 * kNsPerMs;
constexpr int64_t kBetweenNs = 100 * kNsPerMs;  // the calm window's end to the return
constexpr int64_t kAskNs = 20 * kNsPerMs;       // time to ask the server before that
constexpr double kOfferedShareMin = 0.99;
// In one call into a kernel that is not preempted: those that stayed wait for it on the same core.
constexpr uint32_t kReturningAtATime = 8;
constexpr double kAimTimes = 1.5;
constexpr double kAimMoreMs = 10;

int64_t Ns(double seconds) { return static_cast<int64_t>(seconds * 1e9); }
double Seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }

// All that has been used and counted up to now.
struct Moment {
  int64_t at_ns = 0;
  int64_t meter_cpu_ns = 0;
  int64_t machine_cpu_ns = 0;
  ProcessSample server;
  ServerLatency fanout;
  ServerLatency delivery;
};

class Run {
 public:
  Run(const ResumeOptions& options, ResumeReport* report)
      : options_(options), report_(*report), live_(options.base.is_quiet) {}
  Status Do();

 private:
  Status Prepare();
  Status Mark();
  Status Miss(Crew* crew);
  void Stay(Crew* crew);
  Status Return(Crew* crew, Crew* back);
  Status Drain(Crew* crew, const Crew& back);
  void Collect(const Crew& crew, const Crew& back);
  void CollectReaders(const Crew& of, const Publisher& publisher);
  Moment Now() const;
  void Between(const Moment& begin, const Moment& end, ResumeWindow* window) const;

  const ResumeOptions options_;
  ResumeReport& report_;
  RunPlan plan_;
  RunPlan back_plan_;
  Target stats_;
  std::unique_ptr<PayloadFormat> format_;
  LiveLine live_;
};

Status Run::Prepare() {
  const FanoutOptions& base = options_.base;
  plan_.payload_bytes = base.payload_bytes;
  plan_.publishers = base.publishers != 0 ? base.publishers : 64;
  plan_.ahead_max = base.ahead_max;
  plan_.subscribers = base.subscribers;
  plan_.join_stall_s = base.join_stall_s;
  plan_.cpus = base.cpus;
  plan_.threads = base.threads;
  Status status =
      MakeTarget(base.stream_url, base.publish_url, base.publish_body, base.headers, &plan_.target);
  if (status.ok() && !options_.stats_url.empty()) {
    status = MakeTarget(options_.stats_url, "", "", base.headers, &stats_);
  }
  if (status.ok()) status = ChooseLoop(base.engine, &plan_);
  if (status.ok()) status = PinTo(base.cpus);
  if (!status.ok()) return status;
  report_.engine = plan_.loop_kind == LoopKind::kIoUring ? "io_uring" : "epoll";
  const int64_t now_ns = MonotonicNs();
  const auto nonce = static_cast<uint32_t>(now_ns ^ (int64_t{::getpid()} << 16));
  format_ = std::make_unique<PayloadFormat>(base.payload_bytes, nonce, now_ns);
  return Status::Ok();
}

// Publishes the event after which the others come back, and says so in their requests.
Status Run::Mark() {
  const Target& target = plan_.target;
  const std::string body = target.body_before + "\"the mark\"" + target.body_after;
  std::string answer;
  Status status = Call(
      target.publish,
      target.publish_head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body,
      &answer);
  if (!status.ok()) return status;
  constexpr std::string_view kId = "\"id\":\"";
  const size_t begin = answer.find(kId);
  const size_t end = begin == std::string::npos ? begin : answer.find('"', begin + kId.size());
  if (end == std::string::npos) {
    return Status::Unavailable("the answer to a publish tells no \"id\" to come back after");
  }
  report_.id = answer.substr(begin + kId.size(), end - begin - kId.size());

  const FanoutOptions& base = options_.base;
  std::vector<std::string> headers = base.headers;
  headers.push_back("Last-Event-ID: " + report_.id);
  back_plan_ = plan_;
  back_plan_.publishers = 0;
  back_plan_.subscribers = options_.returning;
  back_plan_.is_returning = true;
  back_plan_.threads = base.threads;
  back_plan_.connecting_max = std::min(options_.returning, kReturningAtATime);
  status = MakeTarget(base.stream_url, "", "", headers, &back_plan_.target);
  return status.ok() ? ChooseLoop(base.engine, &back_plan_) : status;
}

Moment Run::Now() const {
  Moment moment;
  moment.at_ns = MonotonicNs();
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  moment.meter_cpu_ns = int64_t{used.tv_sec} * kNsPerSecond + used.tv_nsec;
  moment.machine_cpu_ns = MachineCpuNs();
  if (options_.base.pid > 0) moment.server = SampleProcess(options_.base.pid, false);
  std::string stats;
  const bool has_stats =
      !options_.stats_url.empty() && Call(stats_.stream, stats_.stream_request, &stats).ok();
  if (has_stats) {
    moment.fanout = ServerLatency::Read(stats, "fanout_latency_us");
    moment.delivery = ServerLatency::Read(stats, "delivery_latency_us");
  }
  return moment;
}

void Run::Between(const Moment& begin, const Moment& end, ResumeWindow* window) const {
  const auto elapsed = static_cast<double>(std::max<int64_t>(1, end.at_ns - begin.at_ns));
  window->seconds = elapsed / 1e9;
  const auto meter = static_cast<double>(end.meter_cpu_ns - begin.meter_cpu_ns);
  const size_t cores = options_.base.cpus.empty()
                           ? plan_.threads
                           : std::min<size_t>(plan_.threads, options_.base.cpus.size());
  window->meter_cpu_share = meter / elapsed / static_cast<double>(std::max<size_t>(1, cores));
  window->server_fanout = end.fanout.Since(begin.fanout);
  window->server_delivery = end.delivery.Since(begin.delivery);
  if (options_.base.pid <= 0) return;
  const auto server = static_cast<double>(end.server.cpu_ns - begin.server.cpu_ns);
  window->server_cpu_share = server / elapsed;
  const double others =
      static_cast<double>(end.machine_cpu_ns - begin.machine_cpu_ns) - meter - server;
  window->others_cpu_share =
      std::max(0.0, others / elapsed / static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)));
}

// Publishes what the others will have missed, as fast as those that are there read it.
Status Run::Miss(Crew* crew) {
  RunControl& control = crew->control();
  control.missed.begin_ns = MonotonicNs();
  control.missed.end_ns = INT64_MAX;
  control.missed.events_max = options_.missed;
  crew->Enter(Phase::kMissed);
  const uint64_t due = uint64_t{options_.missed} * options_.base.subscribers;
  int64_t moved_ns = MonotonicNs();
  uint64_t seen = 0;
  while (!crew->front().publisher_is_done.load() || crew->deliveries() < due) {
    SleepFor(kTickNs);
    live_.Show("missed", *crew);
    const int64_t now_ns = MonotonicNs();
    const uint64_t now_seen = crew->deliveries() + crew->front().posted_events.load();
    if (now_seen != seen) moved_ns = now_ns;
    seen = now_seen;
    if (now_ns - moved_ns <= Ns(options_.base.drain_s)) continue;
    if (crew->front().publisher_is_done.load()) break;  // what is lost is judged at the end
    return Status::Unavailable("the events to be missed could not all be published");
  }
  SleepFor(Ns(options_.base.settle_s));
  return Status::Ok();
}

// The warm-up and the calm window.
void Run::Stay(Crew* crew) {
  RunControl& control = crew->control();
  const FanoutOptions& base = options_.base;
  const int64_t begin_ns = MonotonicNs() + kBetweenNs;
  control.window.begin_ns = begin_ns + Ns(base.warmup_s);
  control.window.end_ns = control.window.begin_ns + Ns(base.duration_s);
  control.later.begin_ns = control.window.end_ns + kBetweenNs;
  control.plan = {.rate = base.rate,
                  .begin_ns = begin_ns,
                  .end_ns = INT64_MAX,
                  .window_begin_ns = control.window.begin_ns,
                  .window_end_ns = INT64_MAX};
  crew->Enter(Phase::kPublish);
  SleepUntil(control.window.begin_ns);
  const Moment calm_begin = Now();
  for (int64_t now_ns = MonotonicNs(); now_ns < control.window.end_ns; now_ns = MonotonicNs()) {
    SleepUntil(std::min(control.window.end_ns, now_ns + kNsPerSecond / 4));
    live_.Show("calm", *crew);
  }
  Between(calm_begin, Now(), &report_.calm);
}

// All come back, until the last has caught up; then for a while more.
Status Run::Return(Crew* crew, Crew* back) {
  RunControl& control = crew->control();
  SleepUntil(control.later.begin_ns - kAskNs);
  const Moment begin = Now();
  SleepUntil(control.later.begin_ns);
  back->Start();
  const auto caught_up = [back] {
    return back->Sum([](const MeterThread& m) { return m.caught_up.load(); });
  };
  const auto has_failed = [back] {
    return back->Sum([](const MeterThread& m) { return m.has_failed.load(); }) > 0;
  };
  while (caught_up() < options_.returning && !has_failed()) {
    SleepFor(kTickNs);
    live_.Show("return", *back);
    if (MonotonicNs() - control.later.begin_ns > Ns(options_.catch_up_max_s)) break;
  }
  control.later_end_ns = MonotonicNs();
  report_.replayed = back->deliveries();
  const Moment caught_up_at = Now();
  Between(begin, caught_up_at, &report_.during);
  report_.caught_up = static_cast<uint32_t>(caught_up());
  for (const auto& meter : back->meters()) {
    report_.last_caught_up_s =
        std::max(report_.last_caught_up_s,
                 Seconds(meter->last_caught_up_ns.load() - control.later.begin_ns));
  }
  control.last_begin_ns = MonotonicNs() + kBetweenNs;
  crew->Enter(Phase::kAfter);
  SleepFor(Ns(options_.after_s));
  Between(caught_up_at, Now(), &report_.after);
  return Drain(crew, *back);
}

Status Run::Drain(Crew* crew, const Crew& back) {
  crew->control().end_ns = MonotonicNs();
  crew->Enter(Phase::kDrain);
  int64_t moved_ns = MonotonicNs();
  uint64_t seen = 0;
  for (;;) {
    SleepFor(kTickNs);
    live_.Show("drain", *crew);
    const uint64_t due = crew->front().deliveries_due.load();
    const uint64_t due_back = due / options_.base.subscribers * options_.returning;
    const bool is_done = crew->front().publisher_is_done.load();
    if (is_done && crew->deliveries() >= due && back.deliveries() >= due_back) break;
    const int64_t now_ns = MonotonicNs();
    const uint64_t now_seen = crew->deliveries() + back.deliveries() + due;
    if (now_seen != seen) moved_ns = now_ns;
    seen = now_seen;
    if (now_ns - moved_ns > Ns(options_.base.drain_s)) break;
  }
  SleepFor(kBetweenNs);  // what comes twice comes now
  return Status::Ok();
}

void Run::CollectReaders(const Crew& of, const Publisher& publisher) {
  const std::vector<uint64_t> accepted = publisher.AcceptedByTopic();
  for (const auto& meter : of.meters()) {
    report_.faults.Add(meter->Settle(publisher, accepted));
    report_.deliveries += meter->checker().counts().deliveries;
    report_.disconnected += meter->disconnected();
    report_.connect_failures += meter->connect_failures();
    if (!meter->problem().empty()) report_.problems.push_back(meter->problem());
  }
}

void Run::Collect(const Crew& crew, const Crew& back) {
  ResumeReport& r = report_;
  const Publisher& publisher = *crew.meters().front()->publisher();
  const Publisher::Counts& published = publisher.counts();
  r.events_accepted = published.accepted;
  r.publish_errors = published.errors;
  r.deliveries_due = published.accepted * (options_.base.subscribers + options_.returning);
  r.publish_lag = publisher.lag();
  r.offered_share = static_cast<double>(published.accepted_measured) /
                    static_cast<double>(std::max<uint64_t>(1, publisher.asked_measured()));
  CollectReaders(crew, publisher);
  CollectReaders(back, publisher);
  const OrderLog& first = crew.meters().front()->checker().log();
  for (const auto& meter : crew.meters()) {
    r.calm.latency.Merge(meter->checker().latency());
    r.during.latency.Merge(meter->checker().latency_later());
    r.after.latency.Merge(meter->checker().latency_last());
    r.faults.reordered += first.OutOfOrderIn(meter->checker().log());
  }
  uint64_t deliveries = 0;
  uint64_t bytes = 0;
  for (const auto& meter : back.meters()) {
    r.first_byte.Merge(meter->first_byte());
    r.catch_up.Merge(meter->catch_up());
    deliveries += meter->checker().counts().deliveries;
    bytes += meter->checker().counts().bytes;
    r.faults.reordered += first.OutOfOrderIn(meter->checker().log());
  }
  r.replayed_bytes = static_cast<double>(bytes) /
                     static_cast<double>(std::max<uint64_t>(1, deliveries)) *
                     static_cast<double>(r.replayed);
  if (!publisher.problem().empty()) r.problems.push_back(publisher.problem());
  if (r.caught_up < options_.returning) r.problems.push_back("not all have caught up");
  if (r.offered_share < kOfferedShareMin) r.problems.push_back("the asked load was not offered");
  r.passed = r.faults.total() == 0 && r.publish_errors == 0 && r.disconnected == 0 &&
             r.caught_up == options_.returning && r.offered_share >= kOfferedShareMin &&
             r.deliveries == r.deliveries_due;
}

Status Run::Do() {
  report_.options = options_;
  Status status = Prepare();
  if (status.ok()) status = Mark();
  if (!status.ok()) return status;
  if (options_.base.pid > 0) report_.server_command = CommandLine(options_.base.pid);
  Crew crew(plan_, *format_);
  Crew back(back_plan_, *format_);
  crew.Start();
  double connect_s = 0;
  status = crew.Join([&] { live_.Show("join", crew); }, &connect_s);
  if (!status.ok()) return status;
  SleepFor(Ns(options_.base.settle_s));
  status = Miss(&crew);
  if (!status.ok()) return status;
  Stay(&crew);
  status = Return(&crew, &back);
  back.Stop();
  crew.Stop();
  live_.Clear();
  if (!status.ok()) return status;
  Collect(crew, back);
  return Status::Ok();
}

double AllowedMs(double calm_ms) { return std::max(kAimTimes * calm_ms, calm_ms + kAimMoreMs); }

}  // namespace

double ResumeReport::LatencyAllowedMs() const {
  return AllowedMs(static_cast<double>(calm.latency.At(0.99)) / 1e6);
}

bool ResumeReport::HoldsAim() const {
  const auto holds = [](const ServerLatency& calm_server, const ServerLatency& during_server) {
    return calm_server.count() == 0 ||
           during_server.AtMs(0.99) <= AllowedMs(calm_server.AtMs(0.99));
  };
  return static_cast<double>(during.latency.At(0.99)) / 1e6 <= LatencyAllowedMs() &&
         holds(calm.server_delivery, during.server_delivery);
}

Status RunResume(const ResumeOptions& options, ResumeReport* report) {
  return Run(options, report).Do();
}

}  // namespace sluice::bench
