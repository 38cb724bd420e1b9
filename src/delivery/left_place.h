// What a reader has that left its place in the log before it had all: it skips, or conflates.
//
// Thread: its shard's.
// Owner:  `held` is one holder of its frame, which Delivery releases.
// Bounds: one frame's rest; a copy only of one that the log copied too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "log/log_memory.h"

namespace sluice {

struct LeftPlace {
  static constexpr size_t kNone = SIZE_MAX;

  // The frame that the reader is in the middle of: it is finished before anything else.
  bool has_frame = false;
  HeldFrame* held = nullptr;  // or, from `sent` on,
  std::string copy;
  size_t sent = 0;
  int64_t published_ns = 0;
  uint64_t sequence = 0;
  bool is_of_table = false;  // counted as conflated until it is whole

  // It conflates: it has had, or need not have, what is up to this sequence.
  bool is_conflating = false;
  uint64_t after = 0;
  uint64_t told = 0;        // of what was dropped, up to this sequence
  uint64_t next_index = 0;  // in the log, of the event that would have been its next

  // Where in the reader's aside the gap told last begins, and its first sequence.
  size_t gap_at = kNone;
  uint64_t gap_first = 0;

  std::string_view rest() const {
    return (held != nullptr ? held->frame->bytes() : std::string_view(copy)).substr(sent);
  }
};

}  // namespace sluice
