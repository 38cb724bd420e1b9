#include "gateway/running_gateway.h"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>

#include "base/clock.h"
#include "gateway/journal_start.h"
#include "gateway/delivery_report.h"
#include "gateway/validation.h"
#include "http/event_fields.h"
#include "http/json_text.h"

namespace sluice {
namespace {

std::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kStarting:
      return "starting";
    case Phase::kServing:
      return "serving";
    case Phase::kDraining:
      return "draining";
    case Phase::kClosing:
      return "closing";
    case Phase::kStopped:
      return "stopped";
  }
  return "";
}

EngineOptions EngineOptionsOf(const Options& options) {
  EngineOptions engine;
  // A bound on subscribers leaves room for the connections that are none.
  if (options.subscribers_max != 0) {
    engine.connections_max = options.subscribers_max + options.idle_connections_max + 256;
  }
  engine.backlog = options.backlog;
  engine.notsent_lowat_bytes = options.notsent_lowat_bytes;
  engine.receive_buffer_bytes = options.receive_buffer_bytes;
  engine.user_timeout_ms = options.user_timeout_ms;
  engine.zero_copy_bytes_min = options.zero_copy_bytes_min;
  engine.zero_copy_always = options.zero_copy_always;
  engine.zero_copy_held_bytes_max = options.log_bytes_max;
  return engine;
}

HistoryLimits HistoryLimitsOf(const Options& options) {
  HistoryLimits limits;
  limits.otherwise = {.events_max = options.history_events_max,
                      .bytes_max = options.history_bytes_max,
                      .age_max_ns = static_cast<int64_t>(options.history_age_max_ms) * kNsPerMs};
  for (const HistoryPolicyOptions& policy : options.history_policies) {
    const uint64_t age_max_ms = policy.age_max_ms.value_or(options.history_age_max_ms);
    limits.policies.push_back(
        {.topics = policy.topics,
         .limits = {.events_max = policy.events_max.value_or(options.history_events_max),
                    .bytes_max = policy.bytes_max.value_or(options.history_bytes_max),
                    .age_max_ns = static_cast<int64_t>(age_max_ms) * kNsPerMs}});
  }
  limits.remembered_topics_max = options.history_remembered_topics_max;
  limits.values_bytes_max = options.history_values_bytes_max;
  limits.missing =
      options.history_missing == "live" ? MissingPlace::kLive : MissingPlace::kEarliest;
  return limits;
}

void Pin(std::thread& thread, uint32_t cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  pthread_setaffinity_np(thread.native_handle(), sizeof(set), &set);
}

}  // namespace

Status Gateway::Start(const Options& options, std::unique_ptr<Gateway>* gateway) {
  Status status = Validate(options);
  if (!status.ok()) return status;
  HostPlan plan;
  status = PlanForHost(options, ReadHostFacts(), ProbeEngines(), &plan);
  if (!status.ok()) return status;
  auto running = std::make_unique<RunningGateway>(options, plan);
  status = running->Start();
  if (status.ok()) *gateway = std::move(running);
  return status;
}

RunningGateway::RunningGateway(const Options& options, const HostPlan& plan)
    : options_(options),
      plan_(plan),
      started_ns_(MonotonicNs()),
      idempotency_(options.idempotency_window_ms * kNsPerMs, options.idempotency_keys_max) {}

RunningGateway::~RunningGateway() {
  SetPhase(Phase::kStopped);
  for (std::thread& thread : threads_) thread.join();
  CloseJournal(MonotonicNs() + kJournalGraceNs);
  shards_.clear();
  for (const auto& fds : listening_fds_) {
    for (const int fd : fds) close(fd);
  }
  for (const ListenAddress& address : listening_) {
    if (address.family == AF_UNIX) unlink(address.path.c_str());
  }
}

Status RunningGateway::Start() {
  if (!options_.publish_key_file.empty()) {
    std::string warning;
    Status status = keys_.Load(options_.publish_key_file, &warning);
    if (!status.ok()) return status;
    if (!warning.empty()) start_warnings_.push_back(warning);
  }
  Status status = Listen();
  if (status.ok()) status = OpenJournal();
  if (status.ok()) status = CreateShards();
  if (!status.ok()) return status;
  {
    std::lock_guard lock(mutex_);
    shards_running_ = shards_.size();
  }
  for (size_t i = 0; i < shards_.size(); ++i) {
    threads_.emplace_back([this, shard = shards_[i].get()] { RunShard(shard); });
    pthread_setname_np(threads_.back().native_handle(), fmt::format("shard-{}", i).c_str());
    if (!plan_.pins.empty()) Pin(threads_.back(), plan_.pins[i % plan_.pins.size()]);
  }
  SetPhase(Phase::kServing);
  return Status::Ok();
}

