// What the readers of one channel get that conflate: of each topic and key only the newest event
// that they have not had.
//
// Two things, both frames by reference. The backlog is the frames that the log holds: a log has
// bytes only, and who leaves it must find out what they were. The table is there only while a
// reader conflates, and all of those share it: it begins with the backlog, and each event after it
// takes the place of the older one of the same topics and key. It is in sequence order: a reader's
// place in it is the last sequence that it had, so whoever is cut off at any moment and goes on
// after its last id has missed no newest value. An event without a key is a value of its own. A
// table of a long backlog is made over several turns; until it is whole nobody reads from it, for
// the newer events of its values may still be to come.
//
// Thread: its shard's.
// Owner:  one holder of each frame; what Next returns is valid until the next Append or Leave.
// Bounds: the backlog, what the log holds; the table, ConflationLimits: past them the oldest events
//         without a key go, then the oldest ones with; `dropped()` says up to where.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/fifo.h"
#include "base/hash_index.h"
#include "delivery/lag_policy.h"
#include "log/log_memory.h"

namespace sluice {

struct ConflationLimits {
  uint64_t events_max = 65'536;
  uint64_t bytes_max = 16 << 20;
  size_t make_events_max = 2048;  // what the making of a table takes at once
};

struct ConflatedEvent {
  HeldFrame* held;  // null: none
  uint64_t index;   // in the log
};

// The newest events of their values, in sequence order.
class ConflationTable {
 public:
  ConflationTable(LogMemory& memory, const ConflationLimits& limits, LagCounters& counters)
      : memory_(memory), limits_(limits), counters_(counters) {}
  ~ConflationTable();
  ConflationTable(const ConflationTable&) = delete;
  ConflationTable& operator=(const ConflationTable&) = delete;

  // Of a higher sequence than those before.
  void Add(const ConflatedEvent& event);
  // The first after this sequence; null if there is none.
  const ConflatedEvent* Next(uint64_t sequence) const;
  uint64_t dropped() const { return dropped_; }
  size_t events() const { return events_; }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Place {
    uint64_t sequence;
    uint32_t slot;
  };
  uint32_t Find(const Frame& frame, uint64_t hash) const;
  bool IsLive(const Place& place) const;
  size_t PlaceAfter(uint64_t sequence) const;
  void Forget(HeldFrame* held);
  void KeepBounds();
  void DropOldest();
  void Compact();

  LogMemory& memory_;
  const ConflationLimits limits_;
  LagCounters& counters_;
  std::vector<ConflatedEvent> slots_;
  std::vector<uint32_t> slots_free_;
  HashIndex of_value_;      // slots of those with keys
  Fifo<Place> order_;       // some replaced since
  Fifo<uint64_t> keyless_;  // sequences
  uint64_t dropped_ = 0;
  size_t events_ = 0;
  uint64_t bytes_ = 0;
};

class Conflation {
 public:
  Conflation(LogMemory& memory, const ConflationLimits& limits, LagCounters& counters)
      : memory_(memory), limits_(limits), counters_(counters) {}
  ~Conflation() {
    is_making_ = false;
    Trim(UINT64_MAX);
  }
  Conflation(const Conflation&) = delete;
  Conflation& operator=(const Conflation&) = delete;

  // The log has it as the frame of this index.
  void Append(HeldFrame* held, uint64_t index);
  // Nobody is to leave the log before this index any more.
  void Trim(uint64_t index);
  // Of a frame that the log holds.
  uint64_t SequenceAt(uint64_t index) const;

  // A reader leaves the log, or the table.
  void Enter();
  void Leave();
  size_t readers() const { return readers_; }
  // Goes on with the making of the table; true once it is whole.
  bool Make() { return Make(limits_.make_events_max); }
  bool is_whole() const { return !is_making_; }
  // Only with readers, to be read from only when it is whole.
  const ConflationTable& table() const { return *table_; }

 private:
  bool Make(size_t events_max);

  LogMemory& memory_;
  const ConflationLimits limits_;
  LagCounters& counters_;
  std::vector<HeldFrame*> backlog_;
  size_t backlog_begin_ = 0;
  uint64_t first_index_ = 0;  // of backlog_[backlog_begin_]
  size_t readers_ = 0;
  std::unique_ptr<ConflationTable> table_;
  bool is_making_ = false;
  uint64_t made_ = 0;  // while it is made: the index of the next event to be put into it
};

}  // namespace sluice
