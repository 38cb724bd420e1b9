// The order in which one meter thread saw the events of a run, with each event's bytes as they
// came.
//
// The first subscriber that receives an event has it parsed and its checksum verified; the event's
// whole block is kept here. Every other subscriber's bytes are then compared with it, which proves
// each byte and the total order in one pass (see stream_checker.h).
//
// Each topic has its own order, threaded through the log: places grow along it.
//
// Thread: one. Read by others only after that thread has stopped.
// Owner:  the bytes of an event live until Evict takes them; Event::bytes is null afterwards.
// Bounds: bytes up to `bytes_max` plus one segment; 52 bytes an event for the length of the run; 8
//         bytes a topic.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "payload.h"

namespace sluice::bench {

inline constexpr uint32_t kNoEvent = UINT32_MAX;

struct Event {
  const char* bytes = nullptr;  // from the block's first line to its blank line
  uint32_t length = 0;
  uint32_t number = 0;
  int64_t due_ns = 0;
  int64_t last_ns = 0;       // when the latest subscriber had it
  uint32_t count = 0;        // subscribers that had it
  uint32_t next = kNoEvent;  // the place of its topic's next event
  uint16_t publisher = 0;
  bool is_measured = false;  // due within the measured window
  bool is_later = false;     // due within the window after that
  bool is_last = false;      // due within the one after both
};

class OrderLog {
 public:
  OrderLog(size_t bytes_max, uint32_t topics)
      : bytes_max_(bytes_max), first_(topics, kNoEvent), last_(topics, kNoEvent) {}

  uint32_t size() const { return static_cast<uint32_t>(events_.size()); }
  Event& operator[](uint32_t index) { return events_[index]; }
  const Event& operator[](uint32_t index) const { return events_[index]; }

  // The event's place, or kNoEvent.
  uint32_t Find(uint32_t publisher, uint32_t number) const;
  // The topic's event after that at `place`, its first after kNoEvent; kNoEvent behind its last.
  uint32_t After(uint32_t topic, uint32_t place) const {
    return place == kNoEvent ? first_[topic] : events_[place].next;
  }
  // Keeps a copy of `block`. REQUIRES: Find of it is kNoEvent.
  uint32_t Append(const PayloadHead& head, uint32_t topic, std::string_view block);
  // Deliveries of events that came behind one of the same topic that their connection published
  // later.
  uint64_t OutOfOrder() const;

  // How many events stand in `other` behind one that stands behind them here; by topic.
  uint64_t OutOfOrderIn(const OrderLog& other) const;

  bool is_over() const { return bytes_ > bytes_max_ && segments_.size() > 1; }
  // The place of the first event whose bytes the next Evict leaves alone.
  uint32_t EvictedEnd() const { return segments_[1].first; }
  // Forgets the oldest segment. REQUIRES: is_over(), and nobody stands within an event before
  // EvictedEnd().
  void Evict();

 private:
  static constexpr size_t kSegmentBytes = 1 << 20;
  struct Segment {
    std::unique_ptr<char[]> bytes;
    size_t capacity = 0;
    size_t used = 0;
    uint32_t first = 0;  // the place of its first event
  };

  const size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Segment> segments_;
  std::vector<Event> events_;
  std::vector<std::vector<uint32_t>> places_;  // by publisher, then number
  std::vector<uint32_t> first_;                // by topic
  std::vector<uint32_t> last_;                 // by topic
};

}  // namespace sluice::bench
