// Goal: whatever the network does, a reader that falls behind gets exactly what the policy of its
// topics allows. Of `disconnect`, every event that it wants, once, to where it ends. Of `skip`, the
// same but for what a gap names: from the very next event to one it wants. Of `conflate`, ids that
// only grow, and what is left out is named by a gap or replaced by a newer event of its topics and
// key; so whoever is cut off anywhere and goes on after its last id has missed no newest value.
// Of who comes back the same, but that what was there when it came is replayed in full, and that
// in the history newer events of each of its topics replace one of several. Who reads always comes
// to the tail, and memory goes back to nothing.
// Method: one Delivery on a simulated engine with short writes and resets, a ring and a history;
// one seed draws tiny bounds and every step. A failure prints the seed that repeats it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <numeric>
#include <random>

#include "delivery/delivery_rig.h"
#include "ring/ring.h"

namespace sluice {
namespace {

using test::DeliveryRig;

const Epoch kEpoch(1);

struct Published {
  std::vector<std::string> topics;
  std::string key;
  std::string bytes;
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool with_faults)
      : random_(seed),
        rig_(Limits(), seed, with_faults ? Faults(seed) : SimulatedFaults{}, 4096,
             {.history = &history_, .epoch = &kEpoch}, &ledger_) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) Step();
  }

  void SettleAndCheck() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (!rig_.peer(i).is_gone) rig_.engine().PeerBuffer(rig_.peer(i).peer, 64 * 1024);
      models_[i].reads_max = SIZE_MAX;
    }
    for (int turn = 0; turn < 3000; ++turn) {
      if (turn == 1500) rig_.engine().Advance(2 * kNsPerSecond);
      Turn();
      ReadAll();
    }
    ASSERT_EQ(rig_.newest(), published_.size());
    EXPECT_EQ(rig_.delivery().replaying(), 0u);
    EXPECT_FALSE(rig_.delivery().HasWork());
    size_t readers = 0;
    for (size_t i = 0; i < rig_.peers(); ++i) {
      const auto& peer = rig_.peer(i);
      if (peer.is_gone || peer.dropped || !peer.begins_after || peer.is_ended) continue;
      if (rig_.engine().PeerAtEnd(peer.peer)) continue;
      ++readers;
      if (HasValues(i)) Pass(i, std::max(models_[i].next, peer.joined));
      EXPECT_EQ(NextWanted(i, models_[i].next), published_.size())
          << i << " of " << rig_.subscription(i).text();
      EXPECT_EQ(models_[i].rest, "") << i;
    }
    EXPECT_EQ(rig_.delivery().readers(), readers);
    EXPECT_EQ(rig_.delivery().blocked(), 0u);
    rig_.engine().Advance(kNsPerSecond);
    rig_.Turn();
    EXPECT_LE(rig_.counters().log_bytes.value(),
              readers * (Log::kIdleBytesAReader + sizeof(Segment)));
    for (const LagCounters& lag : rig_.counters().lag) {
      EXPECT_EQ(lag.conflating.value(), 0u);
      EXPECT_EQ(lag.table_events.value(), 0u);
      EXPECT_EQ(lag.table_bytes.value(), 0u);
    }
  }

  // Each event: whoever it was matched with has it or has lost it, and nobody is counted twice.
  void CheckAccounts() {
    uint64_t handed = 0;
    for (uint64_t sequence = 1; sequence <= rig_.newest(); ++sequence) {
      LedgerPart::Account account;
      ASSERT_EQ(ledger_.Read(sequence, &account), LedgerPart::Look::kFound);
      const uint64_t lost = std::accumulate(account.lost.begin(), account.lost.end(), uint64_t{0});
      ASSERT_EQ(account.matched, account.handed + lost) << "event " << sequence;
      handed += account.handed + account.replayed;
      lost_skipped += account.lost[static_cast<size_t>(Loss::kSkipped)];
      lost_conflated += account.lost[static_cast<size_t>(Loss::kConflated)];
    }
    EXPECT_EQ(handed, rig_.counters().deliveries.value());
  }

  // All end with a goodbye, after a whole event.
  void EndAndCheck() {
    // Some while they are behind.
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (!rig_.peer(i).is_gone) rig_.engine().PeerBuffer(rig_.peer(i).peer, 64);
    }
    for (int i = 0; i < 100; ++i) {
      Publish();
      Turn();
    }
    // With one send a turn, of some bytes, it may take long.
    for (int turn = 0; turn < 4000 || (turn < 40'000 && rig_.delivery().readers() != 0); ++turn) {
      rig_.delivery().EndSome(1 + Below(5), DeliveryRig::kGoodbye);
      Turn();
      ReadAll();
    }
    Turn();
    EXPECT_EQ(rig_.delivery().readers(), 0u);
    EXPECT_EQ(rig_.delivery().channels(), 0u);
    CheckAccounts();
    EXPECT_EQ(rig_.counters().blocked_readers.value(), 0u);
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (!rig_.peer(i).is_ended || rig_.peer(i).is_gone) continue;
      EXPECT_EQ(models_[i].rest, DeliveryRig::kGoodbye);
      ++goodbyes;
    }
  }

  const LagCounters& lag(size_t policy) const { return rig_.counters().lag[policy]; }
  const DeliveryCounters& counters() const { return rig_.counters(); }
  uint64_t received = 0;
  uint64_t goodbyes = 0;
  uint64_t gaps = 0;
  uint64_t skipped = 0;  // by events that came after
  uint64_t replaced = 0;
  uint64_t replaced_by_topic = 0;  // in the history
  uint64_t skips_of_returned = 0;
  uint64_t evicted = 0;
  uint64_t lost_skipped = 0;
  uint64_t lost_conflated = 0;

 private:
  struct Model {
    LagAction action = LagAction::kDisconnect;
    bool is_open = false;
    size_t next = 0;  // index of published_: those before it have been accounted for
    std::vector<std::pair<uint64_t, uint64_t>> gaps;  // sequences that may be missing
    std::string rest;                                 // received and not yet a whole event
    size_t reads_max = SIZE_MAX;
  };

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  LagPolicy Policy(std::string topics, LagAction action) {
    return {.topics = std::move(topics),
            .action = action,
            .bytes_max = 8 * 1024 + Below(8 * 1024),
            .events_max = 3 + Below(60),
            .age_max_ns = (1 + Below(20)) * kNsPerSecond / 10};
  }
  DeliveryLimits Limits() {
    return {
        .lag_bytes_max = 32 * 1024,
        .lag_events_max = 200 + Below(1000),
        .lag_age_max_ns = (1 + Below(10)) * kNsPerSecond,
        .log_bytes_max = 48 * 1024 + Below(128 * 1024),
        .segment_bytes = 1024 + Below(4096),
        .appends_max = 1 + Below(Below(2) == 0 ? 4 : 40),
        .sends_max = 1 + Below(8),
        .send_bytes_max = 256 + Below(16 * 1024),
        .heartbeat_ns = kNsPerSecond,
        .replay_bytes_max = 1 + Below(Below(2) == 0 ? 2000 : 100'000),
        .replay_held_bytes_max = 1 + Below(Below(2) == 0 ? 4000 : 1'000'000),
        .lag_policies = {Policy("s/**", LagAction::kSkip), Policy("c/**", LagAction::kConflate)},
        .conflation = {.make_events_max = 1 + Below(Below(2) == 0 ? 4 : 1000)}};
  }
  static SimulatedFaults Faults(uint64_t seed) {
    return {.short_write = 100,
            .spurious_eagain = 100,
            .send_reset = seed % 4 == 0 ? 20u : 0u,
            .accept_failure = 20,
            .accept_abort = 20,
            .delay_ns_max = 5 * kNsPerMs};
  }

  HistoryLimits HistoryBounds() {
    HistoryLimits limits;
    if (Below(3) == 0) limits.otherwise.events_max = 20 + Below(400);
    return limits;
  }

  std::string Name() {
    constexpr std::string_view kNames[] = {"s/a", "s/b", "c/a", "c/b", "c/a/x", "d", "d/e"};
    return std::string(kNames[Below(7)]);
  }

  void Step() {
    switch (Below(12)) {
      case 0:
        if (living_ < 30) Join();
        break;
      case 1:
      case 2:
        if (rig_.peers() != 0) Behave(Below(static_cast<uint32_t>(rig_.peers())));
        break;
      case 3:
      case 4:
      case 5:
        Publish();
        break;
      case 6:
        ReadAll();
        if (Below(60) == 0) rig_.engine().Advance(kNsPerSecond / 4);
        if (Below(60) == 0) Heartbeats();
        break;
      default:
        Turn();
    }
  }

  void Join() {
    constexpr std::string_view kPatterns[] = {"s/a", "s/*", "s/**", "c/a", "c/*", "c/**", "*"};
    std::vector<std::string> patterns;
    for (uint32_t i = 1 + Below(2); i != 0; --i) patterns.emplace_back(kPatterns[Below(7)]);
    Model model;
    const auto all_begin = [&](std::string_view with) {
      return std::all_of(patterns.begin(), patterns.end(),
                         [&](const std::string& pattern) { return pattern.starts_with(with); });
    };
    if (all_begin("s/")) model.action = LagAction::kSkip;
    if (all_begin("c/")) model.action = LagAction::kConflate;
    ++living_;
    const size_t number = rig_.Connect(patterns);
    models_.push_back(model);
    if (Below(2) == 0 || published_.empty()) return;
    StreamStart& asks = rig_.peer(number).asks.emplace();
    switch (Below(4)) {
      case 0:
        asks.from = StreamStart::From::kEarliest;
        break;
      case 1:
        asks.from = StreamStart::From::kValues;
        break;
      default:
        const auto back = Below(static_cast<uint32_t>(std::min<size_t>(published_.size(), 200)));
        asks.last_id = kEpoch.Id(published_.size() - back);
    }
    // Slow from the first on, else most have all before there is more.
    if (Below(2) == 0) rig_.engine().PeerBuffer(rig_.peer(number).peer, 1 + Below(2000));
  }

  void Behave(size_t number) {
    auto& peer = rig_.peer(number);
    if (peer.is_gone) return;
    switch (Below(12)) {
      case 0:
        --living_;
        rig_.Leave(number, Below(2) == 0);
        break;
      case 1:
      case 2:
      case 3:
        rig_.engine().PeerBuffer(peer.peer, 1 + Below(4096));
        break;
      default:
        constexpr size_t kReads[] = {0, 20, 200, 2000, SIZE_MAX};
        models_[number].reads_max = kReads[Below(5)];
    }
  }

  void Publish() {
    if (published_.size() - rig_.newest() >= 16) return;
    Published event;
    for (uint32_t i = 1 + Below(2); i != 0; --i) {
      const std::string name = Name();
      if (std::find(event.topics.begin(), event.topics.end(), name) == event.topics.end()) {
        event.topics.push_back(name);
      }
    }
    if (Below(5) != 0) event.key = "key " + std::to_string(Below(8));
    const std::vector<std::string_view> topics(event.topics.begin(), event.topics.end());
    const std::string data(Below(Below(8) == 0 ? 6000 : 150), 'x');
    Frame* frame =
        Frame::Encode({.data = data, .topics = topics, .key = event.key}, kEpoch, 1 << 20);
    uint64_t sequence = 0;
    ASSERT_EQ(ring_.TryPush({&frame, 1}, rig_.engine().Now(), &sequence), PushResult::kPushed);
    ASSERT_EQ(sequence, published_.size() + 1);
    event.bytes = frame->bytes();
    published_.push_back(std::move(event));
  }

  void Turn() {
    rig_.Handle();
    bool may_append = rig_.delivery().ContinueAppend();
    if (may_append) {
      ring_.Drain(0, 1 + Below(8), [&](Frame* frame) { return rig_.Append(frame); });
    }
    history_.CatchUp(rig_.engine().Now());
    rig_.Sweep();
    rig_.engine().Advance(kNsPerMs / 4);
  }

  void Heartbeats() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      const auto& peer = rig_.peer(i);
      if (peer.begins_after && !peer.dropped) {
        rig_.delivery().HeartbeatDue(peer.connection, rig_.engine().Now());
      }
    }
  }

  bool Wants(size_t number, size_t index) const {
    const auto& names = published_[index].topics;
    return rig_.subscription(number).Wants(
        std::vector<std::string_view>(names.begin(), names.end()));
  }
  size_t NextWanted(size_t number, size_t from) const {
    while (from < published_.size() && !Wants(number, from)) ++from;
    return from;
  }
  bool HasValues(size_t number) const {
    const auto& asks = rig_.peer(number).asks;
    return asks.has_value() && asks->from == StreamStart::From::kValues;
  }
  // By an event that the reader may have been sent already.
  bool IsReplaced(size_t index) const {
    const Published& event = published_[index];
    if (event.key.empty()) return false;
    for (size_t i = index + 1; i < published_.size(); ++i) {
      if (published_[i].key == event.key && published_[i].topics == event.topics) return true;
    }
    return false;
  }

  // In the history: each of its topics that counts has a newer event of its key.
  bool IsReplacedByTopic(size_t index, const Subscription& counting) const {
    const Published& event = published_[index];
    if (event.key.empty()) return false;
    return std::all_of(event.topics.begin(), event.topics.end(), [&](const std::string& topic) {
      if (!counting.Wants(std::vector<std::string_view>{topic})) return true;
      for (size_t i = index + 1; i < published_.size(); ++i) {
        const auto& topics = published_[i].topics;
        const bool has = std::find(topics.begin(), topics.end(), topic) != topics.end();
        if (has && published_[i].key == event.key) return true;
      }
      return false;
    });
  }
  // What a reader did not get, and no gap names.
  void CheckReplaced(size_t number, size_t index) {
    const auto& peer = rig_.peer(number);
    // Of what was there when it came it gets all; or the values, if it asked for those.
    const bool was_there = peer.asks.has_value() && index < peer.joined;
    if (was_there && HasValues(number)) {
      ASSERT_TRUE(published_[index].key.empty() ||
                  IsReplacedByTopic(index, rig_.subscription(number)))
          << "reader " << number << " of " << rig_.subscription(number).text() << " misses "
          << index + 1 << ", it came at " << peer.joined;
      return;
    }
    const bool may_conflate = !was_there && models_[number].action == LagAction::kConflate;
    const bool is_replaced = may_conflate && IsReplaced(index);
    const bool is_by_topic = may_conflate && !is_replaced && peer.asks.has_value() &&
                             IsReplacedByTopic(index, Subscription({"**"}));
    ASSERT_TRUE(is_replaced || is_by_topic)
        << "reader " << number << " of " << rig_.subscription(number).text() << " misses "
        << index + 1 << ", it came at " << peer.joined;
    ++replaced;
    if (is_by_topic) ++replaced_by_topic;
  }

  // The reader is past all events before this index; what it did not get it need not have.
  void Pass(size_t number, size_t to) {
    Model& model = models_[number];
    for (size_t i = model.next; i < to; ++i) {
      if (!Wants(number, i)) continue;
      const bool is_told = std::any_of(model.gaps.begin(), model.gaps.end(), [&](const auto& gap) {
        return i + 1 >= gap.first && i + 1 <= gap.second;
      });
      if (is_told) {
        ++skipped;
      } else {
        CheckReplaced(number, i);
      }
      if (testing::Test::HasFatalFailure()) return;
    }
    model.next = to;
  }

  void ReadAll() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (rig_.peer(i).is_gone || models_[i].reads_max == 0) continue;
      models_[i].rest += rig_.engine().PeerRead(rig_.peer(i).peer, models_[i].reads_max);
      Check(i);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  static uint64_t SequenceAfter(std::string_view block, std::string_view before) {
    const size_t at = block.find(before);
    if (at == std::string_view::npos) return 0;
    return std::stoull(std::string(block.substr(at + before.size() + Epoch::kDigits + 1, 20)));
  }

  void Check(size_t number) {
    Model& model = models_[number];
    if (!model.is_open) {
      if (model.rest.empty()) return;
      const uint64_t after = rig_.peer(number).begins_after.value();
      const std::string opening = DeliveryRig::Opening(after);
      if (!model.rest.starts_with(opening)) return;
      model.rest.erase(0, opening.size());
      model.is_open = true;
      model.next = after;  // of sequence after + 1
    }
    while (!model.rest.empty()) {
      if (model.rest.starts_with(":\n")) {
        model.rest.erase(0, 2);
        continue;
      }
      const size_t end = model.rest.find("\n\n");
      if (end == std::string::npos) return;
      const std::string block = model.rest.substr(0, end + 2);
      model.rest.erase(0, block.size());
      block.starts_with("event: sluice.gap\n") ? OnGap(number, block) : OnEvent(number, block);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  void OnGap(size_t number, const std::string& block) {
    Model& model = models_[number];
    ++gaps;
    const uint64_t first = SequenceAfter(block, "\"first\":\"");
    const uint64_t last = SequenceAfter(block, "\"last\":\"");
    const uint64_t id = SequenceAfter(block, "\nid: ");
    model.gaps.emplace_back(first, last);
    ASSERT_LE(first, last) << block;
    ASSERT_LE(id, last) << block;
    ASSERT_LE(last, published_.size()) << block;
    ASSERT_EQ(SequenceAfter(block, "\"after\":\""), first - 1) << block;
    ASSERT_GE(id, model.next) << block;
    const auto& peer = rig_.peer(number);
    // Else what stands between may be replaced.
    if (model.action != LagAction::kConflate && !HasValues(number)) {
      ASSERT_LE(first, NextWanted(number, model.next) + 1) << block;
    }
    if (block.find("\"reason\":\"evicted\"") != std::string::npos) {
      ASSERT_TRUE(peer.asks.has_value()) << block;
      ASSERT_TRUE(Wants(number, last - 1)) << block;
      history_.Look([&](const History& history) { ASSERT_LT(last, history.oldest()) << block; });
      ++evicted;
      return Pass(number, id);
    }
    ASSERT_NE(block.find("\"reason\":\"skipped\""), std::string::npos) << block;
    ASSERT_GT(first, model.next) << block;
    ASSERT_NE(model.action, LagAction::kDisconnect) << block;
    ASSERT_TRUE(!peer.asks.has_value() || first > peer.joined) << block;
    if (model.action == LagAction::kSkip) {
      const size_t from = HasValues(number) ? std::max(model.next, peer.joined) : model.next;
      const bool is_at_next = NextWanted(number, from) + 1 == first;
      ASSERT_TRUE(is_at_next || (peer.asks.has_value() && first > model.next)) << block;
      if (peer.asks.has_value()) ++skips_of_returned;
      ASSERT_TRUE(Wants(number, last - 1)) << block;
      ASSERT_EQ(id, last) << block;
      ASSERT_LT(NextWanted(number, last), published_.size()) << "not to the newest";
    }
    Pass(number, id);
  }

  void OnEvent(size_t number, const std::string& block) {
    const uint64_t sequence = SequenceAfter(block, "\nid: ");
    ASSERT_GT(sequence, models_[number].next) << "reader " << number << " got: " << block;
    ASSERT_LE(sequence, published_.size());
    ASSERT_EQ(block, published_[sequence - 1].bytes);
    ASSERT_TRUE(Wants(number, sequence - 1)) << block;
    Pass(number, sequence - 1);
    models_[number].next = sequence;
    ++received;
  }

  std::mt19937_64 random_;
  Ring ring_{64, 64 << 20, 2};
  SharedHistory history_{HistoryBounds(), kEpoch, ring_, 1};
  LedgerPart ledger_{1 << 16};
  DeliveryRig rig_;
  std::vector<Published> published_;
  std::vector<Model> models_;
  size_t living_ = 0;  // that have not left; some may have been dropped
};

// SLUICE_DELIVERY_SEEDS: how many more than what is run always.
void RunSeeds(uint64_t first, uint64_t last, bool with_faults) {
  if (const char* more = std::getenv("SLUICE_DELIVERY_SEEDS")) last += std::stoull(more);
  std::map<std::string, uint64_t> sums;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed, with_faults);
    simulation.Run(4000);
    if (testing::Test::HasFailure()) return;
    simulation.SettleAndCheck();
    if (testing::Test::HasFailure()) return;
    simulation.EndAndCheck();
    if (testing::Test::HasFailure()) return;
    sums["received"] += simulation.received;
    sums["goodbyes"] += simulation.goodbyes;
    sums["gaps"] += simulation.gaps;
    sums["skipped"] += simulation.skipped;
    sums["replaced"] += simulation.replaced;
    sums["replaced_by_topic"] += simulation.replaced_by_topic;
    sums["skipped_returned"] += simulation.skips_of_returned;
    sums["evicted"] += simulation.evicted;
    sums["lost_skipped"] += simulation.lost_skipped;
    sums["lost_conflated"] += simulation.lost_conflated;
    sums["conflations"] += simulation.lag(1).conflations.value();
    sums["skips"] += simulation.lag(0).skips.value();
    sums["stopped"] += simulation.lag(0).disconnects.value();
  }
  for (const auto& [name, sum] : sums) {
    EXPECT_GT(sum, 50u) << name;
    testing::Test::RecordProperty(name, std::to_string(sum));
  }
}

TEST(LagSimulation, ReadersGetWhatTheirPoliciesAllowOnAQuietNetwork) { RunSeeds(1, 60, false); }

TEST(LagSimulation, ReadersGetWhatTheirPoliciesAllowUnderFaults) { RunSeeds(100, 199, true); }

}  // namespace
}  // namespace sluice
