// K shards on simulated engines with a history, and users that come, read fast or not at all, are
// cut off and come back with the id of the last whole block they had, a publisher's or the
// gateway's, or with one that nobody knows; one thread, one seed that draws every step. The truth
// is the ring itself, drained by a consumer of the test's own. Users check what they get (see
// replay_user.h), and the accounts of each event must balance.
//
// Thread: one test's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/simulated_engine.h"
#include "event/topic.h"
#include "shard/replay_user.h"
#include "shard/shard.h"

namespace sluice::test {

class NoReports : public http::Reports {
 public:
  std::string Stats(bool) override { return "{}"; }
  std::optional<Refusal> NotReady() override { return std::nullopt; }
};

class ReplaySimulation {
 public:
  ReplaySimulation(uint64_t seed, bool with_faults, bool with_policies = false)
      : random_(seed), has_resets_(with_faults && seed % 2 == 0), has_policies_(with_policies) {
    options_.ring_events_max = 1u << (2 + Below(7));
    options_.segment_bytes = 4096;
    options_.frame_bytes_max = 16 * 1024;
    options_.log_bytes_max = 256 * 1024;
    options_.lag_bytes_max = 64 * 1024;
    options_.lag_age_max_ms = 20'000;
    options_.sweep_sends_max = 1 + Below(8);
    options_.sweep_send_bytes_max = 1024 + Below(32 * 1024);
    options_.sweep_appends_max = 1 + Below(Below(2) == 0 ? 4 : 40);
    options_.drain_events_max = 1 + Below(16);
    options_.engine_events_max = 1 + Below(16);
    options_.replay_bytes_max = 1 + Below(Below(2) == 0 ? 1000 : 100'000);
    options_.history_cache_bytes_max = 1 + Below(Below(2) == 0 ? 4000 : 1'000'000);
    options_.heartbeat_ms = 1000;
    options_.stop_spread_ms = 100;
    if (has_policies_) DrawPolicies();
    const uint32_t shards = 1 + Below(3);
    ring_ = std::make_unique<Ring>(options_.ring_events_max, 1 << 20, shards + 2);
    recorder_ = shards + 1;
    HistoryLimits limits;
    limits.otherwise.events_max = Below(3) == 0 ? 1'000'000 : 20 + Below(400);
    goes_on_live_ = Below(2) == 0;
    limits.missing = goes_on_live_ ? MissingPlace::kLive : MissingPlace::kEarliest;
    history_ = std::make_unique<SharedHistory>(limits, epoch_, *ring_, shards);
    acks_ = std::make_unique<AckBoard>(*ring_, shards);
    const ShardShared shared{.options = options_,
                             .epoch = epoch_,
                             .keys = keys_,
                             .ring = *ring_,
                             .reports = reports_,
                             .subscribers = [] { return uint64_t{0}; },
                             .history = history_.get(),
                             .ledger = &ledger_,
                             .acks = acks_.get()};
    SimulatedFaults faults;
    if (with_faults) {
      faults = {.short_write = 100,
                .spurious_eagain = 100,
                .send_reset = has_resets_ ? 2u : 0u,
                .accept_failure = 20,
                .accept_abort = 20,
                .delay_ns_max = 5 * kNsPerMs};
    }
    EngineOptions engine_options;
    engine_options.connections_max = 200;
    for (uint32_t i = 0; i < shards; ++i) {
      auto engine = std::make_unique<SimulatedEngine>(engine_options, seed * 7 + i, faults);
      engines_.push_back(engine.get());
      shards_.push_back(
          std::make_unique<Shard>(i, shared, std::move(engine), std::vector<int>{0}, 1));
      EXPECT_TRUE(shards_.back()->Listen().ok());
      shards_.back()->SetPhase(Phase::kServing);
    }
    for (uint32_t i = 0; i < 3; ++i) AddPublisher();
  }

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) Step();
  }

