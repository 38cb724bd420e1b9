// What a session holds: the request under way, and what waits for its peer.
//
// Thread: its shard's.
// Bounds: as Session's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/chunked_body.h"
#include "http/exchange.h"
#include "http/publish_answer.h"
#include "http/publish_lines.h"
#include "http/session.h"

namespace sluice::http {

struct Session::State {
  explicit State(Site& its_site) : site(its_site) {}

  enum class Phase : uint8_t { kHead, kBody, kChunked, kLines, kDeferred };

  // Each takes what it can of `bytes` and returns how much that was; 0 asks for more.
  size_t Run(std::string_view bytes);
  size_t StepHead(std::string_view bytes);
  size_t StepBody(std::string_view bytes);
  size_t StepChunked(std::string_view bytes);
  size_t StepLines(std::string_view bytes);

  void BeginBody(const RequestHead& head);
  void BeginLines(const RequestHead& head);
  void RunLines();
  void SetLinesDeadline(uint64_t lines_before, bool was_within_line);
  void EndLines(const std::optional<Fault>& fault);
  void EndLinesNow(const std::optional<Fault>& fault);
  void RetryLines();
  void RetryDeferred();
  void GoOn();
  void MeetEnd();
  void Reply(std::string_view whole_body);
  void ReplyFault(const Fault& fault);
  void Finish(Outcome outcome);
  void Take(std::string_view bytes);
  bool drops_body() const { return exchange.fault.has_value() || !IsPublish(exchange.route.kind); }
  size_t output_bytes() const { return output.size() - output_taken; }

  Site& site;
  PeerFacts peer;
  Phase phase = Phase::kHead;
  Next next = Next::kReceive;
  bool is_in_request = false;  // its first byte has come, its reply has not been written
  bool has_ended = false;      // the peer sends nothing more
  int64_t now_ns = 0;          // of the call under way
  int64_t deadline_ns = 0;

  HeadScan head_scan;
  Exchange exchange;
  uint64_t body_bytes_left = 0;
  bool is_chunked = false;
  ChunkedBody chunked;
  PublishLines lines;
  bool ends_lines = false;  // once nothing waits any more, with
  std::optional<Fault> lines_fault;
  std::unique_ptr<DeferredReply> deferred;  // made by the first publish that asks for an ack

  std::string held;  // received and not yet parsed: an unfinished head, or what waits for Resume
  std::string body;  // of a request whose body came in pieces
  std::string output;
  size_t output_taken = 0;
};

}  // namespace sluice::http
