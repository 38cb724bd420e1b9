// One io_uring with its table of direct descriptors and its ring of receive buffers.
//
// The engine owns several: a table is bounded by RLIMIT_NOFILE, its descriptors do not count
// against it. Completions of deferred work are posted only while the owner enters the kernel, so
// nothing moves behind its back.
//
// Thread: opened on any thread; Enable and all after it on the one that runs the engine.
// Owner:  buffers belong to the ring; one is the caller's from its completion until Recycle.
// Bounds: kSubmissions entries, table_size descriptors, kBuffers receive buffers (256 KiB,
//         all of it resident: the kernel takes them in turn).
// Errors: Open says in one line what the host lacks. After that a failing system call is a bug.
// Needs:  Linux 6.1 (deferred task run); liburing 2.3 for the mappings only.
#pragma once

#include <liburing.h>

#include <memory>
#include <vector>

#include "base/status.h"

namespace sluice {

class Uring {
 public:
  static constexpr unsigned kSubmissions = 512;
  // Far above what one enter posts (a batch of sends, twenty deferred completions): all are taken
  // out after each enter, so an overflow is possible only in theory, and then flushed.
  static constexpr unsigned kCompletions = 4'096;
  // More receives than buffers in one turn: the rest is told so and comes in the next.
  static constexpr unsigned kBuffers = 64;
  static constexpr unsigned kBufferBytes = 4'096;
  static constexpr uint16_t kBufferGroup = 0;

  // `notify_fd`, unless -1, is an eventfd that is signalled when this ring has something to reap.
  static Status Open(uint32_t table_size, int notify_fd, std::unique_ptr<Uring>* uring);
  ~Uring();
  Uring(const Uring&) = delete;
  Uring& operator=(const Uring&) = delete;

  // Binds the ring to the calling thread.
  Status Enable();

  // A zeroed submission, or null when the queue is full: submit, reap, ask again.
  io_uring_sqe* NextSqe();
  bool has_submissions() const { return io_uring_sq_ready(&ring_) != 0; }
  // The kernel holds completions back until the next Enter.
  bool has_deferred() const {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
  }
  // Hands the submissions to the kernel. Operations that do not wait are complete when it returns.
  void Submit();
  // Submits, and runs what the kernel has deferred, at most some twenty completions.
  void Enter();
  // Enter, then sleeps until there is a completion, or for `timeout_ns` (negative: for ever).
  void EnterAndSleep(int64_t timeout_ns);

  // Calls take(user_data, res, flags) for each completion there is; returns how many.
  template <typename Take>
  unsigned Reap(Take&& take) {
    unsigned head = *ring_.cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(ring_.cq.ktail);
    const unsigned count = tail - head;
    const unsigned mask = *ring_.cq.kring_mask;
    for (; head != tail; ++head) {
      const io_uring_cqe& cqe = ring_.cq.cqes[head & mask];
      take(cqe.user_data, cqe.res, cqe.flags);
    }
    if (count != 0) io_uring_smp_store_release(ring_.cq.khead, head);
    return count;
  }

  const char* buffer(uint16_t index) const { return buffers_ + size_t{index} * kBufferBytes; }
  void Recycle(uint16_t index);

 private:
  Uring() = default;
  Status OpenRing();
  Status RegisterTable(uint32_t table_size);
  Status RegisterBuffers();

  io_uring ring_{};
  bool is_open_ = false;
  char* buffers_ = nullptr;                   // kBuffers * kBufferBytes
  io_uring_buf_ring* buffer_ring_ = nullptr;  // shared with the kernel
};

}  // namespace sluice
