#include "shard/shard.h"

#include <algorithm>

#include "base/clock.h"
#include "base/memory.h"
#include "shard/topic_page.h"

namespace sluice {
namespace {

constexpr int64_t kGiveBackNs = 100 * kNsPerMs;  // after the last session that was given up
constexpr int64_t kJournalLookNs = 100 * kNsPerMs;

// The options are valid.
std::vector<LagPolicy> LagPoliciesOf(const Options& options) {
  std::vector<LagPolicy> policies;
  for (const LagPolicyOptions& policy : options.lag_policies) {
    const uint64_t age_max_ms = policy.age_max_ms.value_or(options.lag_age_max_ms);
    policies.push_back({.topics = policy.topics,
                        .action = ParseLagAction(policy.policy).value(),
                        .bytes_max = policy.bytes_max.value_or(options.lag_bytes_max),
                        .events_max = policy.events_max.value_or(options.lag_events_max),
                        .age_max_ns = static_cast<int64_t>(age_max_ms) * kNsPerMs});
  }
  return policies;
}

DeliveryLimits LimitsOf(const Options& options) {
  return {
      .lag_bytes_max = options.lag_bytes_max,
      .lag_events_max = options.lag_events_max,
      .lag_age_max_ns = options.lag_age_max_ms * kNsPerMs,
      .log_bytes_max = options.log_bytes_max,
      .segment_bytes = options.segment_bytes,
      .appends_max = options.sweep_appends_max,
      .sends_max = options.sweep_sends_max,
      .send_bytes_max = options.sweep_send_bytes_max,
      .heartbeat_ns = options.heartbeat_ms * kNsPerMs,
      .replay_bytes_max = options.replay_bytes_max,
      .replay_share = options.replay_share,
      .replay_held_bytes_max = options.history_cache_bytes_max,
      .lag_action = ParseLagAction(options.lag_policy).value(),
      .lag_policies = LagPoliciesOf(options),
      .conflation = {.events_max = options.lag_table_events_max,
                     .bytes_max = options.lag_table_bytes_max},
  };
}

// Some connections are kept for publishers, for those that ask for the stats, and for refusals.
uint32_t SubscribersMax(const Options& options, const Engine& engine) {
  const uint32_t kept = std::min<uint32_t>(engine.connections_max() / 8 + 1, 256);
  const uint32_t possible = engine.connections_max() - kept;
  return options.subscribers_max == 0 ? possible : std::min(options.subscribers_max, possible);
}

StreamStart AskedBy(const http::StreamRequest& request) {
  using From = http::StreamRequest::From;
  StreamStart asked{.last_id = request.last_id, .newest_count = request.newest_count};
  switch (request.from) {
    case From::kNow:
      asked.from = StreamStart::From::kNow;
      break;
    case From::kEarliest:
      asked.from = StreamStart::From::kEarliest;
      break;
    case From::kNewest:
      asked.from = StreamStart::From::kNewest;
      break;
    case From::kValues:
      asked.from = StreamStart::From::kValues;
      break;
  }
  return asked;
}

}  // namespace

Shard::Shard(uint32_t index, const ShardShared& shared, std::unique_ptr<Engine> engine,
             std::vector<int> listening_fds, uint32_t admin_listener_first)
    : index_(index),
      shared_(shared),
      listening_fds_(std::move(listening_fds)),
      engine_(std::move(engine)),
      subscribers_max_(SubscribersMax(shared.options, *engine_)),
      publisher_(shared.ring, shared.epoch, shared.options.frame_bytes_max, *this,
                 shared.idempotency),
      site_(shared.options, shared.keys,
            {.publisher = &publisher_,
             .subscriptions = this,
             .reports = &shared.reports,
             .topics = shared.topics == nullptr ? nullptr : this}),
      delivery_(LimitsOf(shared.options), *engine_, counters_.delivery, connections_,
                {.history = shared.history,
                 .epoch = &shared.epoch,
                 .drained = shared.ring.drained_sequence(index)},
                shared.ledger == nullptr ? nullptr : &shared.ledger->part(index)),
      connections_(shared.options, *engine_, site_, delivery_, start_, counters_.delivery,
                   counters_.connections, admin_listener_first),
      events_(shared.options.engine_events_max),
      spread_(static_cast<uint64_t>(engine_->Now()) * 2 + 1) {
  shared_.ring.SetWaker(index_, [this] { engine_->Wake(); });
}

Shard::~Shard() = default;

Status Shard::Run() {
  const Status status = Listen();
  if (!status.ok()) {
    End();
    return status;
  }
  while (Turn(INT64_MAX)) {
  }
  return Status::Ok();
}

Status Shard::Listen() {
  for (uint32_t listener = 0; listener < listening_fds_.size(); ++listener) {
    Status status = engine_->Listen(listening_fds_[listener], listener);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

bool Shard::Turn(int64_t wait_ns_max) {
  int64_t deadline_ns = WaitUntil();
  if (wait_ns_max < deadline_ns - engine_->Now()) deadline_ns = engine_->Now() + wait_ns_max;
  const size_t count = engine_->Wait(deadline_ns, events_);
  shared_.ring.Awake(index_);
  counters_.turns.Add();
  const int64_t now_ns = engine_->Now();
  // After the wait: a request that came after a change of phase was announced must meet it.
  if (!FollowPhase(now_ns)) return End();
  for (size_t i = 0; i < count; ++i) {
    if (events_[i].kind == EngineEventKind::kAcceptFailed) {
      counters_.connections.accept_failures.Add();
    } else {
      connections_.On(events_[i], now_ns);
    }
  }
  connections_.AdvanceTimers(now_ns);
  if (connections_.waits_for_room()) connections_.RetryRoom(now_ns);
  // Replies before the sweep: a publisher that waits for one sends its next event meanwhile.
  connections_.SendReplies(now_ns);
  Drain();
  if (!connections_.acks().empty()) {
    connections_.TellAcks(now_ns);
    connections_.SendReplies(now_ns);
  }
  delivery_.Sweep(now_ns);
  delivery_.CheckLag(now_ns);
  if (shared_.history != nullptr) shared_.history->CatchUp(now_ns);
  if (shared_.journal_feed != nullptr) shared_.journal_feed->CatchUp();
  if (HasTopicWork()) AnswerTopics();
  if (connections_.waits_for_page()) connections_.GoOnPage(now_ns);
  GiveBack(now_ns);
  return phase_seen_ != Phase::kClosing || connections_.open() != 0 ? true : End();
}

// What streams here ask for, now; one question a turn.
void Shard::AnswerTopics() {
  if (!shared_.topics->HasQuestion(index_)) return;
  const auto question = shared_.topics->Next(index_);
  if (question == nullptr) return;
  std::vector<SubscribedTopic> topics;
  delivery_.ReadTopics(question->from, question->prefix, question->count, &topics);
  shared_.topics->Answer(index_, question.get(), std::move(topics));
}

bool Shard::HasTopicWork() {
  return shared_.topics != nullptr &&
         (shared_.topics->HasQuestion(index_) || connections_.HasPageWork());
}

std::unique_ptr<http::TopicsPage> Shard::AskTopics(const http::TopicsRequest& request) {
  return std::make_unique<TopicPage>(TopicPage::Source{.shard = index_,
                                                       .board = *shared_.topics,
                                                       .ring = shared_.ring,
                                                       .epoch = shared_.epoch,
                                                       .history = shared_.history},
                                     request);
}

// After a burst of requests, once it is over.
void Shard::GiveBack(int64_t now_ns) {
  if (connections_.TakeDropped()) {
    give_back_at_ns_ = now_ns + kGiveBackNs;
  } else if (give_back_at_ns_ != 0 && now_ns >= give_back_at_ns_) {
    give_back_at_ns_ = 0;
    GiveBackMemory();
  }
}

// Nobody is left here to be matched or to be counted, and others may wait for that.
bool Shard::End() {
  if (shared_.acks != nullptr) shared_.acks->Leave(index_);
  if (shared_.topics != nullptr) shared_.topics->Leave(index_);
  return false;
}

// Now if there is work, else when the next timer is due; a push on the ring wakes us before.
int64_t Shard::WaitUntil() {
  if (connections_.HasWork() || delivery_.HasWork()) return 0;
  // Nobody else may be awake to move them on.
  const uint64_t drained = shared_.ring.drained_sequence(index_);
  if (shared_.history != nullptr && shared_.history->IsBehind(drained)) return 0;
  if (shared_.journal_feed != nullptr && shared_.journal_feed->IsBehind(drained)) return 0;
  if (HasTopicWork()) return 0;
  const bool waits_for_acks = AwaitAcks();
  if (!shared_.ring.PrepareSleep(index_)) return 0;
  if (waits_for_acks) {
    shared_.acks->LookAtJournal();
    if (connections_.HasAnsweredAcks()) return 0;
  }
  if (HasTopicWork()) return 0;
  counters_.sleeps.Add();
  int64_t until_ns = std::min(connections_.next_timer_ns(), delivery_.work_due_ns());
  if (give_back_at_ns_ != 0) until_ns = std::min(until_ns, give_back_at_ns_);
  const int64_t now_ns = engine_->Now();
  // Nobody tells that the journal has given no answer for long.
  if (connections_.acks().awaits_journal()) until_ns = std::min(until_ns, now_ns + kJournalLookNs);
  // No push or drain of another shard wakes us when the ring has room again.
  if (connections_.waits_for_room()) until_ns = std::min(until_ns, now_ns + kNsPerMs);
  // Nor when another's page is done and a question may be asked.
  if (connections_.waits_for_page()) until_ns = std::min(until_ns, now_ns + kNsPerMs);
  // Lag by age is looked at while somebody is blocked; closing looks at its spread.
  if (delivery_.blocked() + delivery_.replaying() != 0)
    until_ns = std::min(until_ns, now_ns + 100 * kNsPerMs);
  if (phase_seen_ == Phase::kClosing) until_ns = std::min(until_ns, now_ns + 10 * kNsPerMs);
  return until_ns;
}

// Before it sleeps: says what is waited for here. False if nothing is.
bool Shard::AwaitAcks() {
  if (shared_.acks == nullptr) return false;
  const AckQueue& acks = connections_.acks();
  shared_.acks->Await(index_, acks.first_to_be_matched(), acks.awaits_journal());
  return !acks.empty();
}

void Shard::Drain() {
  if (delivery_.ContinueAppend()) {
    const size_t drained =
        shared_.ring.Drain(index_, shared_.options.drain_events_max,
                           [this](Frame* frame) { return delivery_.Append(frame); });
    counters_.ring_depth_highest.Raise(drained);
  } else {
    counters_.delivery.drain_pauses.Add();
  }
  if (shared_.acks != nullptr) shared_.acks->SetMatched(index_, delivery_.matched_sequence());
}

// History or journal may be what keeps the ring full. Not too far ahead of who waits to be told how
// many subscribers were matched, or the ledger has forgotten it (see LedgerEventsFor).
void Shard::DrainOnce() {
  const uint64_t first = connections_.acks().first_to_be_matched();
  const bool is_far_ahead =
      first != UINT64_MAX && delivery_.matched_sequence() > first + shared_.ring.events_max();
  if (!is_far_ahead) Drain();
  if (shared_.journal_feed != nullptr) shared_.journal_feed->CatchUp();
  if (shared_.history != nullptr) shared_.history->CatchUp(engine_->Now());
}

std::optional<Refusal> Shard::CannotAck(const http::PublishAck& ack) const {
  if (!ack.needs_journal()) return std::nullopt;
  if (shared_.journal == nullptr) return Refusal::kInvalidParameter;
  const bool keeps = shared_.journal->progress().Health(engine_->Now()) != JournalHealth::kFailed;
  return keeps ? std::nullopt : std::optional(Refusal::kJournalUnavailable);
}

http::AckAnswer Shard::AskAck(uint64_t sequence, const http::PublishAck& ack) const {
  using State = http::AckAnswer::State;
  http::AckAnswer answer{.state = State::kHad};
  if (ack.needs_journal()) {
    const bool is_synced = ack.durability == http::PublishAck::Durability::kSynced;
    const JournalAnswer kept = shared_.journal->progress().Ask(
        sequence, is_synced ? JournalLevel::kSynced : JournalLevel::kWritten, engine_->Now());
    if (kept == JournalAnswer::kLost) return {.state = State::kLost};
    if (kept == JournalAnswer::kPending) {
      answer.state = State::kPending;
      if (is_synced) shared_.journal->WantSynced(sequence);
    }
  }
  if (!ack.matched || shared_.acks == nullptr) return answer;
  if (!shared_.acks->IsMatched(sequence)) {
    answer.state = State::kPending;
  } else if (shared_.ledger != nullptr) {
    answer.matched = shared_.ledger->Matched(sequence);
  }
  return answer;
}

http::Admission Shard::Admit(const http::StreamRequest& request) {
  http::Admission admission;
  spread_ ^= spread_ << 13;
  spread_ ^= spread_ >> 7;
  spread_ ^= spread_ << 17;
  const Options& options = shared_.options;
  admission.retry_ms =
      options.retry_ms_min +
      static_cast<uint32_t>(spread_ % (uint64_t{options.retry_ms_max} - options.retry_ms_min + 1));
  if (phase_seen_ == Phase::kStarting) {
    admission.refusal = Refusal::kStarting;
  } else if (phase_seen_ >= Phase::kClosing) {
    admission.refusal = Refusal::kDraining;
  } else if (delivery_.readers() >= subscribers_max_) {
    admission.refusal = Refusal::kSubscribersFull;
  } else {
    FindStart(request, &admission);
  }
  return admission;
}

// The opening carries the reader's own place, whatever is newer: one that is cut off in its replay
// goes on from there.
void Shard::FindStart(const http::StreamRequest& request, http::Admission* admission) {
  // A reader without a place of its own is attached where this shard has drained to.
  start_ = delivery_.FindStart(AskedBy(request), request.subscription);
  if (!start_.gap.has_value()) {
    admission->last_id = shared_.epoch.Id(start_.opens_at);
    return;
  }
  const HistoryGap& gap = *start_.gap;
  // One whose place is unknown keeps the id that it has until it is told: it may be cut off before.
  if (gap.first != 0) admission->last_id = shared_.epoch.Id(gap.first - 1);
  AppendGap(&admission->after_opening, gap, shared_.epoch);
  counters_.delivery.gaps[static_cast<size_t>(gap.reason)].Add();
}

void Shard::SetPhase(Phase phase) {
  // Release, pairs with the acquire in FollowPhase: what was set up before is seen by the shard.
  phase_.store(phase, std::memory_order_release);
  engine_->Wake();
}

// False when what is left is to be cut off.
bool Shard::FollowPhase(int64_t now_ns) {
  // Acquire, pairs with the release in SetPhase.
  const Phase phase = phase_.load(std::memory_order_acquire);
  if (phase != phase_seen_) {
    phase_seen_ = phase;
    if (phase == Phase::kClosing) {
      closing_since_ns_ = now_ns;
      closing_streams_ = delivery_.readers();
      engine_->Accepting(false);
      connections_.StartClosing();
    }
  }
  if (phase_seen_ == Phase::kClosing) EndDueStreams(now_ns);
  return phase_seen_ != Phase::kStopped;
}

// Closing: the streams that were there when it began end evenly over stop.spread.
void Shard::EndDueStreams(int64_t now_ns) {
  const int64_t spread_ns = shared_.options.stop_spread_ms * kNsPerMs;
  const int64_t passed_ns = now_ns - closing_since_ns_;
  if (passed_ns >= spread_ns) {
    connections_.EndStreams(SIZE_MAX);
    return;
  }
  const size_t due =
      static_cast<size_t>(static_cast<double>(closing_streams_) * static_cast<double>(passed_ns) /
                          static_cast<double>(spread_ns));
  if (due > closing_ended_) connections_.EndStreams(due - closing_ended_);
  closing_ended_ = std::max(due, closing_ended_);
}

}  // namespace sluice
