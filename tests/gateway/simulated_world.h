// A world without a kernel: shards on simulated engines, turned by one seed in one thread, over a
// journal whose disk outlives them. After each turn the journal's thread is waited for, unless the
// disk is slow just then, so that a seed gives the same run each time.
//
// Thread: the driver's, and the journal's.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "engine/simulated_engine.h"
#include "gateway/journal_start.h"
#include "journal/simulated_store.h"
#include "model/world.h"
#include "shard/shard.h"

namespace sluice::test {

class SimulatedWorld : public model::World, private http::Reports {
 public:
  explicit SimulatedWorld(const model::Setting& setting)
      : setting_(setting), random_(setting.seed * 31 + 7) {
    SetOptions();
    SetLimits();
  }
  ~SimulatedWorld() override {
    if (!shards_.empty()) Kill(model::Ending::kKill);
  }

  bool Start(std::string* why) override {
    JournalOptions options = JournalOptionsOf(options_, limits_);
    options.open_store = [this](std::unique_ptr<JournalStore>* store) {
      *store = disk_.OpenStore();
      return Status::Ok();
    };
    options.on_progress = [this] { OnJournalProgress(); };
    options.sync_interval_ns = INT64_MAX / 4;  // each group is synced, or none is
    const Status status = Journal::Open(options, &recovery_, &journal_);
    *why = status.message();
    if (!status.ok()) return false;
    epoch_ = Epoch(recovery_.epoch);
    const uint32_t shards = setting_.shards;
    ring_ = std::make_unique<Ring>(options_.ring_events_max, 1 << 22, shards + 2,
                                   recovery_.next_sequence);
    history_ = std::make_unique<SharedHistory>(limits_, epoch_, *ring_, shards);
    feed_ = std::make_unique<JournalFeed>(*journal_, *ring_, shards + 1);
    *why = FillHistory(*journal_, recovery_, *history_);
    if (!why->empty()) return false;
    ledger_ = std::make_unique<Ledger>(shards, 1 << 12);
    acks_ = std::make_unique<AckBoard>(*ring_, shards);
    idempotency_ = std::make_unique<IdempotencyTable>(INT64_MAX / 4, 1 << 16);
    told_by_journal_.store(acks_.get());
    CreateShards();
    return true;
  }

  void Kill(model::Ending ending) override {
    ending == model::Ending::kPowerLoss ? disk_.PowerOff(0) : disk_.Kill();
    disk_.Stall(false);
    is_slow_ = false;
    ThrowAway();
  }
  bool CanLosePower() const override { return true; }
  void BeginStop() override {
    SlowDisk(false);
    stop_turns_ = 0;
    for (const auto& shard : shards_) shard->SetPhase(Phase::kClosing);
  }
  // As the gateway stops: the shards, then the journal.
  bool HasStopped() override {
    if (shards_.empty()) return true;
    if (running_ != 0) return false;
    feed_->CatchUpAll();
    EXPECT_TRUE(journal_->Close(ring_->newest_sequence()));
    ThrowAway();
    return true;
  }

  Peer Connect(bool takes_little) override {
    const size_t shard = Below(setting_.shards);
    PeerAddress address;
    address.family = AF_INET;
    address.address[0] = 127;
    address.address[3] = 1;
    const SimulatedEngine::Peer peer = engines_[shard]->Connect(0, address);
    if (takes_little) engines_[shard]->PeerBuffer(peer, 200 + Below(3000));
    peers_.push_back({.life = life_, .shard = shard, .peer = peer});
    return peers_.size() - 1;
  }
  void Write(Peer peer, std::string_view bytes) override {
    peers_[peer].unsent += bytes;
    SendUnsent(&peers_[peer]);
  }
  std::string Read(Peer peer, size_t bytes_max) override {
    PeerState& state = peers_[peer];
    if (!IsThere(state)) return "";
    SendUnsent(&state);
    return engines_[state.shard]->PeerRead(state.peer, bytes_max);
  }
  bool IsAtEnd(Peer peer) override {
    const PeerState& state = peers_[peer];
    if (!IsThere(state)) return true;
    const SimulatedEngine& engine = *engines_[state.shard];
    return engine.PeerAtEnd(state.peer) ||
           (engine.PeerHasEnded(state.peer) && engine.PeerUnread(state.peer) == 0);
  }
  void Cut(Peer peer, bool with_reset) override {
    PeerState& state = peers_[peer];
    if (!IsThere(state)) return;
    SimulatedEngine& engine = *engines_[state.shard];
    with_reset ? engine.PeerReset(state.peer) : engine.PeerClose(state.peer);
    state.is_cut = true;
  }
  void Step(const std::vector<Peer>&) override {
    for (uint64_t turns = 1 + Below(3); turns != 0 && !shards_.empty(); --turns) Turn();
  }
  // Of power that goes meanwhile the journal has nothing of what came since.
  void SlowDisk(bool on) override {
    if (on == is_slow_) return;
    is_slow_ = on;
    disk_.Stall(on);
    if (!on) AwaitJournal();
  }

 private:
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  struct PeerState {
    size_t life;
    size_t shard;
    SimulatedEngine::Peer peer;
    std::string unsent = {};
    bool is_cut = false;
  };

  // http::Reports
  std::string Stats(bool) override { return "{}"; }
  std::optional<Refusal> NotReady() override { return std::nullopt; }

