// Reads the streams of one meter thread's subscribers and judges every event of every one.
//
// The straight path is one memcmp an event against the order log: equal bytes at the next place are
// the next event, whole and in order. Anything else (a head, a comment, an event that this thread
// sees for the first time, a fault) takes the detour: lines are gathered until the block is whole,
// then parsed. It reads what the HTML standard (section 9.2) calls an event stream, whoever sends
// it: lines that end in LF, CRLF or CR, a byte order mark, data in several lines, fields it does
// not know; in chunked transfer encoding or up to the connection's end; cut anywhere.
//
// A blank line that ends in CR ends its block there; an LF behind it is passed over when it comes,
// so that a block never waits for a byte that may not come.
//
// With topics a stream has the events of its own only: the next event is its topic's next. One of
// another topic is misrouted, and has no place in the reader's order.
//
// Not events of the run: comments, blocks whose type begins with `sluice.`, blocks without data or
// with data of somebody else's (a greeting, a keep-alive).
//
// Thread: one.
// Owner:  StreamState belongs to the subscriber; the checker keeps nothing a subscriber.
// Bounds: a gathered block up to kBlockBytesMax, a response head up to kHeadBytesMax.
// Errors: Feed returns false when the stream cannot be read further (no 200, bad chunk, too long).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "histogram.h"
#include "order_log.h"
#include "payload.h"
#include "topics.h"

namespace sluice::bench {

inline constexpr size_t kBlockBytesMax = 2 * kPayloadBytesMax;
inline constexpr size_t kHeadBytesMax = 64 * 1024;

struct Faults {
  uint64_t lost = 0;
  uint64_t repeated = 0;
  uint64_t reordered = 0;
  uint64_t corrupted = 0;
  uint64_t misrouted = 0;  // events of a topic that the subscriber does not read
  uint64_t total() const { return lost + repeated + reordered + corrupted + misrouted; }
  void Add(const Faults& other) {
    lost += other.lost;
    repeated += other.repeated;
    reordered += other.reordered;
    corrupted += other.corrupted;
    misrouted += other.misrouted;
  }
};

// What a subscriber has only while it is off the straight path, or once a fault was found.
struct Detour {
  bool is_empty() const { return carry.empty() && missing.empty() && faults.total() == 0; }

  std::string carry;           // an incomplete head or block
  std::set<uint32_t> missing;  // places passed over: lost, unless they come late
  Faults faults;               // lost is only counted by the checker's Settle
};

enum class ChunkPart : uint8_t { kNone, kSize, kSizeRest, kData, kDataEnd };

struct StreamState {
  uint32_t topic = 0;        // constant: what it reads
  uint32_t last = kNoEvent;  // the place of the furthest event had
  uint32_t matched = 0;      // bytes already seen of the event after that
  uint32_t chunk_left = 0;
  ChunkPart chunk_part = ChunkPart::kNone;
  bool has_head = false;
  bool has_line = false;         // the stream's first line, before which a BOM may stand, is over
  bool is_after_cr = false;      // what was taken last ended in CR: an LF now belongs to it
  bool begins_anywhere = false;  // joined during the run: its first event sets its place
  uint32_t events = 0;           // had by this subscriber, each once
  std::unique_ptr<Detour> detour;
};

// The times that decide what is counted.
struct Window {
  int64_t begin_ns = INT64_MAX;
  int64_t end_ns = INT64_MAX;
  bool Has(int64_t at_ns) const { return at_ns >= begin_ns && at_ns < end_ns; }
};

class StreamChecker {
 public:
  struct Counts {
    uint64_t deliveries = 0;           // first arrivals of events at subscribers, in all
    uint64_t deliveries_measured = 0;  // those that arrived within the window
    uint64_t bytes = 0;                // of blocks delivered
    uint64_t joined_blocks = 0;        // events that arrived in a read behind another event
    uint64_t foreign = 0;              // events that this run did not publish: not judged
  };
  static constexpr int64_t kSlotNs = 250'000'000;  // of the timeline

  StreamChecker(const PayloadFormat& format, size_t log_bytes_max, const Topics& topics = Topics());

