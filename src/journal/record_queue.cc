#include "journal/record_queue.h"

#include <algorithm>

#include "base/check.h"

namespace sluice {

RecordQueue::RecordQueue(uint64_t bytes_max, uint32_t chunk_bytes)
    : bytes_max_(bytes_max), chunk_bytes_(chunk_bytes), tail_(NewChunk(0)), head_(tail_) {}

RecordQueue::~RecordQueue() {
  while (head_ != nullptr) {
    Chunk* next = head_->next.load(std::memory_order_acquire);
    delete head_;
    head_ = next;
  }
  delete spare_.load(std::memory_order_acquire);
}

RecordQueue::Chunk* RecordQueue::NewChunk(size_t bytes) {
  if (bytes <= chunk_bytes_) {
    // Acquire, pairs with the release in Front: the consumer is done with it.
    if (Chunk* spare = spare_.exchange(nullptr, std::memory_order_acquire)) return spare;
  }
  Chunk* chunk = new Chunk;
  chunk->capacity = static_cast<uint32_t>(std::max<size_t>(bytes, chunk_bytes_));
  chunk->bytes = std::make_unique_for_overwrite<char[]>(chunk->capacity);
  return chunk;
}

char* RecordQueue::Reserve(size_t bytes) {
  // Acquire, pairs with Pop: only so that the bound is exact; room itself is never reused in place.
  const uint64_t popped = popped_.load(std::memory_order_acquire);
  if (pushed_.load(std::memory_order_relaxed) - popped + bytes > bytes_max_) return nullptr;
  // Relaxed: only the producer writes it.
  uint32_t filled = tail_->filled.load(std::memory_order_relaxed);
  if (tail_->capacity - filled < bytes) {
    Chunk* chunk = NewChunk(bytes);
    // Pairs with the load in Front (invariant 2); sequentially consistent as `filled` is.
    tail_->next.store(chunk, std::memory_order_seq_cst);
    tail_ = chunk;
    filled = 0;
  }
  return tail_->bytes.get() + filled;
}

void RecordQueue::Publish(size_t bytes) {
  const uint32_t filled = tail_->filled.load(std::memory_order_relaxed);
  SLUICE_DCHECK(tail_->capacity - filled >= bytes);
  pushed_.store(pushed_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
  // Release, pairs with the acquire in Front: the bytes are written (invariant 1). Sequentially
  // consistent, because the journal's sleep is decided by it (see Journal::Offer).
  tail_->filled.store(filled + static_cast<uint32_t>(bytes), std::memory_order_seq_cst);
}

std::string_view RecordQueue::Front() {
  while (true) {
    // Before `filled`: a chunk that has a next is not filled again (invariant 2).
    Chunk* next = head_->next.load(std::memory_order_seq_cst);
    const uint32_t filled = head_->filled.load(std::memory_order_seq_cst);
    if (filled > taken_) return {head_->bytes.get() + taken_, filled - taken_};
    if (next == nullptr) return {};
    Chunk* done = head_;
    head_ = next;
    taken_ = 0;
    if (done->capacity == chunk_bytes_) {
      done->next.store(nullptr, std::memory_order_relaxed);
      done->filled.store(0, std::memory_order_relaxed);
      // Release, pairs with the acquire in NewChunk.
      done = spare_.exchange(done, std::memory_order_acq_rel);
    }
    delete done;
  }
}

void RecordQueue::Pop(size_t bytes) {
  taken_ += static_cast<uint32_t>(bytes);
  popped_.store(popped_.load(std::memory_order_relaxed) + bytes, std::memory_order_release);
}

}  // namespace sluice
