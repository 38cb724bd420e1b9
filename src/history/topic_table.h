// The topics of one store: for each its postings, and the newest of its events that was evicted.
//
// A topic whose events are all gone stays for what it remembers, up to a bound; past it the one
// whose last eviction is the oldest is forgotten, and all that is forgotten is remembered as one
// sequence: forgotten().
//
// Topics that lost events stand in one list, in the order of their newest eviction, which grows
// with each: so the list is sorted, and "what did this reader miss after X" looks at its front.
//
// Thread: its store's.
// Bounds: topics with held events are bounded by those; others by `remembered_max`.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/hash_index.h"
#include "base/slot_array.h"
#include "history/postings.h"

namespace sluice {

struct HeldTopic {
  static constexpr uint32_t kNone = HashIndex::kNone;

  uint64_t hash = 0;
  uint64_t evicted = 0;  // sequence of its newest evicted event; 0: none
  Postings postings;
  std::unique_ptr<char[]> name_bytes;
  uint32_t newer = kNone;  // in the list of those that lost events
  uint32_t older = kNone;
  uint16_t name_size = 0;
  bool is_listed = false;

  std::string_view name() const { return {name_bytes.get(), name_size}; }
};

class TopicTable {
 public:
  // Stands for "without a topic"; always there.
  static constexpr uint32_t kNoTopic = 0;

  explicit TopicTable(uint32_t remembered_max);

  // HeldTopic::kNone if it is not here.
  uint32_t Find(uint64_t hash, std::string_view name) const;
  uint32_t FindOrAdd(uint64_t hash, std::string_view name);
  // Its newest event stands at this ordinal. True if it held none before.
  bool Push(uint32_t topic, uint32_t ordinal);
  // Its oldest event, of this sequence, is evicted. True if it was the last.
  bool Pop(uint32_t topic, uint64_t sequence);

  const HeldTopic& operator[](uint32_t topic) const { return topics_[topic]; }
  // Tells one use of an index from the next.
  uint32_t generation(uint32_t topic) const { return generations_[topic]; }
  // Indices are below it.
  uint32_t size() const { return static_cast<uint32_t>(generations_.size()); }
  // With events held.
  uint32_t held() const { return held_; }
  // The topic that lost an event last, the head of the list; or HeldTopic::kNone.
  uint32_t newest_evicted() const { return newest_; }
  // No topic that is not here lost an event after this sequence.
  uint64_t forgotten() const { return forgotten_; }
  uint64_t bytes_held() const;

 private:
  void Unlist(uint32_t topic);
  void ListNewest(uint32_t topic);
  void ForgetOldest();

  const uint32_t remembered_max_;
  SlotArray<HeldTopic> topics_;
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> unused_;
  HashIndex index_;
  uint32_t newest_ = HeldTopic::kNone;
  uint32_t oldest_ = HeldTopic::kNone;
  uint32_t held_ = 0;
  uint32_t remembered_ = 0;  // without events
  uint64_t forgotten_ = 0;
  uint64_t names_bytes_ = 0;
  uint64_t postings_bytes_ = 0;
};

}  // namespace sluice
