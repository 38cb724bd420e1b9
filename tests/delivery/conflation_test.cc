// Goal: the facts about conflating readers that a random run would not make plain: what they get
// and in which order, what is kept for them and for how long, what the table's bounds do.
// Method: one Delivery on a simulated engine, step by step.
#include "delivery/conflation.h"

#include <gtest/gtest.h>

#include <map>

#include "delivery/delivery_rig.h"

namespace sluice {
namespace {

using test::DeliveryRig;
using test::RoomyLimits;

const Epoch kEpoch(1);

class ConflationTest : public testing::Test {
 protected:
  ConflationTest() {
    limits_ = RoomyLimits();
    limits_.segment_bytes = 4096;
    limits_.send_bytes_max = 4096;
    limits_.lag_policies = {{.topics = "**",
                             .action = LagAction::kConflate,
                             .bytes_max = 1 << 20,
                             .events_max = 10,
                             .age_max_ns = 10 * kNsPerSecond}};
  }
  void Start() {
    rig_ = std::make_unique<DeliveryRig>(limits_, 1, SimulatedFaults{}, 4096,
                                         ReplaySource{.epoch = &kEpoch});
  }
  // In the middle of an event, and taking no more until told to.
  DeliveryRig::PeerNumber JoinStopped() {
    const auto reader = rig_->Join({"prices/*"});
    rig_->engine().PeerBuffer(rig_->peer(reader).peer, 10);
    return reader;
  }
  // Returns what it looks like.
  std::string Publish(std::string_view key, size_t data_bytes = 50,
                      std::string_view topic = "prices/a") {
    const std::string_view topics[] = {topic};
    const std::string data(data_bytes, 'x');
    Frame* frame = Frame::Encode({.data = data, .topics = topics, .key = key}, kEpoch, 1 << 24);
    frame->Stamp(rig_->newest() + 1, rig_->engine().Now(), 1);
    std::string bytes(frame->bytes());
    rig_->Append(frame);
    return bytes;
  }
  // So that the readers' lag is looked at.
  void PassTime() {
    rig_->engine().Advance(200 * kNsPerMs);
    rig_->Turn();
  }
  std::string ReadAll(DeliveryRig::PeerNumber reader) {
    rig_->engine().PeerBuffer(rig_->peer(reader).peer, 1 << 20);
    std::string all;
    for (int i = 0; i < 100; ++i) {
      all += rig_->Read(reader);
      rig_->Turn();
    }
    return all;
  }
  static std::string Gap(uint64_t first, uint64_t last, uint64_t id) {
    return "event: sluice.gap\ndata: {\"reason\":\"skipped\",\"after\":\"" + kEpoch.Id(first - 1) +
           "\",\"first\":\"" + kEpoch.Id(first) + "\",\"last\":\"" + kEpoch.Id(last) +
           "\"}\nid: " + kEpoch.Id(id) + "\n\n";
  }
  const LagCounters& lag() const { return rig_->counters().lag[0]; }
  uint64_t log_bytes() {
    PassTime();
    return rig_->counters().log_bytes.value();
  }