  void SettleAndCheck() {
    for (Connected& user : users_) {
      user.is_reading = true;
      if (user.is_connected) engine(user).PeerBuffer(user.peer, 64 * 1024);
    }
    // A heartbeat may meet a fault in the last turn: then some turns more.
    for (int turn = 0; turn < 4000 || (turn < 8000 && AnyWaits()); ++turn) {
      for (size_t i = 0; i < shards_.size(); ++i) TurnOf(i);
      ReadAll();
      if (testing::Test::HasFatalFailure()) return;
    }
    for (const Connected& user : users_) {
      if (!user.is_connected || !user.user->is_open()) continue;
      if (engine(user).PeerAtEnd(user.peer)) continue;
      user.user->CheckHasAll();
      ++settled_;
    }
    for (const auto& shard : shards_) {
      const DeliveryCounters& counters = shard->counters().delivery;
      EXPECT_EQ(counters.replaying.value(), 0u);
      EXPECT_EQ(counters.blocked_readers.value(), 0u);
      replays_ += counters.replays.value();
      replayed_ += counters.replayed.value();
    }
    EXPECT_EQ(ring_->depth(), 0u);
    for (const Connected& user : users_) {
      gaps_ += user.user->gaps();
      events_ += user.user->events();
    }
  }

  // With nobody behind.
  void CheckAccounts() {
    uint64_t deliveries = 0;
    for (const auto& shard : shards_) deliveries += shard->counters().delivery.deliveries.value();
    uint64_t handed = 0;
    for (uint64_t sequence = 1; sequence <= ring_->newest_sequence(); ++sequence) {
      LedgerPart::Account account;
      ledger_.Read(sequence, &account);
      const uint64_t lost = std::accumulate(account.lost.begin(), account.lost.end(), uint64_t{0});
      ASSERT_EQ(account.matched, account.handed + lost)
          << sequence << ": handed " << account.handed << ", replayed " << account.replayed;
      handed += account.handed + account.replayed;
      lost_ += lost;
      evicted_ += account.lost[static_cast<size_t>(Loss::kEvicted)];
      const auto told = told_matched_.find(sequence);
      if (told != told_matched_.end()) {
        ASSERT_EQ(told->second, account.matched) << sequence;
      }
    }
    EXPECT_EQ(handed, deliveries);
    told_ += told_matched_.size();
  }

  // The gateway stops while some are in their replays: all end after a whole block.
  void StopAndCheck() {
    for (Connected& user : users_) {
      if (user.is_connected) engine(user).PeerBuffer(user.peer, 200 + Below(2000));
      if (!user.is_connected) Connect(&user);
    }
    for (int step = 0; step < 60; ++step) {
      Publish();
      TurnOf(Below(static_cast<uint32_t>(shards_.size())));
    }
    for (const auto& shard : shards_) {
      ended_replaying_ += shard->counters().delivery.replaying.value();
      shard->SetPhase(Phase::kClosing);
    }
    std::vector<Connected*> live;
    for (Connected& user : users_) {
      user.is_reading = true;
      if (user.is_connected && user.user->is_open() && !engine(user).PeerAtEnd(user.peer)) {
        live.push_back(&user);
      }
      if (user.is_connected) engine(user).PeerBuffer(user.peer, 64 * 1024);
    }
    comes_back_ = false;
    for (int turn = 0; turn < 4000 && !testing::Test::HasFatalFailure(); ++turn) {
      for (size_t i = 0; i < shards_.size(); ++i) TurnOf(i);
      ReadAll();
    }
    for (const Connected* user : live) {
      EXPECT_TRUE(engine(*user).PeerAtEnd(user->peer));
      EXPECT_TRUE(has_resets_ || user->user->has_ended_whole());
    }
    for (const auto& shard : shards_) EXPECT_EQ(shard->counters().delivery.subscribers.value(), 0u);
  }

