// The journal's queue: records back to back in chunks, from the shard that drains the ring to the
// journal's thread. Neither ever waits for the other.
//
// Invariants:
//  1. Bytes of a chunk before `filled` never change; the producer writes them, then `filled`.
//  2. A chunk with a `next` is never filled again: the producer writes its last `filled` before
//     `next`, so a consumer that sees `next` and then reads `filled` has seen all of the chunk.
//  3. The consumer frees a chunk only once it has a `next`: the producer never holds one that is
//     freed.
//
// Thread: Reserve, Publish and bytes() by one producer at a time (whoever drains the ring, ordered
// by
//         the lock that makes it the drainer); Front, Pop by the journal's thread.
// Owner:  what Front returns lives until it is popped.
// Bounds: bytes_max of records offered and not yet popped; a record that finds no room is refused.
//         Memory is that and at most two chunks.
// atomic: `filled` and `next` hand the bytes over, `popped` hands the room back.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

namespace sluice {

class RecordQueue {
 public:
  RecordQueue(uint64_t bytes_max, uint32_t chunk_bytes);
  ~RecordQueue();
  RecordQueue(const RecordQueue&) = delete;
  RecordQueue& operator=(const RecordQueue&) = delete;

  // Room for that many bytes in one piece, or nullptr if the queue is full. What is not published
  // before the next call is forgotten.
  char* Reserve(size_t bytes);
  void Publish(size_t bytes);

  // Whole records, as many as lie in one piece; empty if there is none. The journal's thread may
  // write into them (the checksums).
  std::string_view Front();
  void Pop(size_t bytes);

  // Offered and not yet popped; by any thread a moment old.
  uint64_t bytes() const {
    // Popped first: it is never more than what was pushed when it was read.
    const uint64_t popped = popped_.load(std::memory_order_acquire);
    return pushed_.load(std::memory_order_acquire) - popped;
  }
  uint64_t bytes_max() const { return bytes_max_; }
  bool is_half_full() const { return bytes() > bytes_max_ / 2; }

 private:
  struct Chunk {
    std::atomic<Chunk*> next{nullptr};
    std::atomic<uint32_t> filled{0};
    uint32_t capacity = 0;
    std::unique_ptr<char[]> bytes;
  };
  Chunk* NewChunk(size_t bytes);

  // Constant after construction.
  const uint64_t bytes_max_;
  const uint32_t chunk_bytes_;

  // One chunk on its way back from the consumer, so that a busy queue does not go to the allocator.
  // Before the chunks that are made with its help.
  std::atomic<Chunk*> spare_{nullptr};

  // The producer's.
  alignas(64) Chunk* tail_;
  std::atomic<uint64_t> pushed_{0};  // read by others for statistics only

  // The consumer's.
  alignas(64) Chunk* head_;
  uint32_t taken_ = 0;
  std::atomic<uint64_t> popped_{0};
};

}  // namespace sluice
