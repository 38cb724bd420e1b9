// What a reader that comes back over and over must have had: the truth, and one user of it.
//
// A slow one may miss what the lag policy of its topics leaves out, of what was not there yet when
// it came: of `skip` what a gap names, of `conflate` what a newer event took the place of.
//
// Thread: one test's. A user checks each block as it comes, against all events there ever were.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "delivery/lag_policy.h"
#include "event/frame.h"
#include "event/subscription.h"

namespace sluice::test {

// All events there ever were.
struct Truth {
  struct Event {
    std::vector<std::string> topics;
    std::string key;
    std::string bytes;  // as it is replayed
  };
  std::vector<Event> events;  // of sequence 1, 2, ...
  std::map<std::string, uint64_t> own_ids;

  void Add(const Frame& frame) {
    ASSERT_EQ(frame.sequence(), events.size() + 1);
    Event event;
    frame.ForEachTopic([&](const FrameTopic& topic) { event.topics.emplace_back(topic.name); });
    event.key = frame.key();
    event.bytes = frame.replay_bytes();
    if (!frame.publisher_id().empty())
      own_ids[std::string(frame.publisher_id())] = frame.sequence();
    events.push_back(std::move(event));
  }
  bool IsWanted(const Subscription& subscription, uint64_t sequence) const {
    const auto& topics = events[sequence - 1].topics;
    return subscription.Wants(std::vector<std::string_view>(topics.begin(), topics.end()));
  }
};

// A newer event took its place: of the same topics and key; in the history also several, of each
// of its topics one.
inline bool IsReplaced(const Truth& truth, uint64_t sequence, bool by_topic) {
  const Truth::Event& event = truth.events[sequence - 1];
  if (event.key.empty()) return false;
  const auto is_newer = [&](auto&& is_of) {
    return std::any_of(
        truth.events.begin() + static_cast<ptrdiff_t>(sequence), truth.events.end(),
        [&](const Truth::Event& other) { return other.key == event.key && is_of(other.topics); });
  };
  if (is_newer([&](const auto& topics) { return topics == event.topics; })) return true;
  return by_topic &&
         std::all_of(event.topics.begin(), event.topics.end(), [&](const std::string& topic) {
           return is_newer([&](const auto& topics) {
             return std::find(topics.begin(), topics.end(), topic) != topics.end();
           });
         });
}

// One user over all of its connections: what it has had and what it was told of.
class User {
 public:
  User(const Truth& truth, bool goes_on_live, std::vector<std::string> patterns,
       LagAction action = LagAction::kDisconnect)
      : truth_(truth),
        goes_on_live_(goes_on_live),
        action_(action),
        subscription_(patterns),
        patterns_(std::move(patterns)) {}

  const std::vector<std::string>& patterns() const { return patterns_; }
  const std::string& last_id() const { return last_id_; }
  bool is_open() const { return is_open_; }
  bool has_ended_whole() const {
    const size_t goodbye = bytes_.find(": goodbye\nretry: ");
    return goodbye != std::string::npos && bytes_.back() == '\n';
  }
  uint64_t gaps() const { return gaps_; }
  uint64_t events() const { return events_; }
  uint64_t skips() const { return skips_; }
  uint64_t conflated() const { return conflated_; }

  // It connects with an id that it never had.
  void Forget(const std::string& id) {
    last_id_ = id;
    asks_with_unknown_ = true;
  }
  void AskEarliest(bool on) { is_earliest_ = on; }
  // When its shard had drained so much it was not there yet.
  void Come(uint64_t drained, bool asks_for_history) {
    came_at_ = drained;
    asks_for_history_ = asks_for_history;
  }
  void Disconnect() {
    bytes_.clear();
    has_head_ = is_open_ = false;
  }

