// The journal's thread: takes records from the queue in groups, commits them, keeps the ceiling
// ahead and retention in bounds, and tries again when the store fails.
//
// Thread: Start and Stop by the owner; Wake by the draining shard, WantSynced by any; Run is the
//         thread.
// Owner:  the queue, the progress and the counter of the first sequence are the journal's.
// Bounds: a group is at most a chunk of the queue (1 MiB), or one larger event.
// Errors: a store that fails is recovered and the same group committed again, until it works or the
//         journal is closed.
// atomic: `is_sleeping` so that a producer wakes the thread only when it sleeps, `is_stopping` from
//         the owner, `sync_wanted` from the shards whose publishers wait
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/histogram.h"
#include "journal/journal.h"
#include "journal/record_queue.h"
#include "journal/span_table.h"
#include "journal/state.h"
#include "journal/store.h"

namespace sluice {

inline constexpr uint32_t kGroupBytesMax = 1 << 20;
inline constexpr size_t kBlockBytesMax = 64 << 10;

// What is there when the thread begins.
struct JournalFound {
  std::unique_ptr<JournalStore> store;
  JournalStateRecord state;
  std::unique_ptr<SpanTable> spans;
};

class JournalWriter {
 public:
  JournalWriter(const JournalOptions& options, JournalFound found, RecordQueue& queue,
                JournalProgress& progress, Counter& first_sequence);
  ~JournalWriter();

  void Run();
  // The thread ends when the queue is empty, after the group that it has at `until_ns`, or at once
  // if the store fails.
  void Stop(int64_t until_ns);
  // After Run has ended: notes the last sequence given out. Was everything written?
  Status WriteStop(uint64_t newest_sequence);

  // After what the producer published; cheap unless the thread sleeps.
  void WakeIfSleeping() {
    // Sequentially consistent with the queue's `filled`: the thread stores `is_sleeping`, then
    // looks at the queue again; so one of the two sees the other.
    if (is_sleeping_.load(std::memory_order_seq_cst)) Wake();
  }
  void Wake();
  // Any thread: what has this sequence in it is to be synced when it is written, or now if it is.
  // Those who ask while the disk is busy share the next flush.
  void WantSynced(uint64_t sequence);

  JournalStore& store() { return *found_.store; }
  const SpanTable& spans() const { return *found_.spans; }
  uint64_t commits() const { return commits_.value(); }
  uint64_t syncs() const { return syncs_.value(); }
  uint64_t failures() const { return failures_.value(); }
  const Histogram& commit_ns() const { return commit_ns_; }
  uint64_t events_committed() const { return events_committed_.value(); }

 private:
  // An owned write, for what does not lie in the queue.
  struct OwnWrite {
    StoreTable table;
    uint64_t key;
    std::string bytes;
  };

  void CommitFront(std::string_view group);
  void Split(std::string_view group, std::vector<StoreWrite>* writes,
             std::vector<JournalSpan>* blocks);
  // False: the journal is being closed and the store still fails.
  bool CommitUntilItWorks(std::span<const StoreWrite> writes, bool sync);
  bool SyncUntilItWorks();
  template <typename Attempt>
  bool TryUntilItWorks(Attempt&& attempt);
  bool CommitOwn(const std::vector<OwnWrite>& writes, bool sync);
  void KeepHouse();
  bool CloseAndDropSpans(int64_t wall_ns);
  bool MustRaiseCeiling(uint64_t last) const;
  bool IsSyncWanted() const;
  bool MustSyncNow() const;
  void RaiseCeiling();
  int64_t NextDueNs(int64_t now_ns) const;
  void Sleep(int64_t until_ns, bool is_wakeable);
  void Report();
  int64_t WallNs() const;

  const JournalOptions& options_;
  JournalFound found_;
  RecordQueue& queue_;
  JournalProgress& progress_;
  Counter& first_sequence_;
  const int event_fd_;

  uint64_t last_written_ = 0;
  bool has_unsynced_ = false;
  int64_t unsynced_since_ns_ = 0;
  int64_t house_due_ns_ = 0;
  std::vector<StoreWrite> writes_;
  std::vector<JournalSpan> blocks_;

  int64_t stop_until_ns_ = 0;  // before is_stopping_
  std::atomic<bool> is_stopping_{false};
  alignas(64) std::atomic<bool> is_sleeping_{false};
  std::atomic<uint64_t> sync_wanted_{0};  // the highest sequence that somebody waits for

  Counter commits_;
  Counter syncs_;
  Counter failures_;
  Counter events_committed_;
  Histogram commit_ns_;
};

}  // namespace sluice
