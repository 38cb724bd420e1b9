// Goal: the facts about readers that fall behind which a random run would not make plain: whose
// policy counts, what a gap says, what a reader holds that takes nothing, what the log budget does.
// Method: one Delivery on a simulated engine, step by step.
#include <gtest/gtest.h>

#include "delivery/delivery_rig.h"

namespace sluice {
namespace {

using test::DeliveryRig;
using test::RoomyLimits;

const Epoch kEpoch(1);

class LagTest : public testing::Test {
 protected:
  LagTest() {
    limits_ = RoomyLimits();
    limits_.segment_bytes = 4096;
    limits_.send_bytes_max = 4096;
    limits_.lag_policies = {Policy("skip/**", LagAction::kSkip),
                            Policy("prices/**", LagAction::kConflate)};
  }
  static LagPolicy Policy(std::string topics, LagAction action) {
    return {.topics = std::move(topics),
            .action = action,
            .bytes_max = 1 << 20,
            .events_max = 10,
            .age_max_ns = 10 * kNsPerSecond};
  }
  void Start() {
    rig_ = std::make_unique<DeliveryRig>(limits_, 1, SimulatedFaults{}, 4096,
                                         ReplaySource{.epoch = &kEpoch});
  }
  // One that takes `bytes` and then no more until told to.
  DeliveryRig::PeerNumber JoinStopped(const std::string& topic, uint32_t bytes) {
    const auto reader = rig_->Join({topic});
    rig_->engine().PeerBuffer(rig_->peer(reader).peer, bytes);
    return reader;
  }
  // Returns what it looks like.
  std::string Publish(std::string_view topic, size_t data_bytes, std::string_view key = "") {
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
    for (int i = 0; i < 50; ++i) {
      all += rig_->Read(reader);
      rig_->Turn();
    }
    return all;
  }
  static std::string Gap(uint64_t first, uint64_t last) {
    return "event: sluice.gap\ndata: {\"reason\":\"skipped\",\"after\":\"" + kEpoch.Id(first - 1) +
           "\",\"first\":\"" + kEpoch.Id(first) + "\",\"last\":\"" + kEpoch.Id(last) +
           "\"}\nid: " + kEpoch.Id(last) + "\n\n";
  }
  const LagCounters& lag(size_t policy) const { return rig_->counters().lag[policy]; }

  DeliveryLimits limits_;
  std::unique_ptr<DeliveryRig> rig_;
};

TEST(LagPolicies, TheFirstThatCoversAllThatASubscriptionAsksForCounts) {
  const LagPolicy policies[] = {
      {.topics = "a/*"}, {.topics = "a/**"}, {.topics = "*"}, {.topics = "b/c"}, {.topics = "**"}};
  const auto find = [&](std::vector<std::string> patterns) {
    return FindLagPolicy(policies, Subscription(std::move(patterns)));
  };
  EXPECT_EQ(find({"a/x", "a/*"}), 0u);
  EXPECT_EQ(find({"a/x", "a"}), 1u);
  EXPECT_EQ(find({"a/*/**"}), 1u);
  EXPECT_EQ(find({"a", "x"}), 2u);
  EXPECT_EQ(find({"b/c"}), 3u);
  EXPECT_EQ(find({"b/c", "a/x"}), 4u);
  EXPECT_EQ(find({}), 4u);
  EXPECT_EQ(FindLagPolicy(std::span(policies).first(4), Subscription()), 4u);
}

TEST_F(LagTest, AReaderThatSkipsFinishesItsEventAndGetsTheNewest) {
  Start();
  const auto reader = JoinStopped("skip/a", 100);
  const std::string first = Publish("skip/a", 200);
  rig_->TurnUntilIdle();
  std::string newest;
  for (int i = 0; i < 20; ++i) newest = Publish("skip/a", 300);
  PassTime();
  EXPECT_EQ(lag(0).skips.value(), 1u);
  EXPECT_EQ(lag(0).skipped_events.value(), 19u);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 1u);
  // Of the log only the end is held.
  EXPECT_LT(rig_->counters().log_bytes.value(), 3u * 4096);
  EXPECT_EQ(ReadAll(reader), first + Gap(2, 20) + newest);
  EXPECT_EQ(rig_->counters().deliveries.value(), 2u);
  const std::string next = Publish("skip/a", 10);
  EXPECT_EQ(ReadAll(reader), next);
}

TEST_F(LagTest, AGapThatIsNotYetTakenGrows) {
  Start();
  const auto reader = JoinStopped("skip/a", 100);
  const std::string first = Publish("skip/a", 200);
  rig_->TurnUntilIdle();
  std::string newest;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) newest = Publish("skip/a", 300);
    PassTime();
  }
  EXPECT_EQ(lag(0).skips.value(), 5u);
  EXPECT_EQ(rig_->counters().gaps[static_cast<size_t>(GapReason::kSkipped)].value(), 1u);
  // Once it is in the middle of the gap, the next one comes behind that.
  rig_->engine().PeerBuffer(rig_->peer(reader).peer, static_cast<uint32_t>(first.size()) - 80);
  std::string got = rig_->Read(reader);
  rig_->TurnUntilIdle();
  got += rig_->Read(reader);
  rig_->engine().PeerBuffer(rig_->peer(reader).peer, 1);
  rig_->TurnUntilIdle();
  for (int i = 0; i < 20; ++i) newest = Publish("skip/a", 300);
  PassTime();
  EXPECT_EQ(got + ReadAll(reader), first + Gap(2, 100) + Gap(101, 120) + newest);
}

