// Goal: the facts about readers that come back and are too slow for the live stream: that what was
// there when they came is theirs whatever the bounds, what each policy makes of the rest, and what
// is kept for them meanwhile. Method: one Delivery on a simulated engine, a ring and a history,
// step by step.
#include <gtest/gtest.h>

#include <map>

#include "delivery/delivery_rig.h"
#include "ring/ring.h"

namespace sluice {
namespace {

using test::DeliveryRig;
using test::RoomyLimits;

const Epoch kEpoch(1);
const StreamStart kEarliest{.from = StreamStart::From::kEarliest};

class LagReplayTest : public testing::Test {
 protected:
  LagReplayTest() {
    limits_ = RoomyLimits();
    limits_.segment_bytes = 4096;
    limits_.send_bytes_max = 4096;
    limits_.lag_policies = {Policy("skip/**", LagAction::kSkip),
                            Policy("prices/**", LagAction::kConflate),
                            Policy("all/**", LagAction::kDisconnect)};
  }
  static LagPolicy Policy(std::string topics, LagAction action) {
    return {.topics = std::move(topics),
            .action = action,
            .bytes_max = 1 << 20,
            .events_max = 10,
            .age_max_ns = 10 * kNsPerSecond};
  }
  void Start() {
    rig_ = std::make_unique<DeliveryRig>(
        limits_, 1, SimulatedFaults{}, 4096,
        ReplaySource{.history = &history_, .epoch = &kEpoch, .drained = 0}, &ledger_);
  }
  // Returns what it looks like.
  std::string Publish(std::string_view topic, size_t data_bytes = 200, std::string_view key = "") {
    const std::string_view topics[] = {topic};
    const std::string data(data_bytes, 'x');
    Frame* frame = Frame::Encode({.data = data, .topics = topics, .key = key}, kEpoch, 1 << 20);
    uint64_t sequence = 0;
    EXPECT_EQ(ring_.TryPush({&frame, 1}, rig_->engine().Now(), &sequence), PushResult::kPushed);
    std::string bytes(frame->bytes());
    ring_.Drain(0, 1, [&](Frame* drained) { return rig_->Append(drained); });
    history_.CatchUp(rig_->engine().Now());
    rig_->Turn();
    return bytes;
  }
  std::string PublishMany(int events, std::string_view topic) {
    std::string bytes;
    for (int i = 0; i < events; ++i) bytes += Publish(topic);
    return bytes;
  }
  // It takes so many bytes and then no more until told to.
  DeliveryRig::PeerNumber Return(const std::string& topic, size_t bytes) {
    const auto reader = rig_->Connect({topic});
    rig_->peer(reader).asks = kEarliest;
    Take(reader, bytes);
    return reader;
  }
  // Reads what has come, then takes so many bytes more.
  std::string Take(DeliveryRig::PeerNumber reader, size_t bytes) {
    std::string got = rig_->Read(reader);
    rig_->engine().PeerBuffer(rig_->peer(reader).peer, static_cast<uint32_t>(bytes));
    for (int i = 0; i < 10; ++i) rig_->Turn();
    return got;
  }
  // So that the readers' lag is looked at.
  void PassTime(int64_t ns = 200 * kNsPerMs) {
    rig_->engine().Advance(ns);
    rig_->Turn();
  }
  std::string ReadAll(DeliveryRig::PeerNumber reader) {
    rig_->engine().PeerBuffer(rig_->peer(reader).peer, 1 << 20);
    std::string all;
    for (int i = 0; i < 50; ++i) {
      all += rig_->Read(reader);
      rig_->Turn();
    }
    EXPECT_EQ(rig_->delivery().replaying(), 0u);
    return all;
  }
  static std::string Gap(uint64_t first, uint64_t last) {
    return "event: sluice.gap\ndata: {\"reason\":\"skipped\",\"after\":\"" + kEpoch.Id(first - 1) +
           "\",\"first\":\"" + kEpoch.Id(first) + "\",\"last\":\"" + kEpoch.Id(last) +
           "\"}\nid: " + kEpoch.Id(last) + "\n\n";
  }
  const LagCounters& lag(size_t policy) const { return rig_->counters().lag[policy]; }
  uint64_t Lost(uint64_t sequence, Loss reason) const {
    LedgerPart::Account account;
    EXPECT_EQ(ledger_.Read(sequence, &account), LedgerPart::Look::kFound);
    return account.lost[static_cast<size_t>(reason)];
  }

