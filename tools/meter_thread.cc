#include "meter_thread.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"

namespace sluice::bench {
namespace {

int64_t ThreadCpuNs() {
  timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return int64_t{used.tv_sec} * kNsPerSecond + used.tv_nsec;
}

}  // namespace

MeterThread::MeterThread(const RunPlan& plan, const RunControl& control,
                         const PayloadFormat& format, const Share& share)
    : plan_(plan),
      control_(control),
      share_(share),
      checker_(format, kLogBytesMax, plan.topics),
      format_(format),
      stream_request_(plan.target.stream_request, plan.topics),
      states_(share.subscribers),
      places_(share.subscribers, Place::kOut),
      begun_ns_(share.subscribers, 0),
      has_caught_up_(share.subscribers, false) {
  for (uint32_t i = share.subscribers; i-- > 0;) {
    waiting_.push_back(i);
    states_[i].topic = plan.topics.OfReader(is_slow(i) ? share.slow_first + i - share.readers.count
                                                       : share.readers.first + i);
  }
}

Status MeterThread::Start() {
  if (!plan_.cpus.empty()) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(plan_.cpus[share_.index % plan_.cpus.size()], &cpus);
    if (::pthread_setaffinity_np(::pthread_self(), sizeof cpus, &cpus) != 0) {
      return Status::InvalidArgument("--cpus names a processor that this process may not use");
    }
  }
  ::prctl(PR_SET_TIMERSLACK, 1'000, 0, 0, 0);
  // Readers that come back are other hosts' elsewhere: here those that stayed must not wait for the
  // meter to read a gigabyte. The thread's own niceness; it may always be raised.
  if (plan_.is_returning) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 19);
  const uint32_t publishers = share_.has_publisher ? plan_.publishers : 0;
  Status status = CreateSocketLoop(plan_.loop_kind, share_.subscribers, &loop_);
  if (!status.ok() || publishers == 0) return status;
  status = CreateSocketLoop(plan_.loop_kind, publishers, &publisher_loop_);
  if (!status.ok()) return status;
  publisher_ = std::make_unique<Publisher>(publisher_loop_.get(), plan_.target, format_, publishers,
                                           plan_.topics, control_.audiences);
  return publisher_->Open();
}

void MeterThread::Run() {
  const Status status = Start();
  if (!status.ok()) {
    problem_ = status.message();
    has_failed.store(true, std::memory_order_release);
    return;
  }
  for (;;) {
    const Phase phase =
        control_.phase.load(std::memory_order_acquire);  // pairs with the run's store
    if (phase != phase_ && !OnPhase(phase)) break;
    ConnectMore();
    const int64_t now_ns = MonotonicNs();
    int64_t wake_ns = now_ns + kTurnNs;
    if (publisher_ != nullptr) wake_ns = std::min(wake_ns, TurnPublisher(now_ns));
    if (phase_ == Phase::kPublish) wake_ns = std::min(wake_ns, Churn(now_ns));
    Publish(now_ns);
    // A post's answer must not queue behind the deliveries of a whole sweep, as it would not with a
    // publisher elsewhere: a loop of its own, looked at after each batch of deliveries.
    if (publisher_ != nullptr && publisher_->awaits_answers()) {
      wake_ns = std::min(wake_ns, now_ns + kPublisherTurnNs);
    }
    loop_->Wait(wake_ns, this);
    if (publisher_ != nullptr) publisher_loop_->Wait(0, publisher_.get());
    if (checker_.wants_eviction()) MakeRoom();
  }
  loop_.reset();
  publisher_loop_.reset();
}

int64_t MeterThread::TurnPublisher(int64_t now_ns) {
  // Readers that come and go miss events, so an average over them says nothing.
  const bool is_bounded = plan_.ahead_max != 0 && publisher_->is_closed_loop() &&
                          disconnected_ == 0 && plan_.churn <= 0 && !plan_.has_storm;
  if (!is_bounded) return publisher_->Turn(now_ns, UINT64_MAX);
  const uint64_t behind = control_.events_behind(*publisher_);
  return publisher_->Turn(now_ns, plan_.ahead_max > behind ? plan_.ahead_max - behind : 0);
}

