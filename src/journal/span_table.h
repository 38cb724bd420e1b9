// What the journal holds, in spans: runs of neighbouring blocks that retention lets go of at once.
// Closed spans stand in the store, so that an opening reads them and not every event; the open one
// is counted anew from its blocks.
//
//   span = first:u64 last:u64 events:u64 bytes:u64 newest_wall_ns:u64 crc:u32   little-endian
//
// Thread: the journal's; the counters by any.
// Bounds: a span is a 64th of each bound of retention, at most 4 MiB, so the journal holds between
//         63/64 of a bound and the bound, and the table is some hundreds of entries a gigabyte.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/counter.h"
#include "base/status.h"

namespace sluice {

// What a journal holds at most; 0 is no bound.
struct JournalRetention {
  uint64_t events_max = 0;
  uint64_t bytes_max = 0;
  int64_t age_max_ns = 0;
};

struct JournalSpan {
  uint64_t first = 0;  // sequence; 0: it holds nothing
  uint64_t last = 0;
  uint64_t events = 0;
  uint64_t bytes = 0;
  int64_t oldest_wall_ns = 0;  // known of the open span only
  int64_t newest_wall_ns = 0;

  std::string Encode() const;
  static Status Decode(std::string_view bytes, JournalSpan* span);
};

class SpanTable {
 public:
  explicit SpanTable(const JournalRetention& retention);

  // At an opening: a closed span from the store, oldest first.
  void Restore(const JournalSpan& span);
  // A block was committed (or, at an opening, found): what is in it, in order.
  void Add(const JournalSpan& block);

  // Is the open span full, or all of it too old? Then it can be closed; the caller stores it.
  bool MustClose(int64_t wall_ns) const;
  const JournalSpan& open() const { return open_; }
  void Close();

  // Is the oldest closed span more than retention wants?
  bool MustDrop(int64_t wall_ns) const;
  // Only while MustDrop or a span is closed.
  const JournalSpan& oldest() const { return closed_.front(); }
  void DropOldest();

  size_t closed() const { return closed_.size(); }
  // After which sequence the newest begin that are not more than these bounds, and a span more.
  uint64_t AfterAllBut(const JournalRetention& newest, int64_t wall_ns) const;
  // The first sequence held; 0 if nothing is.
  uint64_t first() const;

  uint64_t events() const { return events_.value(); }
  uint64_t bytes() const { return bytes_.value(); }
  uint64_t events_dropped() const { return events_dropped_.value(); }

 private:
  // Constant after construction.
  const JournalRetention retention_;
  uint64_t span_events_max_;
  uint64_t span_bytes_max_;
  int64_t span_age_max_ns_;

  std::deque<JournalSpan> closed_;
  JournalSpan open_;
  Counter events_;
  Counter bytes_;
  Counter events_dropped_;
};

}  // namespace sluice
