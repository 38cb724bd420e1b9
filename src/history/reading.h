// What one subscription reads from the history: the subscription made ready for lookups, and which
// of the stores' topics its patterns match, found out once a topic.
//
// Thread: its shard's; never shared.
// Bounds: four bytes for each topic of the stores that a pattern was tried on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "event/subscription.h"
#include "history/topic_table.h"

namespace sluice {

// Where an event ends in its chunk, as FrameMark does in its segment.
struct ChunkMark {
  uint32_t end;
  uint64_t sequence;
  int64_t published_ns;  // to the microsecond
};

// Events that a subscription wants, back to back.
struct Chunk {
  uint64_t after = 0;        // events after this sequence ...
  uint64_t last = 0;         // ... up to this one have been looked at
  uint64_t evicted = 0;      // the newest wanted one after `after` that was evicted; 0: none was
  std::vector<uint64_t> evicted_by;  // the same of each class; 0: none
  bool is_complete = false;          // `last` is as far as was asked
  std::string bytes;
  std::vector<ChunkMark> marks;
};

// What one call may look at, so that it does not hold its shard: events count one, comparing a
// pattern with a topic kPatternLooks.
struct Looks {
  static constexpr uint32_t kMax = 16'384;
  static constexpr uint32_t kPatternLooks = 4;
  uint32_t left = kMax;

  bool are_used_up() const { return left == 0; }
  void Use(uint64_t looks) { left -= looks < left ? static_cast<uint32_t>(looks) : left; }
};

class Reading {
 public:
  enum class Kind : uint8_t {
    kEverything,  // `**`
    kTopics,      // names only, or what has no topic
    kPatterns,
  };
  struct Topic {
    uint64_t hash;
    std::string_view name;
  };

  explicit Reading(Subscription subscription);
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;

  Kind kind() const { return kind_; }
  const Subscription& subscription() const { return subscription_; }
  // Of kTopics; empty: what has no topic.
  const std::vector<Topic>& topics() const { return topics_; }

  // Of kPatterns: is this topic of this store wanted?
  bool Wants(size_t store, const TopicTable& topics, uint32_t topic, Looks* looks);
  bool Wants(std::string_view name) const;

  uint64_t bytes_held() const;

 private:
  Subscription subscription_;
  Kind kind_;
  std::vector<Topic> topics_;
  // A store: for each topic's index its generation, and whether it was tried and found wanted.
  std::vector<std::vector<uint32_t>> tried_;
};

}  // namespace sluice