  uint64_t settled() const { return settled_; }
  uint64_t replays() const { return replays_; }
  uint64_t replayed() const { return replayed_; }
  uint64_t gaps() const { return gaps_; }
  uint64_t events() const { return events_; }
  uint64_t ended_replaying() const { return ended_replaying_; }
  uint64_t lost() const { return lost_; }
  uint64_t evicted() const { return evicted_; }
  uint64_t told() const { return told_; }
  uint64_t skips() const { return Sum(&LagCounters::skips); }
  uint64_t conflations() const { return Sum(&LagCounters::conflations); }
  // Of what users missed.
  uint64_t told_skips() const {
    uint64_t sum = 0;
    for (const Connected& user : users_) sum += user.user->skips();
    return sum;
  }
  uint64_t conflated() const {
    uint64_t sum = 0;
    for (const Connected& user : users_) sum += user.user->conflated();
    return sum;
  }

 private:
  struct Connected {
    std::unique_ptr<User> user;
    size_t shard = 0;
    SimulatedEngine::Peer peer = 0;
    bool is_connected = false;
    bool is_reading = true;
  };
  struct Publisher {
    size_t shard;
    SimulatedEngine::Peer peer;
    std::string reply;
    bool awaits = false;
  };

  uint64_t Sum(Counter LagCounters::*counter) const {
    uint64_t sum = 0;
    for (const auto& shard : shards_) {
      for (const LagCounters& lag : shard->counters().delivery.lag) sum += (lag.*counter).value();
    }
    return sum;
  }
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  SimulatedEngine& engine(const Connected& user) const { return *engines_[user.shard]; }
  static PeerAddress Loopback() {
    PeerAddress address;
    address.family = AF_INET;
    address.address[0] = 127;
    address.address[3] = 1;
    return address;
  }

  bool AnyWaits() const {
    return std::any_of(shards_.begin(), shards_.end(), [](const auto& shard) {
      const DeliveryCounters& counters = shard->counters().delivery;
      return counters.blocked_readers.value() + counters.replaying.value() != 0;
    });
  }

  void TurnOf(size_t shard) {
    shards_[shard]->Turn(0);
    Record();
    for (SimulatedEngine* engine : engines_) engine->Advance(kNsPerMs / 4);
  }
  void Record() {
    ring_->Drain(recorder_, SIZE_MAX, [this](Frame* frame) {
      truth_.Add(*frame);
      frame->Release();
      return true;
    });
  }
  uint64_t OldestHeld() {
    uint64_t oldest = 0;
    history_->Look([&](const History& history) { oldest = history.oldest(); });
    return oldest;
  }

  void AddPublisher() {
    const size_t shard = Below(static_cast<uint32_t>(engines_.size()));
    publishers_.push_back({shard, engines_[shard]->Connect(0, Loopback()), "", false});
  }

  void Step() {
    switch (Below(10)) {
      case 0:
        if (users_.size() < 40) {
          Come();
        } else {
          Connected& user = users_[Below(static_cast<uint32_t>(users_.size()))];
          if (!user.is_connected) Connect(&user);
        }
        break;
      case 1:
        if (!users_.empty()) Behave(&users_[Below(static_cast<uint32_t>(users_.size()))]);
        break;
      case 2:
      case 3:
        Publish();
        break;
      case 4:
        ReadAll();
        // Now and then nothing happens for as long as a heartbeat takes.
        if (Below(40) == 0) {
          for (SimulatedEngine* engine : engines_) engine->Advance(kNsPerSecond);
        }
        break;
      default:
        TurnOf(Below(static_cast<uint32_t>(shards_.size())));
    }
  }

  void DrawPolicies() {
    for (const auto& [topics, action] :
         {std::pair{"a/**", "conflate"}, std::pair{"d/**", "skip"}}) {
      options_.lag_policies.push_back({.topics = topics,
                                       .policy = action,
                                       .events_max = 3 + Below(30),
                                       .bytes_max = 17'000 + Below(16 * 1024),
                                       .age_max_ms = 100 + Below(2000)});
    }
    options_.lag_table_events_max = 4 + Below(Below(2) == 0 ? 8 : 200);
    options_.lag_table_bytes_max = 32 * 1024;
  }
  LagAction ActionOf(const std::vector<std::string>& patterns) const {
    if (!has_policies_ || patterns.empty()) return LagAction::kDisconnect;
    const auto all_in = [&](std::string_view topics) {
      return std::all_of(patterns.begin(), patterns.end(),
                         [&](const std::string& pattern) { return TopicCovers(topics, pattern); });
    };
    if (all_in("a/**")) return LagAction::kConflate;
    return all_in("d/**") ? LagAction::kSkip : LagAction::kDisconnect;
  }

