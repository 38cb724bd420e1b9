#include "journal/reader.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr size_t kReadBytes = 1 << 20;

class RecordReading {
 public:
  RecordReading(uint64_t after, uint64_t through, const OnRecord& on_record, ReadSummary* summary)
      : next_(after + 1), through_(through), on_record_(on_record), summary_(*summary) {}

  // False: the caller's function ended it, or it is through.
  bool Block(const StoreEntry& entry) {
    ++summary_.blocks;
    summary_.bytes += entry.bytes.size();
    std::string_view rest = entry.bytes;
    JournalRecord record;
    while (true) {
      switch (TakeRecord(&rest, &record)) {
        case ParsedAs::kEnd:
          return true;
        case ParsedAs::kDamaged:
          ++summary_.damaged;
          break;
        case ParsedAs::kRecord:
          if (!Give(record)) return false;
      }
    }
  }
  // What should have followed and did not.
  void End() {
    if (goes_on_ && next_ <= through_) Missing(through_);
  }
  uint64_t next() const { return next_; }

 private:
  bool Give(JournalRecord& record) {
    if (record.last < next_) return true;
    if (record.first > next_ && !Missing(std::min(record.first - 1, through_))) return false;
    if (record.first > through_) return false;
    record.first = std::max(record.first, next_);
    record.last = std::min(record.last, through_);
    return Call(record) && next_ <= through_;
  }
  bool Missing(uint64_t last) {
    JournalRecord hole;
    hole.kind = RecordKind::kHole;
    hole.reason = HoleReason::kDamage;
    hole.first = next_;
    hole.last = last;
    hole.events = 0;
    return Call(hole);
  }
  bool Call(const JournalRecord& record) {
    summary_.events += record.kind == RecordKind::kEvent;
    summary_.holes += record.kind == RecordKind::kHole;
    goes_on_ = on_record_(record);
    summary_.last = record.last;
    next_ = record.last + 1;
    return goes_on_;
  }

  uint64_t next_;
  const uint64_t through_;
  const OnRecord& on_record_;
  ReadSummary& summary_;
  bool goes_on_ = true;
};

}  // namespace

Status ReadRecords(JournalStore& store, uint64_t after, uint64_t through, const OnRecord& on_record,
                   ReadSummary* summary) {
  summary->last = after;
  if (after >= through) return Status::Ok();
  RecordReading reading(after, through, on_record, summary);
  std::vector<StoreEntry> entries;
  uint64_t from = after + 1;
  bool is_first = true;
  while (true) {
    Status status = store.Read(StoreTable::kBlocks, from, through, kReadBytes, &entries);
    if (!status.ok()) return status;
    // Past the first, `from` is after a block that was read already, which comes again.
    const size_t skipped = !is_first && !entries.empty() && entries.front().key < from ? 1 : 0;
    if (entries.size() == skipped) break;
    for (size_t i = skipped; i < entries.size(); ++i) {
      if (!reading.Block(entries[i])) return Status::Ok();
    }
    from = entries.back().key + 1;
    is_first = false;
  }
  reading.End();
  return Status::Ok();
}

}  // namespace sluice
