// A hash table that finds elements which stand elsewhere, in an array: it holds their indices and
// 32 bits of their hashes, eight bytes a slot, so that growing and erasing touch no element.
//
// The hash must be keyed (see TopicHash): who chooses the names must not choose the slots.
//
// Thread: its owner's; Find by several while nobody writes.
// Bounds: three quarters full at most; doubles in one go, and is never made smaller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class HistoryIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // The element with this hash of which `is_equal(element)` is true, or kNone.
  template <typename IsEqual>
  uint32_t Find(uint64_t hash, IsEqual&& is_equal) const {
    if (slots_.empty()) return kNone;
    const uint32_t tag = Tag(hash);
    for (size_t at = tag & mask(); slots_[at].element != kNone; at = (at + 1) & mask()) {
      if (slots_[at].tag == tag && is_equal(slots_[at].element)) return slots_[at].element;
    }
    return kNone;
  }

  // The element is not in it yet.
  void Insert(uint64_t hash, uint32_t element) {
    if ((size_ + 1) * 4 > slots_.size() * 3) Grow();
    Put({element, Tag(hash)});
    ++size_;
  }

  // The element is in it.
  void Erase(uint64_t hash, uint32_t element) {
    size_t hole = Tag(hash) & mask();
    while (slots_[hole].element != element) hole = (hole + 1) & mask();
    // What comes behind moves up, unless that were before its home.
    for (size_t at = (hole + 1) & mask(); slots_[at].element != kNone; at = (at + 1) & mask()) {
      const size_t home = slots_[at].tag & mask();
      if (((at - home) & mask()) < ((at - hole) & mask())) continue;
      slots_[hole] = slots_[at];
      hole = at;
    }
    slots_[hole].element = kNone;
    --size_;
  }

  size_t size() const { return size_; }
  size_t bytes_held() const { return slots_.capacity() * sizeof(Slot); }

 private:
  struct Slot {
    uint32_t element = kNone;
    uint32_t tag = 0;
  };
  static uint32_t Tag(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }
  size_t mask() const { return slots_.size() - 1; }

  void Put(Slot slot) {
    size_t at = slot.tag & mask();
    while (slots_[at].element != kNone) at = (at + 1) & mask();
    slots_[at] = slot;
  }
  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.element != kNone) Put(slot);
    }
  }

  std::vector<Slot> slots_;  // a power of two, or empty
  size_t size_ = 0;
};

}  // namespace sluice
