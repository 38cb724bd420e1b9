#include "journal/journal.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "journal/record.h"
#include "journal/record_queue.h"
#include "journal/recovery.h"
#include "journal/rocksdb_store.h"
#include "journal/writer.h"

namespace sluice {
namespace {

// How long the distance between the two clocks is taken as it was: the wall clock may be set.
constexpr int64_t kWallOffsetForNs = kNsPerSecond;

}  // namespace

std::string JournalRecovery::Describe(const std::string& directory) const {
  std::string text = "journal " + directory + ": ";
  if (is_new) return text + "new, epoch " + std::string(Epoch(epoch).text());
  text += std::to_string(events) + " events";
  if (events != 0) text += " (" + std::to_string(first) + " to " + std::to_string(last) + ")";
  text += was_stopped ? ", stopped in order" : ", not stopped in order";
  text += ", goes on at " + Epoch(epoch).Id(next_sequence);
  if (damaged != 0) text += "; " + std::to_string(damaged) + " damaged records left out";
  if (!torn.empty()) text += "; its end was torn and is cut: " + torn;
  return text;
}

Journal::Journal(const JournalOptions& options, std::unique_ptr<JournalProgress> progress)
    : options_(options),
      progress_(std::move(progress)),
      queue_(std::make_unique<RecordQueue>(options.queue_bytes_max, kGroupBytesMax)) {}

Status Journal::Open(const JournalOptions& options, JournalRecovery* recovery,
                     std::unique_ptr<Journal>* journal) {
  *recovery = {};
  std::unique_ptr<JournalStore> store;
  Status status = options.open_store
                      ? options.open_store(&store)
                      : OpenRocksDbStore(options.directory, StoreAccess::kReadAndWrite, &store);
  if (!status.ok()) return status;
  JournalFound found;
  status = RecoverJournal(options, std::move(store), recovery, &found);
  if (!status.ok()) {
    return Status(status.code(), "journal " + options.directory + ": " + status.message());
  }
  const uint64_t start = recovery->next_sequence;
  std::unique_ptr<Journal> opened(
      new Journal(options, std::make_unique<JournalProgress>(
                               start, found.state.ceiling, options.behind_ns, options.stalled_ns)));
  opened->last_offered_ = start - 1;
  opened->writer_ =
      std::make_unique<JournalWriter>(opened->options_, std::move(found), *opened->queue_,
                                      *opened->progress_, opened->first_sequence_);
  opened->thread_ = std::thread([writer = opened->writer_.get()] { writer->Run(); });
  *journal = std::move(opened);
  return Status::Ok();
}

Journal::~Journal() {
  if (!is_closed_) Close(last_offered_);
}

bool Journal::Close(uint64_t newest_sequence, int64_t until_ns) {
  if (is_closed_) return true;
  is_closed_ = true;
  writer_->Stop(until_ns);
  thread_.join();
  // Without it the next start goes on at the ceiling, and tells what may be missing.
  return writer_->WriteStop(std::max(newest_sequence, last_offered_)).ok();
}

void Journal::Offer(const Frame& frame) {
  SLUICE_DCHECK(frame.sequence() > last_offered_);
  events_offered_.Add();
  const bool is_half_full = queue_->is_half_full();
  progress_->SetQueueFill(is_half_full);
  // Whole again only with room for some time: not lost, kept, lost, kept by turns.
  const bool may_write = hole_first_ == 0 || (!is_half_full && progress_->store_works());
  if (may_write && OfferRecord(frame)) {
    writer_->WakeIfSleeping();
  } else {
    if (hole_first_ == 0) {
      hole_first_ = last_offered_ + 1;
      progress_->LoseFrom(hole_first_);
      writer_->Wake();  // so that those who wait for an answer hear of it
    }
    ++hole_events_;
    events_lost_.Add();
  }
  last_offered_ = frame.sequence();
  progress_->SetOffered(last_offered_);
}

bool Journal::OfferRecord(const Frame& frame) {
  const uint64_t expected = hole_first_ != 0 ? hole_first_ : last_offered_ + 1;
  const bool has_step = frame.sequence() != expected;
  const size_t bytes = EventRecordBytes(frame) + (has_step ? kHoleRecordBytes : 0);
  char* const begin = queue_->Reserve(bytes);
  if (begin == nullptr) return false;
  if (frame.published_ns() >= wall_offset_until_ns_) {
    wall_offset_ns_ = (options_.wall_clock ? options_.wall_clock() : HostWallNs()) - MonotonicNs();
    wall_offset_until_ns_ = frame.published_ns() + kWallOffsetForNs;
  }
  const int64_t wall_ns = frame.published_ns() + wall_offset_ns_;
  char* to = begin;
  if (has_step) {
    JournalRecord step;
    step.kind = hole_first_ != 0 ? RecordKind::kHole : RecordKind::kSkip;
    step.reason = hole_first_ != 0 ? HoleReason::kQueueFull : HoleReason::kNone;
    step.first = expected;
    step.last = frame.sequence() - 1;
    step.events = hole_events_;
    step.wall_ns = wall_ns;
    to = PutHoleRecord(to, step);
  }
  to = PutEventRecord(to, frame, wall_ns);
  SLUICE_DCHECK(to == begin + bytes);
  if (hole_first_ != 0) {
    // Before the records are there to be written: see JournalProgress::Ask.
    progress_->WholeFrom(hole_first_, frame.sequence(), hole_events_);
    holes_.Add();
    hole_first_ = 0;
    hole_events_ = 0;
  }
  queue_->Publish(bytes);
  return true;
}

Status Journal::ForEach(uint64_t after, uint64_t through, const OnRecord& on_record,
                        uint64_t* looked_at) {
  const int64_t wall_offset_ns =
      (options_.wall_clock ? options_.wall_clock() : HostWallNs()) - MonotonicNs();
  bool goes_on = true;
  const OnRecord give = [&](const JournalRecord& stored) {
    JournalRecord record = stored;
    record.published_ns = record.wall_ns - wall_offset_ns;
    if (record.reason == HoleReason::kDamage && record.first < first_sequence()) {
      record.reason = HoleReason::kEvicted;
    }
    return goes_on = on_record(record);
  };
  ReadSummary summary;
  // Before the place: a hole that is open now begins after all that was written before it.
  const uint64_t losing_from = progress_->losing_from();
  const uint64_t losing_to = std::min(through, progress_->offered());
  const Status status = ReadRecords(writer_->store(), std::max(after, first_sequence() - 1),
                                    std::min(through, written_sequence()), give, &summary);
  *looked_at = summary.last;
  if (!status.ok() || !goes_on || losing_to < losing_from || summary.last + 1 != losing_from) {
    return status;
  }
  JournalRecord hole;
  hole.kind = RecordKind::kHole;
  hole.reason = HoleReason::kQueueFull;
  hole.first = losing_from;
  hole.last = losing_to;
  hole.events = 0;
  on_record(hole);
  *looked_at = losing_to;
  return status;
}

void Journal::WantSynced(uint64_t sequence) { writer_->WantSynced(sequence); }

const Histogram& Journal::commit_ns() const { return writer_->commit_ns(); }

JournalStatistics Journal::Statistics(int64_t now_ns) const {
  JournalStatistics statistics;
  statistics.state = progress_->Describe(now_ns);
  statistics.written_sequence = written_sequence();
  statistics.durable_sequence = durable_sequence();
  statistics.ceiling = ceiling();
  statistics.first_sequence = first_sequence();
  statistics.events_held = writer_->spans().events();
  statistics.bytes_held = writer_->spans().bytes();
  statistics.events_offered = events_offered_.value();
  statistics.events_committed = writer_->events_committed();
  statistics.commits = writer_->commits();
  statistics.syncs = writer_->syncs();
  statistics.failures = writer_->failures();
  statistics.events_lost = events_lost_.value();
  statistics.holes = holes_.value();
  statistics.events_dropped = writer_->spans().events_dropped();
  statistics.queue_bytes = queue_->bytes();
  statistics.queue_bytes_max = queue_->bytes_max();
  return statistics;
}

}  // namespace sluice