  void Feed(const std::string& bytes, uint64_t oldest_held) {
    oldest_held_ = oldest_held;
    bytes_ += bytes;
    if (!has_head_) {
      const size_t end = bytes_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      ASSERT_TRUE(bytes_.starts_with("HTTP/1.1 200 ")) << bytes_;
      bytes_.erase(0, end + 4);
      has_head_ = true;
    }
    for (size_t end; (end = bytes_.find("\n\n")) != std::string::npos;) {
      const std::string block = bytes_.substr(0, end + 2);
      bytes_.erase(0, end + 2);
      Block(block);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  // All is quiet: nothing may be missing.
  void CheckHasAll() { ExpectNothingMissing(truth_.events.size() + 1); }

 private:
  static std::string Field(const std::string& block, const std::string& name) {
    const size_t at = block.find(name);
    if (at == std::string::npos) return "";
    return block.substr(at + name.size(),
                        block.find_first_of("\"\n", at + name.size()) - at - name.size());
  }
  uint64_t SequenceOf(const std::string& id) const {
    if (const auto own = truth_.own_ids.find(id); own != truth_.own_ids.end()) return own->second;
    const auto parsed = Epoch::Parse(id);
    return parsed.has_value() ? parsed->sequence : UINT64_MAX;
  }

  void Block(const std::string& block) {
    trace_ += goes_on_live_ ? "L " : "E ";
    trace_ += Field(block, "event: ") + " " + Field(block, "\nid: ") +
              (block.find("sluice.gap") != std::string::npos ? block : "") + "; ";
    if (block.find("event: sluice.error\n") != std::string::npos) return;
    if (block.find("event: sluice.open\n") != std::string::npos) return Open(block);
    ASSERT_TRUE(is_open_) << block;
    if (block.find("event: sluice.gap\n") != std::string::npos) return Gap(block);
    // Heartbeats and the like stand before an event's own lines.
    size_t at = 0;
    while (block.compare(at, 2, ":\n") == 0) at += 2;
    const std::string id = Field(block, "\nid: ");
    const uint64_t sequence = SequenceOf(id);
    ASSERT_LE(sequence, truth_.events.size()) << block;
    ASSERT_GT(sequence, place_) << "twice or out of order: " << block << trace_;
    ASSERT_TRUE(truth_.IsWanted(subscription_, sequence)) << block;
    ASSERT_TRUE(block.substr(at).ends_with(truth_.events[sequence - 1].bytes)) << block;
    ExpectNothingMissing(sequence);
    place_ = sequence;
    last_id_ = id;
    ++events_;
  }

  void Open(const std::string& block) {
    ASSERT_FALSE(is_open_);
    is_open_ = true;
    const std::string id = Field(block, "\nid: ");
    if (id.empty()) {
      ASSERT_TRUE(IsUnknown()) << block;
      return;
    }
    if (!last_id_.empty()) {
      // Its own place, whatever is newer.
      ASSERT_EQ(SequenceOf(id), place_) << block;
    } else {
      place_ = SequenceOf(id);
      ASSERT_LE(place_, truth_.events.size()) << block;
      if (is_earliest_) {
        ASSERT_TRUE(place_ == 0 || place_ < oldest_held_) << block;
      }
    }
    last_id_ = id;
  }

  void Gap(const std::string& block) {
    const std::string id = Field(block, "\nid: ");
    const std::string reason = Field(block, "\"reason\":\"");
    const uint64_t last = SequenceOf(Field(block, "\"last\":\""));
    const uint64_t resume = SequenceOf(id);
    ASSERT_NE(resume, UINT64_MAX) << block;
    ++gaps_;
    if (reason == "unknown") {
      ASSERT_TRUE(IsUnknown()) << block;
      asks_with_unknown_ = false;
      place_ = resume;
      excused_ = last == UINT64_MAX ? 0 : last;
    } else if (reason == "skipped") {
      SkippedGap(block, last, resume);
    } else {
      ASSERT_EQ(reason, "evicted");
      ASSERT_LE(last, truth_.events.size());
      ASSERT_GT(last, place_) << block;
      // To the live stream, or exactly to a wanted event that is gone; never without one.
      ASSERT_TRUE(goes_on_live_ || last < oldest_held_) << "not gone: " << block;
      uint64_t gone = std::min(last, oldest_held_ - 1);
      while (gone > place_ && !truth_.IsWanted(subscription_, gone)) --gone;
      ASSERT_GT(gone, place_) << "a false gap: " << block;
      ASSERT_TRUE(goes_on_live_ || gone == last) << "not wanted: " << block;
      ASSERT_GE(resume, place_) << block;
      ASSERT_LE(resume, last) << block;
      excused_ = std::max(excused_, last);
      place_ = resume;
    }
    last_id_ = id;
  }

  void SkippedGap(const std::string& block, uint64_t last, uint64_t resume) {
    ASSERT_NE(action_, LagAction::kDisconnect) << block;
    const uint64_t first = SequenceOf(Field(block, "\"first\":\""));
    ASSERT_LE(first, last) << block;
    ASSERT_LE(last, truth_.events.size()) << block;
    ASSERT_TRUE(truth_.IsWanted(subscription_, last)) << block;
    ASSERT_GT(first, place_) << block << ", it came at " << came_at_ << trace_;
    ASSERT_GT(first, came_at_) << "what was there when it came: " << block << trace_;
    ASSERT_GE(resume, place_) << block;
    ASSERT_TRUE(resume == last || (resume < last && action_ == LagAction::kConflate)) << block;
    ExpectNothingMissing(first);
    ++skips_;
    excused_ = std::max(excused_, last);
    place_ = resume;
  }

  // Its last id is nobody's, or a publisher's whose event is gone.
  bool IsUnknown() const {
    const auto own = truth_.own_ids.find(last_id_);
    return asks_with_unknown_ || (own != truth_.own_ids.end() && own->second < oldest_held_);
  }

  void ExpectNothingMissing(uint64_t before) {
    for (uint64_t at = std::max(place_, excused_) + 1; at < before; ++at) {
      if (!truth_.IsWanted(subscription_, at)) continue;
      const bool is_conflated = action_ == LagAction::kConflate && at > came_at_ &&
                                IsReplaced(truth_, at, asks_for_history_);
      if (is_conflated) ++conflated_;
      ASSERT_TRUE(is_conflated) << "event " << at << " is missing after " << place_ << ", before "
                                << before << ", it came at " << came_at_ << ": "
                                << subscription_.text() << trace_;
    }
  }

  const Truth& truth_;
  const bool goes_on_live_;  // after a gap
  const LagAction action_;
  const Subscription subscription_;
  const std::vector<std::string> patterns_;
  std::string last_id_;
  uint64_t place_ = 0;
  uint64_t excused_ = 0;
  uint64_t oldest_held_ = 0;
  uint64_t came_at_ = 0;
  bool asks_for_history_ = false;
  bool is_earliest_ = false;
  bool asks_with_unknown_ = false;
  bool has_head_ = false;
  bool is_open_ = false;
  std::string bytes_;
  std::string trace_;  // for messages
  uint64_t gaps_ = 0;
  uint64_t events_ = 0;
  uint64_t skips_ = 0;
  uint64_t conflated_ = 0;
};

}  // namespace sluice::test
