// Facts of the history that the model does not show: what it costs in memory, that one call's work
// is bounded, and the cases that have a name.
#include "history/history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "history_frames.h"

namespace sluice {
namespace {

std::vector<uint64_t> Sequences(const Chunk& chunk) {
  std::vector<uint64_t> sequences;
  for (const ChunkMark& mark : chunk.marks) sequences.push_back(mark.sequence);
  return sequences;
}

std::vector<uint64_t> ReadAll(const History& history, const Subscription& subscription,
                              uint64_t after, size_t* calls = nullptr) {
  Reading reading(subscription);
  std::vector<uint64_t> sequences;
  Chunk chunk;
  chunk.last = after;
  do {
    history.Read(reading, chunk.last, history.newest(), &chunk);
    for (const uint64_t sequence : Sequences(chunk)) sequences.push_back(sequence);
    if (calls != nullptr) ++*calls;
  } while (!chunk.is_complete);
  return sequences;
}

Start ResolveId(const History& history, const Subscription& subscription, const std::string& id) {
  Reading reading(subscription);
  Start start;
  history.Resolve({.last_id = id}, reading, history.newest(), history.newest(), &start);
  return start;
}

HistoryLimits Events(uint64_t events_max) {
  HistoryLimits limits;
  limits.otherwise.events_max = events_max;
  return limits;
}

TEST(History, ReplaysWithoutRetry) {
  History history(Events(10), TestEpoch());
  history.Append(*MakeFrame(1, {.data = "one"}));
  Reading reading((Subscription()));
  Chunk chunk;
  history.Read(reading, 0, 1, &chunk);
  EXPECT_EQ(chunk.bytes, "data: one\nid: " + TestEpoch().Id(1) + "\n\n");
}

TEST(History, EventOfSeveralTopicsComesOnce) {
  History history(Events(10), TestEpoch());
  history.Append(*MakeFrame(1, {.topics = {"a", "b", "c/d"}}));
  for (const auto& subscription :
       {Asking({"a", "b"}), Asking({"a", "c/*"}), Asking({"*", "**"}), Asking({"c/**", "*"})}) {
    EXPECT_EQ(ReadAll(history, subscription, 0), std::vector<uint64_t>{1}) << subscription.text();
  }
}

// A reader of a topic that was quiet for longer than the history comes back without a false gap.
TEST(History, QuietTopicHasNoGap) {
  History history(Events(100), TestEpoch());
  history.Append(*MakeFrame(1, {.topics = {"quiet"}}));
  for (uint64_t i = 2; i <= 1'000; ++i) history.Append(*MakeFrame(i, {.topics = {"busy"}}));
  EXPECT_FALSE(ResolveId(history, Asking({"quiet"}), TestEpoch().Id(1)).gap.has_value());
  EXPECT_FALSE(ResolveId(history, Asking({"quiet", "never"}), TestEpoch().Id(1)).gap.has_value());
  EXPECT_FALSE(ResolveId(history, Asking({"qui/*", "quiet/**"}), TestEpoch().Id(1)).gap);
  EXPECT_TRUE(ResolveId(history, Asking({"quiet"}), TestEpoch().Id(0)).gap.has_value());
  const Start busy = ResolveId(history, Asking({"busy"}), TestEpoch().Id(1));
  ASSERT_TRUE(busy.gap.has_value());
  EXPECT_EQ(busy.gap->first, 2u);
  EXPECT_EQ(busy.gap->last, 900u);
  EXPECT_EQ(busy.gap->resume, 900u);
}

// What an earlier run did not keep may have been of any topic, and is told until a reader is past
// it.
TEST(History, WhatIsLostIsToldToEveryReaderFromBefore) {
  constexpr uint64_t kNext = (uint64_t{1} << 32) + 10;
  History history(Events(100), TestEpoch());
  history.Lose(4);
  for (uint64_t i = 5; i <= 7; ++i) history.Append(*MakeFrame(i, {.topics = {"a"}}));
  history.Lose(kNext - 1);
  history.Append(*MakeFrame(kNext, {.topics = {"a"}}));
  for (const auto& subscription :
       {Asking({"a"}), Asking({"never"}), Asking({"n/*"}), Asking({"**"}), Subscription()}) {
    for (const uint64_t after : {uint64_t{2}, uint64_t{5}, kNext - 2}) {
      const Start start = ResolveId(history, subscription, TestEpoch().Id(after));
      ASSERT_TRUE(start.gap.has_value()) << subscription.text() << " after " << after;
      EXPECT_EQ(start.gap->reason, GapReason::kEvicted);
      EXPECT_EQ(start.gap->first, after + 1);
      EXPECT_EQ(start.gap->last, kNext - 1);
      EXPECT_EQ(start.told, kNext - 1);
      // Not past what is held on both sides of it.
      EXPECT_EQ(start.gap->resume, std::max(after, uint64_t{4}));
    }
    EXPECT_FALSE(ResolveId(history, subscription, TestEpoch().Id(kNext - 1)).gap.has_value());
  }
  EXPECT_EQ(ReadAll(history, Asking({"a"}), 5), (std::vector<uint64_t>{6, 7, kNext}));
}

// The reader was served by a shard that has drained more than this one.
TEST(History, IdThatThisShardHasNotDrainedIsKnown) {
  History history(Events(100), TestEpoch());
  for (uint64_t i = 1; i <= 10; ++i) history.Append(*MakeFrame(i, {}));
  Reading reading((Subscription()));
  Start start;
  history.Resolve({.last_id = TestEpoch().Id(10)}, reading, 7, 10, &start);
  EXPECT_FALSE(start.gap.has_value());
  EXPECT_EQ(start.after, 10u);
}

TEST(History, IdUsedTwiceGoesOnAfterItsFirstUse) {
  History history(Events(3), TestEpoch());
  for (uint64_t i = 1; i <= 3; ++i) {
    history.Append(*MakeFrame(i, {.id = i == 2 ? "other" : "twice"}));
  }
  EXPECT_EQ(ResolveId(history, Subscription(), "twice").after, 1u);
  history.Append(*MakeFrame(4, {}));
  history.Append(*MakeFrame(5, {}));  // 1 and 2 are evicted
  const Start start = ResolveId(history, Subscription(), "twice");
  EXPECT_EQ(start.after, 1u);
  ASSERT_TRUE(start.gap.has_value());
  EXPECT_EQ(start.gap->reason, GapReason::kEvicted);
  EXPECT_EQ(ResolveId(history, Subscription(), "other").gap->reason, GapReason::kUnknown);
}

// A class that holds less has lost events in the midst of what another still has.
TEST(History, GapOfOneClassDoesNotJumpOverAnother) {
  HistoryLimits limits = Events(1'000);
  limits.policies.push_back({"ticker", {.events_max = 1}});
  History history(limits, TestEpoch());
  for (uint64_t i = 1; i <= 100; ++i) {
    history.Append(*MakeFrame(i, {.topics = {i % 10 == 0 ? "orders" : "ticker"}}));
  }
  const Subscription both = Asking({"orders", "ticker"});
  const Start start = ResolveId(history, both, TestEpoch().Id(5));
  ASSERT_TRUE(start.gap.has_value());
  EXPECT_EQ(start.gap->last, 98u);
  EXPECT_EQ(start.gap->resume, 9u);
  EXPECT_EQ(ReadAll(history, both, start.after),
            (std::vector<uint64_t>{10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100}));
}

TEST(History, NewestOfMany) {
  History history(Events(100'000), TestEpoch());
  for (uint64_t i = 1; i <= 60'000; ++i) {
    history.Append(*MakeFrame(i, {.topics = {"t/" + std::to_string(i % 1'000)}}));
  }
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"t/7", 30'007}, {"**", 59'971}, {"*/*", 59'971}, {"t/**", 59'971}};
  for (const auto& [pattern, first] : cases) {
    Reading reading(Asking({pattern}));
    Start start;
    while (!start.is_complete) {
      history.Resolve({.from = StreamStart::From::kNewest, .newest_count = 30}, reading, 60'000,
                      60'000, &start);
    }
    EXPECT_EQ(start.after + 1, first) << pattern;
  }
}

// However rare what a pattern asks for is, no call looks at more than its share.
TEST(History, PatternLooksAtABoundedNumberOfEvents) {
  constexpr uint64_t kEvents = 100'000;
  History history(Events(kEvents), TestEpoch());
  for (uint64_t i = 1; i <= kEvents; ++i) {
    history.Append(*MakeFrame(i, {.topics = {i == 90'000 ? "rare/one" : "often/one"}}));
  }
  Reading reading(Asking({"rare/*"}));
  Chunk chunk;
  history.Read(reading, 0, kEvents, &chunk);
  EXPECT_FALSE(chunk.is_complete);
  EXPECT_LE(chunk.last, Looks::kMax);
  size_t calls = 0;
  EXPECT_EQ(ReadAll(history, Asking({"rare/*"}), 0, &calls), std::vector<uint64_t>{90'000});
  EXPECT_GE(calls, kEvents / Looks::kMax);
  EXPECT_LE(calls, kEvents / Looks::kMax + 2);

  Start start;
  size_t searches = 0;
  while (!start.is_complete) {
    history.Resolve({.from = StreamStart::From::kNewest, .newest_count = 2}, reading, kEvents,
                    kEvents, &start);
    ++searches;
  }
  EXPECT_EQ(start.after, 0u);
  EXPECT_GE(searches, kEvents / Looks::kMax);
}

TEST(History, ValueReplacedMeanwhileIsLeftOut) {
  History history(Events(2), TestEpoch());
  history.Append(*MakeFrame(1, {.data = "old", .topics = {"t"}, .key = "a"}));
  history.Append(*MakeFrame(2, {.data = "stays", .topics = {"t"}, .key = "b"}));
  Reading reading(Asking({"t"}));
  Start start;
  history.Resolve({.from = StreamStart::From::kValues}, reading, 2, 2, &start);
  ASSERT_EQ(start.values.size(), 2u);
  history.Append(*MakeFrame(3, {.data = "new", .topics = {"t"}, .key = "a"}));
  history.Append(*MakeFrame(4, {}));  // 1 and 2 are evicted; 2 is a value still
  Chunk chunk;
  EXPECT_EQ(history.ReadValues(start.values, &chunk), 2u);
  EXPECT_EQ(Sequences(chunk), std::vector<uint64_t>{2});
  EXPECT_TRUE(chunk.is_complete);
}

TEST(History, ValueReplacedInOneOfItsTopicsOnlyIsStillSentOnce) {
  History history(Events(10), TestEpoch());
  history.Append(*MakeFrame(1, {.topics = {"t", "u"}, .key = "a"}));
  Reading reading(Asking({"t", "u"}));
  for (const char* replaced : {"t", "u"}) {
    Start start;
    history.Resolve({.from = StreamStart::From::kValues}, reading, 1, 1, &start);
    Chunk chunk;
    EXPECT_EQ(history.ReadValues(start.values, &chunk), start.values.size());
    EXPECT_EQ(Sequences(chunk), std::vector<uint64_t>{1});
    history.Append(*MakeFrame(history.newest() + 1, {.topics = {replaced}, .key = "a"}));
    history.ReadValues(start.values, &chunk);
    const bool is_value_of_u = std::string_view(replaced) == "t";
    EXPECT_EQ(Sequences(chunk), std::vector<uint64_t>(is_value_of_u ? 1 : 0, 1));
  }
}

TEST(History, EventLargerThanItsBoundIsEvictedAtOnce) {
  HistoryLimits limits;
  limits.otherwise.bytes_max = 10'000;
  History history(limits, TestEpoch());
  history.Append(*MakeFrame(1, {}));
  history.Append(*MakeFrame(2, {.data = std::string(20'000, 'x')}));
  EXPECT_EQ(history.events(), 0u);
  EXPECT_EQ(history.charged_bytes(), 0u);
  Reading reading((Subscription()));
  EXPECT_EQ(history.LastEvicted(reading, 0), 2u);
}

// Topics that come and go leave nothing behind but what is remembered.
TEST(History, TopicsThatComeAndGoAreBounded) {
  HistoryLimits limits = Events(100);
  limits.remembered_topics_max = 200;
  History history(limits, TestEpoch());
  uint64_t after_some = 0;
  for (uint64_t i = 1; i <= 50'000; ++i) {
    history.Append(*MakeFrame(i, {.topics = {"once/" + std::to_string(i)}}));
    if (i == 5'000) after_some = history.bytes_held();
  }
  // Its events lie in one or two blocks, and one may be spare.
  EXPECT_LE(history.bytes_held(), after_some + 2 * Store::kBlockBytes);
  EXPECT_LE(history.store(0).topics().size(), 100u + 200u + 2u);
}

// A million events of about 131 bytes over a thousand topics: at most 1.2 times their bytes.
TEST(History, MemoryIsAtMostAFifthMoreThanTheEvents) {
  constexpr uint64_t kEvents = 1'000'000;
  History history(Events(kEvents), TestEpoch());
  std::vector<std::string> topics;
  for (int i = 0; i < 1'000; ++i) topics.push_back("orders/" + std::to_string(i));
  const TestEvent event{.data = std::string(99, 'x')};
  uint64_t bytes = 0;
  const auto append = [&](uint64_t sequence) {
    TestEvent with_topic = event;
    with_topic.topics = {topics[(sequence * 7'919) % topics.size()]};
    with_topic.published_ns = static_cast<int64_t>(sequence) * 12'345;
    const TestFrame frame = MakeFrame(sequence, with_topic);
    history.Append(*frame);
    return frame->replay_bytes().size();
  };
  for (uint64_t i = 1; i <= kEvents; ++i) bytes += append(i);
  ASSERT_EQ(history.events(), kEvents);
  EXPECT_NEAR(static_cast<double>(bytes) / kEvents, 131, 3);
  EXPECT_LE(history.bytes_held() * 10, bytes * 12);
  // And it stays so when it has been replaced once over.
  for (uint64_t i = kEvents + 1; i <= 2 * kEvents; ++i) append(i);
  EXPECT_LE(history.bytes_held() * 10, bytes * 12);
  // What events are charged is about what they take: a bound in bytes bounds the memory.
  EXPECT_NEAR(static_cast<double>(history.charged_bytes()),
              static_cast<double>(history.bytes_held()), 0.1 * static_cast<double>(bytes));
  RecordProperty("held_per_byte_percent", static_cast<int>(history.bytes_held() * 100 / bytes));
}

// Many topics with few events: the charge still covers the memory.
TEST(History, ChargeCoversManyTopics) {
  HistoryLimits limits;
  limits.otherwise.bytes_max = 32 << 20;
  limits.remembered_topics_max = 1'000;
  History history(limits, TestEpoch());
  for (uint64_t i = 1; i <= 300'000; ++i) {
    history.Append(*MakeFrame(i, {.topics = {"reader/" + std::to_string(i)}}));
  }
  EXPECT_LE(history.bytes_held(), limits.otherwise.bytes_max * 11 / 10);
  EXPECT_GE(history.bytes_held(), limits.otherwise.bytes_max / 2);
}

}  // namespace
}  // namespace sluice
