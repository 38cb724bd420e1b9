// A session whose request is a stream of lines, each an event with a reply of its own.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "http/answer_parts.h"
#include "http/session_state.h"

namespace sluice::http {

void Session::State::BeginLines(const RequestHead& head) {
  // The body may never end: a refusal does not wait for that.
  if (exchange.fault) return ReplyFault(*exchange.fault);
  if (head.is_http10) exchange.closes = true;
  if (head.expects_continue && !head.is_http10) output.append("HTTP/1.1 100 Continue\r\n\r\n");
  AppendLinesHead(&output, HeadOf(site, exchange, now_ns));
  site.counters().publish_streams_total.Add();
  phase = Phase::kLines;
  is_chunked = head.is_chunked;
  body_bytes_left = head.content_length;
  if (is_chunked) chunked.BeginEndless();
  lines.Begin(!head.is_http10);
  deadline_ns = now_ns + site.options().idle_timeout_ms * kNsPerMs;
  if (!is_chunked && body_bytes_left == 0) EndLines(std::nullopt);
}

size_t Session::State::StepLines(std::string_view bytes) {
  const bool was_within_line = lines.is_within_line();
  const uint64_t lines_before = lines.lines();
  size_t used = 0;
  if (is_chunked) {
    used = chunked.Take(bytes, lines.pending());
  } else {
    used = std::min<uint64_t>(bytes.size(), body_bytes_left);
    lines.pending()->append(bytes.substr(0, used));
    body_bytes_left -= used;
  }
  RunLines();
  SetLinesDeadline(lines_before, was_within_line);
  return used;
}

// What is pending is published as far as it goes; then the framing's end, good or bad, is met.
void Session::State::RunLines() {
  const bool is_end = is_chunked ? chunked.is_done() : body_bytes_left == 0;
  switch (lines.Run(site, exchange, now_ns, is_end, &output, output_taken)) {
    case PublishLines::Progress::kWaits:
      next = Next::kWaitsForAck;
      return;
    case PublishLines::Progress::kNoRoom:
      next = Next::kWaitsForRoom;
      return;
    case PublishLines::Progress::kPaused:
      next = Next::kPaused;
      site.counters().pauses_total.Add();
      return;
    case PublishLines::Progress::kClosing:
      exchange.closes = true;
      return EndLines(Fault(Refusal::kDraining, "this line was not published, nor any after it"));
    case PublishLines::Progress::kAll:
      break;
  }
  if (is_chunked && chunked.fault()) {
    exchange.closes = true;
    EndLines(chunked.fault());
  } else if (is_end) {
    EndLines(std::nullopt);
  }
}

// A line has the time of a request, from its first byte; between lines the idle time runs.
void Session::State::SetLinesDeadline(uint64_t lines_before, bool was_within_line) {
  if (phase != Phase::kLines) return;
  const Options& options = site.options();
  if (next == Next::kPaused || !lines.is_within_line()) {
    deadline_ns = now_ns + options.idle_timeout_ms * kNsPerMs;
  } else if (!was_within_line || lines.lines() != lines_before) {
    deadline_ns = now_ns + options.request_timeout_ms * kNsPerMs;
  }
}

// Replies that wait come first.
void Session::State::EndLines(const std::optional<Fault>& fault) {
  lines.TellWaiting(site, now_ns, &output, output_taken);
  if (!lines.has_waiting()) return EndLinesNow(fault);
  if (std::exchange(ends_lines, true)) return;
  lines_fault = fault;
  next = Next::kWaitsForAck;
}

void Session::State::EndLinesNow(const std::optional<Fault>& fault) {
  ends_lines = false;
  lines.End(site, fault, &output);
  Finish(OutcomeOf(exchange));
}

void Session::State::RetryLines() {
  lines.TellWaiting(site, now_ns, &output, output_taken);
  if (ends_lines) {
    if (lines.has_waiting()) return;
    next = Next::kReceive;
    EndLinesNow(lines_fault);
    if (next == Next::kReceive) Take({});
  } else if (next == Next::kWaitsForAck) {
    GoOn();
  }
}

}  // namespace sluice::http