bool MeterThread::OnPhase(Phase phase) {
  phase_ = phase;
  if (phase == Phase::kMissed) {
    if (publisher_ != nullptr) publisher_->Begin(control_.missed);
  } else if (phase == Phase::kAfter) {
    checker_.SetLaterWindow({control_.later.begin_ns, control_.later_end_ns});
    checker_.SetLastWindow({control_.last_begin_ns, INT64_MAX});
  } else if (phase == Phase::kDrain) {
    const bool ends_now = publisher_ != nullptr && control_.end_ns != INT64_MAX;
    if (ends_now) publisher_->EndAt(control_.end_ns);
  } else if (phase == Phase::kPublish) {
    is_joining_over_ = true;
    checker_.SetWindow(control_.window);
    checker_.SetLaterWindow(control_.later);
    if (publisher_ != nullptr) publisher_->Begin(control_.plan);
  } else if (phase == Phase::kProbe) {
    for (uint32_t slot = share_.readers.count; slot < share_.subscribers; ++slot) {
      if (places_[slot] == Place::kStopped) loop_->Receive(slot);
    }
  }
  return phase != Phase::kStop;
}

void MeterThread::Publish(int64_t now_ns) {
  // Figures that only inform: nobody derives order from them, so relaxed is enough. What is read
  // at the end is read after the thread was joined.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  deliveries.store(checker_.counts().deliveries, kRelaxed);
  problems.store(
      disconnected_ + connect_failures_ + (publisher_ != nullptr ? publisher_->counts().errors : 0),
      kRelaxed);
  if (publisher_ != nullptr) {
    deliveries_due.store(publisher_->counts().deliveries_due, kRelaxed);
    posted_events.store(publisher_->counts().posted, kRelaxed);
    publisher_is_connected.store(publisher_->is_connected(), kRelaxed);
    publisher_is_done.store(publisher_->is_done(), kRelaxed);
  }
  if (now_ns < p99_due_ns_) return;
  cpu_ns.store(ThreadCpuNs(), kRelaxed);
  if (now_ns >= p99_due_ns_) {
    p99_due_ns_ = now_ns + 500 * kNsPerMs;
    p99_ns.store(checker_.latency().At(0.99), kRelaxed);
  }
}

void MeterThread::ConnectMore() {
  while (connecting_ < plan_.connecting_max && !waiting_.empty() && phase_ <= Phase::kPublish) {
    const uint32_t slot = waiting_.back();
    waiting_.pop_back();
    Connect(slot);
  }
}

void MeterThread::Connect(uint32_t slot) {
  OpenOptions options;
  if (plan_.target.is_loopback()) {
    options.source_ipv4 = SourceOf(share_.first + slot);
  }
  checker_.Begin(&states_[slot], is_joining_over_);
  begun_ns_[slot] = MonotonicNs();
  const Status status = loop_->Open(slot, plan_.target.stream, options);
  if (!status.ok()) {
    problem_ = status.message();
    ++connect_failures_;
    places_[slot] = Place::kEnded;
    return;
  }
  places_[slot] = Place::kConnecting;
  ++connecting_;
}

void MeterThread::OnConnected(uint32_t slot, int error) {
  if (error != 0) {
    problem_ = std::string("a subscriber cannot connect: ") + std::strerror(error);
    OnClosed(slot, error);
    return;
  }
  places_[slot] = Place::kHead;
  loop_->Send(slot, RequestOf(slot));
  if (!is_slow(slot)) {
    loop_->Receive(slot);
    return;
  }
  // A reader that stops never reads at all: it counts as joined once its request is sent.
  places_[slot] = Place::kStopped;
  --connecting_;
  stopped.fetch_add(1, std::memory_order_relaxed);
}

std::string_view MeterThread::RequestOf(uint32_t slot) {
  if (!stream_request_.has_topic()) return stream_request_.text();
  std::string& request = requests_[slot];
  request = stream_request_.text();
  stream_request_.Write(states_[slot].topic, request.data());
  return request;
}

void MeterThread::OnReceived(uint32_t slot, std::string_view bytes) {
  if (places_[slot] == Place::kStopped) return;  // probed: only its end is of interest
  const int64_t now_ns = MonotonicNs();
  if (!checker_.Feed(&states_[slot], bytes, now_ns)) {
    problem_ = checker_.problem();
    OnClosed(slot, EPROTO);
    return;
  }
  if (places_[slot] == Place::kHead && states_[slot].has_head) {
    places_[slot] = Place::kStreaming;
    --connecting_;
    first_byte_.Record(now_ns - begun_ns_[slot]);
    last_head_ns_ = now_ns;
    streaming.fetch_add(1, std::memory_order_relaxed);
  }
  if (plan_.is_returning && !has_caught_up_[slot]) NoteCaughtUp(slot, now_ns);
}

