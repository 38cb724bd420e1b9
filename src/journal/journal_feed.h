// From the ring to the journal: a consumer of the ring without a thread of its own.
//
// Each shard moves it on in each of its turns, if no other does so now. Offer never waits, so the
// ring is never full because of a disk. It never sleeps and needs no waker, but a shard must not go
// to sleep while IsBehind(its drained place).
//
// It also tells the ring how far sequences are reserved on disk.
//
// Thread: any shard's; CatchUpAll by whoever stops the gateway, after the shards.
// Owner:  ring and journal outlive it.
#pragma once

#include <mutex>

#include "journal/journal.h"
#include "ring/ring.h"

namespace sluice {

class JournalFeed {
 public:
  static constexpr size_t kTurnEvents = 2'048;
  static constexpr size_t kDrainEvents = 128;  // so that the ring has room again soon

  JournalFeed(Journal& journal, Ring& ring, uint32_t consumer);

  // Offers up to kTurnEvents.
  void CatchUp();
  void CatchUpAll();
  bool IsBehind(uint64_t through) const { return ring_.drained_sequence(consumer_) < through; }

 private:
  // With the lock held: the ring's cursor has one user at a time by it.
  bool OfferSome();

  Journal& journal_;
  Ring& ring_;
  const uint32_t consumer_;
  std::mutex mutex_;
};

}  // namespace sluice
