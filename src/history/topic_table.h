// The topics of one store: for each its postings, the newest of its events that was evicted, and
// what GET /topics tells of it.
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
#include "base/name_order.h"
#include "base/slot_array.h"
#include "history/postings.h"
#include "history/publish_rate.h"

namespace sluice {

struct HeldTopic {
  static constexpr uint32_t kNone = HashIndex::kNone;

  uint64_t hash = 0;
  uint64_t evicted = 0;  // sequence of its newest evicted event; 0: none
  Postings postings;
  uint64_t bytes = 0;      // of those
  uint64_t published = 0;  // since it is here, in this run
  PublishRate rate;
  std::unique_ptr<char[]> name_bytes;
  uint32_t newer = kNone;  // in the list of those that lost events
  uint32_t older = kNone;
  uint16_t name_size = 0;
  bool is_listed = false;
  bool is_ordered = false;

  std::string_view name() const { return {name_bytes.get(), name_size}; }
};

class TopicTable {
 public:
  static constexpr uint32_t kOrderedMax = 64;  // of one call, and sixty-four times as many looks
  // Stands for "without a topic"; always there.
  static constexpr uint32_t kNoTopic = 0;

  explicit TopicTable(uint32_t remembered_max);

  // HeldTopic::kNone if it is not here.
  uint32_t Find(uint64_t hash, std::string_view name) const;
  uint32_t FindOrAdd(uint64_t hash, std::string_view name);
  // Its newest event stands at this ordinal. True if it held none before.
  bool Push(uint32_t topic, uint32_t ordinal, size_t bytes);
  // It was published in this run.
  void CountPublish(uint32_t topic, int64_t published_ns) {
    ++topics_[topic].published;
    topics_[topic].rate.Count(published_ns);
  }
  // Its oldest event, of this sequence, is evicted. True if it was the last.
  bool Pop(uint32_t topic, uint64_t sequence, size_t bytes);

  // The topics in the order of their names, of those that PutInOrder has seen. Nobody may ever ask,
  // so nothing is done for it before. Goes on from index `*next` (first 0) to `end`, at most
  // kOrderedMax topics; false: there are more.
  bool PutInOrder(uint32_t* next, uint32_t end);
  // Stands at the first name from `from` on.
  NameOrder::Cursor Seek(std::string_view from) const { return order_.Seek(IsBefore{this, from}); }

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
  struct IsBefore {
    const TopicTable* table;
    std::string_view name;
    bool operator()(uint32_t topic) const { return table->topics_[topic].name() < name; }
  };

  void Unlist(uint32_t topic);
  void ListNewest(uint32_t topic);
  void ForgetOldest();

  const uint32_t remembered_max_;
  SlotArray<HeldTopic> topics_;
  std::vector<uint32_t> generations_;
  std::vector<uint32_t> unused_;
  HashIndex index_;
  NameOrder order_;
  uint32_t unordered_ = 0;
  uint32_t newest_ = HeldTopic::kNone;
  uint32_t oldest_ = HeldTopic::kNone;
  uint32_t held_ = 0;
  uint32_t remembered_ = 0;  // without events
  uint64_t forgotten_ = 0;
  uint64_t names_bytes_ = 0;
  uint64_t postings_bytes_ = 0;
};

}  // namespace sluice
