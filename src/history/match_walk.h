// Goes through the events of one store that a reading wants, oldest first or newest first.
//
// Everything: each ordinal. Topics: their postings are merged by a heap, so that an event of
// several topics comes once. Patterns: each event's topics are looked at.
//
// Thread: its shard's, while nobody writes to the store.
// Bounds: with patterns the looks it is given; it stops at the event it could not look at.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "history/reading.h"
#include "history/store.h"

namespace sluice {

template <bool kForward>
class MatchWalk {
 public:
  // Over the ordinals [first, end), which are held.
  MatchWalk(const Store& store, size_t store_index, Reading& reading, uint64_t first, uint64_t end,
            Looks* looks)
      : store_(&store),
        store_index_(store_index),
        reading_(&reading),
        looks_(looks),
        first_(first),
        end_(end),
        ordinal_(kForward ? first : end - 1) {
    is_at_end_ = first >= end;
    if (is_at_end_) return;
    if (reading.kind() == Reading::Kind::kTopics) OpenLists();
    if (reading.kind() == Reading::Kind::kPatterns) Scan();
  }

  bool is_at_end() const { return is_at_end_; }
  // It has no looks left for the event at ordinal().
  bool is_paused() const { return is_paused_; }
  uint64_t ordinal() const { return ordinal_; }
  Store::Place place() { return store_->Find(ordinal_, &block_hint_); }

  void Next() {
    if (reading_->kind() == Reading::Kind::kTopics) {
      NextOfLists();
    } else {
      Step();
      if (reading_->kind() == Reading::Kind::kPatterns && !is_at_end_) Scan();
    }
  }

 private:
  static constexpr uint32_t kRecordsAhead = 12;
  static constexpr uint32_t kBytesAhead = 5;

  // What is left of one topic's postings.
  struct List {
    const Postings* postings;
    uint32_t at;
    uint32_t left;
    uint32_t rank;  // of the next one: how far it is from where the walk begins
  };
  struct IsLater {
    bool operator()(const List& a, const List& b) const { return a.rank > b.rank; }
  };

  void Step() {
    if (kForward ? ordinal_ + 1 == end_ : ordinal_ == first_) {
      is_at_end_ = true;
    } else {
      ordinal_ += kForward ? 1 : -1;
    }
  }

  void Scan() {
    for (; !is_at_end_; Step()) {
      if (looks_->are_used_up()) {
        is_paused_ = true;
        return;
      }
      looks_->Use(1);
      bool is_wanted = false;
      store_->ForEachTopic(place().record(), [&](uint32_t topic) {
        is_wanted = reading_->Wants(store_index_, store_->topics(), topic, looks_);
        return !is_wanted;
      });
      if (is_wanted) return;
    }
  }

  uint32_t Rank(const List& list) const {
    const uint32_t posting = (*list.postings)[list.at];
    return kForward ? posting - static_cast<uint32_t>(first_)
                    : static_cast<uint32_t>(end_) - 1 - posting;
  }
  // A topic's events lie scattered: without this each is waited for twice.
  void Prefetch(const List& list) {
    if (list.left <= kRecordsAhead) return;
    const uint32_t origin = static_cast<uint32_t>(store_->first());
    const auto ordinal = [&](uint32_t ahead) {
      return store_->first() + static_cast<uint32_t>((*list.postings)[list.at + ahead] - origin);
    };
    store_->PrefetchRecord(ordinal(kRecordsAhead), &record_hint_);
    store_->PrefetchBytes(ordinal(kBytesAhead), &bytes_hint_);
  }
  void OpenList(uint32_t topic) {
    if (topic == HeldTopic::kNone) return;
    const Postings& postings = store_->topics()[topic].postings;
    const uint32_t origin = static_cast<uint32_t>(store_->first());
    const uint32_t begin = postings.CountBefore(static_cast<uint32_t>(first_), origin);
    const uint32_t end = postings.CountBefore(static_cast<uint32_t>(end_), origin);
    if (begin == end) return;
    List list{&postings, kForward ? begin : end - 1, end - begin, 0};
    list.rank = Rank(list);
    lists_.push_back(list);
  }
  void OpenLists() {
    lists_.reserve(reading_->topics().size() + 1);
    if (reading_->topics().empty()) OpenList(TopicTable::kNoTopic);
    for (const Reading::Topic& topic : reading_->topics()) {
      OpenList(store_->topics().Find(topic.hash, topic.name));
    }
    std::make_heap(lists_.begin(), lists_.end(), IsLater());
    LookAtHead();
  }
  void LookAtHead() {
    is_at_end_ = lists_.empty();
    if (is_at_end_) return;
    ordinal_ = kForward ? first_ + lists_[0].rank : end_ - 1 - lists_[0].rank;
  }
  void NextOfLists() {
    const uint32_t rank = lists_[0].rank;
    while (!lists_.empty() && lists_[0].rank == rank) {
      std::pop_heap(lists_.begin(), lists_.end(), IsLater());
      List& list = lists_.back();
      if (--list.left == 0) {
        lists_.pop_back();
        continue;
      }
      list.at += kForward ? 1 : -1;
      list.rank = Rank(list);
      if (kForward) Prefetch(list);
      std::push_heap(lists_.begin(), lists_.end(), IsLater());
    }
    LookAtHead();
  }

  const Store* store_;
  size_t store_index_;
  Reading* reading_;
  Looks* looks_;
  uint64_t first_;
  uint64_t end_;
  uint64_t ordinal_;
  uint32_t block_hint_ = UINT32_MAX;
  uint32_t record_hint_ = UINT32_MAX;
  uint32_t bytes_hint_ = UINT32_MAX;
  bool is_at_end_ = false;
  bool is_paused_ = false;
  std::vector<List> lists_;
};

}  // namespace sluice