  void SetWindow(const Window& window) { window_ = window; }
  // A second and a third window, of which only the latency is told.
  void SetLaterWindow(const Window& window) { later_ = window; }
  void SetLastWindow(const Window& window) { last_ = window; }
  // A subscriber begins its stream (again): what it knew is forgotten, what it did wrong is kept.
  void Begin(StreamState* state, bool begins_anywhere);
  bool Feed(StreamState* state, std::string_view bytes, int64_t now_ns);
  // Final judgement of one subscriber. `required(publisher, number)` says whether the event was
  // acknowledged; `unseen` are the acknowledged events of its topic that this thread never saw at
  // all. Without those that the whole thread saw out of order: log().OutOfOrder().
  template <typename Required>
  Faults Settle(const StreamState& state, Required&& required, uint64_t unseen) const;

  OrderLog& log() { return log_; }
  const OrderLog& log() const { return log_; }
  const Counts& counts() const { return counts_; }
  const Histogram& latency() const { return latency_; }
  const Histogram& latency_later() const { return latency_later_; }
  const Histogram& latency_last() const { return latency_last_; }
  // When the furthest event that the subscriber had was due; INT64_MIN before its first.
  int64_t NewestDueNs(const StreamState& state) const {
    return state.last == kNoEvent ? INT64_MIN : log_[state.last].due_ns;
  }
  const std::vector<uint64_t>& timeline() const { return timeline_; }
  const std::string& problem() const { return problem_; }  // of the last Feed that returned false
  // True when a segment is to be evicted: StepOut for every subscriber, then log().Evict().
  bool wants_eviction() const { return log_.is_over(); }
  // Copies what `state` has matched of an event, if that is about to be evicted.
  void StepOut(StreamState* state);

 private:
  bool FeedHead(StreamState* state, std::string_view* bytes);
  bool FeedChunked(StreamState* state, std::string_view bytes, int64_t now_ns);
  bool FeedBody(StreamState* state, std::string_view bytes, int64_t now_ns);
  // Consumes bytes up to the end of one line or block; returns how many.
  size_t Gather(StreamState* state, std::string_view bytes, int64_t now_ns);
  void OnBlock(StreamState* state, std::string_view block, int64_t now_ns);
  void OnArrival(StreamState* state, uint32_t place, int64_t now_ns);
  void OnDelivery(StreamState* state, Event* event, int64_t now_ns);
  // Copies what `state` has matched of an event: the detour goes on from there.
  void Materialise(StreamState* state);
  static Detour& DetourOf(StreamState* state);
  bool Fail(std::string problem);

  const PayloadFormat& format_;
  const Topics topics_;
  OrderLog log_;
  Window window_;
  Window later_;
  Window last_;
  Counts counts_;
  Histogram latency_;
  Histogram latency_later_;
  Histogram latency_last_;
  std::vector<uint64_t> timeline_;  // deliveries by slot from window_.begin_ns
  std::string data_;                // of the block in hand
  std::string problem_;
};

template <typename Required>
Faults StreamChecker::Settle(const StreamState& state, Required&& required, uint64_t unseen) const {
  Faults faults;
  if (state.detour != nullptr) faults = state.detour->faults;
  if (state.begins_anywhere && state.events == 0) return faults;
  // An event that nobody saw has no place in the order: it may have come while a reader that joined
  // again was away, so it counts only for those that stayed.
  uint64_t absent = state.begins_anywhere ? 0 : unseen;
  for (uint32_t i = log_.After(state.topic, state.last); i != kNoEvent;
       i = log_.After(state.topic, i)) {
    if (required(log_[i].publisher, log_[i].number)) ++absent;
  }
  if (state.detour != nullptr) {
    for (uint32_t place : state.detour->missing) {
      if (required(log_[place].publisher, log_[place].number)) ++absent;
    }
  }
  // An event that came corrupted cannot be told from one that is absent: it is counted once.
  faults.lost = absent > faults.corrupted ? absent - faults.corrupted : 0;
  return faults;
}

}  // namespace sluice::bench
