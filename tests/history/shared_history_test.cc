// The history as several threads use it. Goal: whoever drains and whoever reads, each reader gets
// every event that it wants, once and in order, or is told of the gap. Method: threads that play
// producers and shards; each event proves itself by its sequence; run under ThreadSanitizer too.
#include "history/shared_history.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "history/chunk_cache.h"
#include "history_frames.h"

namespace sluice {
namespace {

Frame* NewFrame(const std::vector<std::string_view>& topics, std::string_view data = "x") {
  return Frame::Encode({.data = data, .topics = topics}, TestEpoch(), 1 << 20);
}

uint64_t Push(Ring& ring, const std::vector<std::string_view>& topics,
              std::string_view data = "x") {
  Frame* frame = NewFrame(topics, data);
  uint64_t sequence = 0;
  EXPECT_EQ(ring.TryPush({&frame, 1}, 1, &sequence), PushResult::kPushed);
  return sequence;
}

HistoryLimits Events(uint64_t events_max) {
  HistoryLimits limits;
  limits.otherwise.events_max = events_max;
  return limits;
}

void DrainShard(Ring& ring, uint32_t consumer) {
  ring.Drain(consumer, SIZE_MAX, [](Frame* frame) { return frame->Release(), true; });
}

TEST(SharedHistory, RequireHoldsAllThatTheShardHasDrained) {
  Ring ring(1'024, 1 << 20, 2);
  SharedHistory history(Events(10'000), TestEpoch(), ring, 1);
  for (int i = 0; i < 500; ++i) Push(ring, {"a"});
  DrainShard(ring, 0);
  EXPECT_TRUE(history.IsBehind(500));
  history.Require(500);
  EXPECT_FALSE(history.IsBehind(500));
  history.Look([](const History& held) { EXPECT_EQ(held.newest(), 500u); });
}

TEST(SharedHistory, OneTurnMovesItOnBoundedly) {
  Ring ring(8'192, 1 << 24, 1);
  SharedHistory history(Events(100'000), TestEpoch(), ring, 0);
  for (int i = 0; i < 5'000; ++i) Push(ring, {});
  history.CatchUp(0);
  history.Look([](const History& held) { EXPECT_EQ(held.newest(), SharedHistory::kTurnEvents); });
  EXPECT_EQ(ring.depth(), 5'000 - SharedHistory::kTurnEvents);
}

TEST(SharedHistory, TurnsEvictWhatIsPastItsAge) {
  Ring ring(1'024, 1 << 20, 1);
  HistoryLimits limits;
  limits.otherwise.age_max_ns = 1'000'000;
  SharedHistory history(limits, TestEpoch(), ring, 0);
  for (int i = 0; i < 500; ++i) Push(ring, {});
  history.CatchUp(1'000'000);
  history.Look([](const History& held) { EXPECT_EQ(held.events(), 500u); });
  history.CatchUp(2'000'000);
  history.Look([](const History& held) { EXPECT_EQ(held.events(), 0u); });
}

struct Shard {
  uint32_t index;
  uint64_t read = 0;
  uint64_t missed = 0;
  uint64_t live = 0;
};

// A shard that drains the ring, and a reader on it that again and again starts from the history and
// then joins the live events, at random places.
void RunShard(Ring& ring, SharedHistory& history, const Subscription& subscription, Shard* shard,
              uint64_t total, uint64_t step) {
  ChunkCache cache(history, 1 << 20);
  uint64_t drained = 0;
  uint64_t last = 0;  // of the reader
  uint64_t told = 0;
  bool is_live = false;
  while (last < total) {
    const uint64_t expected_next = drained + 1;
    uint64_t next = expected_next;
    ring.Drain(shard->index, 64, [&](Frame* frame) {
      EXPECT_EQ(frame->sequence(), next++);
      if (is_live && frame->sequence() > last) {
        last = frame->sequence();
        ++shard->live;
      }
      frame->Release();
      return true;
    });
    drained = next - 1;
    history.CatchUp(0);
    if (is_live && last % step == 0) is_live = false;  // it went away, and comes back
    if (is_live || drained == 0) continue;
    const auto chunk = cache.Read(subscription, last, drained);
    if (chunk->evicted > std::max(told, last)) {
      shard->missed += chunk->evicted - std::max(told, last);
      told = chunk->evicted;
    }
    for (const ChunkMark& mark : chunk->marks) {
      EXPECT_EQ(mark.sequence, std::max(told, last) + 1);
      last = mark.sequence;
      ++shard->read;
    }
    EXPECT_TRUE(chunk->last >= last);
    last = std::max(last, chunk->last);
    // In the same turn: what comes next comes live.
    is_live = last >= drained;
  }
}

// Every event has a topic of the subscription, so each sequence must be read, come live, or lie in
// a gap that was told.
TEST(SharedHistory, ShardsReadWhileAProducerPushes) {
  constexpr uint64_t kTotal = 20'000;
  Ring ring(256, 1 << 20, 3);
  SharedHistory history(Events(700), TestEpoch(), ring, 2);
  std::thread producer([&] {
    for (uint64_t i = 0; i < kTotal; ++i) {
      Frame* frame = NewFrame(i % 3 == 0   ? std::vector<std::string_view>{}
                              : i % 3 == 1 ? std::vector<std::string_view>{"a/b", "c"}
                                           : std::vector<std::string_view>{"a/d"});
      uint64_t sequence = 0;
      while (ring.TryPush({&frame, 1}, 1, &sequence) == PushResult::kFull) {
        std::this_thread::yield();
      }
    }
  });
  Shard shards[2] = {{0}, {1}};
  std::thread first([&] { RunShard(ring, history, Asking({"**"}), &shards[0], kTotal, 97); });
  std::thread second([&] { RunShard(ring, history, Asking({"**"}), &shards[1], kTotal, 1'009); });
  producer.join();
  first.join();
  second.join();
  for (const Shard& shard : shards) {
    EXPECT_EQ(shard.read + shard.live + shard.missed, kTotal) << shard.index;
    EXPECT_GT(shard.read, 0u);
  }
}

TEST(ChunkCache, ReadersAtTheSamePlaceShareOneReading) {
  Ring ring(1'024, 1 << 24, 1);
  SharedHistory history(Events(10'000), TestEpoch(), ring, 0);
  const std::string data(100, 'x');
  for (int i = 0; i < 1'000; ++i) Push(ring, {"a"}, data);
  ChunkCache cache(history, 1 << 20);
  size_t events = 0;
  for (int reader = 0; reader < 1'000; ++reader) {
    uint64_t last = 0;
    while (last < 1'000) {
      const auto chunk = cache.Read(Asking({"a"}), last, 1'000);
      events += chunk->marks.size();
      last = chunk->last;
    }
  }
  EXPECT_EQ(events, 1'000'000u);
  EXPECT_LE(cache.misses(), 4u);  // as many as there are chunks
  EXPECT_EQ(cache.hits() + cache.misses(), cache.misses() * 1'000);
}

TEST(ChunkCache, EqualSubscriptionsShareOthersDoNot) {
  Ring ring(1'024, 1 << 20, 1);
  SharedHistory history(Events(10'000), TestEpoch(), ring, 0);
  Push(ring, {"a"});
  Push(ring, {"b"});
  ChunkCache cache(history, 1 << 20);
  EXPECT_EQ(cache.Read(Asking({"a", "b"}), 0, 2)->marks.size(), 2u);
  EXPECT_EQ(cache.Read(Asking({"b", "a", "a"}), 0, 2)->marks.size(), 2u);
  EXPECT_EQ(cache.hits(), 1u);
  EXPECT_EQ(cache.Read(Asking({"a"}), 0, 2)->marks.size(), 1u);
  EXPECT_EQ(cache.Read(Asking({"a", "b"}), 1, 2)->marks.size(), 1u);
  EXPECT_EQ(cache.hits(), 1u);
}

// A chunk that was the end goes on being one; what came later is read after it.
TEST(ChunkCache, GoesOnAfterAKeptChunk) {
  Ring ring(1'024, 1 << 20, 1);
  SharedHistory history(Events(10'000), TestEpoch(), ring, 0);
  ChunkCache cache(history, 1 << 20);
  Push(ring, {});
  EXPECT_EQ(cache.Read(Subscription(), 0, 1)->last, 1u);
  Push(ring, {});
  const auto kept = cache.Read(Subscription(), 0, 2);
  EXPECT_EQ(kept->last, 1u);
  EXPECT_EQ(cache.Read(Subscription(), kept->last, 2)->marks.size(), 1u);
}

TEST(ChunkCache, HoldsNoMoreThanItsBytes) {
  Ring ring(4'096, 1 << 24, 1);
  SharedHistory history(Events(10'000), TestEpoch(), ring, 0);
  const std::string data(1'000, 'x');
  for (int i = 0; i < 2'000; ++i) Push(ring, {"a"}, data);
  ChunkCache cache(history, 300'000);
  for (uint64_t after = 0; after < 1'000; after += 10) {
    const auto chunk = cache.Read(Asking({"a"}), after, 2'000);
    EXPECT_EQ(chunk->marks.front().sequence, after + 1);
    EXPECT_LE(cache.bytes_held(), 300'000u);
  }
  EXPECT_GT(cache.bytes_held(), 100'000u);
  // More subscriptions than are kept ready.
  for (int i = 0; i < 200; ++i) cache.Read(Asking({"t/" + std::to_string(i)}), 0, 2'000);
  EXPECT_EQ(cache.Read(Asking({"a"}), 1'990, 2'000)->marks.size(), 10u);
}

}  // namespace
}  // namespace sluice
