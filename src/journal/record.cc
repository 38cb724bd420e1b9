#include "journal/record.h"

#include <bit>

#include "base/check.h"
#include "base/crc32c.h"

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little);

struct Head {
  uint8_t kind = 0;
  uint8_t reason = 0;
  uint8_t id_size = 0;
  uint8_t zero = 0;
  uint16_t key_size = 0;
  uint16_t topic_count = 0;
  uint64_t first = 0;
  uint64_t last = 0;
  int64_t wall_ns = 0;
  uint64_t events = 0;
};
static_assert(sizeof(Head) == kRecordHeadBytes);

template <typename T>
T Get(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

template <typename T>
char* PutValue(char* to, const T& value) {
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

char* PutText(char* to, std::string_view text) {
  if (!text.empty()) std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

size_t TopicsBytes(const Frame& frame) {
  size_t bytes = 0;
  frame.ForEachTopic(
      [&](const FrameTopic& topic) { bytes += sizeof(uint16_t) + topic.name.size(); });
  return bytes;
}

// Fills in what the size leaves; false if the parts do not fit.
bool Split(std::string_view body, JournalRecord* record) {
  const Head head = Get<Head>(body.data());
  if (head.kind < 1 || head.kind > 3 || head.first > head.last) return false;
  record->kind = static_cast<RecordKind>(head.kind);
  record->reason = static_cast<HoleReason>(head.reason);
  record->first = head.first;
  record->last = head.last;
  record->events = head.events;
  record->wall_ns = head.wall_ns;
  record->published_ns = 0;
  record->topic_count = head.topic_count;
  body.remove_prefix(sizeof head);
  size_t at = 0;
  for (uint32_t i = 0; i < head.topic_count; ++i) {
    if (body.size() - at < sizeof(uint16_t)) return false;
    const size_t size = sizeof(uint16_t) + Get<uint16_t>(body.data() + at);
    if (body.size() - at < size) return false;
    at += size;
  }
  if (body.size() - at < size_t{head.id_size} + head.key_size) return false;
  record->topics = body.substr(0, at);
  record->publisher_id = body.substr(at, head.id_size);
  record->key = body.substr(at + head.id_size, head.key_size);
  record->wire = body.substr(at + head.id_size + head.key_size);
  return true;
}

}  // namespace

std::string_view HoleReasonName(HoleReason reason) {
  switch (reason) {
    case HoleReason::kNone:
      return "none";
    case HoleReason::kQueueFull:
      return "queue_full";
    case HoleReason::kRestart:
      return "restart";
    case HoleReason::kDamage:
      return "damage";
    case HoleReason::kEvicted:
      return "evicted";
  }
  return "unknown";
}

size_t EventRecordBytes(const Frame& frame) {
  return kRecordSizeBytes + kRecordHeadBytes + TopicsBytes(frame) + frame.publisher_id().size() +
         frame.key().size() + frame.replay_bytes().size();
}

char* PutEventRecord(char* to, const Frame& frame, int64_t wall_ns) {
  char* const begin = to;
  Head head;
  head.kind = static_cast<uint8_t>(RecordKind::kEvent);
  head.id_size = static_cast<uint8_t>(frame.publisher_id().size());
  head.key_size = static_cast<uint16_t>(frame.key().size());
  head.topic_count = static_cast<uint16_t>(frame.topic_count());
  head.first = head.last = frame.sequence();
  head.wall_ns = wall_ns;
  head.events = 1;
  to = PutValue(to + kRecordSizeBytes, head);
  frame.ForEachTopic([&](const FrameTopic& topic) {
    to = PutValue(to, static_cast<uint16_t>(topic.name.size()));
    to = PutText(to, topic.name);
  });
  to = PutText(to, frame.publisher_id());
  to = PutText(to, frame.key());
  to = PutText(to, frame.replay_bytes());
  PutValue(begin, static_cast<uint32_t>(to - begin - kRecordSizeBytes));
  return to;
}

char* PutHoleRecord(char* to, const JournalRecord& hole) {
  SLUICE_CHECK(hole.kind != RecordKind::kEvent && hole.first <= hole.last);
  Head head;
  head.kind = static_cast<uint8_t>(hole.kind);
  head.reason = static_cast<uint8_t>(hole.reason);
  head.first = hole.first;
  head.last = hole.last;
  head.wall_ns = hole.wall_ns;
  head.events = hole.events;
  PutValue(to, static_cast<uint32_t>(sizeof head));
  return PutValue(to + kRecordSizeBytes, head);
}

size_t RecordBytes(const char* bytes) { return kRecordSizeBytes + Get<uint32_t>(bytes); }

uint64_t RecordFirst(const char* bytes) {
  return Get<uint64_t>(bytes + kRecordSizeBytes + offsetof(Head, first));
}

uint64_t RecordLast(const char* bytes) {
  return Get<uint64_t>(bytes + kRecordSizeBytes + offsetof(Head, last));
}

int64_t RecordWallNs(const char* bytes) {
  return Get<int64_t>(bytes + kRecordSizeBytes + offsetof(Head, wall_ns));
}

bool RecordIsEvent(const char* bytes) {
  return bytes[kRecordSizeBytes] == static_cast<char>(RecordKind::kEvent);
}

void SealRecord(char* bytes) {
  const uint32_t crc = Crc32c(0, bytes + kRecordSizeBytes, Get<uint32_t>(bytes));
  PutValue(bytes + sizeof(uint32_t), crc);
}

ParsedAs TakeRecord(std::string_view* rest, JournalRecord* record) {
  if (rest->empty()) return ParsedAs::kEnd;
  if (rest->size() < kHoleRecordBytes) {
    *rest = {};
    return ParsedAs::kDamaged;
  }
  const size_t body_bytes = Get<uint32_t>(rest->data());
  if (body_bytes < kRecordHeadBytes || body_bytes > rest->size() - kRecordSizeBytes) {
    *rest = {};
    return ParsedAs::kDamaged;
  }
  const uint32_t crc = Get<uint32_t>(rest->data() + sizeof(uint32_t));
  const std::string_view body = rest->substr(kRecordSizeBytes, body_bytes);
  rest->remove_prefix(kRecordSizeBytes + body_bytes);
  if (Crc32c(0, body.data(), body.size()) != crc || !Split(body, record)) return ParsedAs::kDamaged;
  return ParsedAs::kRecord;
}

}  // namespace sluice
