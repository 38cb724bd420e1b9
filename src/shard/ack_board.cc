#include "shard/ack_board.h"

namespace sluice {

AckBoard::AckBoard(Ring& ring, uint32_t shards)
    : ring_(ring), count_(shards), shards_(std::make_unique<Shard[]>(shards)) {}

void AckBoard::SetMatched(uint32_t shard, uint64_t sequence) {
  std::atomic<uint64_t>& matched = shards_[shard].matched;
  // Relaxed: only this shard writes it.
  if (matched.load(std::memory_order_relaxed) == sequence) return;
  matched.store(sequence, std::memory_order_seq_cst);
  for (uint32_t i = 0; i < count_; ++i) {
    const uint64_t awaited = shards_[i].awaited.load(std::memory_order_seq_cst);
    // The last one to get there finds that all have: one wake-up, not one from each.
    if (i != shard && awaited <= sequence && IsMatched(awaited)) ring_.Rouse(i);
  }
}

bool AckBoard::IsMatched(uint64_t sequence) const {
  if (sequence == kNothing) return false;
  for (uint32_t i = 0; i < count_; ++i) {
    if (shards_[i].matched.load(std::memory_order_seq_cst) < sequence) return false;
  }
  return true;
}

void AckBoard::Await(uint32_t shard, uint64_t sequence, bool awaits_journal) {
  Shard& self = shards_[shard];
  // Relaxed: only this shard writes them.
  if (self.awaited.load(std::memory_order_relaxed) != sequence) {
    self.awaited.store(sequence, std::memory_order_seq_cst);
  }
  if (self.awaits_journal.load(std::memory_order_relaxed) != awaits_journal) {
    self.awaits_journal.store(awaits_journal, std::memory_order_seq_cst);
  }
}

void AckBoard::OnJournalProgress() {
  // Pairs with LookAtJournal: a shard that is not yet asleep sees what the journal has done.
  journal_steps_.fetch_add(1, std::memory_order_seq_cst);
  for (uint32_t i = 0; i < count_; ++i) {
    if (shards_[i].awaits_journal.load(std::memory_order_seq_cst)) ring_.Rouse(i);
  }
}

}  // namespace sluice
