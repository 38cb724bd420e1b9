// A channel's log: the frames that its readers still need, back to back in segments, and the
// cursors that move along it.
//
// A segment is a contiguous block of whole frames with an index of where each ends. Small frames
// are copied into it, so that any run of them is one contiguous send; a large frame is a segment of
// its own that refers to the frame's bytes. The bytes of a segment never move and never change.
//
// Thread: its shard's.
// Owner:  a segment lives while a cursor stands in it or in one before it, and while it is the
// tail.
//         Iovecs from Gather point into segments: valid while the cursor they came from stays.
// Bounds: segment_bytes a segment; what the log holds in all is bytes_held(), bounded by the caller
//         (delivery), which cuts readers and then stops draining.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "event/frame.h"

namespace sluice {

// Where a frame ends within its segment.
struct FrameMark {
  uint32_t end;
  int64_t published_ns;
};

struct Segment {
  Segment* next = nullptr;
  uint64_t base_offset = 0;  // of the segment's first byte in the log
  uint64_t base_index = 0;   // of its first frame in the log
  uint32_t bytes = 0;        // filled
  uint32_t pins = 0;         // cursors that stand in it
  const char* data = nullptr;
  std::vector<FrameMark> marks;
  std::unique_ptr<char[]> block;  // owned bytes, or
  Frame* large = nullptr;         // ... the one frame referred to
};

// A reader's place: `offset` bytes into the segment, inside or before the frame `mark`.
struct Cursor {
  Segment* segment = nullptr;
  uint32_t offset = 0;
  uint32_t mark = 0;
};

class Log {
 public:
  explicit Log(uint32_t segment_bytes);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Takes over one reference to the frame.
  void Append(Frame* frame);

  // A cursor at the tail: it will see the frames appended from now on.
  Cursor Attach();
  // Gives a cursor up; its segment may be freed.
  void Detach(const Cursor& cursor);

  // The bytes from the cursor on, at most `bytes_max` of them (cut at a frame's end if one fits,
  // and never past `end_offset`), in at most `iovecs_max` pieces. Returns the pieces; 0 at the
  // tail.
  uint32_t Gather(const Cursor& cursor, uint64_t end_offset, size_t bytes_max, iovec* iovecs,
                  uint32_t iovecs_max) const;
  // The large frame that the first bytes of Gather are of, or null.
  Frame* LargeAt(const Cursor& cursor) const;
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
  // A cursor (not pinned) at the tail.
  Cursor Tail() const;

  uint64_t tail_offset() const { return tail_->base_offset + tail_->bytes; }
  uint64_t tail_index() const { return tail_->base_index + tail_->marks.size(); }
  uint64_t head_offset() const { return head_->base_offset; }
  const Segment* head() const { return head_; }
  // Memory of all segments.
  uint64_t bytes_held() const { return bytes_held_; }

 private:
  bool IsLarge(size_t frame_bytes) const { return frame_bytes >= large_bytes_min_; }
  Segment* NewSegment();
  void AddTail(Segment* segment);
  void FreeHead();
  void Normalise(Cursor* cursor);
  void Pin(Cursor* cursor, Segment* segment);

  const uint32_t segment_bytes_;
  const uint32_t large_bytes_min_;  // from this size a frame is referred to, not copied
  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
  Segment* spare_ = nullptr;  // one, so that a busy log does not go to the allocator
  uint64_t bytes_held_ = 0;
};

}  // namespace sluice
