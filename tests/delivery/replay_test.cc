// Goal: readers that begin behind the tail get what they missed and then join the live stream,
// share their readings, keep to their budget, and are ended or cut off as others are. Method: one
// Delivery on a simulated engine, a ring and a history that drain with it.
#include <gtest/gtest.h>

#include "delivery/delivery_rig.h"
#include "ring/ring.h"

namespace sluice {
namespace {

using test::DeliveryRig;

class Replaying : public testing::Test {
 protected:
  static constexpr size_t kDataBytes = 1000;

  void Make(const DeliveryLimits& limits) {
    rig_ = std::make_unique<DeliveryRig>(
        limits, 1, SimulatedFaults{}, 4096,
        ReplaySource{.history = &history_, .epoch = &epoch_, .drained = ring_.drained_sequence(0)});
  }
  // One of so many events, to the readers of one topic; returns its bytes.
  std::string Publish(std::string_view topic, std::string_view key = "") {
    const std::string data(kDataBytes, 'x');
    const std::string_view topics[] = {topic};
    Frame* frame = Frame::Encode({.data = data, .topics = topics, .key = key}, epoch_, 1 << 20);
    uint64_t sequence = 0;
    EXPECT_EQ(ring_.TryPush({&frame, 1}, rig_->engine().Now(), &sequence), PushResult::kPushed);
    std::string bytes;
    ring_.Drain(0, 1, [&](Frame* drained) {
      bytes = drained->bytes();
      return rig_->Append(drained);
    });
    return bytes;
  }
  std::string PublishMany(int events, std::string_view topic) {
    std::string bytes;
    for (int i = 0; i < events; ++i) {
      bytes += Publish(topic);
      rig_->Turn();
    }
    return bytes;
  }
  size_t Return(const std::string& topic, const StreamStart& asks,
                uint32_t buffer_bytes = 64 << 10) {
    const size_t number = rig_->Connect({topic});
    rig_->peer(number).asks = asks;
    rig_->engine().PeerBuffer(rig_->peer(number).peer, buffer_bytes);
    return number;
  }
  // Reads all that comes until nothing does.
  std::string ReadAll(size_t number) {
    std::string bytes;
    for (int quiet = 0; quiet < 10; ++quiet) {
      rig_->Turn();
      const std::string more = rig_->Read(number);
      if (!more.empty()) quiet = 0;
      bytes += more;
    }
    return bytes;
  }

