// A publish of many events over one request that may stay open for days: NDJSON, one event a line
// in, one reply a line out, in order.
//
//   {"success":true,"code":200,"data":{"id":"...","subscribers":N}}
//   {"success":true,"code":200,"data":{"id":"...","subscribers":N},"replayed":true}
//   {"success":false,"code":400,"message":"...","error":"...","detail":"...","line":L}
//
// Lines are counted from 1; one without anything but blanks is no event and has no reply. While the
// peer does not read its replies they are held up to a bound; those after are summed up, in one
// line once it reads again:
//
//   {"success":true,"code":200,"data":{"id":LAST,"subscribers":N,"accepted":A,"refused":0,
//    "line":L,"refusals":[]}}
//
// for all lines up to L that have no reply of their own. If some were refused, "refusals" names
// them ({"line":..,"error":".."}, the first 100), and the line is the envelope of the first one.
//
// A full ring refuses nothing: Run stops, and is to be called again.
//
// Where publishes wait for more than their places (ack=), lines are published as they come, and
// their replies, refusals too, wait for one another in order: TellWaiting. "matched" stands beside
// "subscribers" then; in a sum it is that of all its accepted lines together.
//
// Thread: its session's.
// Owner:  its buffers are used again by the next stream of lines of the connection.
// Bounds: a line has body_bytes_max bytes; kRepliesBytesMax of replies, one sum beyond;
//         kWaitingMax replies that wait for an ack, beyond which the reading stops.
// Errors: become reply lines.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/exchange.h"

namespace sluice::http {

class PublishLines {
 public:
  // Replies waiting for the peer beyond this stop the reading, or are summed up.
  static constexpr size_t kRepliesBytesMax = 64 * 1024;
  static constexpr size_t kRefusalsNamedMax = 100;
  static constexpr size_t kWaitingMax = 4'096;

  enum class Progress : uint8_t {
    kAll,      // all whole lines are published, or refused
    kNoRoom,   // the ring is full
    kPaused,   // the peer has to take its replies first
    kWaits,    // too many lines wait for their acks
    kClosing,  // the gateway takes no more
  };

  void Begin(bool is_chunked_reply);
  // The body as it comes is appended here.
  std::string* pending() { return &pending_; }
  // Publishes the whole lines that have come. `is_end`: the last line may lack its line end.
  // `replies` has the bytes that the peer has not taken from `taken` on.
  Progress Run(Site& site, const Exchange& exchange, int64_t now_ns, bool is_end,
               std::string* replies, size_t taken);
  // Replies to the lines whose acks are had, or whose time is over, up to the first that waits on.
  void TellWaiting(Site& site, int64_t now_ns, std::string* replies, size_t taken);
  bool has_waiting() const { return waiting_ != nullptr && !waiting_->empty(); }
  // What the first of them waits for.
  const AckWait& first_wait() const { return waiting_->front().wait; }
  // The last line of replies, of a fault that ends the stream, if any, and the end of the body.
  // Nothing waits any more.
  void End(Site& site, const std::optional<Fault>& fault, std::string* replies);
  // The peer takes its replies again: what was summed up is told.
  void TellSum(std::string* replies);

  // The peer does not take its replies: from the bound on they are summed up instead of stopping
  // the reading.
  void set_is_lagging(bool is_lagging) { is_lagging_ = is_lagging; }
  bool is_lagging() const { return is_lagging_; }
  bool is_within_line() const { return !pending_.empty() || drops_line_; }
  uint64_t lines() const { return line_; }

 private:
  struct Sum {
    uint64_t accepted = 0;
    uint64_t refused = 0;
    uint64_t line = 0;
    uint64_t subscribers = 0;
    std::optional<uint64_t> matched;
    std::string id;
    std::optional<Fault> first_fault;
    std::vector<std::pair<uint64_t, Refusal>> refusals;  // line, why
  };

  // The reply to one line, as far as it is known.
  struct LineReply {
    uint64_t line = 0;
    std::optional<Fault> fault;  // it was refused; else
    std::string id;              // escaped
    uint64_t subscribers = 0;
    bool is_replayed = false;
    AckWait wait;
    std::optional<uint64_t> matched;
  };

  // kNoRoom if there is no room on the ring.
  Progress PublishLine(Site& site, const Exchange& exchange, int64_t now_ns, std::string_view line,
                       std::string* replies, size_t taken);
  void Refuse(Site& site, const Fault& fault, std::string* replies, size_t taken);
  bool TellIfHad(Site& site, int64_t now_ns, LineReply* reply, std::string* replies, size_t taken);
  void Tell(Site& site, const LineReply& reply, std::string* replies, size_t taken);
  void Add(const LineReply& reply);
  void Wait(LineReply* reply);
  LineReply& NextReply();
  bool sums_up(const std::string& replies, size_t taken) const {
    return is_lagging_ && replies.size() - taken > kRepliesBytesMax;
  }
  // One line of replies; `line` has its line end.
  void Reply(std::string_view line, std::string* replies);

  bool is_chunked_reply_ = false;
  bool is_lagging_ = false;
  bool drops_line_ = false;      // too long: refused already, read over to its end
  bool waits_for_room_ = false;  // the last line was
  uint64_t line_ = 0;            // whole ones so far
  size_t scanned_ = 0;           // of pending_, without a line end
  std::string pending_;
  std::string reply_;
  std::string data_;
  LineReply next_;
  Sum sum_;
  std::unique_ptr<std::deque<LineReply>> waiting_;  // made by the first that has to wait
  std::vector<std::optional<uint64_t>> matched_;
};

}  // namespace sluice::http