  DeliveryLimits limits_;
  Ring ring_{64, 64 << 20, 2};
  SharedHistory history_{HistoryLimits{}, kEpoch, ring_, 1};
  LedgerPart ledger_{4096};
  std::unique_ptr<DeliveryRig> rig_;
};

TEST_F(LagReplayTest, WhatWasThereWhenItCameIsReplayedWhateverTheBounds) {
  Start();
  const std::string there = DeliveryRig::Opening(0) + PublishMany(100, "skip/a");
  const auto reader = Return("skip/a", 300);
  // Twice: in the middle of it, and shortly before its end.
  std::string got = Take(reader, there.size() / 2);
  const std::string first = Publish("skip/a");  // 101
  PublishMany(99, "skip/a");
  PassTime();
  got += Take(reader, there.size() - there.size() / 2 - 300 - 50);
  PublishMany(100, "skip/a");
  PassTime();
  got += Take(reader, 50 + 100);
  EXPECT_EQ(lag(0).skips.value(), 0u);
  const std::string newest = Publish("skip/a");
  PassTime();
  EXPECT_EQ(got + ReadAll(reader), there + first + Gap(102, 300) + newest);
  EXPECT_EQ(lag(0).skips.value(), 1u);
}

TEST_F(LagReplayTest, OneThatSkipsFinishesItsEventAndGetsTheNewestThenTheLiveStream) {
  Start();
  const std::string there = DeliveryRig::Opening(0) + PublishMany(5, "skip/a");
  const auto reader = Return("skip/a", there.size() - 8);
  const std::string in = Publish("skip/a");  // 6
  for (int i = 0; i < 20; ++i) Publish("skip/a");
  Publish("other");
  std::string got = Take(reader, 8 + 100);
  PassTime();
  EXPECT_EQ(lag(0).skips.value(), 0u);
  // The rest goes before the gap is made, which is then up to before what is the newest.
  const std::string newest = Publish("skip/a");  // 28
  EXPECT_EQ(got + ReadAll(reader), there + in + Gap(7, 26) + newest);
  EXPECT_EQ(lag(0).skips.value(), 1u);
  EXPECT_EQ(lag(0).skipped_events.value(), 20u);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 1u);
  EXPECT_EQ(Lost(7, Loss::kSkipped) + Lost(26, Loss::kSkipped), 2u);
  EXPECT_EQ(Lost(6, Loss::kSkipped) + Lost(28, Loss::kSkipped), 0u);
  const std::string next = Publish("skip/a");
  EXPECT_EQ(ReadAll(reader), next);
}

TEST_F(LagReplayTest, OneThatTakesAllItIsOfferedIsNotSlow) {
  limits_.replay_bytes_max = 1;  // a send a turn for all of them
  Start();
  std::string all = PublishMany(50, "skip/a");
  std::vector<DeliveryRig::PeerNumber> readers;
  for (int i = 0; i < 40; ++i) readers.push_back(Return("skip/a", 1 << 20));
  for (int i = 0; i < 200; ++i) {
    all += Publish("skip/a");
    if (i % 20 == 0) PassTime();
  }
  EXPECT_EQ(lag(0).skips.value(), 0u);
  for (int i = 0; i < 400; ++i) rig_->Turn();
  for (const auto reader : readers) ASSERT_EQ(rig_->Read(reader), DeliveryRig::Opening(0) + all);
}

TEST_F(LagReplayTest, OneThatConflatesGetsTheNewestOfEachKeyAndAllWithoutOneThenTheLiveStream) {
  Start();
  std::string there = DeliveryRig::Opening(0);
  for (int i = 0; i < 6; ++i) there += Publish("prices/a", 200, "key " + std::to_string(i % 2));
  const auto reader = Return("prices/a", there.size() - 8);
  const std::string in = Publish("prices/a", 300, "key 0");  // 7
  std::vector<std::string> newest(4);
  std::string keyless;
  for (int i = 0; i < 40; ++i) {
    newest[i % 4] = Publish("prices/a", 200, "key " + std::to_string(i % 4));
    if (i == 10) keyless = Publish("prices/a", 70);
  }
  std::string got = Take(reader, 8 + 100);
  PassTime();
  EXPECT_EQ(lag(1).conflations.value(), 0u);
  // Out of its event it enters the table, for what comes from then on.
  got += Take(reader, in.size() - 100 + 50);
  EXPECT_EQ(lag(1).conflating.value(), 1u);
  EXPECT_EQ(rig_->delivery().replaying(), 1u);
  for (int i = 0; i < 40; ++i) newest[1] = Publish("prices/a", 200, "key 1");
  EXPECT_EQ(got + ReadAll(reader),
            there + in + keyless + newest[0] + newest[2] + newest[3] + newest[1]);
  EXPECT_EQ(lag(1).conflating.value(), 0u);
  EXPECT_EQ(lag(1).table_events.value(), 0u);
  EXPECT_EQ(lag(1).conflated_events.value(), 37u + 39u);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 0u);
  EXPECT_EQ(Lost(8, Loss::kConflated) + Lost(60, Loss::kConflated), 2u);
  EXPECT_EQ(Lost(7, Loss::kConflated) + Lost(88, Loss::kConflated), 0u);
  const std::string next = Publish("prices/a", 10, "key 0");
  EXPECT_EQ(ReadAll(reader), next);
}

