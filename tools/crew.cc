#include "crew.h"

#include <sched.h>
#include <time.h>

#include <algorithm>

#include "base/clock.h"

namespace sluice::bench {
namespace {

// Connections being made at a time by a thread and by all of them, unless asked otherwise: more
// would overflow a server's backlog (4,096 as a rule) and wait a second for their next SYN.
constexpr uint32_t kConnectingMax = 128;
constexpr uint32_t kConnectingOfAllMax = 1'024;

}  // namespace

void SleepUntil(int64_t at_ns) {
  const timespec at{at_ns / kNsPerSecond, at_ns % kNsPerSecond};
  while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) != 0) {
  }
}

void SleepFor(int64_t ns) { SleepUntil(MonotonicNs() + ns); }

Status ChooseLoop(const std::string& engine, RunPlan* plan) {
  plan->loop_kind = LoopKind::kEpoll;
  if (engine != "epoll") {
    std::string reason;
    if (IoUringWorks(&reason)) {
      plan->loop_kind = LoopKind::kIoUring;
    } else if (engine == "io_uring") {
      return Status::Unsupported("io_uring does not work here: " + reason);
    }
  }
  const uint64_t slots = uint64_t{plan->subscribers} + plan->slow;
  plan->threads = std::max(1u, plan->threads);
  if (plan->loop_kind == LoopKind::kIoUring) {
    const uint32_t limit = SlotsMax(plan->loop_kind, 1);
    const uint32_t a_thread = limit > 2 * kPublishersMax ? limit - kPublishersMax : limit;
    const auto needed = static_cast<uint32_t>((slots + a_thread - 1) / a_thread);
    plan->threads = std::max(plan->threads, needed);
  } else if (slots + plan->publishers > SlotsMax(plan->loop_kind, 1)) {
    return Status::InvalidArgument(
        "epoll is bounded by the limit of open files: take fewer subscribers, raise `ulimit -n`, "
        "or use --engine io_uring");
  }
  if (plan->connecting_max == 0) {
    plan->connecting_max = std::clamp(kConnectingOfAllMax / plan->threads, 1u, kConnectingMax);
  }
  return Status::Ok();
}

Status PinTo(const std::vector<int>& cpus) {
  if (cpus.empty()) return Status::Ok();
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus) {
    if (cpu >= 0 && cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  }
  if (::sched_setaffinity(0, sizeof set, &set) == 0) return Status::Ok();
  return Status::InvalidArgument("--cpus names a processor that this process may not use");
}

void Crew::Start() {
  const uint32_t threads = plan_.threads;
  const uint32_t all = plan_.subscribers + plan_.slow;
  uint32_t first = 0;
  uint32_t slow_first = 0;
  for (uint32_t i = 0; i < threads; ++i) {
    MeterThread::Share share;
    share.index = i;
    share.first = first;
    share.subscribers = all / threads + (i < all % threads ? 1 : 0);
    share.slow = plan_.slow / threads + (i < plan_.slow % threads ? 1 : 0);
    share.has_publisher = i == 0 && plan_.publishers > 0;
    share.readers = {first - slow_first, share.subscribers - share.slow};
    share.slow_first = slow_first;
    first += share.subscribers;
    slow_first += share.slow;
    control_.audiences.push_back(share.readers);
    meters_.push_back(std::make_unique<MeterThread>(plan_, control_, format_, share));
  }
  control_.events_behind = [this](const Publisher& publisher) {
    uint64_t most = 0;
    for (size_t i = 0; i < meters_.size(); ++i) {
      most = std::max(most, meters_[i]->events_behind(publisher.posted_deliveries()[i]));
    }
    return most;
  };
  for (auto& meter : meters_) threads_.emplace_back([&meter] { meter->Run(); });
}

void Crew::Enter(Phase phase) {
  control_.phase.store(phase, std::memory_order_release);  // pairs with the acquire in Run
}

void Crew::Stop() {
  Enter(Phase::kStop);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

Status Crew::Join(const std::function<void()>& tick, double* seconds) {
  const uint64_t wanted = uint64_t{plan_.subscribers} + plan_.slow;
  const int64_t begin_ns = MonotonicNs();
  int64_t moved_ns = begin_ns;
  uint64_t joined = 0;
  bool has_failed = false;
  bool has_all = false;
  while (!has_failed && !has_all) {
    SleepFor(5 * kNsPerMs);
    tick();
    const int64_t now_ns = MonotonicNs();
    const uint64_t now_joined = streaming();
    has_failed = Sum([](const MeterThread& m) { return m.has_failed.load(); }) > 0;
    has_all =
        now_joined >= wanted && (plan_.publishers == 0 || front().publisher_is_connected.load());
    if (now_joined != joined) {
      joined = now_joined;
      moved_ns = now_ns;
    }
    has_failed |= now_ns - moved_ns > static_cast<int64_t>(plan_.join_stall_s * 1e9);
  }
  *seconds = static_cast<double>(MonotonicNs() - begin_ns) / 1e9;
  if (has_all) return Status::Ok();
  Stop();
  const std::string why = Problem();
  return Status::Unavailable("only " + std::to_string(joined) + " of " + std::to_string(wanted) +
                             " subscribers could join" + (why.empty() ? "" : ": " + why));
}

std::string Crew::Problem() const {
  for (const auto& meter : meters_) {
    if (!meter->problem().empty()) return meter->problem();
    if (meter->publisher() != nullptr && !meter->publisher()->problem().empty()) {
      return meter->publisher()->problem();
    }
  }
  return {};
}

}  // namespace sluice::bench
