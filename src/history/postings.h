// Postings: where the held events of one topic stand in their store, oldest first. Each is the low
// half of an event's ordinal; a store holds less than 2^31 events, so the half tells.
//
// A circular block that grows by a quarter and shrinks when three quarters are empty: an event
// costs four bytes and at most one more.
//
// Thread: its store's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

namespace sluice {

class Postings {
 public:
  bool empty() const { return size_ == 0; }
  uint32_t size() const { return size_; }
  uint32_t operator[](uint32_t i) const {
    const uint32_t at = head_ + i;
    return ordinals_[at < capacity_ ? at : at - capacity_];
  }

  void Push(uint32_t ordinal) {
    if (size_ == capacity_) Resize(capacity_ + std::max(2u, capacity_ / 4));
    const uint32_t at = head_ + size_++;
    ordinals_[at < capacity_ ? at : at - capacity_] = ordinal;
  }
  // Drops the oldest.
  void Pop() {
    if (++head_ == capacity_) head_ = 0;
    if (--size_ < capacity_ / 4) Resize(size_ + size_ / 4);
  }

  // How many stand before `ordinal`; all are counted from `first`, the store's oldest.
  uint32_t CountBefore(uint32_t ordinal, uint32_t first) const {
    uint32_t low = 0;
    for (uint32_t count = size_; count != 0;) {
      const uint32_t half = count / 2;
      const bool is_before = (*this)[low + half] - first < ordinal - first;
      low = is_before ? low + half + 1 : low;
      count = is_before ? count - half - 1 : half;
    }
    return low;
  }

  size_t bytes_held() const { return capacity_ * sizeof(uint32_t); }

 private:
  void Resize(uint32_t capacity) {
    std::unique_ptr<uint32_t[]> ordinals(capacity == 0 ? nullptr : new uint32_t[capacity]);
    for (uint32_t i = 0; i < size_; ++i) ordinals[i] = (*this)[i];
    ordinals_ = std::move(ordinals);
    capacity_ = capacity;
    head_ = 0;
  }

  std::unique_ptr<uint32_t[]> ordinals_;
  uint32_t capacity_ = 0;
  uint32_t head_ = 0;
  uint32_t size_ = 0;
};

}  // namespace sluice
