// An array that is small while it holds little and never copied while it holds much: up to kBlock
// elements it doubles, from one on; past them it grows in blocks of kBlock.
//
// Thread: its owner's.
// Owner:  an element's address is good until the next push_back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

template <typename T>
class GrowingArray {
 public:
  GrowingArray() = default;
  GrowingArray(const GrowingArray&) = delete;
  GrowingArray& operator=(const GrowingArray&) = delete;
  ~GrowingArray() {
    if (blocks_ == &first_) {
      delete[] first_;
      return;
    }
    for (uint32_t i = 0; i < capacity_ / kBlock; ++i) delete[] blocks_[i];
    delete[] blocks_;
  }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return blocks_[i / kBlock][i % kBlock]; }
  const T& operator[](size_t i) const { return blocks_[i / kBlock][i % kBlock]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(const T& element) {
    if (size_ == capacity_) Grow();
    (*this)[size_++] = element;
  }
  void pop_back() { --size_; }

 private:
  static constexpr uint32_t kBlock = 1024;

  void Grow() {
    if (capacity_ < kBlock) {
      const uint32_t capacity = capacity_ == 0 ? 1 : capacity_ * 2;
      T* larger = new T[capacity];
      std::copy(first_, first_ + size_, larger);
      delete[] first_;
      first_ = larger;
      capacity_ = capacity;
      return;
    }
    // The array of blocks doubles when the number of blocks is a power of two.
    const uint32_t count = capacity_ / kBlock;
    if ((count & (count - 1)) == 0) {
      T** larger = new T*[size_t{count} * 2];
      std::copy(blocks_, blocks_ + count, larger);
      if (blocks_ != &first_) delete[] blocks_;
      blocks_ = larger;
    }
    blocks_[count] = new T[kBlock];
    capacity_ += kBlock;
  }

  T* first_ = nullptr;
  T** blocks_ = &first_;  // one block: no array of them
  uint32_t size_ = 0;
  uint32_t capacity_ = 0;
};

}  // namespace sluice