  DeliveryLimits limits_;
  std::unique_ptr<DeliveryRig> rig_;
};

TEST_F(ConflationTest, OfEachKeyTheNewestInOrderThenTheLiveStream) {
  Start();
  const auto reader = JoinStopped();
  const std::string first = Publish("key 0");
  rig_->TurnUntilIdle();
  std::vector<std::string> newest(5);
  for (int i = 0; i < 100; ++i) newest[i % 5] = Publish("key " + std::to_string(i % 5));
  PassTime();
  EXPECT_EQ(lag().conflations.value(), 1u);
  EXPECT_EQ(lag().conflating.value(), 1u);
  EXPECT_EQ(lag().table_events.value(), 5u);
  // One key changes while the reader does not look: it moves behind the others.
  const std::string moved = Publish("key 2");
  EXPECT_EQ(lag().table_events.value(), 5u);
  EXPECT_EQ(ReadAll(reader), first + newest[0] + newest[1] + newest[3] + newest[4] + moved);
  EXPECT_EQ(rig_->counters().deliveries.value(), 6u);
  EXPECT_EQ(lag().conflated_events.value(), 96u);
  EXPECT_EQ(lag().conflating.value(), 0u);
  EXPECT_EQ(lag().table_events.value(), 0u);
  EXPECT_EQ(lag().table_bytes.value(), 0u);
  std::string next = Publish("key 3");
  next += Publish("key 3");
  EXPECT_EQ(ReadAll(reader), next);
  EXPECT_EQ(log_bytes(), 0u);
}

TEST_F(ConflationTest, OneTableForAllAndAsLongAsSomebodyNeedsIt) {
  Start();
  const auto first = JoinStopped();
  const auto second = JoinStopped();
  const auto flowing = rig_->Join({"prices/*"});
  const std::string begun = Publish("a");
  rig_->TurnUntilIdle();
  std::string live = begun;
  std::string newest;
  for (int i = 0; i < 50; ++i) live += newest = Publish("a");
  PassTime();
  EXPECT_EQ(lag().conflating.value(), 2u);
  EXPECT_EQ(lag().table_events.value(), 1u);
  EXPECT_EQ(ReadAll(flowing), live);
  EXPECT_EQ(ReadAll(first), begun + newest);
  EXPECT_EQ(lag().table_events.value(), 1u);
  rig_->Leave(second, true);
  rig_->TurnUntilIdle();
  EXPECT_EQ(lag().conflating.value(), 0u);
  EXPECT_EQ(lag().table_events.value(), 0u);
  EXPECT_EQ(log_bytes(), 0u);
}

TEST_F(ConflationTest, AValueIsOfItsTopicsAndKey) {
  Start();
  const auto reader = JoinStopped();
  const std::string first = Publish("bid");
  rig_->TurnUntilIdle();
  for (int i = 0; i < 20; ++i) Publish("bid", 10, "prices/a");
  const std::string a = Publish("bid", 20, "prices/a");
  const std::string b = Publish("bid", 30, "prices/b");
  const std::string ask = Publish("ask", 40, "prices/b");
  PassTime();
  EXPECT_EQ(ReadAll(reader), first + a + b + ask);
}

TEST_F(ConflationTest, EventsWithoutAKeyAreKeptInOrder) {
  Start();
  const auto reader = JoinStopped();
  std::string expected = Publish("a");
  rig_->TurnUntilIdle();
  for (int i = 0; i < 30; ++i) {
    Publish("a");
    expected += Publish("");
  }
  expected += Publish("a");
  PassTime();
  EXPECT_EQ(lag().table_events.value(), 31u);
  EXPECT_EQ(ReadAll(reader), expected);
  EXPECT_EQ(lag().conflated_events.value(), 30u);
}

TEST_F(ConflationTest, PastTheTablesBoundsWhatHasNoKeyGoesFirstAndTheReaderIsTold) {
  limits_.conflation = {.events_max = 8, .bytes_max = 1 << 20};
  Start();
  const auto reader = JoinStopped();
  const std::string begun = Publish("a");  // 1
  rig_->TurnUntilIdle();
  const std::string a = Publish("a");  // 2
  const std::string b = Publish("b");  // 3
  std::vector<std::string> keyless;    // from 4 on
  for (int i = 0; i < 20; ++i) keyless.push_back(Publish(""));
  PassTime();
  EXPECT_EQ(lag().table_events.value(), 8u);
  // The last six without a key are 18 to 23. The gap's id is before what is still to come.
  std::string expected = begun + Gap(2, 17, 1) + a + b;
  for (size_t i = 14; i < 20; ++i) expected += keyless[i];
  EXPECT_EQ(ReadAll(reader), expected);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 1u);
  // More keys than fit: the oldest values go.
  rig_->engine().PeerBuffer(rig_->peer(reader).peer, 10);
  const std::string again = Publish("a");  // 24
  rig_->TurnUntilIdle();
  std::vector<std::string> keyed;  // from 25 on
  for (int i = 0; i < 20; ++i) keyed.push_back(Publish("key " + std::to_string(i)));
  PassTime();
  expected = again + Gap(25, 36, 36);
  for (size_t i = 12; i < 20; ++i) expected += keyed[i];
  EXPECT_EQ(ReadAll(reader), expected);
}

TEST_F(ConflationTest, AReaderAtATenthOfTheRateGetsNewestValuesAndHoldsNoMore) {
  constexpr int kKeys = 50;
  Start();
  const auto reader = rig_->Join({"prices/*"});
  rig_->engine().PeerBuffer(rig_->peer(reader).peer, 200);
  std::map<std::string, std::string> newest;
  std::string got;
  uint64_t log_bytes_early = 0;
  for (int i = 0; i < 40'000; ++i) {
    const std::string key = "key " + std::to_string(i * 7 % kKeys);
    newest[key] = Publish(key);
    rig_->Turn();
    // A tenth of the bytes.
    if (i % 10 == 0) got += rig_->engine().PeerRead(rig_->peer(reader).peer, newest[key].size());
    if (i == 4'000) log_bytes_early = rig_->counters().log_bytes_highest.value();
  }
  EXPECT_GT(lag().conflated_events.value(), 30'000u);
  EXPECT_LE(lag().table_events_highest.value(), uint64_t{kKeys} + 1);
  EXPECT_LE(rig_->counters().log_bytes_highest.value(), log_bytes_early + 4096);
  EXPECT_EQ(lag().disconnects.value(), 0u);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 0u);
  got += ReadAll(reader);
  for (const auto& [key, bytes] : newest) EXPECT_NE(got.find(bytes), std::string::npos) << key;
  EXPECT_LT(got.size(), 40'000u / 8 * newest.begin()->second.size());
}

TEST_F(ConflationTest, ATableIsMadeInStepsAndReadWhenItIsWhole) {
  limits_.lag_policies[0].events_max = 1000;
  limits_.conflation.make_events_max = 100;
  Start();
  const auto reader = JoinStopped();
  const std::string begun = Publish("key 0");
  rig_->TurnUntilIdle();
  std::vector<std::string> newest(5);
  for (int i = 0; i < 1500; ++i) newest[i % 5] = Publish("key " + std::to_string(i % 5));
  PassTime();
  EXPECT_EQ(lag().conflating.value(), 1u);
  EXPECT_EQ(lag().table_events.value(), 5u);
  // It takes what it can, but of the table nothing that has a newer event.
  rig_->engine().PeerBuffer(rig_->peer(reader).peer, 1 << 20);
  std::string got;
  for (int i = 0; i < 10; ++i) {
    got += rig_->Read(reader);
    newest[3] = Publish("key 3");
    rig_->Turn();
  }
  EXPECT_EQ(got, begun);
  EXPECT_TRUE(rig_->delivery().HasWork());
  EXPECT_EQ(got + ReadAll(reader),
            begun + newest[0] + newest[1] + newest[2] + newest[4] + newest[3]);
  EXPECT_EQ(lag().conflated_events.value(), 1510u - 5);
  EXPECT_EQ(log_bytes(), 0u);
}

TEST_F(ConflationTest, ALargeEventIsReferredToAndFinishedFirst) {
  limits_.send_bytes_max = 64 * 1024;
  Start();
  const auto reader = JoinStopped();
  const std::string begun = Publish("a", 200'000);
  rig_->TurnUntilIdle();
  std::string newest;
  for (int i = 0; i < 30; ++i) newest = Publish("a", 100'000);
  PassTime();
  EXPECT_EQ(lag().conflating.value(), 1u);
  EXPECT_LT(log_bytes(), 330'000u);
  EXPECT_EQ(ReadAll(reader), begun + newest);
}

// Of those whose sends are settled together some go, and others are to conflate later.
TEST_F(ConflationTest, AReaderThatFailsDoesNotTakeTheOthersBacklogAway) {
  uint64_t conflating = 0;
  uint64_t dropped = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    rig_ = std::make_unique<DeliveryRig>(limits_, seed, SimulatedFaults{.send_reset = 200}, 4096,
                                         ReplaySource{.epoch = &kEpoch});
    for (size_t i = 0; i < 8; ++i) {
      rig_->Connect({"prices/*"});
      rig_->engine().PeerBuffer(rig_->peer(i).peer, 20);
    }
    for (int i = 0; i < 20; ++i) rig_->Turn();
    for (size_t i = 0; i < 8; ++i) rig_->Read(i);
    const uint64_t dropped_before = 8 - rig_->delivery().readers();
    Publish("a");
    Publish("b");
    rig_->Sweep();
    dropped += 8 - dropped_before - rig_->delivery().readers();
    for (int i = 0; i < 20; ++i) Publish("b");
    PassTime();
    conflating += lag().conflating.value();
  }
  EXPECT_GT(conflating, 100u);
  EXPECT_GT(dropped, 100u);
}

TEST_F(ConflationTest, AtTheLogBudgetReadersConflateAndAreCutOnlyForTheTable) {
  limits_.log_bytes_max = 64 * 1024;
  limits_.lag_policies[0].events_max = 1 << 16;
  Start();
  const auto reader = JoinStopped();
  const auto flowing = rig_->Join({"prices/*"});
  for (int i = 0; i < 1000; ++i) {
    Publish("key " + std::to_string(i % 10), 1000);
    rig_->TurnUntilIdle();
    rig_->Read(flowing);
    ASSERT_LE(rig_->counters().log_bytes.value(), limits_.log_bytes_max + 8192);
  }
  EXPECT_EQ(lag().conflations.value(), 1u);
  EXPECT_FALSE(rig_->peer(reader).dropped);
  for (int i = 0; i < 200 && !rig_->peer(reader).dropped; ++i) {
    Publish("key " + std::to_string(i), 1000);
    rig_->TurnUntilIdle();
    rig_->Read(flowing);
    ASSERT_LE(rig_->counters().log_bytes.value(), limits_.log_bytes_max + 8192);
  }
  EXPECT_EQ(rig_->peer(reader).dropped, Disconnect::kLogBudget);
  EXPECT_FALSE(rig_->peer(flowing).dropped);
  EXPECT_EQ(lag().table_events.value(), 0u);
}

}  // namespace
}  // namespace sluice
