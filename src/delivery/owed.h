// What replaying readers were matched with: a reader that reads from the history belongs to no log,
// but is a subscriber of every event of its channel that comes meanwhile, and either gets it or
// loses it. So the events of a channel are kept by number while it has such readers.
//
// Thread: its shard's.
// Bounds: a number for each event that the ledger holds, of channels with replaying readers only.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "base/fifo.h"
#include "delivery/ledger.h"

namespace sluice {

class Owed {
 public:
  bool empty() const { return channels_.empty(); }
  bool Has(uint32_t channel) const { return channels_.contains(channel); }

  void AddReader(uint32_t channel) { ++channels_[channel].readers; }
  // False once it was the last of the channel.
  bool RemoveReader(uint32_t channel) {
    const auto at = channels_.find(channel);
    if (--at->second.readers != 0) return true;
    channels_.erase(at);
    return false;
  }
  // The event is for the channel. Returns its replaying readers.
  uint32_t Append(uint32_t channel, uint64_t sequence, const LedgerPart& ledger) {
    const auto at = channels_.find(channel);
    if (at == channels_.end()) return 0;
    Fifo<uint64_t>& sequences = at->second.sequences;
    while (!sequences.empty() && !ledger.Holds(sequences.front())) sequences.Pop();
    sequences.Push(sequence);
    return at->second.readers;
  }
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
    Fifo<uint64_t> sequences;
  };
  std::unordered_map<uint32_t, Channel> channels_;
};

}  // namespace sluice
