#include "gateway/journal_start.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/clock.h"
#include "http/publish_ack.h"
#include "journal/record.h"

namespace sluice {
namespace {

uint64_t AddUpTo(uint64_t a, uint64_t b) { return a > UINT64_MAX - b ? UINT64_MAX : a + b; }

// All classes together: in which of them an event is does not show before it is read. A class of
// rare events may so get less than it could hold, which its readers are told.
JournalRetention NewestFor(const HistoryLimits& limits) {
  JournalRetention newest;
  const auto add = [&](const StoreLimits& store) {
    newest.events_max = AddUpTo(newest.events_max, store.events_max);
    // A record of the journal may be somewhat longer than what the history is charged for it.
    newest.bytes_max = AddUpTo(newest.bytes_max, AddUpTo(store.bytes_max, store.bytes_max));
    newest.age_max_ns = std::max(newest.age_max_ns, store.age_max_ns);
  };
  for (const HistoryPolicy& policy : limits.policies) add(policy.limits);
  add(limits.otherwise);
  return newest;
}

void Restore(const JournalRecord& record, int64_t now_ns, SharedHistory& history) {
  std::vector<std::string_view> topics;
  record.ForEachTopic([&](std::string_view topic) { topics.push_back(topic); });
  Event about;
  about.topics = topics;
  about.id = record.publisher_id;
  about.key = record.key;
  // Not later than now, whatever became of the host's clock.
  Frame* frame =
      Frame::Restore(record.wire, about, record.first, std::min(record.published_ns, now_ns));
  history.Restore(*frame);
  frame->Release();
}

}  // namespace

JournalOptions JournalOptionsOf(const Options& options, const HistoryLimits& limits) {
  JournalOptions journal;
  journal.directory = options.journal_directory;
  // Where all publishes wait for it; one that asks for it itself has its group synced.
  const auto ack = http::ParsePublishAck(options.publish_ack);
  journal.syncs_each_group = ack && ack->durability == http::PublishAck::Durability::kSynced;
  journal.sync_interval_ns = options.journal_sync_interval_ms * kNsPerMs;
  journal.queue_bytes_max = options.journal_queue_bytes_max;
  journal.retention = {
      .events_max = options.journal_events_max,
      .bytes_max = options.journal_bytes_max,
      .age_max_ns = static_cast<int64_t>(options.journal_age_max_ms) * kNsPerMs,
  };
  journal.newest = NewestFor(limits);
  return journal;
}

std::string FillHistory(Journal& journal, const JournalRecovery& recovery, SharedHistory& history) {
  const int64_t now_ns = MonotonicNs();
  history.Lose(recovery.newest_after);
  uint64_t looked_at = recovery.newest_after;
  const Status status = journal.ForEach(
      recovery.newest_after, UINT64_MAX,
      [&](const JournalRecord& record) {
        if (record.kind == RecordKind::kEvent) Restore(record, now_ns, history);
        if (record.kind == RecordKind::kHole) history.Lose(record.last);
        return true;
      },
      &looked_at);
  if (status.ok()) return {};
  history.Lose(recovery.next_sequence - 1);
  return fmt::format("{}; the history begins with what was read, readers are told of a gap",
                     status.message());
}

}  // namespace sluice
