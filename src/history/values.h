// The newest event of each (topic, key), for who asks to begin with the present values.
//
// A value whose event is still in its store refers to it; when it is evicted the value takes its
// bytes over. Those taken over have a bound of their own, first in, first out.
//
// An event's class (its store) and sequence tell it; a value that is replaced keeps its index, so
// that a ValueRef made before finds out that it has become another's.
//
// Thread: its history's.
// Owner:  bytes() of a value taken over are valid until something is written.
// Bounds: bytes_max of what is taken over, bytes and entries; the others are bounded by the events
//         in the stores, which are charged for them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/fifo.h"
#include "base/hash_index.h"
#include "base/slot_array.h"
#include "event/frame.h"

namespace sluice {

struct Value {
  static constexpr uint32_t kNone = HashIndex::kNone;

  uint64_t sequence = 0;
  uint64_t ordinal = 0;  // in its store, while it is there
  int64_t published_ns = 0;
  std::unique_ptr<char[]> taken_over;  // null while the event is in its store
  std::unique_ptr<char[]> key_bytes;
  uint32_t taken_over_size = 0;
  uint32_t topic = 0;
  uint32_t next_of_topic = kNone;
  uint32_t previous_of_topic = kNone;
  uint32_t newer = kNone;  // among those taken over
  uint32_t older = kNone;
  uint16_t key_size = 0;
  uint16_t store = 0;

  std::string_view key() const { return {key_bytes.get(), key_size}; }
  std::string_view bytes() const { return {taken_over.get(), taken_over_size}; }
};

// A topic that has values; an empty name: those of events without topics.
struct ValueTopic {
  uint64_t hash = 0;
  std::unique_ptr<char[]> name_bytes;
  uint16_t name_size = 0;
  uint32_t first = Value::kNone;

  std::string_view name() const { return {name_bytes.get(), name_size}; }
};

class Values {
 public:
  Values(uint64_t bytes_max, size_t stores);

  // The frame, which has a key, was put into this store as the event of this ordinal.
  void Add(const Frame& frame, uint16_t store, uint64_t ordinal);
  // The oldest event of the store, which has a key, is about to be evicted.
  void Evict(uint16_t store, uint64_t sequence, std::string_view bytes);

  // True if each value that this event of the store was the newest of has a newer one, so each
  // topic of it. `*hint`, 0 at first, makes asking in the order of sequences cheap.
  bool IsReplaced(uint16_t store, uint64_t sequence, size_t* hint) const;

  const Value& operator[](uint32_t value) const { return values_[value]; }
  // Value::kNone if no event of this topic has a key.
  uint32_t FindTopic(uint64_t hash, std::string_view name) const;
  const ValueTopic& topic(uint32_t topic) const { return topics_[topic]; }
  // Indices of topics are below it; one that is not used has no first value.
  uint32_t topics() const { return topics_size_; }
  // Calls on_value(index) for each of a topic.
  template <typename OnValue>
  void ForEachOf(uint32_t topic, OnValue&& on_value) const {
    for (uint32_t value = topics_[topic].first; value != Value::kNone;) {
      const uint32_t next = values_[value].next_of_topic;
      on_value(value);
      value = next;
    }
  }

  size_t size() const { return index_.size(); }
  uint64_t taken_over_bytes() const { return taken_over_bytes_; }
  uint64_t bytes_held() const;

 private:
  struct Keyed {
    uint64_t sequence;
    uint32_t value;
  };
  uint32_t FindOrAddTopic(uint64_t hash, std::string_view name);
  uint32_t FindOrAddValue(uint32_t topic, std::string_view key);
  void TakeOver(uint32_t value, std::string_view bytes);
  void GiveBack(uint32_t value);
  void Drop(uint32_t value);
  static uint64_t Charge(const Value& value) {
    return sizeof(Value) + value.key_size + value.taken_over_size;
  }

  const uint64_t bytes_max_;
  SlotArray<Value> values_;
  uint32_t values_size_ = 0;
  std::vector<uint32_t> values_unused_;
  HashIndex index_;
  SlotArray<ValueTopic> topics_;
  uint32_t topics_size_ = 0;
  std::vector<uint32_t> topics_unused_;
  HashIndex topics_index_;
  std::vector<Fifo<Keyed>> keyed_;  // a store: its events with keys, in order
  uint32_t newest_ = Value::kNone;  // of those taken over
  uint32_t oldest_ = Value::kNone;
  uint64_t taken_over_bytes_ = 0;
  uint64_t names_bytes_ = 0;
};

}  // namespace sluice
