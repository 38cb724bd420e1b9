// A disk in memory that tests can break: it stalls, fills up, fails, and loses what was not synced
// when its power goes, so that the journal's handling of each is tested without luck.
//
// Thread: any; each call is under one lock.
// Owner:  the disk outlives the stores opened on it, as a disk outlives processes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "journal/store.h"

namespace sluice {

class SimulatedDisk {
 public:
  using Table = std::map<std::pair<StoreTable, uint64_t>, std::string>;

  std::unique_ptr<JournalStore> OpenStore();

  // Every write and sync from now on fails with these words; empty: works again.
  void Fail(std::string words);
  // Writes and syncs wait from now on, until told otherwise.
  void Stall(bool on);
  // Waits until a write or sync is waiting.
  void AwaitStalled();
  // A commit that would make it hold more fails with the kernel's "No space left on device".
  void SetBytesMax(uint64_t bytes);
  // The process is killed: stores opened before do nothing any more, what they wrote is there.
  void Kill();
  // The same, and the power goes: of the groups written since the last sync, the first `kept` are
  // there, and if there was another, it was torn and is cut at the next opening.
  void PowerOff(size_t kept);

  uint64_t commits() const;
  uint64_t syncs() const;
  uint64_t bytes() const;
  // A bit that nobody wrote: flips one in the entry.
  void Damage(StoreTable table, uint64_t key, size_t at);
  std::vector<uint64_t> Keys(StoreTable table) const;

 private:
  friend class SimulatedStore;

  struct Write {
    std::pair<StoreTable, uint64_t> at;
    std::string bytes;
  };
  using Group = std::vector<Write>;

  Status Commit(uint64_t generation, std::span<const StoreWrite> writes, bool sync);
  Status Sync(uint64_t generation);
  Status Await(uint64_t generation, std::unique_lock<std::mutex>* lock);
  static void Apply(const Group& group, Table* table);
  static uint64_t Bytes(const Table& table);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Table written_;
  Table durable_;
  std::vector<Group> unsynced_;
  std::string failure_;
  std::string torn_;
  uint64_t bytes_max_ = UINT64_MAX;
  uint64_t generation_ = 0;  // of the process that has it open
  uint64_t commits_ = 0;
  uint64_t syncs_ = 0;
  uint32_t stalled_ = 0;
  bool is_stalling_ = false;
};

}  // namespace sluice
