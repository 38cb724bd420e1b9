// Reads records from a store in order, checks them, and says what is missing between them.
//
// Thread: any, also while the journal writes.
// Owner:  a record's views live for its call.
#pragma once

#include <cstdint>
#include <functional>

#include "base/status.h"
#include "journal/record.h"
#include "journal/store.h"

namespace sluice {

// False ends the reading.
using OnRecord = std::function<bool(const JournalRecord&)>;

struct ReadSummary {
  uint64_t last = 0;  // looked at all up to here
  uint64_t events = 0;
  uint64_t holes = 0;
  uint64_t damaged = 0;  // records whose checksum was wrong
  uint64_t blocks = 0;
  uint64_t bytes = 0;
};

// Records of the sequences after `after` up to `through`, all of which must be in the store. What
// should be there and is not, or has a wrong checksum, comes as a hole (kDamage), in its place. A
// hole or skip that reaches beyond either end is cut there.
Status ReadRecords(JournalStore& store, uint64_t after, uint64_t through, const OnRecord& on_record,
                   ReadSummary* summary);

}  // namespace sluice
