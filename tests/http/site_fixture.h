// Services that record what they were asked, and a Session driven by bytes: what the tests of this
// layer and the fuzz targets share. The wall clock stands still, so that replies can be compared.
#pragma once

#include <cstdint>
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
  std::optional<Refusal> publish_refusal;
  std::optional<Refusal> admission_refusal;
  std::optional<Refusal> not_ready;
  uint64_t admissions = 0;
  bool keeps_events = true;

  PublishResult Publish(const Event& event) override {
    if (publish_refusal) return {publish_refusal, {}, 0};
    if (keeps_events) published.emplace_back(event.type, event.data);
    return {std::nullopt, "abc-7", 42};
  }
  Admission Admit(const StreamRequest&) override {
    ++admissions;
    if (admission_refusal) return {admission_refusal, {}, 2'500};
    return {std::nullopt, "abc-6", 3'000};
  }
  std::string Stats(bool pretty) override { return pretty ? "{\n}\n" : "{}"; }
  std::optional<Refusal> NotReady() override { return not_ready; }
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
      if (session.next() != Next::kPaused) return;
      session.Resume(0);
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
    } else if (lines.find("text/event-stream") != std::string_view::npos) {
      body = replies.size();
    }
    replies.remove_prefix(std::min(body, replies.size()));
  }
  return statuses;
}

}  // namespace sluice::http