  std::string Name() {
    constexpr const char* kNames[] = {"a", "a/b", "a/c", "a/b/c", "d", "d/e/f", "quiet"};
    return kNames[Below(Below(10) == 0 ? 7 : 6)];
  }

  void Come() {
    constexpr const char* kPatterns[] = {"a/*", "a/**", "d/*/f", "*", "**"};
    std::vector<std::string> patterns;
    for (uint32_t i = Below(4); i != 0; --i) {
      patterns.push_back(Below(2) == 0 ? Name() : kPatterns[Below(5)]);
    }
    const LagAction action = ActionOf(patterns);
    users_.push_back({std::make_unique<User>(truth_, goes_on_live_, std::move(patterns), action)});
    Connect(&users_.back());
  }

  void Connect(Connected* user) {
    std::string target = "/stream?";
    for (const std::string& pattern : user->user->patterns()) target += "topic=" + pattern + "&";
    std::string header;
    user->user->AskEarliest(false);
    if (user->user->last_id().empty()) {
      switch (Below(6)) {
        case 0:
          target += "from=earliest";
          user->user->AskEarliest(true);
          break;
        case 1:
          target += "from=-" + std::to_string(1 + Below(30));
          break;
        case 2:
          user->user->Forget(Below(2) == 0 ? "nobody-knows" : "0123456789ab-17");
          break;
        default:
          break;
      }
    }
    if (!user->user->last_id().empty()) {
      header = "Last-Event-ID: " + user->user->last_id() + "\r\n";
    }
    user->shard = Below(3) != 0 ? 0 : Below(static_cast<uint32_t>(engines_.size()));
    user->peer = engine(*user).Connect(0, Loopback());
    user->is_connected = true;
    user->user->Come(ring_->drained_sequence(static_cast<uint32_t>(user->shard)),
                     !header.empty() || target.find("from=") != std::string::npos);
    user->is_reading = Below(8) != 0;
    if (Below(4) == 0) engine(*user).PeerBuffer(user->peer, 1 + Below(4096));
    engine(*user).PeerWrite(user->peer, "GET " + target +
                                            " HTTP/1.1\r\nHost: localhost\r\n"
                                            "Accept: text/event-stream\r\n" +
                                            header + "\r\n");
  }

  void Behave(Connected* user) {
    if (!user->is_connected) return Connect(user);
    switch (Below(10)) {
      case 0:
      case 1:
        Below(2) == 0 ? engine(*user).PeerReset(user->peer)
                      : engine(*user).PeerShutdown(user->peer);
        CutOff(user);
        break;
      case 2:
      case 3:
        engine(*user).PeerBuffer(user->peer, 1 + Below(4096));
        break;
      case 4:
        engine(*user).PeerBuffer(user->peer, 64 * 1024);
        break;
      default:
        user->is_reading = Below(3) != 0;
    }
  }

  void CutOff(Connected* user) {
    user->is_connected = false;
    user->user->Disconnect();
  }

