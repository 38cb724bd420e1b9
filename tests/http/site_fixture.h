// Services that record what they were asked, and a Session driven by bytes: what the tests of this
// layer and the fuzz targets share. The wall clock stands still, so that replies can be compared.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/session.h"
#include "http/site.h"

namespace sluice::http {

struct RecordedServices : Publisher, Subscriptions, Reports {
  std::vector<std::pair<std::string, std::string>> published;  // type, data
  std::vector<std::string> told;  // the rest of each: "topics|id|key|retry"
  std::vector<StreamRequest> streams;
  std::optional<Refusal> publish_refusal;
  std::optional<Refusal> admission_refusal;
  std::optional<Refusal> not_ready;
  std::optional<Refusal> not_ready_to_publish;
  uint64_t admissions = 0;
  bool keeps_events = true;

  PublishOnce::By once_by = PublishOnce::By::kNothing;  // of the last publish
  std::string once_key;
  uint32_t full_for = 0;  // how often each publish finds the ring full first
  uint32_t full_left = 0;
  size_t replays = 0;
  // Sequences of their own, and their acks: had up to here, and lost those.
  bool counts = false;
  uint64_t last_sequence = 6;
  uint64_t acked_through = 0;
  std::set<uint64_t> lost;
  std::optional<Refusal> ack_refusal;
  std::vector<PublishAck> acks_asked;
  uint64_t ack_asks = 0;

  PublishResult Publish(std::span<const Event> events, const PublishOnce& once) override {
    PublishResult result;
    result.refusal = publish_refusal;
    if (full_left == 0) full_left = full_for + 1;
    if (!result.refusal && --full_left != 0) result.refusal = Refusal::kRingFull;
    if (result.refusal) return result;
    once_by = once.by;
    if (keeps_events) {
      once_key = once.key;
      for (const Event& event : events) Keep(event);
    }
    result.first_sequence = 7;
    if (counts) {
      result.first_sequence = last_sequence + 1;
      last_sequence += events.size();
    }
    result.subscribers = 42;
    result.replays = replays;
    return result;
  }
  std::optional<Refusal> CannotAck(const PublishAck& ack) override {
    acks_asked.push_back(ack);
    return ack_refusal;
  }
  // As many subscribers as its sequence, times ten.
  AckAnswer AskAck(uint64_t sequence, const PublishAck& ack, PublishOnce::By) override {
    ++ack_asks;
    if (lost.contains(sequence)) return {.state = AckAnswer::State::kLost};
    if (sequence > acked_through) return {};
    AckAnswer answer{.state = AckAnswer::State::kHad};
    if (ack.matched) answer.matched = sequence * 10;
    return answer;
  }
  const Epoch& epoch() const override { return epoch_; }
  Admission Admit(const StreamRequest& request) override {
    ++admissions;
    streams.push_back(request);
    if (admission_refusal) return {.refusal = admission_refusal, .retry_ms = 2'500};
    return {.last_id = "abc-6", .retry_ms = 3'000};
  }
  std::string Stats(bool pretty) override { return pretty ? "{\n}\n" : "{}"; }
  std::optional<Refusal> NotReady() override { return not_ready; }
  std::optional<Refusal> NotReadyToPublish() override { return not_ready_to_publish; }

 private:
  void Keep(const Event& event) {
    published.emplace_back(event.type, event.data);
    std::string text;
    for (const std::string_view topic : event.topics) text.append(topic).append(",");
    text.append("|").append(event.id).append("|").append(event.key).append("|");
    told.push_back(text + std::to_string(event.retry_ms));
  }

  const Epoch epoch_{0xabc};
};

inline constexpr std::string_view kTestDate = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

struct SiteFixture {
  explicit SiteFixture(const Options& options = {}, std::string_view keys_text = {})
      : site(options, keys, Services{&services, &services, &services}) {
    if (!keys_text.empty()) key_status = keys.Parse(keys_text, "keys");
    site.set_wall_clock([] { return int64_t{784111777}; });
  }

  RecordedServices services;
  PublishKeys keys;
  Status key_status;
  Site site;
};

// What a connection answered in all, and how it ended.
struct Talk {
  std::string replies;
  Next next = Next::kReceive;

  bool operator==(const Talk&) const = default;
};

// Feeds `bytes` in pieces that end at `cuts`, takes all output after each, and resumes when paused.
inline Talk Converse(Site& site, std::string_view bytes, const std::vector<size_t>& cuts = {},
                     PeerFacts peer = {.is_loopback = true, .is_admin_listener = false},
                     bool ends = false) {
  Session session(site);
  Talk talk;
  session.Begin(peer, 0);
  const auto take = [&] {
    while (true) {
      talk.replies.append(session.output());
      session.Consume(session.output().size());
      if (session.next() == Next::kWaitsForRoom) {
        session.RetryRoom(0);
      } else if (session.next() == Next::kPaused) {
        session.Resume(0);
      } else {
        return;
      }
    }
  };
  size_t begin = 0;
  const auto feed = [&](size_t end) {
    // A copy of its own, so that a view kept beyond the call is a use after free.
    const std::vector<char> piece(bytes.begin() + static_cast<ptrdiff_t>(begin),
                                  bytes.begin() + static_cast<ptrdiff_t>(end));
    session.Receive(piece, 0);
    take();
    begin = end;
  };
  for (const size_t cut : cuts) feed(cut);
  if (begin < bytes.size()) feed(bytes.size());
  if (ends) {
    session.ReceiveEnd(0);
    take();
  }
  talk.next = session.next();
  return talk;
}

inline std::vector<size_t> EveryByte(size_t bytes) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < bytes; ++i) cuts.push_back(i);
  return cuts;
}

// The status codes of the replies in order, 100 included; assumes our own well-formed replies.
inline std::vector<int> StatusesOf(std::string_view replies) {
  std::vector<int> statuses;
  while (replies.starts_with("HTTP/1.1 ")) {
    statuses.push_back((replies[9] - '0') * 100 + (replies[10] - '0') * 10 + (replies[11] - '0'));
    const size_t head = replies.find("\r\n\r\n");
    const std::string_view lines = replies.substr(0, head);
    const size_t length = lines.find("Content-Length: ");
    replies.remove_prefix(head + 4);
    size_t body = 0;
    if (length != std::string_view::npos) {
      for (size_t i = length + 16; i < lines.size() && lines[i] != '\r'; ++i) {
        body = body * 10 + static_cast<size_t>(lines[i] - '0');
      }
    } else if (lines.find("Transfer-Encoding: chunked") != std::string_view::npos) {
      body = std::min(replies.find("\r\n0\r\n\r\n"), replies.size() - 7) + 7;
      if (replies.starts_with("0\r\n\r\n")) body = 5;
    } else if (lines.find("application/x-ndjson") != std::string_view::npos ||
               lines.find("text/event-stream") != std::string_view::npos) {
      body = replies.size();
    }
    replies.remove_prefix(std::min(body, replies.size()));
  }
  return statuses;
}

}  // namespace sluice::http
