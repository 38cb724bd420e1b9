#include "journal/recovery.h"

#include <time.h>

#include <algorithm>

#include "base/clock.h"
#include "event/frame.h"
#include "journal/record.h"

namespace sluice {
namespace {

constexpr size_t kReadBytes = 1 << 20;

Status ReadState(JournalStore& store, JournalStateRecord* state, bool* is_new) {
  std::vector<StoreEntry> entries;
  Status status = store.Read(StoreTable::kState, 0, 0, 1, &entries);
  if (!status.ok()) return status;
  *is_new = entries.empty();
  if (!*is_new) return JournalStateRecord::Decode(entries.front().bytes, state);
  status = store.Read(StoreTable::kBlocks, 0, UINT64_MAX, 1, &entries);
  if (status.ok() && !entries.empty()) {
    return Status::InvalidArgument("it holds events but no state; it is damaged, or no journal");
  }
  state->epoch = Epoch::Random().value();
  return status;
}

// Calls `on_entry` for each entry from `from` on, in order.
template <typename OnEntry>
Status ForEachEntry(JournalStore& store, StoreTable table, uint64_t from, OnEntry&& on_entry) {
  std::vector<StoreEntry> entries;
  while (true) {
    Status status = store.Read(table, from, UINT64_MAX, kReadBytes, &entries);
    if (!status.ok()) return status;
    if (!entries.empty() && entries.front().key < from) entries.erase(entries.begin());
    if (entries.empty()) return Status::Ok();
    for (const StoreEntry& entry : entries) {
      status = on_entry(entry);
      if (!status.ok()) return status;
    }
    if (entries.back().key == UINT64_MAX) return Status::Ok();
    from = entries.back().key + 1;
  }
}

JournalSpan CountBlock(const StoreEntry& entry, uint64_t* damaged) {
  JournalSpan span;
  span.first = entry.key;
  span.last = entry.key;
  span.bytes = entry.bytes.size();
  std::string_view rest = entry.bytes;
  JournalRecord record;
  bool is_first = true;
  for (ParsedAs parsed; (parsed = TakeRecord(&rest, &record)) != ParsedAs::kEnd;) {
    if (parsed == ParsedAs::kDamaged) {
      ++*damaged;
      continue;
    }
    if (is_first) span.oldest_wall_ns = span.newest_wall_ns = record.wall_ns;
    is_first = false;
    span.last = record.last;
    span.events += record.kind == RecordKind::kEvent;
    span.newest_wall_ns = std::max(span.newest_wall_ns, record.wall_ns);
  }
  return span;
}

}  // namespace

int64_t HostWallNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

Status ReadJournal(JournalStore& store, JournalStateRecord* state, SpanTable* spans,
                   JournalRecovery* recovery) {
  Status status = ReadState(store, state, &recovery->is_new);
  if (!status.ok()) return status;
  uint64_t last = state->first - 1;
  status = ForEachEntry(store, StoreTable::kSpans, state->first, [&](const StoreEntry& entry) {
    JournalSpan span;
    Status decoded = JournalSpan::Decode(entry.bytes, &span);
    if (!decoded.ok()) return decoded;
    spans->Restore(span);
    last = span.last;
    return Status::Ok();
  });
  if (!status.ok()) return status;
  status = ForEachEntry(store, StoreTable::kBlocks, last + 1, [&](const StoreEntry& entry) {
    const JournalSpan block = CountBlock(entry, &recovery->damaged);
    spans->Add(block);
    last = block.last;
    return Status::Ok();
  });
  if (!status.ok()) return status;
  recovery->epoch = state->epoch;
  recovery->was_stopped = state->was_stopped;
  recovery->next_sequence = state->ceiling;
  recovery->first = spans->first();
  recovery->last = spans->first() == 0 ? 0 : last;
  recovery->events = spans->events();
  recovery->bytes = spans->bytes();
  recovery->torn = store.torn();
  return Status::Ok();
}

Status RecoverJournal(const JournalOptions& options, std::unique_ptr<JournalStore> store,
                      JournalRecovery* recovery, JournalFound* found) {
  found->spans = std::make_unique<SpanTable>(options.retention);
  JournalStateRecord& state = found->state;
  Status status = ReadJournal(*store, &state, found->spans.get(), recovery);
  if (!status.ok()) return status;

  const int64_t wall_ns = options.wall_clock ? options.wall_clock() : HostWallNs();
  recovery->newest_after = found->spans->AfterAllBut(options.newest, wall_ns);
  const uint64_t start = state.ceiling;
  const uint64_t next = recovery->last == 0 ? state.first : recovery->last + 1;
  std::vector<StoreWrite> writes;
  std::string hole_block(kHoleRecordBytes, '\0');
  if (next < start) {
    JournalRecord hole;
    hole.kind = RecordKind::kHole;
    hole.reason = state.was_stopped ? HoleReason::kDamage : HoleReason::kRestart;
    hole.first = next;
    hole.last = start - 1;
    hole.events = 0;
    hole.wall_ns = wall_ns;
    PutHoleRecord(hole_block.data(), hole);
    SealRecord(hole_block.data());
    writes.push_back({StoreTable::kBlocks, hole.first, hole_block});
    found->spans->Add({hole.first, hole.last, 0, hole_block.size(), hole.wall_ns, hole.wall_ns});
  }
  state.ceiling = start + options.ceiling_block;
  state.was_stopped = false;
  const std::string encoded = state.Encode();
  writes.push_back({StoreTable::kState, 0, encoded});
  status = store->Commit(writes, true);
  if (!status.ok()) return status;
  found->store = std::move(store);
  return Status::Ok();
}

}  // namespace sluice
