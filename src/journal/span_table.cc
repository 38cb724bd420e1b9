#include "journal/span_table.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "base/crc32c.h"

namespace sluice {
namespace {

constexpr uint64_t kParts = 64;
constexpr uint64_t kSpanBytesMax = 4 << 20;
constexpr uint64_t kSpanEventsMax = 1 << 20;
constexpr int64_t kSpanAgeMaxNs = 3600 * kNsPerSecond;

constexpr size_t kFields = 5;

template <typename T>
T Part(T bound, T most) {
  return bound == 0 ? most : std::clamp<T>(bound / static_cast<T>(kParts), 1, most);
}

}  // namespace

std::string JournalSpan::Encode() const {
  const uint64_t fields[kFields] = {first, last, events, bytes,
                                    static_cast<uint64_t>(newest_wall_ns)};
  std::string encoded(reinterpret_cast<const char*>(fields), sizeof fields);
  const uint32_t crc = Crc32c(0, encoded.data(), encoded.size());
  return encoded.append(reinterpret_cast<const char*>(&crc), sizeof crc);
}

Status JournalSpan::Decode(std::string_view encoded, JournalSpan* span) {
  uint64_t fields[kFields];
  uint32_t crc;
  if (encoded.size() != sizeof fields + sizeof crc) {
    return Status::InvalidArgument("a span's size is wrong");
  }
  std::memcpy(&crc, encoded.data() + sizeof fields, sizeof crc);
  if (crc != Crc32c(0, encoded.data(), sizeof fields)) {
    return Status::InvalidArgument("a span's checksum is wrong");
  }
  std::memcpy(fields, encoded.data(), sizeof fields);
  *span = {fields[0], fields[1], fields[2], fields[3], 0, static_cast<int64_t>(fields[4])};
  return Status::Ok();
}

SpanTable::SpanTable(const JournalRetention& retention)
    : retention_(retention),
      span_events_max_(Part(retention.events_max, kSpanEventsMax)),
      span_bytes_max_(Part(retention.bytes_max, kSpanBytesMax)),
      span_age_max_ns_(Part(retention.age_max_ns, kSpanAgeMaxNs)) {}

void SpanTable::Restore(const JournalSpan& span) {
  SLUICE_CHECK(open_.first == 0);
  closed_.push_back(span);
  events_.Add(span.events);
  bytes_.Add(span.bytes);
}

void SpanTable::Add(const JournalSpan& block) {
  if (open_.first == 0) {
    open_ = block;
  } else {
    open_.last = block.last;
    open_.events += block.events;
    open_.bytes += block.bytes;
    open_.newest_wall_ns = std::max(open_.newest_wall_ns, block.newest_wall_ns);
  }
  events_.Add(block.events);
  bytes_.Add(block.bytes);
}

bool SpanTable::MustClose(int64_t wall_ns) const {
  return open_.first != 0 && (open_.events >= span_events_max_ || open_.bytes >= span_bytes_max_ ||
                              wall_ns - open_.oldest_wall_ns >= span_age_max_ns_);
}

void SpanTable::Close() {
  closed_.push_back(open_);
  open_ = {};
}

bool SpanTable::MustDrop(int64_t wall_ns) const {
  if (closed_.empty()) return false;
  if (retention_.age_max_ns != 0 &&
      wall_ns - closed_.front().newest_wall_ns > retention_.age_max_ns) {
    return true;
  }
  // The newest span stays: a single group larger than the bound is still worth more than nothing.
  if (closed_.size() == 1 && open_.first == 0) return false;
  return (retention_.events_max != 0 && events_.value() > retention_.events_max) ||
         (retention_.bytes_max != 0 && bytes_.value() > retention_.bytes_max);
}

void SpanTable::DropOldest() {
  events_.Subtract(closed_.front().events);
  bytes_.Subtract(closed_.front().bytes);
  events_dropped_.Add(closed_.front().events);
  closed_.pop_front();
}

uint64_t SpanTable::AfterAllBut(const JournalRetention& newest, int64_t wall_ns) const {
  uint64_t events = open_.events;
  uint64_t bytes = open_.bytes;
  auto span = closed_.end();
  while (span != closed_.begin()) {
    const bool is_enough = (newest.events_max != 0 && events >= newest.events_max) ||
                           (newest.bytes_max != 0 && bytes >= newest.bytes_max);
    const JournalSpan& before = *(span - 1);
    const bool is_too_old =
        newest.age_max_ns != 0 && wall_ns - before.newest_wall_ns > newest.age_max_ns;
    if (is_enough || is_too_old) break;
    events += before.events;
    bytes += before.bytes;
    --span;
  }
  const uint64_t first = span == closed_.end() ? open_.first : span->first;
  return first == 0 ? 0 : first - 1;
}

uint64_t SpanTable::first() const { return closed_.empty() ? open_.first : closed_.front().first; }

}  // namespace sluice
