// The history as the shards share it: a consumer of the ring without a thread of its own.
//
// Whichever shard is there drains the ring into it: each shard in each of its turns, if nobody else
// does so now (CatchUp), and a shard that is about to read, up to its own drained place (Require).
// Readers share the lock; who writes holds it for kLockEvents events at a time. Nobody holds it
// over a system call of ours; a store that grows may ask the allocator for a block.
//
// The ring is never full because of it while shards are awake: a turn moves it kTurnEvents on, as
// far as a shard's own turn or further, and one that cannot have the lock waits for it once the
// history is kBehindMax events behind. It never sleeps, so it needs no waker; but a shard must not
// go to sleep while IsBehind(its drained place).
//
// Thread: any shard's; a Reading is the calling shard's own.
// Owner:  the ring and what it hands over; the ring outlives it.
#pragma once

#include <mutex>
#include <shared_mutex>
#include <span>

#include "history/history.h"
#include "ring/ring.h"

namespace sluice {

class SharedHistory {
 public:
  static constexpr size_t kTurnEvents = 2'048;
  static constexpr size_t kLockEvents = 128;
  static constexpr size_t kBehindMax = 1'024;

  SharedHistory(const HistoryLimits& limits, const Epoch& epoch, Ring& ring, uint32_t consumer);

  // Before any shard runs: what an earlier run left, in order.
  void Restore(const Frame& frame) { history_.Append(frame, false); }
  // As History's.
  void Lose(uint64_t through) { history_.Lose(through); }

  // Drains up to kTurnEvents, and evicts as many that are past their age.
  void CatchUp(int64_t now_ns);
  bool IsBehind(uint64_t through) const { return ring_.drained_sequence(consumer_) < through; }
  // Drains until it holds all up to this sequence, which the calling shard has drained.
  void Require(uint64_t through);
  // Drains all that is on the ring: what any shard has drained, and a reader may have had from it.
  void RequireAll();

  // As History's, after Require(through).
  void Read(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk);
  void ReadNewest(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk);
  size_t ReadValues(std::span<const ValueRef> values, Chunk* chunk);
  void Resolve(const StreamStart& asked, Reading& reading, uint64_t through, Start* start);

  // As History's; of topics of events that the calling shard has drained, after Require.
  bool PutTopicsInOrder(TopicOrderStep* step);
  void ReadTopics(std::string_view from, std::string_view prefix, size_t count, int64_t now_ns,
                  std::vector<TopicFacts>* topics);

  // Calls on_history(const History&) with nobody writing; for figures and tests.
  template <typename OnHistory>
  void Look(OnHistory&& on_history) {
    const auto lock = LockToRead();
    on_history(static_cast<const History&>(history_));
  }

 private:
  std::shared_lock<std::shared_mutex> LockToRead();
  std::unique_lock<std::shared_mutex> LockToWrite();
  size_t DrainSome();

  Ring& ring_;
  const uint32_t consumer_;
  History history_;
  // Writers hold it while they wait for the readers that are there, and readers take it on their
  // way in: so those that come cannot keep a writer out for ever.
  std::mutex door_;
  std::shared_mutex lock_;
};

}  // namespace sluice
