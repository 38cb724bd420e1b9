// A store: the events of one class, first in, first out, with one set of bounds.
//
// An event has an ordinal in its store, one more than the one before it. Its bytes stand in a block
// behind those of the one before, so that a run of events is copied in one piece; a record of
// sixteen bytes for each grows towards them from the block's end:
//
//   block  = header, bytes of event 0, of event 1, ... (room) ... , record 1, record 0
//   record = where its bytes end, when it was published, its sequence, its topics
//
// A large event's bytes stand on their own, and the block has their address.
//
// Thread: one writes, or several read.
// Owner:  bytes() of an event are valid until something is written.
// Bounds: StoreLimits, kept by the caller (IsOver, then DropOldest); blocks of kBlockBytes. One
//         emptied block is kept for the next.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/fifo.h"
#include "event/frame.h"
#include "history/topic_table.h"

namespace sluice {

struct StoreLimits {
  uint64_t events_max = UINT64_MAX;
  uint64_t bytes_max = UINT64_MAX;  // of what events are charged (Store::Charge)
  int64_t age_max_ns = INT64_MAX;
};

class Store {
 public:
  static constexpr size_t kBlockBytes = 64 << 10;
  static constexpr size_t kLargeBytesMin = 8 << 10;  // from here on an event's bytes stand alone
  // What an event is charged besides its bytes, so that a bound in bytes bounds the memory.
  static constexpr uint64_t kEventCharge = 24;
  static constexpr uint64_t kTopicCharge = 8;         // each of its topics
  static constexpr uint64_t kHeldTopicCharge = 160;   // a topic while it holds events, and its name
  static constexpr uint64_t kPublisherIdCharge = 48;  // with an id of its publisher's
  static constexpr uint64_t kKeyCharge = 256;         // with a key, each of its topics

  struct Record {
    static constexpr uint32_t kManyTopics = 1u << 31;  // the index is one into topic_sets_
    static constexpr uint32_t kIsLarge = 1u << 30;     // in the block stands an address
    static constexpr uint32_t kHasId = 1u << 29;       // its publisher's
    static constexpr uint32_t kHasKey = 1u << 28;
    static constexpr uint32_t kIndexMask = kHasKey - 1;

    uint64_t end_and_time;  // 16 bits: end of its bytes in the block; 48: microseconds from base
    uint32_t sequence;      // from the block's base
    uint32_t topics;
    uint32_t end() const { return end_and_time & 0xffff; }
    int64_t time_us() const { return static_cast<int64_t>(end_and_time) >> 16; }
  };
  struct Block {
    uint64_t base_sequence;
    int64_t base_time_us;
    uint32_t count;
    uint32_t bytes;
    char data[kBlockBytes - 24];

    const Record& record(uint32_t i) const {
      return *(reinterpret_cast<const Record*>(this + 1) - 1 - i);
    }
    Record& record(uint32_t i) { return *(reinterpret_cast<Record*>(this + 1) - 1 - i); }
    uint32_t begin(uint32_t i) const { return i == 0 ? 0 : record(i - 1).end(); }
    uint64_t sequence(uint32_t i) const { return base_sequence + record(i).sequence; }
    int64_t published_ns(uint32_t i) const { return (base_time_us + record(i).time_us()) * 1000; }
    std::string_view bytes_of(uint32_t i) const;
  };
  static_assert(sizeof(Block) == kBlockBytes);

  // Where an event stands.
  struct Place {
    const Block* block;
    uint32_t index;
    const Record& record() const { return block->record(index); }
    uint64_t sequence() const { return block->sequence(index); }
    int64_t published_ns() const { return block->published_ns(index); }
    std::string_view bytes() const { return block->bytes_of(index); }
  };

