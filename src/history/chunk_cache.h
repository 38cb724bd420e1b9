// A shard's chunks: readers of the same subscription at the same place share one reading of the
// history, however many they are.
//
// A chunk is kept as it was read, even if the history has gone on since: who gets it goes on after
// its last sequence.
//
// Thread: its shard's.
// Owner:  a chunk lives while the cache or a reader holds it.
// Bounds: bytes_max of chunks held here (those that only readers hold are the readers'), and
//         kReadingsMax subscriptions made ready; the ones used longest ago go first.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "history/reading.h"
#include "history/shared_history.h"

namespace sluice {

class ChunkCache {
 public:
  static constexpr size_t kReadingsMax = 64;

  ChunkCache(SharedHistory& history, uint64_t bytes_max);

  // What comes after this sequence, up to `through` or less: see History::Read. The shard has
  // drained up to `through`. A chunk read before `told` was evicted is not for a reader that was
  // told of that.
  std::shared_ptr<const Chunk> Read(const Subscription& subscription, uint64_t after,
                                    uint64_t through, uint64_t told = 0);
  // The same as History::ReadNewest: of this moment, so it is not kept for others.
  std::shared_ptr<const Chunk> ReadNewest(const Subscription& subscription, uint64_t after,
                                          uint64_t through);
  // Where the stream begins; all of the search is done.
  Start Resolve(const StreamStart& asked, const Subscription& subscription, uint64_t through);
  // As SharedHistory's.
  size_t ReadValues(std::span<const ValueRef> values, Chunk* chunk) {
    return history_.ReadValues(values, chunk);
  }
  // The subscription made ready; valid until the next call.
  Reading& ReadingOf(const Subscription& subscription);

  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }
  uint64_t bytes_held() const { return bytes_held_; }

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<const Chunk> chunk;
    uint64_t bytes;
  };
  static std::string KeyOf(const Subscription& subscription, uint64_t after);
  void Drop(std::list<Entry>::iterator entry);
  void Keep(std::string key, const std::shared_ptr<const Chunk>& chunk);

  SharedHistory& history_;
  const uint64_t bytes_max_;
  std::list<Entry> chunks_;  // the last used first
  std::unordered_map<std::string, std::list<Entry>::iterator> chunk_of_;
  std::list<Reading> readings_;  // the last used first
  std::unordered_map<std::string, std::list<Reading>::iterator> reading_of_;
  uint64_t bytes_held_ = 0;
  uint64_t hits_ = 0;
  uint64_t misses_ = 0;
};

}  // namespace sluice