TEST_F(LagReplayTest, AtATenthOfTheRateItGetsNewestValuesThoughItNeverCameToTheTail) {
  constexpr int kKeys = 20;
  Start();
  std::map<std::string, std::string> newest;
  const auto publish = [&](int i) {
    const std::string key = "key " + std::to_string(i * 7 % kKeys);
    return newest[key] = Publish("prices/a", 50, key);
  };
  for (int i = 0; i < 100; ++i) publish(i);
  const auto reader = Return("prices/a", 200);
  std::string got = rig_->Read(reader);
  for (int i = 0; i < 10'000; ++i) {
    const std::string event = publish(i);
    if (i % 10 == 0) got += rig_->engine().PeerRead(rig_->peer(reader).peer, event.size());
    if (i % 100 == 0) PassTime();
  }
  EXPECT_GT(lag(1).conflated_events.value(), 8'000u);
  EXPECT_LE(lag(1).table_events_highest.value(), uint64_t{kKeys} + 1);
  EXPECT_LT(rig_->counters().log_bytes_highest.value(), 64u * 1024);
  got += ReadAll(reader);
  for (const auto& [key, bytes] : newest) EXPECT_NE(got.find(bytes), std::string::npos) << key;
}

TEST_F(LagReplayTest, OneThatIsToBeDisconnectedGetsAllThatTheHistoryHolds) {
  Start();
  std::string all = PublishMany(10, "all/a");
  const auto reader = Return("all/a", 300);
  std::string got = rig_->Read(reader);
  for (int i = 0; i < 300; ++i) {
    all += Publish("all/a");
    got += Take(reader, 20);
    if (i % 20 == 0) PassTime();
  }
  EXPECT_EQ(got + ReadAll(reader), DeliveryRig::Opening(0) + all);
  EXPECT_FALSE(rig_->peer(reader).dropped);
}

TEST_F(LagReplayTest, TheAgeOfTheEventThatItStandsAtIsABoundToo) {
  limits_.lag_policies[0].events_max = 1000;
  limits_.lag_policies[0].age_max_ns = 2 * kNsPerSecond;
  Start();
  const std::string there = DeliveryRig::Opening(0) + PublishMany(5, "skip/a");
  const auto reader = Return("skip/a", there.size() - 8);
  const std::string first = Publish("skip/a");
  const std::string second = Publish("skip/a");
  PublishMany(2, "skip/a");
  const std::string newest = Publish("skip/a");  // 10
  std::string got = Take(reader, 8 + 100);
  PassTime(kNsPerSecond);
  got += Take(reader, first.size());
  EXPECT_EQ(lag(0).skips.value(), 0u);
  PassTime(2 * kNsPerSecond);
  EXPECT_EQ(got + ReadAll(reader), there + first + second + Gap(8, 9) + newest);
}

TEST_F(LagReplayTest, OneThatTakesNothingIsCutForItsAgeAndCounted) {
  Start();
  PublishMany(10, "skip/a");
  const auto reader = Return("skip/a", 300);
  for (int second = 0; second < 40; ++second) PassTime(kNsPerSecond);
  EXPECT_EQ(rig_->peer(reader).dropped, Disconnect::kLagAge);
  EXPECT_EQ(lag(0).disconnects.value(), 1u);
}

// Of those who conflate some are still in the history: the table goes with the last of all.
TEST_F(LagReplayTest, AtTheLogBudgetThoseWhoHoldTheTableGo) {
  limits_.log_bytes_max = 64 * 1024;
  Start();
  const std::string there = DeliveryRig::Opening(0) + PublishMany(10, "prices/a");
  const auto reader = Return("prices/a", there.size() - 8);
  for (int i = 0; i < 20; ++i) Publish("prices/a", 300, "key " + std::to_string(i));
  Take(reader, 8 + 100);
  PassTime();
  Take(reader, 300);
  ASSERT_EQ(lag(1).conflating.value(), 1u);
  ASSERT_EQ(rig_->delivery().replaying(), 1u);
  const auto flowing = rig_->Join({"prices/*"});
  for (int i = 0; i < 200 && !rig_->peer(reader).dropped; ++i) {
    Publish("prices/a", 1000, "new key " + std::to_string(i));
    rig_->Read(flowing);
    ASSERT_LE(rig_->counters().log_bytes.value(), limits_.log_bytes_max + 8192);
  }
  EXPECT_EQ(rig_->peer(reader).dropped, Disconnect::kLogBudget);
  EXPECT_FALSE(rig_->peer(flowing).dropped);
  EXPECT_EQ(lag(1).conflating.value(), 0u);
  EXPECT_EQ(lag(1).table_events.value(), 0u);
}

}  // namespace
}  // namespace sluice
