// The journal's state on disk: who gives the sequences, how far they are reserved, what is held.
//
//   state = version:u32 crc:u32 epoch:u64 ceiling:u64 first:u64 flags:u64      little-endian
//
// Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice {

struct JournalStateRecord {
  uint64_t epoch = 0;
  // No sequence from here on was given out. After a stop it is the next one, exactly.
  uint64_t ceiling = 1;
  // What retention let go of lies before this.
  uint64_t first = 1;
  bool was_stopped = false;

  std::string Encode() const;
  static Status Decode(std::string_view bytes, JournalStateRecord* state);
};

}  // namespace sluice