TEST_F(LagTest, AReaderThatSkipsInTheMiddleOfALargeEventHoldsThatOnly) {
  limits_.log_bytes_max = 4 << 20;
  limits_.send_bytes_max = 1 << 20;
  Start();
  const auto reader = JoinStopped("skip/a", 5000);
  const std::string first = Publish("skip/a", 200'000);
  rig_->TurnUntilIdle();
  std::string newest;
  for (int i = 0; i < 20; ++i) newest = Publish("skip/a", 100'000);
  PassTime();
  EXPECT_EQ(lag(0).skips.value(), 1u);
  EXPECT_LT(rig_->counters().log_bytes.value(), 320'000u);
  EXPECT_EQ(ReadAll(reader), first + Gap(2, 20) + newest);
}

TEST_F(LagTest, AReaderThatTakesNothingIsNoSlowReader) {
  Start();
  const auto slow = JoinStopped("skip/a", 1);
  const auto stopped = JoinStopped("skip/a", 1);
  Publish("skip/a", 1000);
  rig_->TurnUntilIdle();
  for (int i = 0; i < 60; ++i) {
    Publish("skip/a", 10);
    rig_->engine().Advance(kNsPerSecond);
    rig_->engine().PeerRead(rig_->peer(slow).peer, 1);
    rig_->TurnUntilIdle();
  }
  EXPECT_EQ(rig_->peer(stopped).dropped, Disconnect::kLagAge);
  EXPECT_FALSE(rig_->peer(slow).dropped);
  EXPECT_EQ(lag(0).disconnects.value(), 1u);
}

TEST_F(LagTest, AtTheLogBudgetWhoMaySkipDoesSoAndStays) {
  limits_.log_bytes_max = 64 * 1024;
  limits_.lag_policies[0].events_max = 1 << 16;
  Start();
  const auto cut = JoinStopped("other", 1);
  const auto skips = JoinStopped("skip/a", 1);
  for (int i = 0; i < 300; ++i) {
    // The one that skips is the furthest behind at first, so it goes first.
    Publish("skip/a", 1000);
    rig_->TurnUntilIdle();
    if (lag(0).skips.value() != 0) break;
    EXPECT_FALSE(rig_->peer(cut).dropped);
  }
  EXPECT_EQ(lag(0).skips.value(), 1u);
  for (int i = 0; i < 300 && !rig_->peer(cut).dropped; ++i) {
    Publish("other", 1000);
    rig_->TurnUntilIdle();
    EXPECT_LE(rig_->counters().log_bytes.value(), limits_.log_bytes_max + 8192);
  }
  EXPECT_EQ(rig_->peer(cut).dropped, Disconnect::kLogBudget);
  EXPECT_FALSE(rig_->peer(skips).dropped);
  EXPECT_EQ(lag(2).disconnects.value(), 1u);  // of the default policy
}

}  // namespace
}  // namespace sluice
