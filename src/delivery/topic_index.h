// Which channels want an event: exact names in one hash table, patterns in a trie by segment.
//
// A name costs one look into the table, whatever the number of names. A pattern is met only along
// the trie's paths that the name's own segments lead to (`*` takes any one segment, `**` stops
// where it stands), so publishing does not scan the patterns. TopicMatches (event/topic.h) is the
// definition that this agrees with.
//
// Thread: its shard's.
// Bounds: none of its own: as many as there are subscriptions. A lone `**` and the subscription
//         without topics never come here (see Delivery).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash_index.h"
#include "base/name_order.h"
#include "base/slot_array.h"
#include "event/frame.h"

namespace sluice {

class TopicIndex {
 public:
  TopicIndex();
  ~TopicIndex();
  TopicIndex(const TopicIndex&) = delete;
  TopicIndex& operator=(const TopicIndex&) = delete;

  // A channel's number is small and has no patterns yet; each pattern is valid, none twice.
  void Add(uint32_t channel, std::span<const std::string> patterns);
  void Remove(uint32_t channel);
  // So many more streams, or fewer, have the channel's subscription.
  void CountStreams(uint32_t channel, int change);

  // Calls on_entry(text, streams) for the names and patterns from `from` on, in order, until that
  // is false: how many streams have just that in their subscriptions.
  template <typename OnEntry>
  void ForEachFrom(std::string_view from, OnEntry&& on_entry) const;

  // Appends the channels that want the frame, one perhaps more than once.
  void Match(const Frame& frame, std::vector<uint32_t>* channels);
  void Match(const FrameTopic& topic, std::vector<uint32_t>* channels);

  // Of patterns, the root included; 0 once the last pattern is gone but for the root.
  size_t nodes() const { return nodes_end_ - nodes_free_.size(); }
  size_t names() const { return name_index_.size(); }

 private:
  static constexpr uint32_t kNone = HashIndex::kNone;
  static constexpr uint32_t kRoot = 0;

  struct Entry {
    uint32_t channel;
    uint32_t interest;
  };
  // The channels at one name or one node; most have one, which needs no block of its own.
  struct List {
    uint32_t size = 0;
    uint32_t capacity = 1;
    uint32_t streams = 0;
    union {
      Entry one;
      Entry* many;
    };
    List() : one{} {}
    Entry* entries() { return capacity == 1 ? &one : many; }
    void Push(const Entry& entry);
    void Free();
  };
  struct Name {
    List channels;
    std::string text;
  };
  // A segment of patterns: `here` those that end with it, `rest` those that go on with `**`.
  struct Node {
    uint64_t hash = 0;  // of the edge from its parent; 0 for `*`
    uint32_t parent = kNone;
    uint32_t any = kNone;  // the child of `*`
    uint32_t children = 0;
    List here;
    List rest;
    std::string segment;
  };
  // Which list, in one number.
  enum class ListKind : uint32_t { kName, kHere, kRest };
  struct ListId {
    uint32_t value = 0;
    ListId() = default;
    explicit ListId(uint32_t number) : value(number) {}
    ListId(ListKind kind, uint32_t of) : value(of * 4 + static_cast<uint32_t>(kind)) {}
    ListKind kind() const { return static_cast<ListKind>(value % 4); }
    uint32_t of() const { return value / 4; }
  };
  // One pattern of one channel: where it stands, so that it is taken out without a search.
  struct Interest {
    ListId list;
    uint32_t position = 0;         // in the list
    uint32_t next_of_channel = 0;  // number + 1, 0: none; or the next free one
  };

  struct IsBefore {
    const TopicIndex* index;
    std::string_view text;
    bool operator()(uint32_t list) const { return index->TextOf(ListId(list)) < text; }
  };

  List& At(ListId list);
  const List& At(ListId list) const { return const_cast<TopicIndex*>(this)->At(list); }
  // Good until the next call.
  std::string_view TextOf(ListId list) const;
  ListId NameList(std::string_view text);
  ListId PatternList(std::string_view pattern);
  uint32_t Child(uint32_t node, std::string_view segment, uint64_t edge) const;
  uint32_t MakeChild(uint32_t node, std::string_view segment);
  void RemoveIfEmpty(ListId list);
  void Take(const Interest& interest);
  static void Collect(List& list, std::vector<uint32_t>* channels);
  void MatchPatterns(std::string_view name, std::vector<uint32_t>* channels);

  HashIndex name_index_;
  SlotArray<Name> names_;
  std::vector<uint32_t> names_free_;
  uint32_t names_end_ = 0;

  HashIndex edges_;
  SlotArray<Node> nodes_;
  std::vector<uint32_t> nodes_free_;
  uint32_t nodes_end_ = 0;

  SlotArray<Interest> interests_;
  uint32_t interests_free_ = 0;  // number + 1
  uint32_t interests_end_ = 0;
  SlotArray<uint32_t> first_interest_;  // by channel, number + 1

  NameOrder order_;                   // lists that are not empty, by their names and patterns
  mutable std::string pattern_text_;  // scratch of TextOf

  // Scratch of one match: the nodes that the segments so far lead to.
  std::vector<uint32_t> at_;
  std::vector<uint32_t> next_;
};

template <typename OnEntry>
void TopicIndex::ForEachFrom(std::string_view from, OnEntry&& on_entry) const {
  for (auto at = order_.Seek(IsBefore{this, from}); at.has_number(); at.Next()) {
    const ListId list(at.number());
    if (!on_entry(TextOf(list), At(list).streams)) return;
  }
}

}  // namespace sluice
