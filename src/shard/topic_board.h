// Questions for a page of topics, put by one shard and answered by each from what its own streams
// ask for: nobody looks into another shard's Delivery, and nobody waits.
//
// A shard that is asked answers one question a turn, which takes it as long as the page is, not as
// there are topics. The one that asks adds the answers up: each is exact for the moment in which
// its shard gave it.
//
// Thread: each call by the shard that it names; the lock is held for some pointers. What is asked
//         is told by the ring's own wake-up: a shard that is about to sleep looks once more at
//         HasQuestion (see Ring, invariant 4).
// Bounds: kQuestionsMax at once in the process, each as many names as a page has, a shard.
// atomic: how many questions there were, read by each shard in each turn; how many answers lack
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "delivery/subscribed_topic.h"
#include "ring/ring.h"

namespace sluice {

struct TopicQuestion {
  // Of the names that stand not before `from` and begin with `prefix`, the first `count`.
  std::string from;
  std::string prefix;
  size_t count = 0;

  uint32_t asker = 0;
  uint64_t number = 0;
  std::vector<std::vector<SubscribedTopic>> answers;  // by shard
  std::atomic<uint32_t> lacking{0};

  // Acquire, pairs with Answer: the answers are there to be read.
  bool is_answered() const { return lacking.load(std::memory_order_acquire) == 0; }
};

class TopicBoard {
 public:
  static constexpr size_t kQuestionsMax = 8;

  // `began_ns`: since when publishes are counted.
  TopicBoard(Ring& ring, uint32_t shards, int64_t began_ns);

  int64_t began_ns() const { return began_ns_; }

  // Null: too many are asked now. Close it when the answers are no more needed.
  std::shared_ptr<TopicQuestion> Ask(uint32_t asker, std::string from, std::string prefix,
                                     size_t count);
  void Close(const std::shared_ptr<TopicQuestion>& question);

  bool HasQuestion(uint32_t shard) const {
    return asked_.load(std::memory_order_seq_cst) != shards_[shard].seen;
  }
  // The next one for this shard, which must Answer it; null if it was closed meanwhile.
  std::shared_ptr<TopicQuestion> Next(uint32_t shard);
  void Answer(uint32_t shard, TopicQuestion* question, std::vector<SubscribedTopic> topics);
  // The shard has ended: nobody asks for anything there.
  void Leave(uint32_t shard);

 private:
  struct alignas(64) Shard {
    uint64_t seen = 0;  // its own: the number of the newest question that it has answered
    bool has_left = false;
  };

  void CountAnswer(TopicQuestion* question);

  Ring& ring_;
  const int64_t began_ns_;
  std::vector<Shard> shards_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<TopicQuestion>> open_;  // by number
  std::atomic<uint64_t> asked_{0};
};

}  // namespace sluice
