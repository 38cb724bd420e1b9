#include "http/session.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "http/answer_parts.h"
#include "http/session_state.h"

namespace sluice::http {
namespace {

// Replies waiting for the peer beyond this stop the next request: a peer that sends requests and
// takes no replies holds this much, one reply more, and what was received at once.
constexpr size_t kOutputBytesMax = 64 * 1024;
// Requests that come while one waits for its ack.
constexpr size_t kHeldBytesMax = 64 * 1024;
// Buffers that grew past this for one large body are given back after it.
constexpr size_t kKeptBytesMax = 16 * 1024;

void Recycle(std::string* buffer) {
  if (buffer->capacity() > kKeptBytesMax) {
    *buffer = std::string();
  } else {
    buffer->clear();
  }
}

}  // namespace

size_t Session::State::Run(std::string_view bytes) {
  size_t used = 0;
  while (next == Next::kReceive && used < bytes.size()) {
    if (phase == Phase::kHead && !is_in_request && output_bytes() > kOutputBytesMax) {
      next = Next::kPaused;
      // The peer has as long to take its replies as it has to send a request.
      deadline_ns = now_ns + site.options().request_timeout_ms * kNsPerMs;
      site.counters().pauses_total.Add();
      break;
    }
    const std::string_view rest = bytes.substr(used);
    const size_t step = phase == Phase::kHead    ? StepHead(rest)
                        : phase == Phase::kBody  ? StepBody(rest)
                        : phase == Phase::kLines ? StepLines(rest)
                                                 : StepChunked(rest);
    if (step == 0) break;
    used += step;
  }
  return used;
}

size_t Session::State::StepHead(std::string_view bytes) {
  if (!is_in_request) {
    // Empty lines before a request are read over (RFC 9112, section 2.2).
    if (bytes.starts_with("\r\n")) return 2;
    if (bytes == "\r") return 0;
    is_in_request = true;
    deadline_ns = now_ns + site.options().request_timeout_ms * kNsPerMs;
  }
  RequestHead head;
  const HeadResult result = ParseHead(bytes, site.head_bounds(), &head_scan, &head);
  if (result.fault) {
    // Nothing is known of a request that could not be parsed, not even who asks.
    exchange = Exchange{};
    exchange.cors_lines = site.cors().Lines({});
    ReplyFault(*result.fault);
    return 0;
  }
  if (result.head_bytes == 0) return 0;
  site.counters().requests_total.Add();
  Decide(site, peer, head, &exchange);
  BeginBody(head);
  return result.head_bytes;
}

void Session::State::BeginBody(const RequestHead& head) {
  if (exchange.body_kind == BodyKind::kLines) return BeginLines(head);
  const uint64_t body_bytes_max = site.options().body_bytes_max;
  if (head.content_length > body_bytes_max) {
    return ReplyFault(exchange.fault
                          ? *exchange.fault
                          : Fault(Refusal::kBodyTooLarge, "the body is longer than " +
                                                              std::to_string(body_bytes_max) +
                                                              " bytes (http.body_bytes_max)"));
  }
  if (!head.is_chunked && head.content_length == 0) return Reply({});
  if (head.expects_continue && !head.is_http10) {
    // Whether the body follows a refusal is the peer's choice, so the connection cannot go on.
    if (exchange.fault) return ReplyFault(*exchange.fault);
    output.append("HTTP/1.1 100 Continue\r\n\r\n");
  }
  phase = head.is_chunked ? Phase::kChunked : Phase::kBody;
  body_bytes_left = head.content_length;
  if (head.is_chunked) chunked.Begin(body_bytes_max);
}

size_t Session::State::StepBody(std::string_view bytes) {
  const std::string_view part = bytes.substr(0, body_bytes_left);
  body_bytes_left -= part.size();
  if (drops_body()) {
    if (body_bytes_left == 0) Reply({});
  } else if (body_bytes_left == 0 && body.empty()) {
    Reply(part);  // came whole: used where it was received
  } else {
    body.append(part);
    if (body_bytes_left == 0) Reply(body);
  }
  return part.size();
}

size_t Session::State::StepChunked(std::string_view bytes) {
  const size_t used = chunked.Take(bytes, drops_body() ? nullptr : &body);
  if (chunked.fault()) {
    ReplyFault(*chunked.fault());
  } else if (chunked.is_done()) {
    Reply(body);
  }
  return used;
}

void Session::State::Reply(std::string_view whole_body) {
  if (deferred == nullptr) {
    const bool may_wait = exchange.route.kind == RouteKind::kTopics ||
                          (IsPublish(exchange.route.kind) && AckOf(site, exchange).waits());
    if (may_wait) deferred = std::make_unique<DeferredReply>();
  }
  const Outcome outcome = Answer(site, exchange, whole_body, now_ns, &output, deferred.get());
  if (outcome != Outcome::kWaits) return Finish(outcome);
  phase = Phase::kDeferred;
  next = deferred->page == nullptr ? Next::kWaitsForAck : Next::kWaitsForPage;
  Recycle(&body);
}

void Session::State::RetryDeferred() {
  const Outcome outcome = deferred->page == nullptr
                              ? AnswerDeferred(site, exchange, *deferred, now_ns, &output)
                              : AnswerPage(site, exchange, *deferred, now_ns, &output);
  if (outcome == Outcome::kWaits) return;
  next = Next::kReceive;
  Finish(outcome);
  if (next == Next::kReceive) Take({});
}

// Of a fault after which nothing more of this connection can be understood.
void Session::State::ReplyFault(const Fault& fault) {
  exchange.closes = true;
  Finish(AnswerFault(site, exchange, fault, now_ns, &output));
}

void Session::State::Finish(Outcome outcome) {
  phase = Phase::kHead;
  head_scan = HeadScan{};
  is_in_request = false;
  Recycle(&body);
  switch (outcome) {
    case Outcome::kKeep:
      deadline_ns = now_ns + site.options().idle_timeout_ms * kNsPerMs;
      break;
    case Outcome::kClose:
      next = Next::kClose;
      break;
    case Outcome::kStream:
      next = Next::kStream;
      break;
    case Outcome::kWaits:
      SLUICE_CHECK(false);
  }
}

void Session::State::Take(std::string_view bytes) {
  if (next == Next::kPaused || next == Next::kWaitsForRoom || next == Next::kWaitsForAck ||
      next == Next::kWaitsForPage) {
    held.append(bytes);
    return;
  }
  if (held.empty()) {
    const size_t used = Run(bytes);
    if (next != Next::kClose && next != Next::kStream) held.assign(bytes.substr(used));
  } else {
    held.append(bytes);
    held.erase(0, Run(held));
    if (held.empty()) Recycle(&held);
  }
  if (has_ended && next == Next::kReceive) MeetEnd();
  if (next == Next::kClose || next == Next::kStream) Recycle(&held);
}

// The peer sends nothing more, and all that it sent has been looked at.
void Session::State::MeetEnd() {
  next = Next::kClose;
  if (phase != Phase::kLines) return;
  exchange.closes = true;
  if (!lines.is_within_line()) return EndLines(std::nullopt);
  EndLines(Fault(Refusal::kBadRequest, "the body ended within a line, which was not published"));
}

// After a pause, or with room on the ring again: what was held back comes first.
void Session::State::GoOn() {
  next = Next::kReceive;
  deadline_ns = now_ns + site.options().idle_timeout_ms * kNsPerMs;
  if (phase == Phase::kLines) RunLines();
  if (next == Next::kReceive) Take({});
}

Session::Session(Site& site) : state_(std::make_unique<State>(site)) {}
Session::~Session() = default;

void Session::Begin(const PeerFacts& peer, int64_t now_ns) {
  State& s = *state_;
  s.peer = peer;
  if (s.phase == State::Phase::kLines) s.lines.Begin(false);
  s.phase = State::Phase::kHead;
  s.next = Next::kReceive;
  s.is_in_request = false;
  s.has_ended = false;
  s.ends_lines = false;
  s.deadline_ns = now_ns + s.site.options().idle_timeout_ms * kNsPerMs;
  s.head_scan = HeadScan{};
  s.output_taken = 0;
  Recycle(&s.held);
  Recycle(&s.body);
  Recycle(&s.output);
}

void Session::Receive(std::span<const char> bytes, int64_t now_ns) {
  State& s = *state_;
  if (s.next == Next::kClose || s.next == Next::kStream) return;
  s.now_ns = now_ns;
  s.site.counters().received_bytes_total.Add(bytes.size());
  s.Take({bytes.data(), bytes.size()});
}

void Session::ReceiveEnd(int64_t now_ns) {
  State& s = *state_;
  s.now_ns = now_ns;
  s.has_ended = true;
  // Whole requests have their replies by now, unless paused; an unfinished one cannot be answered.
  if (s.next == Next::kReceive) s.MeetEnd();
}

void Session::Resume(int64_t now_ns) {
  State& s = *state_;
  const bool is_summed = s.phase == State::Phase::kLines && s.lines.is_lagging();
  if (s.next != Next::kPaused && !is_summed) return;
  SLUICE_CHECK(s.output_bytes() == 0);
  s.now_ns = now_ns;
  if (is_summed) {
    s.lines.set_is_lagging(false);
    s.lines.TellSum(&s.output);
  }
  if (s.next == Next::kPaused) s.GoOn();
}

void Session::RetryRoom(int64_t now_ns) {
  State& s = *state_;
  if (s.next != Next::kWaitsForRoom) return;
  s.now_ns = now_ns;
  s.GoOn();
}

const AckWait* Session::ack_wait() const {
  const State& s = *state_;
  if (s.next == Next::kClose) return nullptr;
  if (s.next == Next::kWaitsForPage) return nullptr;
  if (s.phase == State::Phase::kDeferred) return &s.deferred->wait;
  return s.phase == State::Phase::kLines && s.lines.has_waiting() ? &s.lines.first_wait() : nullptr;
}

void Session::RetryAcks(int64_t now_ns) {
  State& s = *state_;
  if (ack_wait() == nullptr) return;
  s.now_ns = now_ns;
  if (s.phase == State::Phase::kDeferred) {
    s.RetryDeferred();
  } else {
    s.RetryLines();
  }
}

void Session::GoOnPage(int64_t now_ns) {
  State& s = *state_;
  if (s.next != Next::kWaitsForPage) return;
  s.now_ns = now_ns;
  s.RetryDeferred();
}

const TopicsPage* Session::page() const {
  const State& s = *state_;
  return s.next == Next::kWaitsForPage ? s.deferred->page.get() : nullptr;
}

void Session::LetGo() {
  if (state_->deferred != nullptr) state_->deferred->page.reset();
}

bool Session::takes_more() const { return state_->held.size() < kHeldBytesMax; }

bool Session::OnOutputHeld(int64_t now_ns) {
  State& s = *state_;
  if (s.phase != State::Phase::kLines || s.next == Next::kClose) return false;
  s.lines.set_is_lagging(true);
  s.now_ns = now_ns;
  if (s.next == Next::kPaused) s.GoOn();
  return sums_up_replies();
}

bool Session::EndLines(int64_t now_ns) {
  State& s = *state_;
  if (s.phase != State::Phase::kLines || s.next == Next::kClose || s.ends_lines) return false;
  s.now_ns = now_ns;
  s.exchange.closes = true;
  s.EndLines(Fault(Refusal::kDraining, "no line from this one on was published"));
  return true;
}

std::string_view Session::output() const {
  return std::string_view(state_->output).substr(state_->output_taken);
}

void Session::Consume(size_t bytes) {
  State& s = *state_;
  SLUICE_CHECK(bytes <= s.output_bytes());
  s.output_taken += bytes;
  if (s.output_bytes() != 0) {
    // A peer that always leaves a byte must not make the taken part grow.
    if (s.output_taken < kOutputBytesMax) return;
    s.output.erase(0, s.output_taken);
    s.output_taken = 0;
    return;
  }
  s.output_taken = 0;
  Recycle(&s.output);
}

Next Session::next() const { return state_->next; }

const StreamRequest& Session::stream_request() const { return state_->exchange.stream; }

int64_t Session::deadline_ns() const {
  const bool has_deadline = state_->next == Next::kReceive || state_->next == Next::kPaused;
  const int64_t deadline_ns =
      has_deadline ? state_->deadline_ns : std::numeric_limits<int64_t>::max();
  const AckWait* wait = ack_wait();
  return wait == nullptr ? deadline_ns : std::min(deadline_ns, wait->until_ns);
}

void Session::OnDeadline(int64_t now_ns) {
  State& s = *state_;
  if (now_ns < deadline_ns()) return;
  s.now_ns = now_ns;
  RetryAcks(now_ns);  // whose time may be over
  const bool is_due = s.next == Next::kReceive || s.next == Next::kPaused;
  if (!is_due || now_ns < s.deadline_ns) return;
  if (s.phase == State::Phase::kLines) {
    s.exchange.closes = true;
    if (!s.lines.is_within_line()) return s.EndLines(std::nullopt);
    return s.EndLines(Fault(Refusal::kRequestTimeout,
                            "a line has " + std::to_string(s.site.options().request_timeout_ms) +
                                " ms from its first byte (http.request_timeout)"));
  }
  if (s.next == Next::kReceive && s.is_in_request) {
    if (s.phase == State::Phase::kHead) {
      s.exchange = Exchange{};
      s.exchange.cors_lines = s.site.cors().Lines({});
    }
    s.ReplyFault(
        {Refusal::kRequestTimeout, "line, headers and body have " +
                                       std::to_string(s.site.options().request_timeout_ms) +
                                       " ms in all (http.request_timeout)"});
  }
  s.next = Next::kClose;
}

bool Session::sums_up_replies() const {
  return state_->phase == State::Phase::kLines && state_->lines.is_lagging();
}

bool Session::is_idle() const {
  return state_->next == Next::kReceive && !state_->is_in_request && state_->output_bytes() == 0;
}

}  // namespace sluice::http
