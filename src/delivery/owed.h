// What replaying readers were matched with: a reader that reads from the history belongs to no log,
// but is a subscriber of every event of its channel that comes meanwhile, and either gets it or
// loses it. So while a channel has such readers, its events are counted, which tells how far behind
// they are, and those that the ledger holds are kept by number.
//
// Thread: its shard's.
// Bounds: a number for each event that the ledger holds, of channels with replaying readers only.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/fifo.h"
#include "delivery/ledger.h"
#include "event/frame.h"

namespace sluice {

class Owed {
 public:
  // Of a channel, since it has replaying readers.
  struct Total {
    uint64_t events = 0;
    uint64_t bytes = 0;  // as they are replayed
    uint64_t newest = 0;
    uint64_t newest_bytes = 0;
    uint64_t before_newest = 0;  // 0: none
  };

  bool empty() const { return channels_.empty(); }
  bool Has(uint32_t channel) const { return channels_.contains(channel); }

  // A replaying reader of the channel, to which nothing is owed yet.
  void AddReader(uint32_t channel) { ++channels_[channel].early; }
  // From the next event on it is owed them. Returns what has come up to now.
  const Total& Begin(uint32_t channel) {
    Channel& of = channels_[channel];
    --of.early;
    ++of.readers;
    return of.total;
  }
  // False once it was the last of the channel.
  bool RemoveReader(uint32_t channel, bool is_owed) {
    const auto at = channels_.find(channel);
    --(is_owed ? at->second.readers : at->second.early);
    if (at->second.readers + at->second.early != 0) return true;
    channels_.erase(at);
    return false;
  }
  // Replaying readers of the channel.
  uint32_t Readers(uint32_t channel) const {
    const auto at = channels_.find(channel);
    return at == channels_.end() ? 0 : at->second.readers + at->second.early;
  }
  // The event is for the channel; the ledger may be null. Returns the channel's replaying readers.
  uint32_t Append(uint32_t channel, const Frame& frame, const LedgerPart* ledger) {
    const auto at = channels_.find(channel);
    if (at == channels_.end() || at->second.readers == 0) return 0;
    Total& total = at->second.total;
    total.before_newest = total.newest;
    total.newest = frame.sequence();
    total.newest_bytes = frame.replay_bytes().size();
    ++total.events;
    total.bytes += total.newest_bytes;
    if (ledger == nullptr) return at->second.readers;
    Fifo<uint64_t>& sequences = at->second.sequences;
    while (!sequences.empty() && !ledger->Holds(sequences.front())) sequences.Pop();
    sequences.Push(frame.sequence());
    return at->second.readers;
  }
  // Of a channel that has such readers.
  const Total& TotalOf(uint32_t channel) const { return channels_.at(channel).total; }
  // Calls on_event(sequence) for those after `after`, up to `through`, newest first.
  template <typename OnEvent>
  void ForEach(uint32_t channel, uint64_t after, uint64_t through, OnEvent&& on_event) const {
    const auto at = channels_.find(channel);
    if (at == channels_.end()) return;
    const Fifo<uint64_t>& sequences = at->second.sequences;
    for (size_t i = sequences.size(); i != 0 && sequences[i - 1] > after; --i) {
      if (sequences[i - 1] <= through) on_event(sequences[i - 1]);
    }
  }

 private:
  struct Channel {
    uint32_t readers = 0;
    uint32_t early = 0;
    Total total;
    Fifo<uint64_t> sequences;
  };
  std::unordered_map<uint32_t, Channel> channels_;
};

}  // namespace sluice
