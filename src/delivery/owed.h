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

  // A replaying reader of the channel, to which nothing is owed yet.
  void AddReader(uint32_t channel) { ++channels_[channel].early; }
  // From the next event on it is owed them.
  void Begin(uint32_t channel) {
    Channel& of = channels_[channel];
    --of.early;
    ++of.readers;
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
  // The event is for the channel. Returns its replaying readers.
  uint32_t Append(uint32_t channel, uint64_t sequence, const LedgerPart& ledger) {
    const auto at = channels_.find(channel);
    if (at == channels_.end() || at->second.readers == 0) return 0;
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
    uint32_t early = 0;
    Fifo<uint64_t> sequences;
  };
  std::unordered_map<uint32_t, Channel> channels_;
};

}  // namespace sluice
