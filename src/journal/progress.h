// How far the journal is, and how it does: what its thread and the shard that drains the ring
// write, and everybody reads.
//
// Thread: each setter names its writer; Ask, Health, Describe and the accessors by any.
// atomic: the sequences and the times that shards read to answer publishes; written by one thread
// each
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace sluice {

enum class JournalHealth {
  kOk,
  kBehind,  // slow: half of the queue is full, or the disk has kept a group waiting
  kFailed,  // the store refuses, or the queue is full, or the disk does not answer
};

enum class JournalAnswer {
  kPending,
  kKept,
  kLost,  // or not known to be kept: the publish that waits for it is answered 503
};

// What a publish's 200 waits for.
enum class JournalLevel {
  kWritten,  // the kernel has it: it outlives the process
  kSynced,   // the disk has it: it outlives a loss of power
};

class JournalProgress {
 public:
  JournalProgress(uint64_t start, uint64_t ceiling, int64_t behind_ns, int64_t stalled_ns);

  // --- any thread
  // Every event up to here that the journal was offered and that lies in no hole ...
  uint64_t written() const { return written_.load(std::memory_order_acquire); }  // ... is written
  uint64_t durable() const { return durable_.load(std::memory_order_acquire); }  // ... is synced
  // Only sequences below this may be given out.
  uint64_t ceiling() const { return ceiling_.load(std::memory_order_acquire); }
  JournalAnswer Ask(uint64_t sequence, JournalLevel level, int64_t now_ns) const;
  JournalHealth Health(int64_t now_ns) const;
  // "ok", "behind: ...", "failed: No space left on device"
  std::string Describe(int64_t now_ns) const;
  // From here on events are being lost; UINT64_MAX: none are.
  uint64_t losing_from() const { return losing_from_.load(std::memory_order_acquire); }
  // The last sequence offered, kept or not.
  uint64_t offered() const { return offered_.load(std::memory_order_acquire); }
  bool store_works() const { return store_works_.load(std::memory_order_acquire); }
  // Lines for the log, each once: what changed since the last call.
  std::vector<std::string> TakeNotices();

  // --- the journal's thread
  void SetWritten(uint64_t sequence) { written_.store(sequence, std::memory_order_release); }
  void SetDurable(uint64_t sequence) { durable_.store(sequence, std::memory_order_release); }
  void SetCeiling(uint64_t sequence) { ceiling_.store(sequence, std::memory_order_release); }
  // It hands something to the disk now, or (0) has its answer.
  void SetBusySince(int64_t now_ns) { busy_since_ns_.store(now_ns, std::memory_order_release); }
  void SetStoreFailed(const std::string& words);
  void SetStoreWorks();

  // --- both, as they find it: whoever changed the queue last is right
  void SetQueueFill(bool is_half_full) {
    is_half_full_.store(is_half_full, std::memory_order_relaxed);
  }

  // --- the thread that drains the ring
  void LoseFrom(uint64_t sequence);
  // Events from `from` to `to` - 1 were lost; from `to` on the journal is whole again.
  void WholeFrom(uint64_t from, uint64_t to, uint64_t events);
  void SetOffered(uint64_t sequence) { offered_.store(sequence, std::memory_order_release); }

 private:
  static constexpr size_t kHolesKept = 64;
  struct Hole {
    uint64_t first = 1;
    uint64_t last = 0;
  };
  bool IsLost(uint64_t sequence) const;

  // Constant after construction.
  const int64_t behind_ns_;
  const int64_t stalled_ns_;

  std::atomic<uint64_t> offered_;
  std::atomic<uint64_t> written_;
  std::atomic<uint64_t> durable_;
  std::atomic<uint64_t> ceiling_;
  std::atomic<int64_t> busy_since_ns_{0};
  std::atomic<bool> store_works_{true};
  std::atomic<bool> is_half_full_{false};
  std::atomic<uint64_t> losing_from_{UINT64_MAX};
  std::atomic<uint64_t> holes_count_{0};

  mutable std::mutex mutex_;  // below; taken when something goes wrong, never else
  std::array<Hole, kHolesKept> holes_;
  uint64_t forgotten_through_ = 0;  // holes up to here are not remembered one by one
  std::string failure_;
  std::vector<std::string> notices_;
};

}  // namespace sluice
