// A vector that grows in blocks: growing copies nothing and leaves no old copy behind, which with a
// million elements is the difference between what they need and twice that. Elements never move.
//
// Thread: its owner's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/slot_array.h"

namespace sluice {

template <typename T>
class BlockVector {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return blocks_[static_cast<uint32_t>(i)]; }
  const T& operator[](size_t i) const { return blocks_[static_cast<uint32_t>(i)]; }
  T& back() { return (*this)[size_ - 1]; }

  void push_back(const T& element) { blocks_.At(size_++) = element; }
  // The element stays as it is until its place is used again.
  void pop_back() { --size_; }

 private:
  SlotArray<T> blocks_;
  uint32_t size_ = 0;
};

}  // namespace sluice
