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
// Thread: its session's.
// Owner:  its buffers are used again by the next stream of lines of the connection.
// Bounds: a line has body_bytes_max bytes; kRepliesBytesMax of replies, one sum beyond.
// Errors: become reply lines.
#pragma once

#include <cstdint>
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

  enum class Progress : uint8_t {
    kAll,      // all whole lines are published, or refused
    kNoRoom,   // the ring is full
    kPaused,   // the peer has to take its replies first
    kClosing,  // the gateway takes no more
  };

  void Begin(bool is_chunked_reply);
  // The body as it comes is appended here.
  std::string* pending() { return &pending_; }
  // Publishes the whole lines that have come. `is_end`: the last line may lack its line end.
  // `replies` has the bytes that the peer has not taken from `taken` on.
  Progress Run(Site& site, const Exchange& exchange, bool is_end, std::string* replies,
               size_t taken);
  // The last line of replies, of a fault that ends the stream, if any, and the end of the body.
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
    std::string id;
    std::optional<Fault> first_fault;
    std::vector<std::pair<uint64_t, Refusal>> refusals;  // line, why
  };

  // Nothing if there is no room on the ring.
  Progress PublishLine(Site& site, const Exchange& exchange, std::string_view line,
                       std::string* replies, size_t taken);
  void Refuse(Site& site, const Fault& fault, std::string* replies, size_t taken);
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
  Sum sum_;
};

}  // namespace sluice::http
