// The ids that publishers gave to events which are held, and where these stand.
//
// An id that is used again is remembered from its first use to the eviction of its newest: who
// comes back with it goes on after the first, and so misses nothing, though some may come again.
// Ids are told apart by their keyed 64-bit hash alone.
//
// Thread: its history's. Bounds: one entry an event with an id at most.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/hash_index.h"

namespace sluice {

class PublisherIds {
 public:
  void Add(std::string_view id, uint64_t sequence);
  // The event with this id and sequence is evicted.
  void Evict(std::string_view id, uint64_t sequence);
  // After which sequence who has seen this id goes on; 0 if no event with it is held.
  uint64_t Find(std::string_view id) const;

  size_t size() const { return index_.size(); }
  uint64_t bytes_held() const {
    return ids_.capacity() * sizeof(Id) + unused_.capacity() * sizeof(uint32_t) +
           index_.bytes_held();
  }

 private:
  struct Id {
    uint64_t hash;
    uint64_t first;
    uint64_t newest;
  };
  uint32_t FindIndex(uint64_t hash) const;

  std::vector<Id> ids_;
  std::vector<uint32_t> unused_;
  HashIndex index_;
};

}  // namespace sluice
