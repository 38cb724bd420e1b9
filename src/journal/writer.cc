#include "journal/writer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "journal/record.h"
#include "journal/recovery.h"

namespace sluice {
namespace {

// How often age and the like are looked at when nothing happens.
constexpr int64_t kHouseIntervalNs = kNsPerSecond;
// A store that stays broken is tried less often: an attempt may read all of a log.
constexpr int64_t kRetryTimesMax = 16;

}  // namespace

JournalWriter::JournalWriter(const JournalOptions& options, JournalFound found, RecordQueue& queue,
                             JournalProgress& progress, Counter& first_sequence)
    : options_(options),
      found_(std::move(found)),
      queue_(queue),
      progress_(progress),
      first_sequence_(first_sequence),
      event_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      last_written_(progress.written()) {
  SLUICE_CHECK(event_fd_ >= 0);
  first_sequence_.Set(found_.state.first);
}

JournalWriter::~JournalWriter() { close(event_fd_); }

void JournalWriter::Stop(int64_t until_ns) {
  stop_until_ns_ = until_ns;
  is_stopping_.store(true, std::memory_order_release);
  Wake();
}

void JournalWriter::Wake() {
  // One producer wins, so that a burst costs one write.
  is_sleeping_.store(false, std::memory_order_relaxed);
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event_fd_, &one, sizeof one);
}

void JournalWriter::WantSynced(uint64_t sequence) {
  if (options_.syncs_each_group) return;
  uint64_t wanted = sync_wanted_.load(std::memory_order_relaxed);
  do {
    if (wanted >= sequence) return;
  } while (!sync_wanted_.compare_exchange_weak(wanted, sequence, std::memory_order_seq_cst));
  // As for what is offered: the thread looks at what is wanted once more before it sleeps.
  WakeIfSleeping();
}

// Each group until all is synced that somebody waits for: one of them may wait for this group.
bool JournalWriter::IsSyncWanted() const {
  return sync_wanted_.load(std::memory_order_seq_cst) > progress_.durable();
}

// What is wanted is written. If it is yet to come, the group that brings it is synced.
bool JournalWriter::MustSyncNow() const {
  return has_unsynced_ && IsSyncWanted() &&
         sync_wanted_.load(std::memory_order_seq_cst) <= last_written_;
}

int64_t JournalWriter::WallNs() const {
  return options_.wall_clock ? options_.wall_clock() : HostWallNs();
}

void JournalWriter::Run() {
  while (true) {
    // Before the queue: what was offered before the stop is written.
    const bool is_stopping = is_stopping_.load(std::memory_order_acquire);
    if (is_stopping && MonotonicNs() >= stop_until_ns_) return;
    const std::string_view group = queue_.Front();
    if (!group.empty()) {
      CommitFront(group);
      if (is_stopping && !progress_.store_works()) return;
    } else if (is_stopping) {
      return;
    }
    const int64_t now_ns = MonotonicNs();
    const bool is_sync_due =
        has_unsynced_ && now_ns >= unsynced_since_ns_ + options_.sync_interval_ns;
    if (is_sync_due || MustSyncNow()) {
      if (!SyncUntilItWorks()) return;
    }
    if (now_ns >= house_due_ns_) KeepHouse();
    if (group.empty() && MustRaiseCeiling(progress_.offered())) RaiseCeiling();
    if (!group.empty()) {
      if (options_.linger_ns != 0 && queue_.bytes() < kGroupBytesMax) {
        Sleep(now_ns + options_.linger_ns, false);
      }
      continue;
    }
    is_sleeping_.store(true, std::memory_order_seq_cst);
    if (queue_.Front().empty() && !MustSyncNow()) Sleep(NextDueNs(now_ns), true);
    is_sleeping_.store(false, std::memory_order_relaxed);
  }
}

int64_t JournalWriter::NextDueNs(int64_t now_ns) const {
  int64_t due_ns = std::max(house_due_ns_, now_ns);
  if (has_unsynced_) due_ns = std::min(due_ns, unsynced_since_ns_ + options_.sync_interval_ns);
  return due_ns;
}

