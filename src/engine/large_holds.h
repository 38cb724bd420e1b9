// The frames that the kernel still reads from: what was sent without a copy.
//
// A hold is one frame and the count of its sends that the kernel is not done with; it ends with the
// last of them. Sends of one frame share a hold, whenever they are made.
//
// Thread: its engine's.
// Owner:  a hold keeps one reference to its frame. Those still open when the engine goes are never
//         given back: the kernel may yet send from their bytes, and must not find others there.
// Bounds: kHoldsMax frames and `bytes_max` of them in all; Open says no past that.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/counter.h"
#include "event/frame.h"

namespace sluice {

class LargeHolds {
 public:
  static constexpr uint32_t kHoldsMax = 1u << 16;
  static constexpr uint32_t kNone = UINT32_MAX;

  LargeHolds(uint64_t bytes_max, Counter* bytes) : bytes_max_(bytes_max), bytes_(bytes) {}

  // The frame's hold, with one send more; kNone if a bound is reached.
  uint32_t Open(Frame* frame) {
    if (const auto found = by_frame_.find(frame); found != by_frame_.end()) {
      Add(found->second);
      return found->second;
    }
    const uint64_t bytes = bytes_->value() + frame->footprint_bytes();
    if (bytes > bytes_max_ || by_frame_.size() == kHoldsMax) return kNone;
    if (free_.empty()) {
      free_.push_back(static_cast<uint32_t>(holds_.size()));
      holds_.emplace_back();
    }
    const uint32_t hold = free_.back();
    free_.pop_back();
    frame->AddReference();
    holds_[hold] = {frame, 1};
    by_frame_.emplace(frame, hold);
    bytes_->Set(bytes);
    return hold;
  }
  void Add(uint32_t hold) { ++holds_[hold].sends; }
  // One send less; the last one gives the frame back.
  void Drop(uint32_t hold) {
    if (--holds_[hold].sends != 0) return;
    Frame* const frame = holds_[hold].frame;
    bytes_->Subtract(frame->footprint_bytes());
    by_frame_.erase(frame);
    free_.push_back(hold);
    frame->Release();
  }

 private:
  struct Hold {
    Frame* frame = nullptr;
    uint64_t sends = 0;
  };

  const uint64_t bytes_max_;
  Counter* const bytes_;
  std::vector<Hold> holds_;
  std::vector<uint32_t> free_;
  std::unordered_map<const Frame*, uint32_t> by_frame_;
};

}  // namespace sluice
