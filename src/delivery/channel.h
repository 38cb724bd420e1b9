// A channel: the log of one subscription's frames and its flowing readers, each a cursor.
//
// Flowing readers stand, at a frame's start, in one dense array; the sweep goes round it and gives
// each all that it has not had. There may be a hundred thousand channels with a reader each, so a
// channel holds nothing that its shard can hold for all (see Delivery): no sockets' places, blocked
// readers, batches or scratch; and while all its readers are at the tail, no bytes.
//
// Thread: its shard's.
// Owner:  Delivery, which keeps the places of connections in step with the array.
// Bounds: Delivery's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/growing_array.h"
#include "delivery/fanout.h"
#include "engine/engine.h"
#include "log/log.h"

namespace sluice {

struct Reader {
  Cursor cursor;
  ConnectionId connection;
  uint32_t sent_ms : 31;  // when it last had bytes, a SentMs
  uint32_t is_heartbeat_due : 1 = false;
};
// Milliseconds that wrap after 24 days: only differences count.
constexpr uint32_t kSentMask = 0x7FFF'FFFF;
inline uint32_t SentMs(int64_t at_ns) {
  return static_cast<uint32_t>(at_ns / kNsPerMs) & kSentMask;
}
static_assert(sizeof(Reader) == 28, "a subscriber's memory is dear");

class Channel {
 public:
  // `text` is the subscription's.
  Channel(LogMemory& memory, std::string text) : text_(std::move(text)), log_(memory) {}

  const std::string& text() const { return text_; }
  Log& log() { return log_; }
  const Log& log() const { return log_; }

  size_t readers() const { return flowing_.size() + blocked_; }
  uint32_t flowing() const { return static_cast<uint32_t>(flowing_.size()); }
  Reader& reader(uint32_t index) { return flowing_[index]; }

  // Returns the index. It stands after the others on this round's way.
  uint32_t AddFlowing(const Cursor& cursor, ConnectionId connection, uint32_t now_ms) {
    flowing_.push_back({cursor, connection, now_ms & kSentMask});
    if (remaining_ != 0) ++remaining_;
    return flowing() - 1;
  }
  // The last one takes its place. True if that one is to be visited, though the sweep may have
  // passed its new place: a round begins.
  bool RemoveFlowing(uint32_t index);

  uint32_t blocked() const { return blocked_; }
  void CountBlocked(int change) { blocked_ += static_cast<uint32_t>(change); }

  // True if flowing readers are to get it.
  bool Append(HeldFrame* held, uint64_t event, Fanout* fanout);
  uint64_t appended_sequence() const { return appended_sequence_; }
  void set_appended_sequence(uint64_t sequence) { appended_sequence_ = sequence; }

  // Visits yet to be made until every flowing reader has had all that is in the log.
  uint32_t remaining() const { return remaining_; }
  // The index of the next reader on the way.
  uint32_t position() const { return position_; }
  // It has been visited.
  void Visit() {
    if (++position_ == flowing()) position_ = 0;
    --remaining_;
    ++visits_;
  }
  // Somebody may have been passed over, or not been given all: everybody is visited once more.
  void RestartRound() {
    remaining_ = flowing();
    restart_visits_ = visits_;
  }
  // Tells of the events that all flowing readers have had.
  void FinishRounds(Fanout* fanout, int64_t now_ns);

  // Bytes that some flowing reader has not been offered.
  uint64_t unswept_bytes() const {
    return waits_head_ == Fanout::kNone ? 0 : log_.tail_offset() - swept_offset_;
  }
  // After a round, when those who did not take all have left the array: all stand at the tail.
  void RestAfterRound() {
    if (remaining_ == 0 && blocked_ == 0) log_.Rest(flowing_.size());
  }
  // At any other time that is only known by looking, which is done for few.
  void RestIfIdle();

  bool is_queued = false;   // in Delivery's queue
  bool is_stalled = false;  // on Delivery's list of those with too much unswept
  bool is_emptied = false;  // on Delivery's list of those without readers
  uint8_t lag_policy = 0;   // of Delivery's

 private:
  const std::string text_;
  Log log_;
  GrowingArray<Reader> flowing_;
  uint32_t blocked_ = 0;
  uint32_t position_ = 0;   // of the sweep in flowing_
  uint32_t remaining_ = 0;  // visits until everybody has had all that is in the log
  uint64_t visits_ = 0;     // ever
  uint64_t restart_visits_ = 0;

  uint32_t waits_head_ = Fanout::kNone;  // events not yet with everybody
  uint32_t waits_tail_ = Fanout::kNone;
  uint64_t swept_offset_ = 0;       // with any of those: every flowing reader is at least here
  uint64_t appended_sequence_ = 0;  // of the newest event that was matched
};

}  // namespace sluice