void JournalWriter::Sleep(int64_t until_ns, bool is_wakeable) {
  const int64_t left_ns = std::max<int64_t>(until_ns - MonotonicNs(), 0);
  const timespec timeout{left_ns / kNsPerSecond, left_ns % kNsPerSecond};
  pollfd watched{event_fd_, POLLIN, 0};
  if (ppoll(&watched, 1, &timeout, nullptr) <= 0 || !is_wakeable) return;
  uint64_t count;
  [[maybe_unused]] const ssize_t taken = read(event_fd_, &count, sizeof count);
}

void JournalWriter::Report() {
  if (options_.on_progress) options_.on_progress();
}

void JournalWriter::Split(std::string_view group, std::vector<StoreWrite>* writes,
                          std::vector<JournalSpan>* blocks) {
  char* at = const_cast<char*>(group.data());  // the queue's, see RecordQueue::Front
  char* const end = at + group.size();
  char* block = at;
  JournalSpan span;
  const auto finish = [&] {
    span.bytes = static_cast<uint64_t>(at - block);
    writes->push_back({StoreTable::kBlocks, span.first, {block, span.bytes}});
    blocks->push_back(span);
    block = at;
    span = {};
  };
  while (at != end) {
    const size_t bytes = RecordBytes(at);
    if (at != block && static_cast<size_t>(at - block) + bytes > kBlockBytesMax) finish();
    SealRecord(at);
    const int64_t wall_ns = RecordWallNs(at);
    if (span.first == 0) {
      span.first = RecordFirst(at);
      span.oldest_wall_ns = wall_ns;
    }
    span.last = RecordLast(at);
    span.events += RecordIsEvent(at);
    span.newest_wall_ns = std::max(span.newest_wall_ns, wall_ns);
    at += bytes;
  }
  finish();
}

void JournalWriter::CommitFront(std::string_view group) {
  writes_.clear();
  blocks_.clear();
  Split(group, &writes_, &blocks_);
  const uint64_t last = blocks_.back().last;
  std::string state;
  const bool raises_ceiling = MustRaiseCeiling(last);
  if (raises_ceiling) {
    found_.state.ceiling = last + 1 + options_.ceiling_block;
    state = found_.state.Encode();
    writes_.push_back({StoreTable::kState, 0, state});
  }
  const bool sync = options_.syncs_each_group || raises_ceiling || IsSyncWanted();
  if (!CommitUntilItWorks(writes_, sync)) return;
  for (const JournalSpan& block : blocks_) {
    found_.spans->Add(block);
    events_committed_.Add(block.events);
  }
  last_written_ = last;
  if (raises_ceiling) progress_.SetCeiling(found_.state.ceiling);
  progress_.SetWritten(last);
  if (sync) {
    progress_.SetDurable(last);
    has_unsynced_ = false;
  } else if (!has_unsynced_) {
    has_unsynced_ = true;
    unsynced_since_ns_ = MonotonicNs();
  }
  queue_.Pop(group.size());
  progress_.SetQueueFill(queue_.is_half_full());
  if (found_.spans->MustClose(WallNs())) KeepHouse();
  Report();
}

bool JournalWriter::MustRaiseCeiling(uint64_t last) const {
  return last + options_.ceiling_block / 2 >= found_.state.ceiling;
}

// By what was offered and not by what was written: numbers are given out while events are lost too.
void JournalWriter::RaiseCeiling() {
  found_.state.ceiling = progress_.offered() + 1 + options_.ceiling_block;
  if (!CommitOwn({{StoreTable::kState, 0, found_.state.Encode()}}, true)) return;
  progress_.SetCeiling(found_.state.ceiling);
  Report();
}

