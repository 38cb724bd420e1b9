// What the journal keeps, as bytes. Integers are little-endian.
//
//   block   = 1*record                  one value of the store; its key is the first record's first
//   record  = body_size:u32 crc:u32 body        CRC-32C of the body
//   body    = head *( topic_size:u16 topic ) publisher_id key wire
//   head    = kind:u8 reason:u8 id_size:u8 0:u8 key_size:u16 topic_count:u16
//             first:u64 last:u64 wall_ns:u64 events:u64
//
// An event stands for its one sequence; `wire` is Frame::replay_bytes. A hole says that events of
// the sequences `first` to `last` are missing, a skip that nobody was given those numbers. So the
// records of a journal follow one another without a step, and a step that is none of them is
// damage.
//
// Thread: pure.
// Owner:  a parsed record's views point into the block.
// Errors: a record whose checksum is wrong is never returned as a record.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "event/frame.h"

namespace sluice {

enum class RecordKind : uint8_t { kEvent = 1, kHole = 2, kSkip = 3 };

enum class HoleReason : uint8_t {
  kNone = 0,
  kQueueFull = 1,  // the disk did not keep up, or failed for longer than the queue could hold
  kRestart = 2,    // the gateway ended without a stop: what was not yet on disk
  kDamage = 3,     // the journal held it, and what is there now has a wrong checksum, or is gone
  kEvicted = 4,    // never stored: retention let go of it while it was being read
};
std::string_view HoleReasonName(HoleReason reason);

struct JournalRecord {
  RecordKind kind = RecordKind::kEvent;
  HoleReason reason = HoleReason::kNone;
  // The sequences that it stands for; equal for an event.
  uint64_t first = 0;
  uint64_t last = 0;
  // Of a hole: how many events are missing; 0: not known. Of an event: 1.
  uint64_t events = 1;
  int64_t wall_ns = 0;       // CLOCK_REALTIME when it was published
  int64_t published_ns = 0;  // the same in this process's CLOCK_MONOTONIC (not stored; see Journal)
  std::string_view wire;
  std::string_view publisher_id;
  std::string_view key;

  // Calls `on_topic(std::string_view)` for each.
  template <typename OnTopic>
  void ForEachTopic(OnTopic&& on_topic) const;

  // As they stand in the block.
  std::string_view topics;
  uint16_t topic_count = 0;
};

inline constexpr size_t kRecordSizeBytes = 2 * sizeof(uint32_t);
inline constexpr size_t kRecordHeadBytes = 8 + 4 * sizeof(uint64_t);
inline constexpr size_t kHoleRecordBytes = kRecordSizeBytes + kRecordHeadBytes;

// Bytes of the frame's record.
size_t EventRecordBytes(const Frame& frame);
// Writes all of the record but its checksum, which costs more than the rest and is for the
// journal's thread (SealRecord). Both return the end.
char* PutEventRecord(char* to, const Frame& frame, int64_t wall_ns);
char* PutHoleRecord(char* to, const JournalRecord& hole);

// Of an unsealed record at `bytes`.
size_t RecordBytes(const char* bytes);
uint64_t RecordFirst(const char* bytes);
uint64_t RecordLast(const char* bytes);
int64_t RecordWallNs(const char* bytes);
bool RecordIsEvent(const char* bytes);
void SealRecord(char* bytes);

enum class ParsedAs { kRecord, kDamaged, kEnd };
// Takes a record off the block's rest. kDamaged: its checksum is wrong and it was left out, or its
// size makes no sense and all of the rest was.
ParsedAs TakeRecord(std::string_view* rest, JournalRecord* record);

template <typename OnTopic>
void JournalRecord::ForEachTopic(OnTopic&& on_topic) const {
  const char* at = topics.data();
  for (uint32_t i = 0; i < topic_count; ++i) {
    uint16_t size;
    std::memcpy(&size, at, sizeof size);
    at += sizeof size;
    on_topic(std::string_view(at, size));
    at += size;
  }
}

}  // namespace sluice