// It has all that it missed, and an event that was published since it came back.
void MeterThread::NoteCaughtUp(uint32_t slot, int64_t now_ns) {
  if (checker_.NewestDueNs(states_[slot]) < begun_ns_[slot]) return;
  has_caught_up_[slot] = true;
  catch_up_.Record(now_ns - begun_ns_[slot]);
  // Relaxed: `deliveries` may be a turn old beside it, and nothing else is derived from it.
  last_caught_up_ns.store(now_ns, std::memory_order_relaxed);
  caught_up.fetch_add(1, std::memory_order_relaxed);
}

void MeterThread::OnSent(uint32_t slot, int) {
  if (stream_request_.has_topic()) requests_.erase(slot);
}

void MeterThread::OnClosed(uint32_t slot, int error) {
  loop_->Close(slot);
  const Place was = places_[slot];
  places_[slot] = Place::kEnded;
  switch (was) {
    case Place::kConnecting:
    case Place::kHead:
      --connecting_;
      if (++connect_failures_ <= kConnectFailuresMax && phase_ <= Phase::kPublish) {
        waiting_.insert(waiting_.begin(), slot);
        places_[slot] = Place::kOut;
      }
      break;
    case Place::kStreaming:
      streaming.fetch_sub(1, std::memory_order_relaxed);
      ++disconnected_;
      if (error != EPROTO) problem_ = "the server ended a stream";
      break;
    case Place::kStopped:
      cut_off.fetch_add(1, std::memory_order_relaxed);
      break;
    default:
      break;
  }
}

void MeterThread::Reconnect(uint32_t slot) {
  if (places_[slot] != Place::kStreaming) return;
  loop_->Close(slot);
  streaming.fetch_sub(1, std::memory_order_relaxed);
  places_[slot] = Place::kOut;
  ++reconnected_;
  waiting_.insert(waiting_.begin(), slot);
}

int64_t MeterThread::Churn(int64_t now_ns) {
  const uint32_t readers = share_.readers.count;
  if (readers == 0 || now_ns < control_.window.begin_ns || now_ns >= control_.window.end_ns) {
    return INT64_MAX;
  }
  if (plan_.has_storm && !has_stormed_ &&
      now_ns >= (control_.window.begin_ns + control_.window.end_ns) / 2) {
    has_stormed_ = true;
    for (uint32_t slot = 0; slot < readers; ++slot) Reconnect(slot);
  }
  if (plan_.churn <= 0) return INT64_MAX;
  const double share = static_cast<double>(readers) / plan_.subscribers;
  const double elapsed = static_cast<double>(now_ns - control_.window.begin_ns) / 1e9;
  const auto wanted = static_cast<uint64_t>(elapsed * plan_.churn * share);
  for (; churned_ < wanted; ++churned_) {
    Reconnect(churn_next_);
    churn_next_ = (churn_next_ + 1) % readers;
  }
  return now_ns + static_cast<int64_t>(1e9 / (plan_.churn * share));
}

void MeterThread::MakeRoom() {
  while (checker_.wants_eviction()) {
    for (StreamState& state : states_) checker_.StepOut(&state);
    checker_.log().Evict();
  }
}

Faults MeterThread::Settle(const Publisher& publisher,
                           const std::vector<uint64_t>& accepted) const {
  const auto required = [&publisher](uint32_t p, uint32_t n) { return publisher.IsAccepted(p, n); };
  std::vector<uint64_t> unseen = accepted;
  const OrderLog& log = checker_.log();
  for (uint32_t i = 0; i < log.size(); ++i) {
    const Event& event = log[i];
    if (required(event.publisher, event.number)) {
      --unseen[plan_.topics.OfEvent(event.publisher, event.number)];
    }
  }
  Faults faults;
  faults.reordered = log.OutOfOrder();
  for (uint32_t slot = 0; slot < share_.readers.count; ++slot) {
    faults.Add(checker_.Settle(states_[slot], required, unseen[states_[slot].topic]));
  }
  return faults;
}

}  // namespace sluice::bench
