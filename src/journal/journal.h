// The journal: durable history on this host. Every event that the ring orders is offered to it, its
// own thread writes them to a store in groups, and a later start, or a reader whose place is older
// than the memory, gets them back. What it could not keep it says: a hole is a record like an
// event.
//
//   draining shard ─ Offer ─► RecordQueue ─► journal's thread (JournalWriter) ─► JournalStore
//                                                 └─► JournalProgress ─► acknowledgements, /stats
//
// It never fills the ring and never holds a shard up: when the queue is full (the disk is slow,
// full or failing), events are left out from one sequence on, publishes that need the journal are
// refused (Ask, Health), and it becomes whole again by itself, from a sequence that it tells.
//
// Sequences: ceilings are reserved on disk in blocks ahead of use. A start goes on at the reserved
// ceiling (after a stop: at the next number), so none is ever given out twice; the numbers between
// are no events, but after a kill some may have been, and stand as a hole of reason `restart`.
//
// Thread: Offer by whoever drains the ring, one at a time; Close once, after the last Offer; all
// else
//         by any.
// Bounds: queue_bytes_max of events offered and not yet written; past it they are left out and
//         counted. Retention bounds what is held; the oldest goes first, in spans (span_table.h).
// Errors: Open says why a journal cannot be had. Later failures never come back as a Status: they
//         show in Health and Describe, as lines for the log, and are retried until they pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/counter.h"
#include "base/histogram.h"
#include "base/status.h"
#include "event/frame.h"
#include "journal/progress.h"
#include "journal/reader.h"
#include "journal/span_table.h"
#include "journal/store.h"

namespace sluice {

struct JournalOptions {
  std::string directory;
  // Is each group synced before it counts as written? Else what is written is synced at intervals,
  // and when somebody waits for it (WantSynced).
  bool syncs_each_group = true;
  int64_t sync_interval_ns = 1'000'000'000;
  // How long the thread lets a group grow after it wrote one, while nobody waits for it.
  int64_t linger_ns = 0;
  uint64_t queue_bytes_max = 64 << 20;
  JournalRetention retention;
  // What the opener will read: JournalRecovery::newest_after.
  JournalRetention newest;
  // Sequences reserved at a time; half of them, at least, are always ahead.
  uint64_t ceiling_block = uint64_t{1} << 32;
  // A group that the disk has kept for longer counts as slow, and as failed.
  int64_t behind_ns = 1'000'000'000;
  int64_t stalled_ns = 5'000'000'000;
  // Between two attempts on a store that failed; doubled each time, up to 16 times as long.
  int64_t retry_ns = 200'000'000;
  // Called on the journal's thread after each group, failure and recovery (perhaps before Open has
  // returned): whoever waits for an answer looks again.
  std::function<void()> on_progress;
  // For tests; by default RocksDB in `directory`, and the clock of the host.
  std::function<Status(std::unique_ptr<JournalStore>*)> open_store;
  std::function<int64_t()> wall_clock;
};

// What an opening found.
struct JournalRecovery {
  uint64_t epoch = 0;
  bool is_new = false;
  bool was_stopped = false;    // false: killed, or the host went down
  uint64_t next_sequence = 1;  // the first to give out
  uint64_t first = 0;          // events held: from here ...
  uint64_t last = 0;           // ... to here (0: none)
  uint64_t events = 0;
  uint64_t bytes = 0;
  uint64_t newest_after = 0;  // where what JournalOptions::newest asks for begins
  uint64_t damaged = 0;       // records of the last span that had to be left out
  std::string torn;           // what was cut from the end; empty: nothing
  // "journal DIR: 1000 events, 1 to 1000, ..."
  std::string Describe(const std::string& directory) const;
};

struct JournalStatistics {
  std::string state;
  uint64_t written_sequence = 0;
  uint64_t durable_sequence = 0;
  uint64_t ceiling = 0;
  uint64_t first_sequence = 0;
  uint64_t events_held = 0;
  uint64_t bytes_held = 0;
  uint64_t events_offered = 0;
  uint64_t events_committed = 0;  // over commits: events a group
  uint64_t commits = 0;
  uint64_t syncs = 0;
  uint64_t failures = 0;     // of the store
  uint64_t events_lost = 0;  // left out, in holes
  uint64_t holes = 0;
  uint64_t events_dropped = 0;  // by retention
  uint64_t queue_bytes = 0;
  uint64_t queue_bytes_max = 0;
};

class JournalWriter;
class RecordQueue;

class Journal {
 public:
  static Status Open(const JournalOptions& options, JournalRecovery* recovery,
                     std::unique_ptr<Journal>* journal);
  // Without a Close: as Close, but the next start counts on nothing beyond what was offered.
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Never blocks; copies what it keeps. In the order of sequences, none twice.
  void Offer(const Frame& frame);

  // Writes and syncs what was offered (one attempt, if the store is failing), and notes that no
  // sequence after `newest_sequence` was given out, so that the next start goes on right after it.
  // After `until_ns` no further group is begun; an answer of the disk is waited for. False: not all
  // is kept, and the next start tells so.
  bool Close(uint64_t newest_sequence, int64_t until_ns = INT64_MAX);

  // Somebody waits until this event is on the disk: it does not wait for the next interval.
  void WantSynced(uint64_t sequence);

  const JournalProgress& progress() const { return *progress_; }
  uint64_t written_sequence() const { return progress_->written(); }
  uint64_t durable_sequence() const { return progress_->durable(); }
  // Sequences from here on must not be given out: they are not reserved (see the top).
  uint64_t ceiling() const { return progress_->ceiling(); }
  // Events before this one are not held any more.
  uint64_t first_sequence() const { return first_sequence_.value(); }
  JournalStatistics Statistics(int64_t now_ns) const;
  // How long the store took for each group.
  const Histogram& commit_ns() const;
  std::vector<std::string> TakeNotices() { return progress_->TakeNotices(); }

  // Events, holes and skips of the sequences after `after`, up to `through` or the last written
  // one; `*looked_at` is the last sequence that was looked at. Starts at first_sequence() if
  // `after` lies before it. Reads the disk: not for a shard's thread.
  Status ForEach(uint64_t after, uint64_t through, const OnRecord& on_record, uint64_t* looked_at);

 private:
  Journal(const JournalOptions& options, std::unique_ptr<JournalProgress> progress);
  bool OfferRecord(const Frame& frame);
  void Wake();

  const JournalOptions options_;
  std::unique_ptr<JournalProgress> progress_;
  std::unique_ptr<RecordQueue> queue_;
  Counter first_sequence_;  // the journal's thread's
  std::unique_ptr<JournalWriter> writer_;
  std::thread thread_;
  bool is_closed_ = false;

  // The draining shard's.
  uint64_t last_offered_ = 0;
  uint64_t hole_first_ = 0;  // 0: none
  uint64_t hole_events_ = 0;
  int64_t wall_offset_ns_ = 0;
  int64_t wall_offset_until_ns_ = 0;
  Counter events_offered_;
  Counter events_lost_;
  Counter holes_;
};

}  // namespace sluice