Status RunningGateway::Listen() {
  listening_fds_.resize(plan_.shards);
  const EngineOptions engine_options = EngineOptionsOf(options_);
  const auto listen = [&](const std::string& text) {
    ListenAddress address;
    Status status = ListenAddress::Parse(text, &address);
    if (!status.ok()) return status;
    std::vector<int> fds;
    status = OpenListeners(&address, plan_.shards, engine_options, &fds);
    for (size_t i = 0; i < fds.size(); ++i) listening_fds_[i].push_back(fds[i]);
    if (status.ok()) listening_.push_back(address);
    return status;
  };
  for (const std::string& text : options_.listen) {
    Status status = listen(text);
    if (!status.ok()) return status;
  }
  admin_listener_first_ = static_cast<uint32_t>(listening_.size());
  for (const std::string& text : options_.admin_listen) {
    Status status = listen(text);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

// Without one nothing could be said about the sequences that an earlier run gave out, so a gateway
// whose journal cannot be opened does not start.
Status RunningGateway::OpenJournal() {
  if (options_.journal_directory.empty()) return Status::Ok();
  JournalOptions options = JournalOptionsOf(options_, HistoryLimitsOf(options_));
  options.on_progress = [this] {
    // Acquire, pairs with the release in CreateShards.
    AckBoard* const acks = told_by_journal_.load(std::memory_order_acquire);
    if (acks != nullptr) acks->OnJournalProgress();
  };
  if (change_journal_) change_journal_(&options);
  const Status status = Journal::Open(options, &recovery_, &journal_);
  if (status.ok()) epoch_ = Epoch(recovery_.epoch);
  return status;
}

Status RunningGateway::CreateShards() {
  const bool has_history = options_.history_events_max != 0;
  uint32_t consumers = plan_.shards;
  const uint32_t history_consumer = has_history ? consumers++ : 0;
  const uint32_t journal_consumer = journal_ != nullptr ? consumers++ : 0;
  ring_ = std::make_unique<Ring>(options_.ring_events_max, options_.ring_bytes_max, consumers,
                                 recovery_.next_sequence);
  if (has_history) {
    history_ = std::make_unique<SharedHistory>(HistoryLimitsOf(options_), epoch_, *ring_,
                                               history_consumer);
  }
  if (journal_ != nullptr) {
    journal_feed_ = std::make_unique<JournalFeed>(*journal_, *ring_, journal_consumer);
    if (has_history) {
      const std::string unread = FillHistory(*journal_, recovery_, *history_);
      if (!unread.empty()) start_warnings_.push_back(unread);
    }
  }
  ledger_ = std::make_unique<Ledger>(
      plan_.shards, LedgerEventsFor(options_.ring_events_max, options_.drain_events_max,
                                    options_.ledger_events_max));
  acks_ = std::make_unique<AckBoard>(*ring_, plan_.shards);
  topics_ = std::make_unique<TopicBoard>(*ring_, plan_.shards, MonotonicNs());
  told_by_journal_.store(acks_.get(), std::memory_order_release);
  const ShardShared shared{.options = options_,
                           .epoch = epoch_,
                           .keys = keys_,
                           .ring = *ring_,
                           .reports = *this,
                           .subscribers = [this] { return subscribers(); },
                           .idempotency = &idempotency_,
                           .history = history_.get(),
                           .journal = journal_.get(),
                           .journal_feed = journal_feed_.get(),
                           .ledger = ledger_.get(),
                           .acks = acks_.get(),
                           .topics = topics_.get()};
  for (uint32_t i = 0; i < plan_.shards; ++i) {
    std::unique_ptr<Engine> engine;
    Status status = CreateEngine(plan_.engine, EngineOptionsOf(options_), &engine);
    if (!status.ok()) return status;
    shards_.push_back(std::make_unique<Shard>(i, shared, std::move(engine), listening_fds_[i],
                                              admin_listener_first_));
  }
  return Status::Ok();
}

void RunningGateway::RunShard(Shard* shard) {
  const Status status = shard->Run();
  std::lock_guard lock(mutex_);
  if (!status.ok()) shard_failure_ = status;
  --shards_running_;
  shard_ended_.notify_all();
}

void RunningGateway::SetPhase(Phase phase) {
  // Release, pairs with the acquire loads in NotReady and Publish.
  phase_.store(phase, std::memory_order_release);
  for (const auto& shard : shards_) shard->SetPhase(phase);
}

bool RunningGateway::WaitForShards(int64_t until_ns) {
  std::unique_lock lock(mutex_);
  const auto left = std::chrono::nanoseconds(std::max<int64_t>(0, until_ns - MonotonicNs()));
  return shard_ended_.wait_for(lock, left, [this] { return shards_running_ == 0; });
}

bool RunningGateway::Stop() {
  const int64_t began_ns = MonotonicNs();
  const int64_t until_ns = began_ns + options_.stop_timeout_ms * kNsPerMs;
  SetPhase(Phase::kDraining);
  WaitForShards(std::min(until_ns, began_ns + options_.stop_delay_ms * kNsPerMs));
  SetPhase(Phase::kClosing);
  const bool is_clean = WaitForShards(until_ns);
  SetPhase(Phase::kStopped);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  CloseJournal(std::max(until_ns, MonotonicNs() + kJournalGraceNs));
  return is_clean;
}

void RunningGateway::CloseJournal(int64_t until_ns) {
  // Without a feed nothing was given out: its destructor closes it.
  if (journal_feed_ == nullptr) return;
  journal_feed_->CatchUpAll();
  if (journal_->Close(ring_->newest_sequence(), until_ns)) return;
  start_warnings_.push_back(
      "the journal was not closed in order: " + journal_->Statistics(MonotonicNs()).state +
      "; the next start tells its readers what may be missing");
}

Status RunningGateway::Publish(const EventToPublish& event, std::string* id) {
  if (phase_.load(std::memory_order_acquire) >= Phase::kClosing) {
    return Status::Unavailable("the gateway is stopping");
  }
  if (http::FindInvalidUtf8(event.data)) {
    return Status::InvalidArgument("the event's data is not valid UTF-8");
  }
  if (!event.type.empty() && http::CheckEventName(event.type)) {
    return Status::InvalidArgument(
        "the event's type must be UTF-8 of at most 256 bytes without line ends, not `error`, "
        "`open` "
        "or one that begins with `sluice.`");
  }
  Frame* frame =
      Frame::Encode({.data = event.data, .type = event.type}, epoch_, options_.frame_bytes_max);
  if (frame == nullptr) {
    return Status::InvalidArgument(fmt::format(
        "the event is larger than event.frame_bytes_max ({} bytes)", options_.frame_bytes_max));
  }
  uint64_t sequence = 0;
  const PushResult pushed = ring_->TryPush({&frame, 1}, MonotonicNs(), &sequence);
  if (pushed != PushResult::kPushed) {
    frame->Release();
    return Status::Unavailable(
        pushed == PushResult::kAtEnd
            ? "the journal cannot reserve further sequences: see what it logs; try again"
            : "the ring is full: try again, or raise ring.events_max");
  }
  *id = epoch_.Id(sequence);
  return Status::Ok();
}

std::vector<std::string> RunningGateway::addresses() const {
  std::vector<std::string> texts;
  for (const ListenAddress& address : listening_) texts.push_back(address.ToString());
  return texts;
}

std::string RunningGateway::engine_name() const { return std::string(Name(plan_.engine)); }

uint64_t RunningGateway::subscribers() const {
  uint64_t sum = 0;
  for (const auto& shard : shards_) sum += shard->counters().delivery.subscribers.value();
  return sum;
}

std::string RunningGateway::Stats(bool pretty) const {
  return StatisticsJson({.options = options_,
                         .epoch = epoch_,
                         .ring = *ring_,
                         .idempotency = idempotency_.counts(),
                         .history = history_.get(),
                         .journal = journal_.get(),
                         .shards = shards_,
                         .started_ns = started_ns_,
                         .phase = PhaseName(phase_.load(std::memory_order_acquire))},
                        pretty);
}

http::DeliveryReport RunningGateway::Delivery(std::string_view id) {
  return DeliveryReportOf({.epoch = epoch_,
                           .ring = *ring_,
                           .ledger = *ledger_,
                           .acks = *acks_,
                           .history = history_.get()},
                          id);
}

std::optional<Refusal> RunningGateway::NotReady() {
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::kStarting) return Refusal::kStarting;
  if (phase != Phase::kServing) return Refusal::kDraining;
  for (const auto& shard : shards_) {
    if (!shard->is_full()) return std::nullopt;
  }
  return Refusal::kSubscribersFull;
}

std::optional<Refusal> RunningGateway::NotReadyToPublish() {
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase == Phase::kStarting) return Refusal::kStarting;
  if (phase != Phase::kServing) return Refusal::kDraining;
  if (journal_ == nullptr) return std::nullopt;
  const JournalProgress& progress = journal_->progress();
  const bool has_sequences = ring_->newest_sequence() + 1 < progress.ceiling();
  const bool is_kept = progress.Health(MonotonicNs()) != JournalHealth::kFailed;
  if (has_sequences && is_kept) return std::nullopt;
  return Refusal::kJournalUnavailable;
}

