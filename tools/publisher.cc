#include "publisher.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kConnectFailuresMax = 20;

// All of a post up to its payload.
std::string BeforePayload(const Target& target, const Topics& topics, size_t payload_bytes) {
  const auto bytes = [&topics](const std::string& text) {
    return TopicTemplate(text, topics).text().size();
  };
  const size_t body = bytes(target.body_before) + payload_bytes + bytes(target.body_after);
  return target.publish_head + "Content-Length: " + std::to_string(body) + "\r\n\r\n" +
         target.body_before;
}

}  // namespace

size_t AnswerEnd(const std::string& text, int* status) {
  const size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos || text.size() < 12) return 0;
  *status = std::atoi(text.c_str() + 9);
  size_t length = 0;
  for (size_t at = text.find("\r\n"); at < head_end; at = text.find("\r\n", at + 2)) {
    const char* const line = text.c_str() + at + 2;
    if (strncasecmp(line, "content-length:", 15) == 0) {
      length = std::strtoul(line + 15, nullptr, 10);
    } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
      // One answer is under way a connection, so the last chunk is what the text ends with.
      return text.ends_with("0\r\n\r\n") ? text.size() : 0;
    }
  }
  return text.size() >= head_end + 4 + length ? head_end + 4 + length : 0;
}

bool AnswerCloses(std::string_view answer) {
  const std::string_view head = answer.substr(0, answer.find("\r\n\r\n"));
  const bool is_old = head.starts_with("HTTP/1.0");
  for (size_t at = head.find("\r\n"); at != std::string_view::npos;
       at = head.find("\r\n", at + 2)) {
    constexpr std::string_view kName = "connection:";
    std::string_view line = head.substr(at + 2);
    line = line.substr(0, line.find("\r\n"));
    if (strncasecmp(line.data(), kName.data(), std::min(line.size(), kName.size())) != 0 ||
        line.size() < kName.size()) {
      continue;
    }
    line.remove_prefix(kName.size());
    while (line.starts_with(' ')) line.remove_prefix(1);
    return is_old ? strncasecmp(line.data(), "keep-alive", std::min<size_t>(line.size(), 10)) != 0
                  : line.size() >= 5 && strncasecmp(line.data(), "close", 5) == 0;
  }
  return is_old;
}

Publisher::Publisher(SocketLoop* loop, const Target& target, const PayloadFormat& format,
                     uint32_t connections, const Topics& topics,
                     const std::vector<ReaderRange>& audiences)
    : loop_(loop),
      target_(target),
      format_(format),
      topics_(topics),
      audiences_(audiences),
      request_(BeforePayload(target, topics, format.bytes()) + std::string(format.bytes(), ' ') +
                   target.body_after,
               topics),
      payload_at_(
          TopicTemplate(BeforePayload(target, topics, format.bytes()), topics).text().size()),
      posters_(std::min(connections, kPublishersMax)),
      posted_deliveries_(audiences.size(), 0) {
  for (Poster& poster : posters_) poster.request = request_.text();
}

