// What the logs of one shard share: frames that they refer to, spare blocks, and the count of all
// bytes that they hold, which is bounded by the caller (delivery).
//
// Thread: its shard's; that is why a frame in a hundred thousand logs is counted without atomics.
// Owner:  a HeldFrame has one reference of the frame and gives it back with its last holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "event/frame.h"

namespace sluice {

// Where a frame ends within its segment.
struct FrameMark {
  uint32_t end;
  uint32_t sequence_low;  // the lower half: a place among those near by, see Log::SequenceAt
  int64_t published_ns;
};

// A frame that logs of this shard refer to.
struct HeldFrame {
  Frame* frame;
  uint32_t holders;
  FrameMark mark;  // of every segment that is this frame
};

class LogMemory {
 public:
  explicit LogMemory(uint32_t segment_bytes);
  ~LogMemory();
  LogMemory(const LogMemory&) = delete;
  LogMemory& operator=(const LogMemory&) = delete;

  uint32_t segment_bytes() const { return segment_bytes_; }
  // From this size a frame is referred to, not copied.
  uint32_t large_bytes_min() const { return large_bytes_min_; }
  // Of all logs: blocks, and frames that are referred to, each once.
  uint64_t bytes_held() const { return bytes_held_; }

  // Takes over one reference to the frame; the caller is its first holder.
  HeldFrame* Hold(Frame* frame);
  void Release(HeldFrame* held);

  char* TakeBlock(uint32_t bytes);
  void GiveBlock(char* block, uint32_t bytes);
  void Count(int64_t bytes) { bytes_held_ += static_cast<uint64_t>(bytes); }

 private:
  // Of segment_bytes each, so that a busy log does not go to the allocator.
  static constexpr size_t kSparesMax = 2;

  const uint32_t segment_bytes_;
  const uint32_t large_bytes_min_;
  uint64_t bytes_held_ = 0;
  std::vector<char*> spares_;
};

}  // namespace sluice
