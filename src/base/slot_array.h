// An array indexed by connection slot that grows in blocks: an element never moves, and growing
// touches no memory of the others, so that memory is paid for as slots are used.
//
// Thread: its owner's. Bounds: none of its own; slots are dense from 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice {

template <typename T>
class SlotArray {
 public:
  // The element, made with T{} (and those of its block) when it is new.
  T& At(uint32_t slot) {
    const size_t block = slot / kBlock;
    while (block >= blocks_.size()) blocks_.push_back(std::make_unique<T[]>(kBlock));
    return blocks_[block][slot % kBlock];
  }
  // Only for slots that At has seen.
  T& operator[](uint32_t slot) { return blocks_[slot / kBlock][slot % kBlock]; }
  const T& operator[](uint32_t slot) const { return blocks_[slot / kBlock][slot % kBlock]; }
  bool Has(uint32_t slot) const { return slot / kBlock < blocks_.size(); }
  size_t bytes_held() const { return blocks_.size() * kBlock * sizeof(T); }

 private:
  static constexpr uint32_t kBlock = 1024;
  std::vector<std::unique_ptr<T[]>> blocks_;
};

}  // namespace sluice