  explicit Store(const StoreLimits& limits, uint32_t remembered_topics_max);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // A frame of a higher sequence than those before; `is_new`: it was published in this run.
  void Append(const Frame& frame, bool is_new = true);
  bool IsOver() const {
    return events() > limits_.events_max || charged_bytes_ > limits_.bytes_max;
  }
  bool IsTooOld(int64_t now_ns) const;
  void DropOldest();

  uint64_t events() const { return end_ - first_; }
  // Ordinals held: [first, end).
  uint64_t first() const { return first_; }
  uint64_t end() const { return end_; }
  // Of a held one. `block_hint` is where the last one was found, and where this one is.
  Place Find(uint64_t ordinal, uint32_t* block_hint) const;
  Place Find(uint64_t ordinal) const;
  // Events that will be read soon, of which none may be in the processor's caches: first where its
  // bytes are, and then, once that is there, the bytes.
  void PrefetchRecord(uint64_t ordinal, uint32_t* block_hint) const {
    const Place place = Find(ordinal, block_hint);
    __builtin_prefetch(&place.record());
  }
  void PrefetchBytes(uint64_t ordinal, uint32_t* block_hint) const {
    const Place place = Find(ordinal, block_hint);
    const char* bytes = place.block->data + place.block->begin(place.index);
    for (size_t line = 0; line < kPrefetchBytes; line += kCacheLine) {
      __builtin_prefetch(bytes + line);
    }
  }
  // The first held event of a sequence higher than this; end() if there is none.
  uint64_t FirstAfter(uint64_t sequence) const;
  // The newest sequence evicted; 0 before the first.
  uint64_t evicted() const { return evicted_; }

  // Calls on_topic(index in topics()) for each topic; for kNoTopic if it has none. Stops when that
  // returns false.
  template <typename OnTopic>
  void ForEachTopic(const Record& record, OnTopic&& on_topic) const;
  const TopicTable& topics() const { return topics_; }
  // As TopicTable's.
  bool PutTopicsInOrder(uint32_t* next, uint32_t end) { return topics_.PutInOrder(next, end); }
  // The ordinal of a held event from its low half, as postings have it.
  uint64_t Widen(uint32_t ordinal) const {
    return first_ + (ordinal - static_cast<uint32_t>(first_));
  }

  uint64_t charged_bytes() const { return charged_bytes_; }
  // All memory of it: blocks, index, topics.
  uint64_t bytes_held() const;

 private:
  struct BlockPlace {
    uint64_t base_ordinal;
    uint64_t base_sequence;
    Block* block;
  };
  static constexpr size_t kCacheLine = 64;
  static constexpr size_t kPrefetchBytes = 3 * kCacheLine;
  // What ForEachTopic finds; in topic_sets_ a count stands before the indices of several.
  uint32_t PutTopics(const Frame& frame, size_t bytes, bool is_new);
  Block* RoomFor(size_t bytes, uint64_t sequence, int64_t time_us);
  void DropFirstBlock();

  const StoreLimits limits_;
  std::vector<BlockPlace> blocks_;  // from blocks_first_ on
  size_t blocks_first_ = 0;
  Block* spare_ = nullptr;
  TopicTable topics_;
  Fifo<uint32_t> topic_sets_;
  uint32_t topic_sets_popped_ = 0;
  uint64_t first_ = 0;
  uint64_t end_ = 0;
  uint64_t evicted_ = 0;
  uint64_t charged_bytes_ = 0;
  uint64_t large_bytes_ = 0;
};

template <typename OnTopic>
void Store::ForEachTopic(const Record& record, OnTopic&& on_topic) const {
  const uint32_t index = record.topics & Record::kIndexMask;
  if ((record.topics & Record::kManyTopics) == 0) {
    on_topic(index);
    return;
  }
  const uint32_t at = (index - topic_sets_popped_) & Record::kIndexMask;
  const uint32_t count = topic_sets_[at];
  for (uint32_t i = 1; i <= count; ++i) {
    if (!on_topic(topic_sets_[at + i])) return;
  }
}

}  // namespace sluice
