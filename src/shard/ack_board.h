// How far each shard has matched, and who waits to hear of it: so a publish that waits for its ack
// is answered soon, and nobody spins.
//
// A shard that waits says for what (Await), then goes to sleep as the ring has it (PrepareSleep)
// and looks once more; whoever gets further stores that, then looks who waits, and rouses those
// that sleep. All of it is sequentially consistent, so at least one of the two sees the other, as
// with the ring's own wake-ups.
//
// Thread: SetMatched, Leave and Await by the shard they name; the others by any.
// Cost:   one store a turn that drained something; nothing a publish.
// atomic: what one shard has matched and waits for, read by the others and by the journal's thread
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "ring/ring.h"

namespace sluice {

// How many events the ledger has to hold, so that it still has one when the shard that waits for it
// looks: that shard is at most one ring ahead of it (DrainOnce) and one turn, the others one ring
// ahead of that one.
inline constexpr uint32_t LedgerEventsFor(uint32_t ring_events, uint32_t drain_events,
                                          uint32_t asked) {
  return std::max(asked, 2 * ring_events + 2 * drain_events + 2);
}

class AckBoard {
 public:
  static constexpr uint64_t kNothing = UINT64_MAX;

  AckBoard(Ring& ring, uint32_t shards);

  // The shard has matched all events up to this one.
  void SetMatched(uint32_t shard, uint64_t sequence);
  // The shard has ended: what comes is matched with nobody there.
  void Leave(uint32_t shard) { SetMatched(shard, kNothing); }
  // By all shards.
  bool IsMatched(uint64_t sequence) const;

  // What the shard waits for: the first event to be matched (or kNothing), and the journal.
  void Await(uint32_t shard, uint64_t sequence, bool awaits_journal);
  // The journal has got further, or has failed: called after its state has changed.
  void OnJournalProgress();
  // To be called between PrepareSleep and a last look at the journal.
  void LookAtJournal() const { (void)journal_steps_.load(std::memory_order_seq_cst); }

 private:
  struct alignas(64) Shard {
    std::atomic<uint64_t> matched{0};
    std::atomic<uint64_t> awaited{kNothing};
    std::atomic<bool> awaits_journal{false};
  };

  Ring& ring_;
  const uint32_t count_;
  std::unique_ptr<Shard[]> shards_;
  alignas(64) std::atomic<uint64_t> journal_steps_{0};
};

}  // namespace sluice
