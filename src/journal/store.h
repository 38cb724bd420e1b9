// What the journal needs of a store: three ordered tables from a number to bytes, written in groups
// that are there whole or not at all.
//
// Thread: Commit, Sync, Drop, Recover by the journal's thread; Read by any, also meanwhile.
// Errors: a Commit that failed may be there or not; the journal calls Recover until it succeeds and
//         commits the same group again. kUnavailable carries the kernel's words, such as
//         "No space left on device".
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

enum class StoreTable : uint8_t {
  kBlocks,  // first sequence -> block (record.h)
  kSpans,   // first sequence -> what a closed span holds (span_table.h)
  kState,   // 0 -> state (state.h)
};

struct StoreWrite {
  StoreTable table;
  uint64_t key;
  std::string_view bytes;  // empty: the key is removed
};

struct StoreEntry {
  uint64_t key;
  std::string bytes;
};

class JournalStore {
 public:
  virtual ~JournalStore() = default;

  // What was found torn at the end of the store when it was opened, and cut; empty: nothing.
  virtual std::string torn() const = 0;

  // All or nothing, after all that was committed before. When it returns the kernel has it: it
  // outlives this process; with `sync` it outlives a loss of power.
  virtual Status Commit(std::span<const StoreWrite> writes, bool sync) = 0;
  // What was committed outlives a loss of power.
  virtual Status Sync() = 0;
  // After a failed Commit or Sync: makes the store whole again, with all that ever succeeded.
  virtual Status Recover() = 0;

  // Entries in order: the last one at or before `from`, or the first after it, and those that
  // follow up to `through`; ends after the one with which they have `bytes_max` or more. None:
  // there are no more.
  virtual Status Read(StoreTable table, uint64_t from, uint64_t through, size_t bytes_max,
                      std::vector<StoreEntry>* entries) = 0;
  // The blocks before `first` are not needed any more: their space may be given back, now or later.
  virtual Status Drop(uint64_t first) = 0;

  virtual uint64_t DiskBytes() const = 0;
};

}  // namespace sluice
