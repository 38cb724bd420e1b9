// When to look at each connection next: one timer a connection, in a wheel of buckets 1/8 s wide.
//
// A timer further away than the wheel reaches is put as far as it goes and, when it fires early, is
// set again by its owner, who knows the true time. 8 bytes a connection.
//
// Thread: its shard's.
// Bounds: a timer fires at its time or up to kTickNs later, or early when it is beyond kReachNs.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/check.h"
#include "base/clock.h"
#include "base/slot_array.h"

namespace sluice {

class TimerWheel {
 public:
  static constexpr int64_t kTickNs = kNsPerSecond / 8;
  static constexpr uint32_t kBuckets = 512;
  static constexpr int64_t kReachNs = (kBuckets - 2) * kTickNs;

  explicit TimerWheel(int64_t now_ns) : tick_(now_ns / kTickNs) { heads_.fill(0); }

  // Sets the slot's timer, instead of the one it has.
  void Set(uint32_t slot, int64_t at_ns) {
    Unset(slot);
    const int64_t last = tick_ + (kBuckets - 2);
    const int64_t within_ns = std::min(at_ns, last * kTickNs);  // INT64_MAX means never
    const int64_t due = std::clamp((within_ns + kTickNs - 1) / kTickNs, tick_ + 1, last);
    const uint32_t bucket = static_cast<uint32_t>(due % kBuckets);
    SLUICE_DCHECK(slot < kSlotMask);
    Node& node = nodes_.At(slot);
    node.previous = 0;
    node.next = heads_[bucket] & kSlotMask;
    node.bucket = (bucket + 1) & kBucketMask;
    if (node.next != 0) nodes_[node.next - 1].previous = (slot + 1) & kSlotMask;
    heads_[bucket] = slot + 1;
    ++set_;
    earliest_tick_ = std::min(earliest_tick_, due);
  }

  void Unset(uint32_t slot) {
    Node& node = nodes_.At(slot);
    if (node.bucket == 0) return;
    if (node.previous != 0) {
      nodes_[node.previous - 1].next = node.next;
    } else {
      heads_[node.bucket - 1] = node.next;
    }
    if (node.next != 0) nodes_[node.next - 1].previous = node.previous;
    node = {};
    --set_;
  }

  // When Advance next has something to do, at the earliest.
  int64_t next_ns() const { return set_ == 0 ? INT64_MAX : earliest_tick_ * kTickNs; }

  // Calls `on_due(slot)` for at most `due_max` timers whose time has come; each is unset before.
  // Returns how many; the rest stay due.
  template <typename OnDue>
  uint32_t Advance(int64_t now_ns, uint32_t due_max, OnDue&& on_due) {
    const int64_t now_tick = now_ns / kTickNs;
    if (tick_ >= now_tick) return 0;
    uint32_t fired = 0;
    while (tick_ < now_tick && set_ != 0) {
      // First: a timer set by on_due for a time past goes to the next bucket, not into this one.
      ++tick_;
      uint32_t& head = heads_[static_cast<uint32_t>(tick_ % kBuckets)];
      while (head != 0) {
        if (fired == due_max) {
          earliest_tick_ = tick_--;
          return fired;
        }
        const uint32_t slot = head - 1;
        Unset(slot);
        ++fired;
        on_due(slot);
      }
    }
    tick_ = std::max(tick_, now_tick);
    FindEarliest();
    return fired;
  }

 private:
  static constexpr uint32_t kSlotBits = 27;
  static constexpr uint32_t kBucketBits = 10;
  static constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
  static constexpr uint32_t kBucketMask = (1u << kBucketBits) - 1;

  // Slots + 1, 0: none; the bucket + 1, 0: not set.
  struct Node {
    uint64_t previous : kSlotBits = 0;
    uint64_t next : kSlotBits = 0;
    uint64_t bucket : kBucketBits = 0;
  };
  static_assert(sizeof(Node) == 8, "a subscriber's memory is dear");
  static_assert(kBuckets <= kBucketMask);

  void FindEarliest() {
    earliest_tick_ = tick_ + kBuckets;
    for (uint32_t i = 1; set_ != 0 && i < kBuckets; ++i) {
      if (heads_[static_cast<uint32_t>((tick_ + i) % kBuckets)] == 0) continue;
      earliest_tick_ = tick_ + i;
      return;
    }
  }

  int64_t tick_;  // all buckets up to this one are done
  int64_t earliest_tick_ = INT64_MAX;
  uint32_t set_ = 0;
  std::array<uint32_t, kBuckets> heads_;  // slot + 1
  SlotArray<Node> nodes_;
};

}  // namespace sluice