  void Publish() {
    Publisher& publisher = publishers_[Below(static_cast<uint32_t>(publishers_.size()))];
    if (publisher.awaits) return;
    std::string target = "/publish?";
    std::string body = "[";
    for (uint32_t i = 1 + Below(3); i != 0; --i) {
      body += "{";
      std::vector<std::string> names;
      for (uint32_t topics = Below(3); topics != 0; --topics) {
        const std::string name = Name();
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
      std::string list;
      for (const std::string& name : names) list += (list.empty() ? "\"" : ",\"") + name + "\"";
      body += "\"topics\":[" + list + "],";
      if (Below(4) == 0) body += "\"id\":\"own." + std::to_string(++own_ids_) + "\",";
      if (Below(8) == 0) body += "\"retry\":700,";
      if (has_policies_ && Below(5) != 0) body += "\"key\":\"" + std::to_string(Below(4)) + "\",";
      body += "\"data\":\"" + std::string(Below(Below(8) == 0 ? 6000 : 200), 'x') + "\"}";
      if (i != 1) body += ",";
    }
    body += "]";
    engines_[publisher.shard]->PeerWrite(
        publisher.peer, "POST /publish" + std::string(Below(2) == 0 ? "" : "?ack=matched") +
                            " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                            "Content-Length: " +
                            std::to_string(body.size()) + "\r\n\r\n" + body);
    publisher.awaits = true;
  }

  void ReadAll() {
    Record();
    for (Connected& user : users_) {
      if (!user.is_connected || !user.is_reading) continue;
      user.user->Feed(engine(user).PeerRead(user.peer, SIZE_MAX), OldestHeld());
      if (testing::Test::HasFatalFailure()) return;
      if (comes_back_ && engine(user).PeerAtEnd(user.peer)) CutOff(&user);
    }
    for (size_t i = 0; i < publishers_.size(); ++i) ReadReply(i);
  }

  static bool IsWhole(const std::string& reply) {
    constexpr std::string_view kLength = "Content-Length: ";
    const size_t head = reply.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const size_t length = std::stoul(reply.substr(reply.find(kLength) + kLength.size()));
    return reply.size() == head + 4 + length;
  }

  // The ids of a reply and how many subscribers each was matched with, by sequence.
  void Tell(const std::string& reply) {
    size_t matched = reply.find("\"matched\":[") + 11;
    for (size_t id = reply.find("\"ids\":[") + 7; reply[id] == '"'; ++id) {
      const size_t end = reply.find('"', id + 1);
      const auto known = Epoch::Parse(reply.substr(id + 1, end - id - 1));
      if (known) told_matched_[known->sequence] = std::stoull(reply.substr(matched));
      matched = reply.find_first_of(",]", matched) + 1;
      id = end + 1;  // the comma, if others follow
    }
  }

  void ReadReply(size_t i) {
    Publisher& publisher = publishers_[i];
    SimulatedEngine& engine = *engines_[publisher.shard];
    publisher.reply += engine.PeerRead(publisher.peer, SIZE_MAX);
    if (IsWhole(publisher.reply)) {
      const bool is_known = publisher.reply.starts_with("HTTP/1.1 200") ||
                            publisher.reply.find("ring_full") != std::string::npos ||
                            publisher.reply.find("batch_too_large") != std::string::npos;
      ASSERT_TRUE(is_known) << publisher.reply;
      if (publisher.reply.find("\"matched\":[") != std::string::npos) Tell(publisher.reply);
      publisher.reply.clear();
      publisher.awaits = false;
    } else if (engine.PeerAtEnd(publisher.peer)) {
      publishers_.erase(publishers_.begin() + static_cast<ptrdiff_t>(i));
      AddPublisher();
    }
  }

  std::mt19937_64 random_;
  const bool has_resets_;
  const bool has_policies_;
  Options options_;
  const Epoch epoch_{1};
  http::PublishKeys keys_;
  NoReports reports_;
  Truth truth_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SharedHistory> history_;
  Ledger ledger_{3, 1 << 16};
  std::unique_ptr<AckBoard> acks_;
  std::map<uint64_t, uint64_t> told_matched_;
  uint32_t recorder_ = 0;
  std::vector<SimulatedEngine*> engines_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<Connected> users_;
  std::vector<Publisher> publishers_;
  bool goes_on_live_ = false;
  bool comes_back_ = true;
  uint64_t own_ids_ = 0;
  uint64_t settled_ = 0;
  uint64_t replays_ = 0;
  uint64_t replayed_ = 0;
  uint64_t gaps_ = 0;
  uint64_t events_ = 0;
  uint64_t ended_replaying_ = 0;
  uint64_t lost_ = 0;
  uint64_t evicted_ = 0;
  uint64_t told_ = 0;
};

}  // namespace sluice::test
