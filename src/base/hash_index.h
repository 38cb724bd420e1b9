// A table from hashes to numbers: open addressing with 8 bytes a place, at most three quarters
// full. What the numbers stand for, and which of two with one hash is meant, its owner knows.
//
// The hash must be keyed (see TopicHash): who chooses the names must not choose the places.
//
// Thread: its owner's; Find by several while nobody writes.
// Bounds: 2^31 entries; growing doubles the table and moves the places without asking the owner.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

class HashIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t bytes_held() const { return places_.capacity() * sizeof(Place); }

  // The number put in under this hash for which `is_it(number)` holds, or kNone.
  template <typename IsIt>
  uint32_t Find(uint64_t hash, IsIt&& is_it) const {
    if (size_ == 0) return kNone;
    const uint32_t wanted = Fold(hash);
    for (size_t i = wanted & mask();; i = (i + 1) & mask()) {
      const Place& place = places_[i];
      if (place.number == kFree) return kNone;
      if (place.hash == wanted && is_it(place.number)) return place.number;
    }
  }

  // The caller knows that it is not there.
  void Insert(uint64_t hash, uint32_t number) {
    if ((size_ + 1) * 4 > places_.size() * 3) Resize(places_.empty() ? 8 : places_.size() * 2);
    Put({Fold(hash), number});
    ++size_;
  }

  // The caller knows that it is there.
  void Erase(uint64_t hash, uint32_t number) {
    size_t hole = Fold(hash) & mask();
    while (places_[hole].number != number) hole = (hole + 1) & mask();
    // What stands after the hole and would have stood in it moves up, so that no search ends early.
    for (size_t i = (hole + 1) & mask(); places_[i].number != kFree; i = (i + 1) & mask()) {
      const size_t home = places_[i].hash & mask();
      if (((i - home) & mask()) < ((i - hole) & mask())) continue;
      places_[hole] = places_[i];
      hole = i;
    }
    places_[hole].number = kFree;
    --size_;
    if (places_.size() > 8 && size_ * 8 < places_.size()) Resize(places_.size() / 4);
  }

 private:
  static constexpr uint32_t kFree = kNone;
  struct Place {
    uint32_t hash = 0;
    uint32_t number = kFree;
  };

  static uint32_t Fold(uint64_t hash) { return static_cast<uint32_t>(hash ^ (hash >> 32)); }
  size_t mask() const { return places_.size() - 1; }

  void Put(const Place& place) {
    size_t i = place.hash & mask();
    while (places_[i].number != kFree) i = (i + 1) & mask();
    places_[i] = place;
  }
  void Resize(size_t places) {
    std::vector<Place> old(std::bit_ceil(places < 8 ? size_t{8} : places));
    old.swap(places_);
    for (const Place& place : old) {
      if (place.number != kFree) Put(place);
    }
  }

  std::vector<Place> places_;  // a power of two, or none
  size_t size_ = 0;
};

}  // namespace sluice
