// Numbers in the order of the names that they stand for: four to eight bytes a number, and a step
// of a few looks at names for each that comes or goes. What the numbers stand for, its owner knows.
//
// The numbers stand in blocks, in order; a full block is halved, one with little left joins its
// neighbour. Names that come in order fill their blocks.
//
// Thread: its owner's; Seek by several while nobody writes.
// Bounds: none of its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/check.h"

namespace sluice {

class NameOrder {
 public:
  size_t size() const { return size_; }
  size_t bytes_held() const {
    return blocks_.size() * sizeof(Block) + blocks_.capacity() * sizeof(blocks_[0]);
  }

  // In all of these `is_before(n)` says whether the name of n stands before the one that is meant.
  // Insert: that of `number`, which is not here.
  template <typename IsBefore>
  void Insert(uint32_t number, IsBefore&& is_before);
  // That of `number`, which is here.
  template <typename IsBefore>
  void Erase(uint32_t number, IsBefore&& is_before);
  // Goes from one number to the next; good until something comes or goes.
  class Cursor {
   public:
    bool has_number() const { return block_ < order_->blocks_.size(); }
    uint32_t number() const { return order_->blocks_[block_]->numbers[at_]; }
    void Next() {
      ++at_;
      Settle();
    }

   private:
    friend class NameOrder;
    Cursor(const NameOrder* order, size_t block, uint32_t at)
        : order_(order), block_(block), at_(at) {
      Settle();
    }
    void Settle() {
      if (!has_number() || at_ < order_->blocks_[block_]->count) return;
      ++block_;
      at_ = 0;
    }
    const NameOrder* order_;
    size_t block_;
    uint32_t at_;
  };
  // Stands at the first number that is not before.
  template <typename IsBefore>
  Cursor Seek(IsBefore&& is_before) const {
    const Place place = Find(is_before);
    return {this, place.block, place.at};
  }

 private:
  static constexpr uint32_t kBlockNumbers = 255;
  struct Block {
    uint32_t count = 0;
    uint32_t numbers[kBlockNumbers];
  };
  struct Place {
    size_t block;
    uint32_t at;  // perhaps behind its last
  };

  template <typename IsBefore>
  Place Find(IsBefore&& is_before) const;
  void JoinIfSmall(size_t block);

  std::vector<std::unique_ptr<Block>> blocks_;  // none is empty
  size_t size_ = 0;
};

template <typename IsBefore>
NameOrder::Place NameOrder::Find(IsBefore&& is_before) const {
  const auto after = std::partition_point(blocks_.begin(), blocks_.end(), [&](const auto& block) {
    return is_before(block->numbers[0]);
  });
  if (after == blocks_.begin()) return {0, 0};
  const Block& block = **(after - 1);
  const uint32_t* const end = block.numbers + block.count;
  const uint32_t* const at = std::partition_point(block.numbers + 1, end, is_before);
  return {static_cast<size_t>(after - blocks_.begin()) - 1,
          static_cast<uint32_t>(at - block.numbers)};
}

template <typename IsBefore>
void NameOrder::Insert(uint32_t number, IsBefore&& is_before) {
  Place place = Find(is_before);
  if (blocks_.empty()) blocks_.push_back(std::make_unique<Block>());
  if (blocks_[place.block]->count == kBlockNumbers) {
    auto added = std::make_unique<Block>();
    Block& full = *blocks_[place.block];
    const bool is_at_end = place.block + 1 == blocks_.size() && place.at == kBlockNumbers;
    const uint32_t kept = is_at_end ? kBlockNumbers : kBlockNumbers / 2;
    added->count = kBlockNumbers - kept;
    std::copy(full.numbers + kept, full.numbers + kBlockNumbers, added->numbers);
    full.count = kept;
    blocks_.insert(blocks_.begin() + static_cast<ptrdiff_t>(place.block) + 1, std::move(added));
    if (place.at > kept || is_at_end) place = {place.block + 1, place.at - kept};
  }
  Block& block = *blocks_[place.block];
  uint32_t* const at = block.numbers + place.at;
  std::copy_backward(at, block.numbers + block.count, block.numbers + block.count + 1);
  *at = number;
  ++block.count;
  ++size_;
}

template <typename IsBefore>
void NameOrder::Erase(uint32_t number, IsBefore&& is_before) {
  Place place = Find(is_before);
  if (place.at == blocks_[place.block]->count) place = {place.block + 1, 0};
  Block& block = *blocks_[place.block];
  uint32_t* const at = block.numbers + place.at;
  SLUICE_DCHECK(*at == number);
  std::copy(at + 1, block.numbers + block.count, at);
  --block.count;
  --size_;
  JoinIfSmall(place.block);
}

inline void NameOrder::JoinIfSmall(size_t block) {
  if (blocks_[block]->count >= kBlockNumbers / 4) return;
  if (blocks_[block]->count != 0) {
    if (blocks_.size() == 1) return;
    const size_t left = block == 0 ? 0 : block - 1;
    Block& to = *blocks_[left];
    const Block& from = *blocks_[left + 1];
    if (to.count + from.count > kBlockNumbers / 4 * 3) return;
    std::copy(from.numbers, from.numbers + from.count, to.numbers + to.count);
    to.count += from.count;
    block = left + 1;
  }
  blocks_.erase(blocks_.begin() + static_cast<ptrdiff_t>(block));
}

}  // namespace sluice