void RunningGateway::Warn(const char* what, uint64_t total, const char* advice,
                          std::vector<std::string>* lines) {
  constexpr int64_t kEveryNs = 60 * kNsPerSecond;
  Warned& warned = warned_[what];
  const int64_t now_ns = MonotonicNs();
  if (total == warned.total || (warned.at_ns != 0 && now_ns - warned.at_ns < kEveryNs)) return;
  lines->push_back(
      fmt::format("{} ({} more, {} in all): {}", what, total - warned.total, total, advice));
  warned = {total, now_ns};
}

std::vector<std::string> RunningGateway::StartNotes() const {
  if (journal_ == nullptr) return {};
  std::string note = recovery_.Describe(options_.journal_directory);
  if (history_ != nullptr) {
    history_->Look([&](const History& history) {
      note += fmt::format("; {} events in the history", history.events());
    });
  }
  return {note};
}

// The journal's own lines, and a disk that does not answer, of which it has none.
void RunningGateway::WarnOfJournal(std::vector<std::string>* lines) {
  if (journal_ == nullptr) return;
  const int64_t now_ns = MonotonicNs();
  const bool has_failed = journal_->progress().Health(now_ns) == JournalHealth::kFailed;
  std::vector<std::string> notices = journal_->TakeNotices();
  if (notices.empty() && has_failed != journal_has_failed_) {
    notices.push_back(has_failed ? "journal " + journal_->progress().Describe(now_ns)
                                 : "journal works again");
  }
  journal_has_failed_ = has_failed;
  lines->insert(lines->end(), notices.begin(), notices.end());
}

