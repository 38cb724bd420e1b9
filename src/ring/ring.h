// The ring: the bounded, lock-free, total order of events. Many producers push; each shard is the
// single consumer of its own cursor and sees every event, in the same order (MPSC to each).
//
// Invariants:
//  1. A place in the order is given by one compare-and-swap on `position_`, which packs the next
//     sequence and the bytes ever pushed: n frames get n neighbouring sequences, or none at all.
//  2. The claim succeeds only if every consumer has left the slots and the bytes it needs:
//     next + n - gate <= capacity, where gate is the least cursor. A cached gate can only be too
//     small, so it refuses too early, never too late; it is read anew before a push is refused.
//  3. A slot holds a frame of sequence s exactly when its stamp is s. The producer that claimed s
//     writes the frame, then the stamp; a consumer reads the stamp, then the frame, and moves its
//     cursor past s when it is done with the slot.
//  4. A consumer that is about to sleep stores `is_sleeping`, then looks at its next stamp again; a
//     producer stores the stamp, then looks at `is_sleeping`. All four are sequentially consistent,
//     so at least one of the two sees the other: no wake-up is lost.
//  5. A frame on the ring carries one reference for each consumer that has not drained it.
//
// Not promised: that a consumer can pass a claimed slot whose producer was put to sleep by the
// kernel before the stamp (it goes back to its engine instead of spinning, and that producer's wake
// finds it); fairness between producers that find the ring full.
//
// Thread: TryPush by any; Drain, PrepareSleep, Awake by the consumer's own thread.
// Bounds: events_max slots (a power of two, 2 or more) and bytes_max of frames' footprints. Full is
//         kFull, now; a batch that could never fit is kTooLarge. Sequences from end_sequence on are
//         not given out: kAtEnd, until it is raised.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "event/frame.h"

namespace sluice {

enum class PushResult { kPushed, kFull, kTooLarge, kAtEnd };

class Ring {
 public:
  // Calls that rouse a sleeping consumer from another thread: its engine's Wake.
  using Waker = std::function<void()>;

  // The first event pushed gets `first_sequence`.
  Ring(uint32_t events_max, uint64_t bytes_max, uint32_t consumers, uint64_t first_sequence = 1);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Before the first push; a consumer without a waker is never woken.
  void SetWaker(uint32_t consumer, Waker waker);

  // Puts the frames on the ring, stamped with neighbouring sequences, and wakes who sleeps. On
  // kPushed the ring owns them (each caller's reference is taken over) and `*first_sequence` is the
  // first one's; otherwise the caller still owns them.
  [[nodiscard]] PushResult TryPush(std::span<Frame* const> frames, int64_t now_ns,
                                   uint64_t* first_sequence);

  // Hands up to `events_max` frames to `on_frame(Frame*)`, which takes over one reference each and
  // returns false to stop after this one. Returns how many were handed over.
  template <typename OnFrame>
  size_t Drain(uint32_t consumer, size_t events_max, OnFrame&& on_frame);

  // False if there is something to drain; true leaves the consumer marked as asleep, so that the
  // next push wakes it. Call Awake when it is up again.
  [[nodiscard]] bool PrepareSleep(uint32_t consumer);
  void Awake(uint32_t consumer);

  // Sequences below `sequence` may be given out; without a call all may. Never lowered.
  void RaiseEnd(uint64_t sequence);

  // The newest sequence claimed; before the first, the one before it.
  uint64_t newest_sequence() const;
  // Events pushed and not yet drained by the slowest consumer (a moment old).
  uint64_t depth() const;
  uint64_t drained_sequence(uint32_t consumer) const;
  uint32_t events_max() const { return static_cast<uint32_t>(mask_ + 1); }
  uint32_t consumers() const { return consumer_count_; }

 private:
  // Bytes are counted in chunks, so that 32 bits of them outlast any ring.
  static constexpr uint64_t kChunkBytes = 64;
  static constexpr size_t kCacheLine = 64;

  struct Slot {
    std::atomic<uint64_t> stamp{0};
    Frame* frame = nullptr;
  };
  struct alignas(kCacheLine) Consumer {
    // Written by the consumer with every drain, read by producers when they look for the gate.
    std::atomic<uint64_t> sequence{0};  // the next to drain
    std::atomic<uint64_t> chunks{0};    // drained ever
    // Read by producers with every push, seldom written: a line of its own.
    alignas(kCacheLine) std::atomic<bool> is_sleeping{false};
    Waker waker;  // constant after the first push
  };

  static uint64_t Chunks(const Frame* frame) {
    return (frame->footprint_bytes() + kChunkBytes - 1) / kChunkBytes;
  }
  static uint64_t Pack(uint64_t sequence, uint64_t chunks) {
    return (chunks << 32) | (sequence & UINT32_MAX);
  }
  enum class Room { kEnough, kTooLittle, kStale, kAtEnd };
  Room LookForRoom(uint64_t position, uint64_t events, uint64_t chunks) const;
  void ReadGate();
  void WakeSleepers();

  // Constant after construction.
  const uint64_t mask_;
  const uint64_t chunks_max_;
  const uint32_t consumer_count_;
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<Consumer[]> consumers_;

  // Read by the producers with every push, seldom written. 0: there is none.
  alignas(kCacheLine) std::atomic<uint64_t> end_sequence_{0};

  // Shared by the producers.
  alignas(kCacheLine) std::atomic<uint64_t> position_;
  alignas(kCacheLine) std::atomic<uint64_t> gate_sequence_;
  std::atomic<uint64_t> gate_chunks_{0};
};

template <typename OnFrame>
size_t Ring::Drain(uint32_t consumer, size_t events_max, OnFrame&& on_frame) {
  Consumer& self = consumers_[consumer];
  // Relaxed: only this thread writes its cursor.
  uint64_t sequence = self.sequence.load(std::memory_order_relaxed);
  uint64_t chunks = self.chunks.load(std::memory_order_relaxed);
  size_t drained = 0;
  bool goes_on = true;
  while (goes_on && drained < events_max) {
    Slot& slot = slots_[sequence & mask_];
    // Pairs with the stamp's store in TryPush: the frame and its bytes are visible.
    if (slot.stamp.load(std::memory_order_acquire) != sequence) break;
    Frame* frame = slot.frame;
    chunks += Chunks(frame);
    goes_on = on_frame(frame);
    ++sequence;
    ++drained;
  }
  if (drained != 0) {
    // Release, pairs with the acquire in ReadGate: our reads of the slots are over when a producer
    // writes them again.
    self.chunks.store(chunks, std::memory_order_release);
    self.sequence.store(sequence, std::memory_order_release);
  }
  return drained;
}

}  // namespace sluice
