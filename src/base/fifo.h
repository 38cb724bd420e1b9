// A queue in a circular block that doubles when it is full and is never given back: no allocation
// in steady state, unlike std::deque.
//
// Thread: its owner's.
#pragma once

#include <cstddef>
#include <vector>

namespace sluice {

template <typename T>
class Fifo {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& front() { return items_[head_]; }
  T& back() { return items_[(head_ + size_ - 1) & (items_.size() - 1)]; }
  T& operator[](size_t i) { return items_[(head_ + i) & (items_.size() - 1)]; }
  const T& operator[](size_t i) const { return items_[(head_ + i) & (items_.size() - 1)]; }
  size_t bytes_held() const { return items_.capacity() * sizeof(T); }

  void Push(const T& item) {
    if (size_ == items_.size()) Grow();
    items_[(head_ + size_++) & (items_.size() - 1)] = item;
  }
  void Pop() {
    head_ = (head_ + 1) & (items_.size() - 1);
    --size_;
  }
  void Clear() { head_ = size_ = 0; }

 private:
  void Grow() {
    std::vector<T> larger(items_.empty() ? 64 : items_.size() * 2);
    for (size_t i = 0; i < size_; ++i) larger[i] = (*this)[i];
    items_ = std::move(larger);
    head_ = 0;
  }

  std::vector<T> items_;  // a power of two, or empty
  size_t head_ = 0;
  size_t size_ = 0;
};

}  // namespace sluice
