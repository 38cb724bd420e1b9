#include "delivery/ledger.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/check.h"

namespace sluice {
namespace {

// Zeroes that take no memory until they are written: a ledger is large, and idle at first.
template <typename T>
T* Zeroes(uint64_t count) {
  void* const block = std::calloc(count, sizeof(T));
  SLUICE_CHECK(block != nullptr);
  return static_cast<T*>(block);
}

}  // namespace

LedgerPart::LedgerPart(uint32_t events)
    : mask_(uint64_t{events} - 1),
      entries_(Zeroes<Entry>(events)),
      losses_(Zeroes<Losses>(events)) {
  SLUICE_CHECK(std::has_single_bit(events));
}

LedgerPart::~LedgerPart() {
  std::free(entries_);
  std::free(losses_);
}

void LedgerPart::Begin(uint64_t sequence, int64_t published_ns) {
  newest_ = sequence;
  Entry& entry = entries_[sequence & mask_];
  // Relaxed: the releases that follow keep it before them.
  entry.sequence.store(0, std::memory_order_relaxed);
  entry.published_ns.store(published_ns, std::memory_order_release);
  entry.last_ns.store(0, std::memory_order_release);
  entry.matched.store(0, std::memory_order_release);
  entry.handed.store(0, std::memory_order_release);
  entry.replayed.store(0, std::memory_order_release);
  entry.lost.store(0, std::memory_order_release);
  // Release, pairs with the first load of Read.
  entry.sequence.store(sequence, std::memory_order_release);
}

void LedgerPart::AddLost(uint64_t sequence, Loss reason, uint32_t subscribers) {
  Entry* const entry = Find(sequence);
  if (entry == nullptr) return;
  Losses& losses = losses_[sequence & mask_];
  if (entry->lost.load(std::memory_order_relaxed) == 0) {
    for (auto& count : losses.by_reason) count.store(0, std::memory_order_release);
  }
  Add(&losses.by_reason[static_cast<size_t>(reason)], subscribers);
  Add(&entry->lost, subscribers);
}

LedgerPart::Look LedgerPart::Read(uint64_t sequence, Account* account) const {
  const Entry& entry = entries_[sequence & mask_];
  // Acquire throughout: pairs with the releases of the writer. A count of a later event comes with
  // the sequence of that one, or with none, which the second look finds.
  const uint64_t there = entry.sequence.load(std::memory_order_acquire);
  if (there != sequence) return there < sequence ? Look::kNotYet : Look::kTooLate;
  Account found;
  found.published_ns = entry.published_ns.load(std::memory_order_acquire);
  found.last_ns = entry.last_ns.load(std::memory_order_acquire);
  found.matched = entry.matched.load(std::memory_order_acquire);
  found.handed = entry.handed.load(std::memory_order_acquire);
  found.replayed = entry.replayed.load(std::memory_order_acquire);
  if (entry.lost.load(std::memory_order_acquire) != 0) {
    const Losses& losses = losses_[sequence & mask_];
    for (size_t i = 0; i < kLossCount; ++i) {
      found.lost[i] = losses.by_reason[i].load(std::memory_order_acquire);
    }
  }
  if (entry.sequence.load(std::memory_order_acquire) != sequence) return Look::kTooLate;
  account->published_ns = found.published_ns;
  account->last_ns = std::max(account->last_ns, found.last_ns);
  account->matched += found.matched;
  account->handed += found.handed;
  account->replayed += found.replayed;
  for (size_t i = 0; i < kLossCount; ++i) account->lost[i] += found.lost[i];
  return Look::kFound;
}

Ledger::Ledger(uint32_t shards, uint32_t events) : events_(std::bit_ceil(events)) {
  for (uint32_t i = 0; i < shards; ++i) parts_.push_back(std::make_unique<LedgerPart>(events_));
}

std::optional<uint64_t> Ledger::Matched(uint64_t sequence) const {
  LedgerPart::Account account;
  // A part that never came to it is of a shard that had ended by then, without subscribers.
  if (Read(sequence, &account) == LedgerPart::Look::kTooLate) return std::nullopt;
  return account.matched;
}

LedgerPart::Look Ledger::Read(uint64_t sequence, LedgerPart::Account* account) const {
  using Look = LedgerPart::Look;
  Look worst = Look::kFound;
  for (const auto& part : parts_) worst = std::max(worst, part->Read(sequence, account));
  return worst;
}

}  // namespace sluice
