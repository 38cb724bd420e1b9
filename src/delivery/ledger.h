// The ledger: what became of each event of late. One part a shard, in which that shard alone
// writes: how many of its subscribers an event was matched with, to how many of them it was handed,
// by whom it was lost, and when the last of that was. A report sums over the parts.
//
// matched = handed + lost + those who have yet to get it, at any time. A subscriber is matched if
// it was there when its shard appended the event: flowing, blocked, ending (it loses what comes
// after its goodbye) or replaying (it gets the event from the history later). Whoever comes later
// and gets the event from the history was not matched, and is counted as replayed.
//
// Thread: each part is written by its shard's; read by any, a moment old.
// Bounds: the newest `events` events (a power of two) a part; 40 bytes each, and as much again for
//         those that somebody lost. The memory is taken when it is first used.
// atomic: counts that one shard writes and any thread reads; an entry's sequence guards the rest
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/reason.h"

namespace sluice {

class LedgerPart {
 public:
  explicit LedgerPart(uint32_t events);
  ~LedgerPart();
  LedgerPart(const LedgerPart&) = delete;
  LedgerPart& operator=(const LedgerPart&) = delete;

  // --- its shard
  // In the order of sequences.
  void Begin(uint64_t sequence, int64_t published_ns);
  void AddMatched(uint64_t sequence, uint32_t subscribers) {
    if (Entry* entry = Find(sequence)) Add(&entry->matched, subscribers);
  }
  void AddHanded(uint64_t sequence, uint32_t subscribers, int64_t now_ns) {
    if (Entry* entry = Find(sequence)) {
      Add(&entry->handed, subscribers);
      entry->last_ns.store(now_ns, std::memory_order_release);
    }
  }
  void AddReplayed(uint64_t sequence, uint32_t subscribers) {
    if (Entry* entry = Find(sequence)) Add(&entry->replayed, subscribers);
  }
  void AddLost(uint64_t sequence, Loss reason, uint32_t subscribers);
  // Somebody who was counted as having lost it has it after all.
  void TakeBackLost(uint64_t sequence, Loss reason) { AddLost(sequence, reason, UINT32_MAX); }
  // The sequence that ends in these bits, of those that are held or to come.
  uint64_t Widen(uint32_t sequence) const {
    return newest_ - static_cast<uint32_t>(static_cast<uint32_t>(newest_) - sequence);
  }
  bool Holds(uint64_t sequence) const { return sequence + mask_ >= newest_; }

  // --- any thread
  struct Account {
    int64_t published_ns = 0;
    int64_t last_ns = 0;  // 0: nobody has had it yet
    uint64_t matched = 0;
    uint64_t handed = 0;
    uint64_t replayed = 0;
    std::array<uint64_t, kLossCount> lost{};
  };
  enum class Look {
    kFound,
    kNotYet,   // the shard has not come to it
    kTooLate,  // it is older than what is held
  };
  Look Read(uint64_t sequence, Account* account) const;

 private:
  // Zeroes are an entry of no event.
  struct Entry {
    std::atomic<uint64_t> sequence;
    std::atomic<int64_t> published_ns;
    std::atomic<int64_t> last_ns;
    std::atomic<uint32_t> matched;
    std::atomic<uint32_t> handed;
    std::atomic<uint32_t> replayed;
    std::atomic<uint32_t> lost;
  };
  struct Losses {
    std::array<std::atomic<uint32_t>, kLossCount> by_reason;
  };

  // Null if it is not held any more.
  Entry* Find(uint64_t sequence) {
    Entry& entry = entries_[sequence & mask_];
    return entry.sequence.load(std::memory_order_relaxed) == sequence ? &entry : nullptr;
  }
  // Release, pairs with the acquire in Read: who sees a count of another event sees its sequence.
  static void Add(std::atomic<uint32_t>* count, uint32_t n) {
    count->store(count->load(std::memory_order_relaxed) + n, std::memory_order_release);
  }

  const uint64_t mask_;
  Entry* const entries_;
  Losses* const losses_;  // of an entry with lost != 0
  uint64_t newest_ = 0;
};

class Ledger {
 public:
  Ledger(uint32_t shards, uint32_t events);

  LedgerPart& part(uint32_t shard) { return *parts_[shard]; }
  uint32_t events() const { return events_; }

  // Of an event that all shards have matched; nothing if it is too long ago.
  std::optional<uint64_t> Matched(uint64_t sequence) const;
  // The sum over all shards. kNotYet: of those that have come to it.
  LedgerPart::Look Read(uint64_t sequence, LedgerPart::Account* account) const;

 private:
  const uint32_t events_;
  std::vector<std::unique_ptr<LedgerPart>> parts_;
};

}  // namespace sluice