  const Epoch epoch_{1};
  Ring ring_{1024, 64 << 20, 2};
  SharedHistory history_{HistoryLimits{}, epoch_, ring_, 1};
  std::unique_ptr<DeliveryRig> rig_;
};

const StreamStart kEarliest{.from = StreamStart::From::kEarliest};

TEST_F(Replaying, AThousandAtOnePlaceCostOneReading) {
  Make(test::RoomyLimits());
  const std::string missed = PublishMany(300, "a");
  std::vector<size_t> readers;
  for (int i = 0; i < 1000; ++i) readers.push_back(Return("a", kEarliest, 1 << 20));
  std::vector<std::string> bytes(readers.size());
  for (int turn = 0; turn < 2000; ++turn) {
    rig_->Turn();
    for (size_t i = 0; i < readers.size(); ++i) bytes[i] += rig_->Read(readers[i]);
  }
  for (const std::string& each : bytes) ASSERT_EQ(each, DeliveryRig::Opening(0) + missed);
  EXPECT_LE(rig_->counters().readings.value(), missed.size() / History::kChunkBytes + 2);
  EXPECT_EQ(rig_->counters().replayed.value(), 300'000u);
  EXPECT_EQ(rig_->counters().replaying.value(), 0u);
  EXPECT_EQ(rig_->delivery().readers(), 1000u);
  const std::string live = Publish("a");
  rig_->TurnUntilIdle();
  for (const size_t reader : readers) ASSERT_EQ(rig_->Read(reader), live);
}

TEST_F(Replaying, LiveReadersAreNotHeldUpAndATurnSendsWhatItMay) {
  DeliveryLimits limits = test::RoomyLimits();
  limits.replay_bytes_max = 10'000;
  Make(limits);
  const std::string missed = PublishMany(500, "a");
  const size_t live = rig_->Join({"a"});
  std::vector<size_t> readers;
  for (int i = 0; i < 40; ++i) readers.push_back(Return("a", kEarliest, 1 << 20));
  for (int turn = 0; turn < 200; ++turn) {
    const std::string event = Publish("a");
    const uint64_t before = rig_->counters().bytes_out.value();
    rig_->Turn();
    EXPECT_EQ(rig_->Read(live), event);  // in the turn in which it was published
    // The chunks' first bytes are offered whole: one send more than the budget at most.
    EXPECT_LE(rig_->counters().bytes_out.value() - before,
              event.size() + limits.replay_bytes_max + History::kChunkBytes + 40 * 100);
  }
  EXPECT_GT(rig_->counters().replaying.value(), 0u);
}

TEST_F(Replaying, OneThatTakesNothingIsCutForItsAge) {
  Make(test::RoomyLimits());
  PublishMany(300, "a");
  const size_t stuck = Return("a", kEarliest, 5000);
  const size_t slow = Return("a", kEarliest, 5000);
  for (int second = 0; second < 40; ++second) {
    rig_->engine().Advance(kNsPerSecond);
    rig_->Turn();
    rig_->engine().PeerRead(rig_->peer(slow).peer, 500);
  }
  EXPECT_EQ(rig_->peer(stuck).dropped, Disconnect::kLagAge);
  EXPECT_FALSE(rig_->peer(slow).dropped.has_value());
  EXPECT_EQ(rig_->delivery().replaying(), 1u);
}

TEST_F(Replaying, OneThatEndsHasItsEventWholeThenTheGoodbye) {
  for (const uint32_t buffer : {1500u, 2061u, 5000u, 60'000u}) {
    Make(test::RoomyLimits());
    const std::string missed = PublishMany(100, "a");
    const uint64_t before = ring_.newest_sequence() - 100;
    const size_t reader = Return("a", {.last_id = epoch_.Id(before)}, buffer);
    for (int i = 0; i < 10; ++i) rig_->Turn();
    ASSERT_EQ(rig_->delivery().replaying(), 1u) << buffer;
    EXPECT_EQ(rig_->delivery().EndSome(10, DeliveryRig::kGoodbye), 1u);
    EXPECT_EQ(rig_->delivery().EndSome(10, DeliveryRig::kGoodbye), 0u);
    std::string bytes = ReadAll(reader);
    EXPECT_TRUE(rig_->peer(reader).is_ended);
    ASSERT_TRUE(bytes.ends_with(DeliveryRig::kGoodbye)) << buffer;
    bytes.resize(bytes.size() - DeliveryRig::kGoodbye.size());
    bytes.erase(0, DeliveryRig::Opening(before).size());
    EXPECT_TRUE(bytes.ends_with("\n\n") && missed.starts_with(bytes)) << buffer;
    EXPECT_EQ(rig_->delivery().readers(), 0u);
  }
}

TEST_F(Replaying, NoHeartbeatComesBetween) {
  Make(test::RoomyLimits());
  const std::string missed = PublishMany(300, "a");
  const size_t reader = Return("a", kEarliest, 5000);
  std::string bytes;
  for (int i = 0; i < 2000; ++i) {
    rig_->Turn();
    if (rig_->delivery().replaying() != 0) {
      rig_->engine().Advance(kNsPerSecond);
      rig_->delivery().HeartbeatDue(rig_->peer(reader).connection, rig_->engine().Now());
    }
    bytes += rig_->Read(reader);
  }
  EXPECT_EQ(bytes, DeliveryRig::Opening(0) + missed);
  EXPECT_EQ(rig_->counters().heartbeats.value(), 0u);
}

TEST_F(Replaying, WaitingReadersKeepAChunkOnlyWithinTheirBound) {
  DeliveryLimits limits = test::RoomyLimits();
  limits.replay_held_bytes_max = 1000;
  Make(limits);
  const std::string missed = PublishMany(300, "a");
  std::vector<size_t> readers;
  for (uint32_t i = 0; i < 10; ++i) readers.push_back(Return("a", kEarliest, 1000 + i * 777));
  std::vector<std::string> bytes(readers.size());
  for (int turn = 0; turn < 6000; ++turn) {
    rig_->Turn();
    // Long enough that they are looked at while they wait.
    if (turn % 4 == 0) rig_->engine().Advance(200 * kNsPerMs);
    rig_->Turn();
    for (size_t i = 0; i < readers.size(); ++i) bytes[i] += rig_->Read(readers[i]);
  }
  for (const std::string& each : bytes) ASSERT_EQ(each, DeliveryRig::Opening(0) + missed);
  // It was read again after each time that it was let go.
  EXPECT_GT(rig_->counters().readings.value(), 100u);
}

TEST_F(Replaying, ValuesComeFirstThenWhatWasPublishedSince) {
  Make(test::RoomyLimits());
  std::string first;
  for (int i = 0; i < 90; ++i) {
    const std::string bytes = Publish("a", std::to_string(i % 30));
    if (i >= 60) first += bytes;
    rig_->Turn();
  }
  const size_t reader = Return("a", {.from = StreamStart::From::kValues}, 2000);
  for (int i = 0; i < 5; ++i) rig_->Turn();
  ASSERT_EQ(rig_->delivery().replaying(), 1u);
  // A value that is replaced before it is sent comes live, as the newer event.
  const std::string since = Publish("a", "29");
  std::string bytes = ReadAll(reader);
  // Who is cut off before the first value goes on before it.
  const std::string opening = DeliveryRig::Opening(60);
  ASSERT_TRUE(bytes.starts_with(opening));
  bytes.erase(0, opening.size());
  EXPECT_TRUE(bytes.starts_with(first.substr(0, first.size() / 2)));
  EXPECT_TRUE(bytes.ends_with(since));
  EXPECT_EQ(rig_->delivery().replaying(), 0u);
}

TEST_F(Replaying, APlaceThatThisShardHasNotComeToIsWaitedFor) {
  Make(test::RoomyLimits());
  PublishMany(3, "a");
  // Another shard was ahead: the ring has it, this shard has not drained it.
  const std::string_view topics[] = {"a"};
  Frame* frame = Frame::Encode({.data = "ahead", .topics = topics}, epoch_, 1 << 20);
  uint64_t sequence = 0;
  ASSERT_EQ(ring_.TryPush({&frame, 1}, rig_->engine().Now(), &sequence), PushResult::kPushed);
  const size_t reader = Return("a", {.last_id = epoch_.Id(sequence)});
  for (int i = 0; i < 10; ++i) rig_->Turn();
  EXPECT_EQ(rig_->Read(reader), DeliveryRig::Opening(sequence));
  EXPECT_FALSE(rig_->delivery().HasWork());  // nothing to do but to drain
  ring_.Drain(0, 1, [&](Frame* drained) { return rig_->Append(drained); });
  const std::string next = Publish("a");
  EXPECT_EQ(ReadAll(reader), next);
  EXPECT_EQ(rig_->delivery().replaying(), 0u);
}

}  // namespace
}  // namespace sluice