  void SetOptions() {
    options_.ring_events_max = setting_.ring_events_max;
    options_.publish_ack = setting_.syncs_each ? "synced" : "memory";
    options_.segment_bytes = 4096;
    options_.frame_bytes_max = 16 * 1024;
    options_.lag_bytes_max = 64 * 1024;
    options_.lag_age_max_ms = 20'000;
    options_.lag_table_events_max = setting_.table_events_max;
    options_.sweep_sends_max = 1 + Below(8);
    options_.sweep_send_bytes_max = 1024 + Below(32 * 1024);
    options_.sweep_appends_max = 1 + Below(40);
    options_.drain_events_max = 1 + Below(16);
    options_.engine_events_max = 1 + Below(16);
    options_.replay_bytes_max = 1 + Below(OneIn(2) ? 1000 : 100'000);
    options_.history_cache_bytes_max = 1 + Below(OneIn(2) ? 4000 : 1'000'000);
    options_.heartbeat_ms = 1000;
    options_.stop_spread_ms = 10;
    options_.lag_policies = {
        {.topics = model::kSkipping, .policy = "skip", .events_max = setting_.skip_events_max},
        {.topics = model::kConflating,
         .policy = "conflate",
         .events_max = setting_.conflate_events_max}};
  }
  void SetLimits() {
    limits_.otherwise.events_max = setting_.other_events_max;
    if (setting_.has_rare_class) {
      limits_.policies.push_back(
          {.topics = model::kRareClass, .limits = {.events_max = setting_.rare_events_max}});
    }
    limits_.missing = setting_.goes_on_live ? MissingPlace::kLive : MissingPlace::kEarliest;
  }

  void CreateShards() {
    ++life_;
    const ShardShared shared{.options = options_,
                             .epoch = epoch_,
                             .keys = keys_,
                             .ring = *ring_,
                             .reports = *this,
                             .subscribers = [] { return uint64_t{0}; },
                             .idempotency = idempotency_.get(),
                             .history = history_.get(),
                             .journal = journal_.get(),
                             .journal_feed = feed_.get(),
                             .ledger = ledger_.get(),
                             .acks = acks_.get()};
    SimulatedFaults faults;
    if (setting_.has_faults) {
      faults = {.short_write = 100,
                .spurious_eagain = 100,
                .send_reset = 2,
                .accept_failure = 20,
                .accept_abort = 20,
                .delay_ns_max = 5 * kNsPerMs};
    }
    EngineOptions engine_options;
    engine_options.connections_max = 200;
    for (uint32_t i = 0; i < setting_.shards; ++i) {
      auto engine = std::make_unique<SimulatedEngine>(engine_options, random_(), faults);
      engines_.push_back(engine.get());
      shards_.push_back(
          std::make_unique<Shard>(i, shared, std::move(engine), std::vector<int>{0}, 1));
      EXPECT_TRUE(shards_.back()->Listen().ok());
      shards_.back()->SetPhase(Phase::kServing);
    }
    runs_.assign(shards_.size(), true);
    running_ = shards_.size();
  }

  void Turn() {
    const size_t shard = Below(setting_.shards);
    if (!runs_[shard]) return;
    constexpr int kStopTurnsMax = 20'000;
    if (++stop_turns_ == kStopTurnsMax) {
      for (const auto& each : shards_) each->SetPhase(Phase::kStopped);
    }
    if (!shards_[shard]->Turn(0)) {
      runs_[shard] = false;
      --running_;
    }
    // Seldom long enough for heartbeats and retries.
    const int64_t passed_ns = OneIn(500) ? kNsPerSecond / 2 : kNsPerMs / 4;
    for (SimulatedEngine* engine : engines_) engine->Advance(passed_ns);
    if (!is_slow_) AwaitJournal();
  }

  void OnJournalProgress() {
    AckBoard* const acks = told_by_journal_.load();
    if (acks != nullptr) acks->OnJournalProgress();
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  void AwaitJournal() {
    if (journal_ == nullptr) return;
    std::unique_lock lock(mutex_);
    const auto is_written = [this] {
      const uint64_t offered = journal_->progress().offered();
      return journal_->written_sequence() >= offered &&
             (!setting_.syncs_each || journal_->durable_sequence() >= offered);
    };
    // Looks again after each report; the limit only ends a test that fails.
    for (int turn = 0; turn < 600 && !is_written(); ++turn) {
      changed_.wait_for(lock, std::chrono::milliseconds(100));
    }
    ASSERT_TRUE(is_written());
  }

  void ThrowAway() {
    ++life_;
    told_by_journal_.store(nullptr);
    shards_.clear();
    engines_.clear();
    runs_.clear();
    running_ = 0;
    feed_.reset();
    journal_.reset();
    acks_.reset();
    ledger_.reset();
    history_.reset();
    idempotency_.reset();
    ring_.reset();
  }

  bool IsThere(const PeerState& peer) const { return peer.life == life_ && !peer.is_cut; }
  void SendUnsent(PeerState* peer) {
    if (!IsThere(*peer) || peer->unsent.empty()) return;
    SimulatedEngine& engine = *engines_[peer->shard];
    if (engine.PeerHasEnded(peer->peer)) return;
    peer->unsent.erase(0, engine.PeerWrite(peer->peer, peer->unsent));
  }

  const model::Setting setting_;
  std::mt19937_64 random_;
  Options options_;
  HistoryLimits limits_;
  http::PublishKeys keys_;
  SimulatedDisk disk_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<AckBoard*> told_by_journal_{nullptr};
  JournalRecovery recovery_;
  Epoch epoch_{1};
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SharedHistory> history_;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<AckBoard> acks_;
  std::unique_ptr<IdempotencyTable> idempotency_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<JournalFeed> feed_;
  std::vector<SimulatedEngine*> engines_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<bool> runs_;
  size_t running_ = 0;
  int stop_turns_ = INT32_MIN;
  size_t life_ = 0;
  std::vector<PeerState> peers_;
  bool is_slow_ = false;
};

}  // namespace sluice::test
