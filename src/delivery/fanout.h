// When an event has reached every flowing reader of the shard: each channel that it was appended to
// waits for its own readers, and the last of them tells.
//
// Thread: its shard's.
// Bounds: one entry an event that somebody waits for, one an event and channel; both are used again
//         and never given back.
#pragma once

#include <cstdint>
#include <vector>

#include "base/fifo.h"
#include "base/histogram.h"

namespace sluice {

class Fanout {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  // What a channel waits for: an event, until its flowing readers were visited often enough.
  struct Wait {
    uint64_t visits;      // of the channel, made before it
    uint64_t end_offset;  // of the event in the channel's log
    uint64_t event;
    uint32_t next;  // of the channel
  };

  explicit Fanout(Histogram& histogram) : histogram_(histogram) {}

  // Begins an event; it stays open until EndEvent, whoever has had it by then.
  uint64_t BeginEvent(int64_t published_ns) {
    events_.Push({published_ns, 1, false});
    return first_ + events_.size() - 1;
  }
  void EndEvent(uint64_t event, int64_t now_ns) { Leave(event, now_ns); }

  // A channel waits for the event, after the others it waits for.
  void Append(uint32_t* head, uint32_t* tail, const Wait& wait) {
    const uint32_t number = Take();
    waits_[number] = wait;
    waits_[number].next = kNone;
    (*head == kNone ? *head : waits_[*tail].next) = number;
    *tail = number;
    Event& event = At(wait.event);
    ++event.open;
    event.is_waited_for = true;
  }
  const Wait& at(uint32_t number) const { return waits_[number]; }
  // The channel's first is done.
  void PopFront(uint32_t* head, int64_t now_ns) {
    const uint32_t number = *head;
    *head = waits_[number].next;
    waits_[number].next = free_;
    free_ = number;
    Leave(waits_[number].event, now_ns);
  }

 private:
  struct Event {
    int64_t published_ns;
    uint32_t open;  // channels that wait for it, and one while it is being appended
    bool is_waited_for;
  };

  Event& At(uint64_t event) { return events_[event - first_]; }
  void Leave(uint64_t number, int64_t now_ns) {
    Event& event = At(number);
    if (--event.open != 0) return;
    if (event.is_waited_for) histogram_.Record(now_ns - event.published_ns);
    while (!events_.empty() && events_.front().open == 0) {
      events_.Pop();
      ++first_;
    }
  }
  uint32_t Take() {
    if (free_ == kNone) {
      waits_.emplace_back();
      return static_cast<uint32_t>(waits_.size()) - 1;
    }
    const uint32_t number = free_;
    free_ = waits_[number].next;
    return number;
  }

  Histogram& histogram_;
  Fifo<Event> events_;
  uint64_t first_ = 0;  // number of the front
  std::vector<Wait> waits_;
  uint32_t free_ = kNone;
};

}  // namespace sluice