std::vector<std::string> RunningGateway::Warnings() {
  std::vector<std::string> lines = std::exchange(start_warnings_, {});
  WarnOfJournal(&lines);
  uint64_t accept_failures = 0;
  uint64_t cut = 0;
  uint64_t lagging = 0;
  uint64_t ring_full = 0;
  uint64_t full = 0;
  for (const auto& shard : shards_) {
    const ShardCounters& counters = shard->counters();
    const auto ended = [&](Disconnect reason) {
      return counters.delivery.disconnects[static_cast<size_t>(reason)].value();
    };
    const auto refused = [&](Refusal reason) {
      return shard->http_counters().refusals_total[static_cast<size_t>(reason)].value();
    };
    accept_failures += counters.connections.accept_failures.value();
    cut += ended(Disconnect::kLogBudget);
    lagging +=
        ended(Disconnect::kLagBytes) + ended(Disconnect::kLagEvents) + ended(Disconnect::kLagAge);
    ring_full += refused(Refusal::kRingFull);
    full += refused(Refusal::kSubscribersFull);
  }
  Warn("connections could not be accepted", accept_failures,
       "out of file descriptors or memory; raise LimitNOFILE, or use the io_uring engine", &lines);
  Warn("readers were cut off because the log was full", cut,
       "raise log.bytes_max, or lower lag.bytes_max so that single readers go sooner", &lines);
  Warn("readers fell behind and were disconnected", lagging,
       "they read slower than events come; see disconnects_total in /stats for the bound", &lines);
  Warn("publishes were refused because the ring was full", ring_full,
       "events come faster than they can be delivered; publishers get 503 and may retry", &lines);
  Warn("streams were refused because a shard is full", full,
       "raise stream.subscribers_max, or RLIMIT_NOFILE on epoll", &lines);
  return lines;
}

}  // namespace sluice
