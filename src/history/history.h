// The history: the newest events, in memory, in sequence order, for readers that come back. One for
// the process (see shared_history.h for who writes and who reads).
//
// Each event lies in the store of its class: the first policy whose pattern matches one of its
// topics, or the class of all others. A store evicts from its oldest on. A reading merges the
// stores by sequence.
//
// Never a silent gap: what a store evicted is remembered for each topic, so that a reader is told
// exactly if an event that it wants is gone. Past remembered_topics_max topics without events the
// oldest memory is folded into one sequence: a gap may then be told that was none, never the
// reverse.
//
// Thread: one writes (Append, Expire), or several read, each with a Reading of its own.
// Bounds: HistoryLimits; one call of Read or Resolve looks at Looks::kMax events, copies
//         kChunkBytes or one larger event. from=values looks at all values of the topics.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/frame.h"
#include "history/publisher_ids.h"
#include "history/reading.h"
#include "history/start.h"
#include "history/store.h"
#include "history/topic_facts.h"
#include "history/values.h"

namespace sluice {

struct HistoryPolicy {
  std::string topics;  // a pattern
  StoreLimits limits;
};

// Where a reader goes on whose place is gone or unknown.
enum class MissingPlace : uint8_t { kEarliest, kLive };

struct HistoryLimits {
  StoreLimits otherwise;  // of events that no policy matches
  std::vector<HistoryPolicy> policies;
  uint32_t remembered_topics_max = 65'536;  // without events; in each class
  uint64_t values_bytes_max = 16 << 20;     // of values whose events are evicted
  MissingPlace missing = MissingPlace::kEarliest;
};

class History {
 public:
  static constexpr size_t kChunkBytes = 64 << 10;
  static constexpr size_t kNewestBytes = 16 << 10;

  History(const HistoryLimits& limits, const Epoch& epoch);

  // A frame of a higher sequence than those before; `is_new`: it was published in this run.
  void Append(const Frame& frame, bool is_new = true);
  // Events up to this sequence that are not held are lost, and nobody knows of which topics:
  // readers from before are told of a gap.
  void Lose(uint64_t through) { lost_through_ = std::max(lost_through_, through); }
  // Evicts what is past its age, at most `events_max`; true if there may be more.
  bool Expire(int64_t now_ns, size_t events_max);

  // Fills the chunk with what the reading wants after one sequence and up to another, which must
  // have been appended. The next part begins after chunk->last.
  void Read(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) const;
  // The same without events that a newer one took the place of: with a key, and for each of their
  // topics there is a newer event of that key. At most kNewestBytes, or one larger event, so that
  // what is read is still the newest when it is sent.
  void ReadNewest(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) const;
  // Fills it with the values, from the first on; returns how many it is done with. A value that was
  // replaced meanwhile is left out: its newer event comes live.
  size_t ReadValues(std::span<const ValueRef> values, Chunk* chunk) const;

  // `through` is the shard's drained place, where a stream from now on starts; `newest` the newest
  // sequence on the ring: an id up to it may be known from another shard. So start->after may be
  // past `through`: the shard must then drain up to it before the stream begins. Nor may a stream
  // that was told of a gap go live before the shard has drained up to start->told.
  void Resolve(const StreamStart& asked, Reading& reading, uint64_t through, uint64_t newest,
               Start* start) const;
  // The newest sequence higher than `after` of an event that the reading wants and that was
  // evicted; 0 if there is none.
  uint64_t LastEvicted(Reading& reading, uint64_t after) const;

  // What is known of the first topics, at most `count`, whose names stand not before `from` and
  // begin with `prefix`, by name; with no `from`, first of the events without topics. Those that
  // PutTopicsInOrder has seen: to be called until true, with a step of its own, for all that are
  // there when it is called first. Each call takes a share of a turn at most.
  void ReadTopics(std::string_view from, std::string_view prefix, size_t count, int64_t now_ns,
                  std::vector<TopicFacts>* topics) const;
  bool PutTopicsInOrder(TopicOrderStep* step);

  // The newest appended.
  uint64_t newest() const { return newest_; }
  // The oldest held; 0 if none is.
  uint64_t oldest() const;
  uint64_t events() const;
  uint64_t charged_bytes() const;
  // All memory of it.
  uint64_t bytes_held() const;
  size_t classes() const { return stores_.size(); }
  const Store& store(size_t index) const { return *stores_[index]; }
  const Values& values() const { return values_; }

  // Of the event that a publisher gave this id first, of those held; 0: none is.
  uint64_t SequenceOf(std::string_view publisher_id) const { return ids_.Find(publisher_id); }

 private:
  // Which class a topic is in, by its hash: what was found last.
  struct KnownClass {
    uint64_t hash = 0;
    uint32_t index = UINT32_MAX;
  };
  size_t ClassOf(const Frame& frame);
  size_t ClassOf(const FrameTopic& topic);
  void EvictOldest(size_t index);
  uint64_t LastEvicted(size_t index, Reading& reading, uint64_t after) const;
  void ResolveId(const StreamStart& asked, Reading& reading, uint64_t through, uint64_t newest,
                 Start* start) const;
  void SearchNewest(Reading& reading, uint64_t through, Start* start) const;
  uint64_t Missing(Reading& reading, uint64_t after, uint64_t through) const;
  void NoteGone(Start* start) const;
  void Begin(Reading& reading, uint64_t after, Chunk* chunk) const;
  void CollectValues(const Reading& reading, uint64_t through, Start* start) const;
  // The highest sequence up to `last` that stands before every event held.
  uint64_t BeforeHeld(uint64_t last) const;

  const HistoryLimits limits_;
  const Epoch epoch_;
  std::vector<std::unique_ptr<Store>> stores_;  // a policy, and the last for all others
  std::vector<KnownClass> known_classes_;
  PublisherIds ids_;
  Values values_;
  uint64_t newest_ = 0;
  uint64_t lost_through_ = 0;
};

}  // namespace sluice
