// A channel's log: the frames that its readers still need, back to back in segments, and the
// cursors that move along it.
//
// A segment is either a block of whole frames, copied so that any run of them is one contiguous
// send, with an index of where each ends; or one frame that it refers to: a large one, or one that
// came to an idle log of few readers, who will have had it before the next comes. Blocks grow with
// what is not yet sent, from kBlockBytesMin to segment_bytes. A log whose readers have had all is
// told to rest: it then holds no bytes, only the place. The bytes of a segment never move and never
// change.
//
// Thread: its shard's.
// Owner:  a segment lives while a cursor stands in it or in one before it, and while it is the
//         tail. Iovecs from Gather point into segments: valid while the cursor they came from
//         stays.
// Bounds: what all logs of a shard hold is LogMemory::bytes_held(), bounded by the caller
//         (delivery), which cuts readers and then stops draining.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "log/log_memory.h"

namespace sluice {

struct Segment {
  Segment* next = nullptr;
  uint64_t base_offset = 0;        // of the segment's first byte in the log
  uint64_t base_index = 0;         // of its first frame in the log
  uint32_t bytes = 0;              // filled
  uint32_t mark_count = 0;         // frames
  uint32_t pins = 0;               // cursors that stand in it
  uint32_t block_bytes = 0;        // of its block; 0: it has none
  const char* data = nullptr;      // null: it rests, and is read to its end by all
  FrameMark* marks_end = nullptr;  // marks grow down from the block's end
  HeldFrame* held = nullptr;       // the one frame referred to, or

  const FrameMark& mark(uint32_t i) const { return *(marks_end - 1 - i); }
};

// A reader's place: `offset` bytes into the segment, inside or before the frame `mark`. Aligned as
// its integers are, so that a reader of a channel takes 28 bytes and not 32.
struct [[gnu::packed, gnu::aligned(4)]] Cursor {
  Segment* segment = nullptr;
  uint32_t offset = 0;
  uint32_t mark = 0;
};

class Log {
 public:
  static constexpr uint32_t kBlockBytesMin = 512;
  // What a log may keep for each reader while it is idle, rather than take it again and again.
  static constexpr uint32_t kIdleBytesAReader = 64;

  explicit Log(LogMemory& memory);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // The frame stays the caller's. `readers` says how many will read it, about.
  void Append(HeldFrame* held, size_t readers);
  // Gives back what is too much to keep if all `readers`, and nobody else, stand at the tail.
  void Rest(size_t readers);

  // A cursor at the tail: it will see the frames appended from now on.
  Cursor Attach();
  // A cursor at the start of the newest frame; only behind the tail can it be had.
  Cursor AttachNewest();
  // Gives a cursor up; its segment may be freed.
  void Detach(const Cursor& cursor);

  // The bytes from the cursor on, at most `bytes_max` of them (cut at a frame's end if one fits,
  // and never past `end_offset`), in at most `iovecs_max` pieces. Returns the pieces; 0 at the
  // tail.
  uint32_t Gather(const Cursor& cursor, uint64_t end_offset, size_t bytes_max, iovec* iovecs,
                  uint32_t iovecs_max) const;
  // The one frame that the first bytes of Gather are of, if they are referred to, or null.
  Frame* FrameAt(const Cursor& cursor) const;
  // The same as the log holds it.
  HeldFrame* HeldAt(const Cursor& cursor) const;
  // The rest of the frame that the cursor is inside of.
  std::string_view RestOfFrame(const Cursor& cursor) const;
  // Moves the cursor `bytes` forward. Returns how many frames it finished.
  uint64_t Advance(Cursor* cursor, size_t bytes);
  // Moves the cursor, which stands where `from` stood, to `to`, without looking for the place
  // again.
  void Follow(Cursor* cursor, const Cursor& to);

  bool IsAtTail(const Cursor& cursor) const {
    return cursor.segment == tail_ && cursor.offset == tail_->bytes;
  }
  bool IsAtFrameStart(const Cursor& cursor) const;
  uint64_t Offset(const Cursor& cursor) const {
    return cursor.segment->base_offset + cursor.offset;
  }
  uint64_t Index(const Cursor& cursor) const { return cursor.segment->base_index + cursor.mark; }
  // When the first frame that the cursor has not finished was published; only behind the tail.
  int64_t PublishedNs(const Cursor& cursor) const;
  // The sequence of the frame of this index, which `cursor` has not finished. `newest` is that of
  // the newest frame; they are less than 2^32 apart.
  uint64_t SequenceAt(const Cursor& cursor, uint64_t index, uint64_t newest) const;
  // A cursor (not pinned) at the tail.
  Cursor Tail() const;

  uint64_t tail_offset() const { return tail_->base_offset + tail_->bytes; }
  uint64_t tail_index() const { return tail_->base_index + tail_->mark_count; }
  const Segment* head() const { return head_; }

 private:
  bool FitsTail(size_t frame_bytes) const;
  uint32_t BlockBytes(size_t frame_bytes, size_t readers) const;
  void AddTail(Segment* segment);
  void FreeContent(Segment* segment);
  void FreeHead();
  void Normalise(Cursor* cursor);
  void Pin(Cursor* cursor, Segment* segment);

  LogMemory& memory_;
  Segment* head_;
  Segment* tail_;
};

}  // namespace sluice
