// Goal: the facts about channels that a random run would not make plain: who shares one, what a
// quiet one holds, what an event for very many does to a turn, who is cut when the logs are full.
// Method: one Delivery on a simulated engine, step by step.
#include "delivery/delivery.h"

#include <gtest/gtest.h>

#include "delivery/delivery_rig.h"

namespace sluice {
namespace {

using test::DeliveryRig;
using test::RoomyLimits;

constexpr std::string_view kAll[] = {"all"};

TEST(Delivery, EqualSubscriptionsShareAChannelThatGoesWithItsLastReader) {
  DeliveryRig rig(RoomyLimits());
  const auto first = rig.Join({"a", "b"});
  const auto second = rig.Join({"b", "a", "b"});
  EXPECT_EQ(rig.delivery().channels(), 1u);
  rig.Join({});
  rig.Join({"**"});
  rig.Join({"**", "a"});
  EXPECT_EQ(rig.delivery().channels(), 3u);
  EXPECT_EQ(rig.delivery().readers(), 5u);
  rig.Leave(first, false);
  rig.TurnUntilIdle();
  EXPECT_EQ(rig.delivery().channels(), 3u);
  rig.Leave(second, true);
  rig.TurnUntilIdle();
  EXPECT_EQ(rig.delivery().channels(), 2u);
  EXPECT_EQ(rig.counters().channels.value(), 2u);
}

TEST(Delivery, AnEventThatSeveralPatternsOfAReaderWantReachesItOnce) {
  DeliveryRig rig(RoomyLimits());
  const auto reader = rig.Join({"a/*", "a/**", "a/b", "c"});
  const std::string_view topics[] = {"a/b", "c", "a/d"};
  std::string bytes;
  rig.Append(rig.MakeFrame(topics, 10, &bytes));
  rig.TurnUntilIdle();
  EXPECT_EQ(rig.Read(reader), bytes);
  EXPECT_EQ(rig.counters().appends.value(), 1u);
}

TEST(Delivery, QuietChannelsHoldNoBytes) {
  DeliveryRig rig(RoomyLimits());
  for (int i = 0; i < 200; ++i) rig.Join({"own/" + std::to_string(i), "all"});
  EXPECT_EQ(rig.counters().log_bytes.value(), 0u);
  for (int i = 0; i < 20; ++i) rig.Append(rig.MakeFrame(kAll, 100));
  EXPECT_GT(rig.counters().log_bytes.value(), 0u);
  rig.TurnUntilIdle();
  rig.engine().Advance(kNsPerSecond);
  rig.Turn();
  EXPECT_EQ(rig.counters().log_bytes.value(), 0u);
  EXPECT_EQ(rig.counters().deliveries.value(), 200u * 20);
}

TEST(Delivery, AnEventForManyChannelsIsAppendedOverSeveralTurns) {
  DeliveryLimits limits = RoomyLimits();
  limits.appends_max = 7;
  limits.sends_max = 5;
  DeliveryRig rig(limits);
  std::vector<DeliveryRig::PeerNumber> readers;
  for (int i = 0; i < 50; ++i) readers.push_back(rig.Join({"own/" + std::to_string(i), "all"}));
  std::string bytes;
  EXPECT_FALSE(rig.Append(rig.MakeFrame(kAll, 10, &bytes)));
  rig.Sweep();
  for (uint64_t turn = 1; rig.counters().appends.value() < 50; ++turn) {
    EXPECT_EQ(rig.counters().appends.value(), std::min<uint64_t>(7 * turn, 50));
    EXPECT_LE(rig.counters().deliveries.value(), 5 * turn);
    EXPECT_TRUE(rig.delivery().HasWork());
    rig.Turn();
  }
  rig.TurnUntilIdle();
  for (const auto reader : readers) EXPECT_EQ(rig.Read(reader), bytes);
  // One event, told once, when the last of all had it.
  uint64_t fanouts = 0;
  for (uint32_t i = 0; i < Histogram::kBuckets; ++i) fanouts += rig.counters().fanout_ns.count(i);
  EXPECT_EQ(fanouts, 1u);
}

TEST(Delivery, AReaderThatComesWhileAnEventIsHalfAppendedBeginsAfterIt) {
  DeliveryLimits limits = RoomyLimits();
  limits.appends_max = 1;
  DeliveryRig rig(limits);
  std::vector<DeliveryRig::PeerNumber> before;
  for (int i = 0; i < 20; ++i) before.push_back(rig.Join({"own/" + std::to_string(i), "all"}));
  std::string bytes;
  EXPECT_FALSE(rig.Append(rig.MakeFrame(kAll, 10, &bytes)));
  // To a channel that is yet to get it, to one that has it, and to a new one.
  const auto last = rig.Join({"own/19", "all"});
  const auto first = rig.Join({"own/0", "all"});
  const auto other = rig.Join({"all"});
  // And a channel goes and comes again with a reader who is too late for the event.
  rig.Leave(before[18], true);
  rig.Turn();
  const auto again = rig.Join({"own/18", "all"});
  for (const auto reader : {last, first, other, again}) {
    EXPECT_EQ(rig.peer(reader).begins_after, 1u);
  }
  rig.TurnUntilIdle();
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(rig.Read(before[i]), i == 18 ? "" : bytes) << i;
  }
  EXPECT_EQ(rig.Read(last), "");
  EXPECT_EQ(rig.Read(first), "");
  EXPECT_EQ(rig.Read(other), "");
  EXPECT_EQ(rig.Read(again), "");
  rig.Append(rig.MakeFrame(kAll, 20, &bytes));
  rig.TurnUntilIdle();
  for (const auto reader : {last, first, other, again}) EXPECT_EQ(rig.Read(reader), bytes);
}

TEST(Delivery, TheLogBudgetIsOverAllChannelsAndCutsTheFurthestBehind) {
  DeliveryLimits limits = RoomyLimits();
  limits.log_bytes_max = 64 * 1024;
  limits.segment_bytes = 4096;
  limits.send_bytes_max = 4096;
  DeliveryRig rig(limits);
  std::vector<DeliveryRig::PeerNumber> readers;
  for (int i = 0; i < 10; ++i) {
    readers.push_back(rig.Join({"own/" + std::to_string(i), "all"}));
    rig.engine().PeerBuffer(rig.peer(readers.back()).peer, 10);
  }
  // Reader 3 falls behind further than the others, in a channel of its own.
  const std::string_view third[] = {"own/3"};
  for (int i = 0; i < 20; ++i) {
    rig.Append(rig.MakeFrame(third, 1000));
    rig.TurnUntilIdle();
  }
  for (int i = 0; i < 10'000 && !rig.peer(readers[3]).dropped; ++i) {
    rig.Append(rig.MakeFrame(kAll, 100));
    rig.TurnUntilIdle();
    EXPECT_LT(rig.counters().log_bytes.value(), limits.log_bytes_max + 10'000);
  }
  EXPECT_EQ(rig.peer(readers[3]).dropped, Disconnect::kLogBudget);
  for (const auto reader : readers) {
    EXPECT_EQ(rig.peer(reader).dropped.has_value(), reader == readers[3]) << reader;
  }
}

TEST(Delivery, EndsReadersOfAllChannelsAFewAtATime) {
  DeliveryRig rig(RoomyLimits());
  for (int i = 0; i < 30; ++i) rig.Join({"own/" + std::to_string(i / 3)});
  const auto stopped = rig.Join({"all"});
  rig.engine().PeerBuffer(rig.peer(stopped).peer, 1);
  rig.Append(rig.MakeFrame(kAll, 100));
  rig.TurnUntilIdle();
  size_t ended = 0;
  while (const size_t some = rig.delivery().EndSome(4, DeliveryRig::kGoodbye)) {
    EXPECT_LE(some, 4u);
    ended += some;
    rig.Turn();
  }
  EXPECT_EQ(ended, 31u);
  rig.TurnUntilIdle();
  EXPECT_EQ(rig.delivery().readers(), 1u);
  EXPECT_EQ(rig.delivery().channels(), 1u);
  rig.engine().PeerBuffer(rig.peer(stopped).peer, 1000);
  std::string rest;
  for (int i = 0; i < 10; ++i) {
    rest += rig.Read(stopped);
    rig.TurnUntilIdle();
  }
  EXPECT_TRUE(rest.ends_with(DeliveryRig::kGoodbye));
  EXPECT_EQ(rig.delivery().channels(), 0u);
}

}  // namespace
}  // namespace sluice
