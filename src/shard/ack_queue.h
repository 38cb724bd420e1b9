// The connections of a shard whose next reply waits for an ack, in the order in which they can have
// it: those of one kind of ack by sequence.
//
// A connection stands here once for what its next reply waits for. One that is gone, or whose wait
// has run out, keeps its place until that event has its ack: then it is looked at, and not found.
//
// Thread: its shard's.
// Bounds: the connections that wait, and those of late that waited for an event that has no ack
// yet.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/engine.h"
#include "http/publish_ack.h"

namespace sluice {

class AckQueue {
 public:
  struct Entry {
    uint64_t sequence;
    ConnectionId connection;
    bool operator>(const Entry& other) const { return sequence > other.sequence; }
  };

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  bool awaits_journal() const { return size_ > kinds_[kMatchedOnly].size(); }
  // The first that is waited for to be matched; UINT64_MAX: none is.
  uint64_t first_to_be_matched() const {
    uint64_t first = UINT64_MAX;
    for (size_t kind = 0; kind < kKinds; ++kind) {
      if (AckOf(kind).matched && !kinds_[kind].empty()) {
        first = std::min(first, kinds_[kind].front().sequence);
      }
    }
    return first;
  }

  void Push(const http::PublishAck& ack, uint64_t sequence, ConnectionId connection) {
    auto& heap = kinds_[KindOf(ack)];
    heap.push_back({sequence, connection});
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
    ++size_;
  }

  // True if `is_pending(ack, sequence)` is false for somebody.
  template <typename IsPending>
  bool HasAnswered(IsPending&& is_pending) const {
    for (size_t kind = 0; kind < kKinds; ++kind) {
      const auto& heap = kinds_[kind];
      if (!heap.empty() && !is_pending(AckOf(kind), heap.front().sequence)) return true;
    }
    return false;
  }
  // Takes those out and calls `on_answered(ack, sequence, connection)` for each; it may Push.
  template <typename IsPending, typename OnAnswered>
  void TakeAnswered(IsPending&& is_pending, OnAnswered&& on_answered) {
    for (size_t kind = 0; kind < kKinds; ++kind) {
      auto& heap = kinds_[kind];
      while (!heap.empty() && !is_pending(AckOf(kind), heap.front().sequence)) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        const Entry entry = heap.back();
        heap.pop_back();
        --size_;
        on_answered(AckOf(kind), entry.sequence, entry.connection);
      }
    }
  }

 private:
  static constexpr size_t kKinds = 6;
  static constexpr size_t kMatchedOnly = 1;
  static size_t KindOf(const http::PublishAck& ack) {
    return static_cast<size_t>(ack.durability) * 2 + (ack.matched ? 1 : 0);
  }
  static http::PublishAck AckOf(size_t kind) {
    return {.durability = static_cast<http::PublishAck::Durability>(kind / 2),
            .matched = kind % 2 != 0};
  }

  std::array<std::vector<Entry>, kKinds> kinds_;  // heaps
  size_t size_ = 0;
};

}  // namespace sluice
