#include "ring/ring.h"

#include <algorithm>

#include "base/check.h"

namespace sluice {
namespace {

// Never back: a gate stored late must not undo a newer one, for the packed position is widened
// against it (see newest_sequence).
void RaiseTo(std::atomic<uint64_t>& value, uint64_t to) {
  uint64_t seen = value.load(std::memory_order_relaxed);
  while (seen < to && !value.compare_exchange_weak(seen, to, std::memory_order_acq_rel,
                                                   std::memory_order_relaxed)) {
  }
}

// The 64-bit number that is at or after `base`, less than 2^32 away, and ends in these 32 bits.
uint64_t Widen(uint32_t low, uint64_t base) {
  return base + static_cast<uint32_t>(low - static_cast<uint32_t>(base));
}

}  // namespace

Ring::Ring(uint32_t events_max, uint64_t bytes_max, uint32_t consumers, uint64_t first_sequence)
    : mask_(uint64_t{events_max} - 1),
      chunks_max_(bytes_max / kChunkBytes),
      consumer_count_(consumers),
      slots_(std::make_unique<Slot[]>(events_max)),
      consumers_(std::make_unique<Consumer[]>(consumers)),
      position_(Pack(first_sequence, 0)),
      gate_sequence_(first_sequence) {
  SLUICE_CHECK(events_max >= 2 && (events_max & (events_max - 1)) == 0);
  SLUICE_CHECK(events_max <= (1u << 30) && chunks_max_ >= 1 && chunks_max_ < (1u << 30));
  SLUICE_CHECK(consumers >= 1 && first_sequence >= 1);
  for (uint32_t i = 0; i < consumers; ++i) {
    consumers_[i].sequence.store(first_sequence, std::memory_order_relaxed);
  }
}

Ring::~Ring() {
  for (uint32_t consumer = 0; consumer < consumer_count_; ++consumer) {
    Drain(consumer, SIZE_MAX, [](Frame* frame) {
      frame->Release();
      return true;
    });
  }
}

void Ring::SetWaker(uint32_t consumer, Waker waker) {
  consumers_[consumer].waker = std::move(waker);
}

Ring::Room Ring::LookForRoom(uint64_t position, uint64_t events, uint64_t chunks) const {
  // Acquire, pairs with RaiseTo: what the consumers had finished when the gate was read.
  const uint64_t gate_sequence = gate_sequence_.load(std::memory_order_acquire);
  const uint64_t gate_chunks = gate_chunks_.load(std::memory_order_acquire);
  const uint32_t events_held =
      static_cast<uint32_t>(position) - static_cast<uint32_t>(gate_sequence);
  const uint32_t chunks_held =
      static_cast<uint32_t>(position >> 32) - static_cast<uint32_t>(gate_chunks);
  // A gate past the position: others pushed and were drained since the position was read.
  if (events_held > mask_ + 1 || chunks_held > chunks_max_) return Room::kStale;
  // Exact if the claim succeeds, for then the position is the newest.
  const uint64_t end = end_sequence_.load(std::memory_order_acquire);
  if (end != 0 && gate_sequence + events_held + events > end) return Room::kAtEnd;
  const bool fits = events_held + events <= mask_ + 1 && chunks_held + chunks <= chunks_max_;
  return fits ? Room::kEnough : Room::kTooLittle;
}

void Ring::ReadGate() {
  uint64_t sequence = UINT64_MAX;
  uint64_t chunks = UINT64_MAX;
  for (uint32_t i = 0; i < consumer_count_; ++i) {
    // Acquire, pairs with the releases in Drain.
    sequence = std::min(sequence, consumers_[i].sequence.load(std::memory_order_acquire));
    chunks = std::min(chunks, consumers_[i].chunks.load(std::memory_order_acquire));
  }
  RaiseTo(gate_sequence_, sequence);
  RaiseTo(gate_chunks_, chunks);
}

PushResult Ring::TryPush(std::span<Frame* const> frames, int64_t now_ns, uint64_t* first_sequence) {
  uint64_t chunks = 0;
  for (const Frame* frame : frames) chunks += Chunks(frame);
  if (frames.empty() || frames.size() > mask_ + 1 || chunks > chunks_max_) {
    return PushResult::kTooLarge;
  }

  uint64_t position = position_.load(std::memory_order_acquire);
  bool is_gate_fresh = false;
  while (true) {
    const Room room = LookForRoom(position, frames.size(), chunks);
    if (room == Room::kAtEnd) return PushResult::kAtEnd;
    if (room == Room::kTooLittle && is_gate_fresh) return PushResult::kFull;
    if (room != Room::kEnough) {
      ReadGate();
      is_gate_fresh = room == Room::kTooLittle;
      position = position_.load(std::memory_order_acquire);
      continue;
    }
    const uint64_t next = Pack(position + frames.size(), (position >> 32) + chunks);
    // Acquire: the slots' last readers are done (their release, then our gate). Release: the frames
    // are not written to their slots before the claim.
    if (position_.compare_exchange_weak(position, next, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
      break;
    }
  }

  // The gate is at most one ring behind our claim, which cannot be passed before it is stamped.
  uint64_t sequence =
      Widen(static_cast<uint32_t>(position), gate_sequence_.load(std::memory_order_acquire));
  *first_sequence = sequence;
  for (Frame* frame : frames) {
    frame->Stamp(sequence, now_ns, consumer_count_);
    Slot& slot = slots_[sequence & mask_];
    slot.frame = frame;
    slot.stamp.store(sequence, std::memory_order_seq_cst);  // invariants 3 and 4
    ++sequence;
  }
  WakeSleepers();
  return PushResult::kPushed;
}

// Release, pairs with the acquire in LookForRoom: what reserved the sequences came before.
void Ring::RaiseEnd(uint64_t sequence) { RaiseTo(end_sequence_, sequence); }

void Ring::WakeSleepers() {
  for (uint32_t i = 0; i < consumer_count_; ++i) {
    Consumer& consumer = consumers_[i];
    if (!consumer.is_sleeping.load(std::memory_order_seq_cst)) continue;  // invariant 4
    // One producer wins the right to wake, so that a burst costs one eventfd write a sleeper.
    if (consumer.is_sleeping.exchange(false, std::memory_order_acq_rel) && consumer.waker) {
      consumer.waker();
    }
  }
}

bool Ring::PrepareSleep(uint32_t consumer) {
  Consumer& self = consumers_[consumer];
  const uint64_t sequence = self.sequence.load(std::memory_order_relaxed);
  self.is_sleeping.store(true, std::memory_order_seq_cst);  // invariant 4
  if (slots_[sequence & mask_].stamp.load(std::memory_order_seq_cst) != sequence) return true;
  self.is_sleeping.store(false, std::memory_order_relaxed);
  return false;
}

void Ring::Awake(uint32_t consumer) {
  // Relaxed: a producer that still reads true costs one needless wake.
  consumers_[consumer].is_sleeping.store(false, std::memory_order_relaxed);
}

uint64_t Ring::newest_sequence() const {
  // The gate first: the position read after it is never before it.
  const uint64_t gate = gate_sequence_.load(std::memory_order_acquire);
  return Widen(static_cast<uint32_t>(position_.load(std::memory_order_acquire)), gate) - 1;
}

uint64_t Ring::depth() const {
  uint64_t least = UINT64_MAX;
  for (uint32_t i = 0; i < consumer_count_; ++i) least = std::min(least, drained_sequence(i));
  const uint64_t newest = newest_sequence();
  return newest > least ? newest - least : 0;
}

uint64_t Ring::drained_sequence(uint32_t consumer) const {
  return consumers_[consumer].sequence.load(std::memory_order_acquire) - 1;
}

}  // namespace sluice
