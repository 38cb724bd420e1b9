// How many events a topic had of late: of the current slot of time and of the one before. All
// topics have the same slots, so a rate is an exact count over a window that is one for all of
// them: it begins with the slot before the current one.
//
// Thread: its topic table's. Cost: twelve bytes a topic, a few instructions an event.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace sluice {

class PublishRate {
 public:
  static constexpr int64_t kSlotNs = 30 * kNsPerSecond;

  static uint32_t SlotOf(int64_t ns) { return static_cast<uint32_t>(ns / kSlotNs); }
  static int64_t WindowBeginNs(int64_t now_ns) { return (int64_t{SlotOf(now_ns)} - 1) * kSlotNs; }

  // An event of a slot that is over counts in the current one: of two that are published at once
  // the later one may come first.
  void Count(int64_t published_ns) {
    const uint32_t slot = SlotOf(published_ns);
    if (slot > slot_) {
      before_ = slot == slot_ + 1 ? current_ : 0;
      current_ = 0;
      slot_ = slot;
    }
    ++current_;
  }
  // Of the window that ends now.
  uint64_t EventsAt(int64_t now_ns) const {
    const uint32_t slot = SlotOf(now_ns);
    if (slot <= slot_) return uint64_t{current_} + before_;
    return slot == slot_ + 1 ? current_ : 0;
  }

 private:
  uint32_t slot_ = 0;
  uint32_t current_ = 0;
  uint32_t before_ = 0;
};

}  // namespace sluice