Status Publisher::Open() {
  for (uint32_t i = 0; i < posters_.size(); ++i) {
    posters_[i].state = State::kConnecting;
    const Status status = loop_->Open(i, target_.publish, {});
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

void Publisher::Begin(const Plan& plan) {
  plan_ = plan;
  is_begun_ = true;
  is_over_ = false;
  next_event_ = 0;
}

uint64_t Publisher::asked_measured() const {
  if (plan_.rate <= 0) return counts_.accepted_measured;
  uint64_t first = 0;
  while (DueNs(first) < plan_.window_begin_ns) ++first;
  uint64_t last = first;
  while (DueNs(last) < plan_.window_end_ns && DueNs(last) < plan_.end_ns) ++last;
  return last - first;
}

std::vector<uint64_t> Publisher::AcceptedByTopic() const {
  std::vector<uint64_t> accepted(topics_.count(), 0);
  for (uint32_t i = 0; i < posters_.size(); ++i) {
    const std::vector<Fate>& fates = posters_[i].fates;
    for (uint32_t number = 0; number < fates.size(); ++number) {
      if (fates[number] == Fate::kAccepted) ++accepted[topics_.OfEvent(i, number)];
    }
  }
  return accepted;
}

int64_t Publisher::Turn(int64_t now_ns, uint64_t events_max) {
  int64_t wake_ns = INT64_MAX;
  if (retrying_ > 0) {
    for (uint32_t i = 0; i < posters_.size(); ++i) {
      Poster& poster = posters_[i];
      if (poster.state != State::kRetrying || !poster.is_open || !poster.is_sent) continue;
      if (poster.retry_ns > now_ns) {
        wake_ns = std::min(wake_ns, poster.retry_ns);
        continue;
      }
      --retrying_;
      poster.state = State::kPosted;
      poster.is_sent = false;
      poster.posted_ns = now_ns;
      loop_->Send(i, poster.request);
    }
  }
  if (!is_begun_ || is_over_) return wake_ns;
  if (plan_.rate <= 0) {
    if (now_ns >= plan_.end_ns || next_event_ >= plan_.events_max) {
      is_over_ = true;
      return wake_ns;
    }
    if (now_ns < plan_.begin_ns) return std::min(wake_ns, plan_.begin_ns);
    events_max = std::min(events_max, plan_.events_max - next_event_);
    for (; !free_.empty() && events_max > 0; --events_max) {
      const uint32_t index = free_.back();
      free_.pop_back();
      Post(index, now_ns, now_ns);
      ++next_event_;
    }
    // Held back by the readers: their bytes wake the loop, unless another thread's it is.
    if (!free_.empty()) wake_ns = std::min(wake_ns, now_ns + kHeldBackNs);
    return std::min(wake_ns, plan_.end_ns);
  }
  for (;;) {
    const int64_t due_ns = DueNs(next_event_);
    if (due_ns >= plan_.end_ns) {
      is_over_ = true;
      return wake_ns;
    }
    if (due_ns > now_ns) return std::min(wake_ns, due_ns);
    if (free_.empty()) {  // late by the server's doing: posted when an answer frees a connection
      starved_ns_ = now_ns;
      return wake_ns;
    }
    const uint32_t index = free_.back();
    free_.pop_back();
    if (IsMeasured(due_ns) && due_ns > starved_ns_) lag_.Record(now_ns - due_ns);
    Post(index, due_ns, now_ns);
    ++next_event_;
  }
}

void Publisher::Post(uint32_t index, int64_t due_ns, int64_t now_ns) {
  Poster& poster = posters_[index];
  SLUICE_DCHECK(poster.state == State::kFree);
  poster.number = static_cast<uint32_t>(poster.fates.size());
  poster.fates.push_back(Fate::kPending);
  poster.due_ns = due_ns;
  poster.posted_ns = now_ns;
  poster.state = State::kPosted;
  poster.is_sent = false;
  const uint32_t topic = topics_.OfEvent(index, poster.number);
  request_.Write(topic, poster.request.data());
  format_.Write({index, poster.number, due_ns}, poster.request.data() + payload_at_);
  for (size_t i = 0; i < audiences_.size(); ++i) {
    posted_deliveries_[i] += topics_.Readers(topic, audiences_[i]);
  }
  ++under_way_;
  ++counts_.posted;
  loop_->Send(index, poster.request);
}

void Publisher::OnConnected(uint32_t slot, int error) {
  const uint32_t index = slot;
  Poster& poster = posters_[index];
  if (error != 0) {
    problem_ = std::string("a publisher cannot connect: ") + std::strerror(error);
    loop_->Close(slot);
    if (++poster.failures < kConnectFailuresMax) Reopen(index);
    return;
  }
  poster.failures = 0;
  poster.is_open = true;
  ++connected_;
  loop_->Receive(slot);
  if (poster.state != State::kRetrying) Free(index);
}

void Publisher::Free(uint32_t index) {
  posters_[index].state = State::kFree;
  free_.push_back(index);
}

void Publisher::Reopen(uint32_t index) {
  Poster& poster = posters_[index];
  // What is to be posted again is kept: the new connection is for it.
  if (poster.state != State::kRetrying) poster.state = State::kConnecting;
  poster.answer.clear();
  const Status status = loop_->Open(index, target_.publish, {});
  if (!status.ok()) {
    problem_ = status.message();
    poster.state = State::kClosed;
  }
}

void Publisher::OnSent(uint32_t slot, int) {
  // An error shows as the connection's end. An answer may come before this (a refusal, or simply
  // the other completion first): the request's bytes are free only now.
  Poster& poster = posters_[slot];
  poster.is_sent = true;
  if (poster.state == State::kFree) free_.push_back(slot);
}

void Publisher::OnReceived(uint32_t slot, std::string_view bytes) {
  const uint32_t index = slot;
  Poster& poster = posters_[index];
  poster.answer.append(bytes);
  int status = 0;
  while (const size_t end = AnswerEnd(poster.answer, &status)) {
    const bool closes =
        status >= 200 && AnswerCloses(std::string_view(poster.answer).substr(0, end));
    poster.answer.erase(0, end);
    if (status >= 200 && poster.state == State::kPosted) OnAnswer(index, status, MonotonicNs());
    if (closes) return Renew(index);
  }
}

// The server ends this connection; not a fault, as no publish is under way on it.
void Publisher::Renew(uint32_t index) {
  Poster& poster = posters_[index];
  loop_->Close(index);
  poster.is_open = false;
  poster.is_sent = true;  // the loop has no more use for the request
  --connected_;
  std::erase(free_, index);
  Reopen(index);
}

void Publisher::OnAnswer(uint32_t index, int status, int64_t now_ns) {
  Poster& poster = posters_[index];
  if (status == 503 || status == 429) {
    ++counts_.retried;
    ++retrying_;
    poster.state = State::kRetrying;
    poster.retry_ns = now_ns + kRetryNs;
    return;
  }
  const bool is_accepted = status < 300;
  poster.fates.back() = is_accepted ? Fate::kAccepted : Fate::kRefused;
  if (is_accepted) {
    ++counts_.accepted;
    const uint32_t topic = topics_.OfEvent(index, poster.number);
    for (const ReaderRange& audience : audiences_) {
      counts_.deliveries_due += topics_.Readers(topic, audience);
    }
    if (IsMeasured(poster.due_ns)) {
      ++counts_.accepted_measured;
      answer_time_.Record(now_ns - poster.posted_ns);
    }
  } else {
    ++counts_.errors;
    problem_ = "a publish was answered with status " + std::to_string(status);
  }
  --under_way_;
  poster.state = State::kFree;
  if (poster.is_sent) free_.push_back(index);
}

void Publisher::OnClosed(uint32_t slot, int) {
  const uint32_t index = slot;
  Poster& poster = posters_[index];
  loop_->Close(slot);
  poster.is_open = false;
  --connected_;
  if (poster.state == State::kPosted || poster.state == State::kRetrying) {
    if (poster.state == State::kRetrying) --retrying_;
    // A post that was refused for now and whose connection then ends was never taken.
    poster.fates.back() = poster.state == State::kRetrying ? Fate::kRefused : Fate::kUnknown;
    ++counts_.errors;
    problem_ = "the server closed a connection with a publish under way";
    --under_way_;
    poster.state = State::kClosed;
  } else {
    std::erase(free_, index);
  }
  Reopen(index);
}

}  // namespace sluice::bench