template <typename Attempt>
bool JournalWriter::TryUntilItWorks(Attempt&& attempt) {
  bool must_recover = false;
  int64_t retry_ns = options_.retry_ns;
  while (true) {
    progress_.SetBusySince(MonotonicNs());
    Status status = must_recover ? found_.store->Recover() : Status::Ok();
    if (status.ok()) status = attempt();
    progress_.SetBusySince(0);
    if (status.ok()) {
      if (must_recover) {
        progress_.SetStoreWorks();
        Report();
      }
      return true;
    }
    must_recover = true;
    failures_.Add();
    progress_.SetStoreFailed(status.message());
    Report();
    if (is_stopping_.load(std::memory_order_acquire)) return false;
    Sleep(MonotonicNs() + retry_ns, true);
    retry_ns = std::min(2 * retry_ns, kRetryTimesMax * options_.retry_ns);
  }
}

bool JournalWriter::CommitUntilItWorks(std::span<const StoreWrite> writes, bool sync) {
  const auto commit = [&] {
    const int64_t begin_ns = MonotonicNs();
    Status status = found_.store->Commit(writes, sync);
    commit_ns_.Record(MonotonicNs() - begin_ns);
    return status;
  };
  if (!TryUntilItWorks(commit)) return false;
  commits_.Add();
  if (sync) syncs_.Add();
  return true;
}

bool JournalWriter::SyncUntilItWorks() {
  if (!TryUntilItWorks([&] { return found_.store->Sync(); })) return false;
  syncs_.Add();
  has_unsynced_ = false;
  progress_.SetDurable(last_written_);
  Report();
  return true;
}

bool JournalWriter::CommitOwn(const std::vector<OwnWrite>& writes, bool sync) {
  std::vector<StoreWrite> views;
  for (const OwnWrite& write : writes) views.push_back({write.table, write.key, write.bytes});
  return CommitUntilItWorks(views, sync);
}

void JournalWriter::KeepHouse() {
  CloseAndDropSpans(WallNs());
  house_due_ns_ = MonotonicNs() + kHouseIntervalNs;
}

bool JournalWriter::CloseAndDropSpans(int64_t wall_ns) {
  SpanTable& spans = *found_.spans;
  std::vector<OwnWrite> writes;
  if (spans.MustClose(wall_ns)) {
    writes.push_back({StoreTable::kSpans, spans.open().first, spans.open().Encode()});
    spans.Close();
  }
  bool drops = false;
  while (spans.MustDrop(wall_ns)) {
    drops = true;
    writes.push_back({StoreTable::kSpans, spans.oldest().first, ""});
    found_.state.first = spans.oldest().last + 1;
    spans.DropOldest();
  }
  if (writes.empty()) return true;
  if (drops) writes.push_back({StoreTable::kState, 0, found_.state.Encode()});
  // Synced before anything is given back: else a loss of power would bring spans back without their
  // blocks.
  if (!CommitOwn(writes, drops)) return false;
  if (!drops) return true;
  first_sequence_.Set(found_.state.first);
  return TryUntilItWorks([&] { return found_.store->Drop(found_.state.first); });
}

Status JournalWriter::WriteStop(uint64_t newest_sequence) {
  if (!progress_.store_works() || queue_.bytes() != 0) return Status::Unavailable("it fails");
  std::vector<StoreWrite> writes;
  std::string hole_block(kHoleRecordBytes, '\0');
  if (newest_sequence > last_written_) {
    // Given out, and lost, or never offered: no record follows that would have told it.
    JournalRecord hole;
    hole.kind = RecordKind::kHole;
    hole.reason = HoleReason::kQueueFull;
    hole.first = last_written_ + 1;
    hole.last = newest_sequence;
    hole.events = 0;
    hole.wall_ns = WallNs();
    PutHoleRecord(hole_block.data(), hole);
    SealRecord(hole_block.data());
    writes.push_back({StoreTable::kBlocks, hole.first, hole_block});
  }
  found_.state.ceiling = std::max(newest_sequence, last_written_) + 1;
  found_.state.was_stopped = true;
  const std::string state = found_.state.Encode();
  writes.push_back({StoreTable::kState, 0, state});
  return found_.store->Commit(writes, true);
}

}  // namespace sluice
