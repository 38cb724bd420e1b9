// Whether what one reader was sent, over all of its connections, is what it may have been sent.
//
// A reader has a place, the sequence up to which all is settled for it. Each block moves it on, and
// what it wanted in between and did not get must be excused: by a gap that it was told, and whose
// reason holds for that event; by a newer event of the same topics and key, if it conflates; by
// where it asked to begin. Nothing else excuses anything.
//
// Thread: a value; the story and the truth outlive it.
#pragma once

#include <fmt/ranges.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/story.h"
#include "model/truth.h"

namespace sluice::model {

// How often what happened, so that a run can show that it tried all of it.
using Counts = std::map<std::string, uint64_t>;

// Of an event: what a stream carries.
inline std::string WireOf(const Sent& sent, const std::string& id, bool with_retry) {
  std::string wire;
  if (with_retry) wire += "retry: " + std::to_string(sent.retry_ms) + "\n";
  if (!sent.type.empty()) wire += "event: " + sent.type + "\n";
  wire += "data: ";
  for (const char c : sent.data) {
    wire += c;
    if (c == '\n') wire += "data: ";
  }
  return wire + "\nid: " + id + "\n\n";
}

// The policy of who asks for these: that of what covers all of it.
inline Action ActionOf(const std::vector<std::string>& patterns) {
  const auto all_below = [&](const std::string& top) {
    for (const std::string& pattern : patterns) {
      if (pattern != top && !pattern.starts_with(top + "/")) return false;
    }
    return !patterns.empty();
  };
  if (all_below("s")) return Action::kSkip;
  return all_below("c") ? Action::kConflate : Action::kDisconnect;
}

class Judge {
 public:
  Judge(const Story& story, const Truth& truth, const Reader& reader, Counts* counts)
      : story_(story),
        truth_(truth),
        reader_(reader),
        counts_(*counts),
        action_(ActionOf(reader.patterns)) {
    for (const auto& [sequence, number] : truth_.in_order()) {
      if (Wants(number)) wanted_.emplace(sequence, number);
    }
    for (size_t number = 0; number < story_.sent.size(); ++number) {
      if (truth_.MayBeAnywhere(number) && Wants(number)) without_place_.push_back(number);
    }
  }

  // What is wrong; nothing if all is well.
  std::optional<std::string> Look(const std::vector<size_t>& ends) {
    for (const Connection& connection : reader_.connections) {
      LookAt(connection);
      if (!fault_.empty()) return fault_ + Trace(connection);
    }
    if (!reader_.reads_to_the_end) return std::nullopt;
    for (const size_t end : ends) {
      if (Wants(end) && !had_.contains(end)) return fmt::format("it never came to event {}", end);
    }
    return std::nullopt;
  }

 private:
  struct Gap {
    std::string reason;
    uint64_t first = 0;
    uint64_t last = 0;
    Tick at = 0;
    uint64_t settled = 0;  // when the connection began that was told
  };

  bool Wants(size_t number) const {
    return model::Wants(reader_.patterns, story_.sent[number].topics);
  }
  void Fault(std::string words) {
    if (fault_.empty()) fault_ = std::move(words);
  }
  void Count(const char* what) { ++counts_[what]; }
  bool IsFresh(const Connection& connection) const { return connection.last_id.empty(); }
  uint64_t Settled(const Connection& connection) const {
    return truth_.SettledBy(connection.begun_at, connection.life);
  }
  std::string Trace(const Connection& connection) const {
    std::string text =
        fmt::format("\n  place {}, a connection of life {}, last id \"{}\", from {}:", place_,
                    connection.life, connection.last_id, static_cast<int>(connection.from));
    const size_t shown = looked_at_ > 8 ? looked_at_ - 8 : 0;
    for (size_t i = shown; i < connection.blocks.size() && i < looked_at_; ++i) {
      text += "\n    " + Shortened(connection.blocks[i].text);
    }
    return text;
  }
  static std::string Shortened(const std::string& block) {
    std::string text;
    for (const char c : block) {
      if (c != 'x') text += c == '\n' ? '|' : c;
    }
    return text;
  }

  void LookAt(const Connection& connection) {
    is_opened_ = awaits_unknown_ = false;
    has_live_begun_ = connection.from != From::kValues || !IsFresh(connection);
    looked_at_ = 0;
    for (const Block& block : connection.blocks) {
      ++looked_at_;
      if (IsOf(block.text, "sluice.error")) {
        Count("refusals");
        continue;
      }
      if (!is_opened_) {
        LookAtOpening(connection, block);
      } else if (IsOf(block.text, "sluice.gap")) {
        LookAtGap(connection, block);
      } else {
        LookAtEvent(connection, block);
      }
      if (!fault_.empty()) return;
    }
  }

  // --- Where a stream begins ---

  void LookAtOpening(const Connection& connection, const Block& block) {
    if (!IsOf(block.text, "sluice.open")) return Fault("it does not begin with an opening");
    is_opened_ = true;
    opened_at_ = block.at;
    const OwnId own = ParseOwnId(FieldOf(block.text, "id"));
    if (!IsFresh(connection)) {
      Count("resumes");
      if (!own.is_one) {
        awaits_unknown_ = true;
        if (!MayBeUnknown(connection)) Fault("its place is known, and the opening tells none");
        return;
      }
      const uint64_t asked = truth_.PlaceOf(connection.last_id);
      if (asked == 0 && !ParseOwnId(connection.last_id).is_one) {
        return Fault("nobody knows its id, and the opening tells a place");
      }
      if (asked != own.sequence) Fault("the opening tells another place than its own");
      place_ = own.sequence;
      return;
    }
    if (!own.is_one) return Fault("the opening has no id");
    place_ = own.sequence;
    switch (connection.from) {
      case From::kNow:
        return LookAtNow(connection);
      case From::kEarliest:
        Pass(connection, 0, place_ + 1, block.at);
        return;
      case From::kNewest:
        return LookAtNewest(connection);
      case From::kValues:
        return;
    }
  }

  void LookAtNow(const Connection& connection) {
    if (place_ < Settled(connection)) Fault("it begins before events that all shards had drained");
    uint64_t possible = story_.lives[connection.life].first_sequence - 1;
    for (const Sent& sent : story_.sent) {
      possible += sent.life == connection.life && sent.sent_at < opened_at_;
    }
    if (place_ > possible) Fault("it begins after events that nobody had published");
  }

  // Exactly the newest of those that were there, as far as that can be said while more come.
  void LookAtNewest(const Connection& connection) {
    uint64_t surely_behind = 0;
    uint64_t perhaps_behind = 0;
    size_t older = SIZE_MAX;
    for (const auto& [sequence, number] : wanted_) {
      const Sent& sent = story_.sent[number];
      const bool may_be_gone = truth_.MayBeEvicted(number, opened_at_, connection.life) ||
                               truth_.MayBeLost(number, connection.life);
      if (sequence <= place_) {
        if (!may_be_gone && sent.life <= connection.life) older = number;
      } else {
        surely_behind += !may_be_gone && sequence <= Settled(connection);
        perhaps_behind += sent.sent_at < opened_at_;
      }
    }
    if (surely_behind > connection.newest_count) Fault("it is sent more than it asked for");
    for (const size_t number : without_place_) perhaps_behind += IsBefore(number, opened_at_);
    if (older != SIZE_MAX && perhaps_behind < connection.newest_count) {
      Fault(fmt::format("it is sent {} and asked for {}: where is event {} (sequence {})?",
                        perhaps_behind, connection.newest_count, older, truth_.SequenceOf(older)));
    }
  }

  bool MayBeUnknown(const Connection& connection) const {
    if (ParseOwnId(connection.last_id).is_one) {
      return truth_.PlaceOf(connection.last_id) == 0;  // of another run
    }
    const size_t number = truth_.OfPublisherId(connection.last_id);
    return number == SIZE_MAX || truth_.SequenceOf(number) == 0 ||
           truth_.MayBeEvicted(number, opened_at_, connection.life) ||
           truth_.MayBeLost(number, connection.life);
  }

  // --- Gaps ---

  void LookAtGap(const Connection& connection, const Block& block) {
    Gap gap{.reason = GapField(block.text, "reason"),
            .first = ParseOwnId(GapField(block.text, "first")).sequence,
            .last = ParseOwnId(GapField(block.text, "last")).sequence,
            .at = block.at,
            .settled = Settled(connection)};
    const OwnId id = ParseOwnId(FieldOf(block.text, "id"));
    if (!id.is_one) return Fault("a gap without an id");
    if (id.sequence > gap.last && gap.reason != "unknown") return Fault("a gap's id is behind it");
    Count(("gaps " + gap.reason).c_str());
    if (gap.reason == "unknown") {
      if (!awaits_unknown_) return Fault("its place is known");
      awaits_unknown_ = false;
      place_ = last_had_ = 0;  // what it has had may come again
      had_without_place_.clear();
    } else {
      if (awaits_unknown_) return Fault("it is not told that its place is unknown");
      // That of a table which drops more and more begins where the one before it began.
      const bool may_grow = gap.reason == "skipped" && action_ == Action::kConflate;
      if (gap.first <= (may_grow ? last_had_ : place_) || gap.last < gap.first) {
        return Fault("a gap of what it has had");
      }
      if (id.sequence < place_) return Fault("a gap's id is before its place");
      gap.reason == "skipped" ? LookAtSkip(gap, id.sequence) : LookAtEviction(connection, gap);
    }
    gaps_.push_back(gap);
    Pass(connection, place_, id.sequence + 1, block.at);
    place_ = id.sequence;
  }

  void LookAtEviction(const Connection& connection, const Gap& gap) {
    if (gap.reason != "evicted") return Fault("a gap without a reason");
    const bool is_of_a_start = (story_.setting.goes_on_live ? gap.first : gap.last) <
                               story_.lives[connection.life].first_sequence;
    if (is_of_a_start && connection.life != 0) return;
    bool is_last_wanted = false;
    bool has_gone = false;
    for (auto at = wanted_.lower_bound(gap.first); at != wanted_.end() && at->first <= gap.last;
         ++at) {
      const bool is_gone = truth_.MayBeEvicted(at->second, gap.at, connection.life) ||
                           truth_.MayBeLost(at->second, connection.life);
      has_gone |= is_gone;
      is_last_wanted |= is_gone && at->first == gap.last;
    }
    // Events without a known place may be what it is about.
    if (!has_gone && truth_.unplaced() == 0) return Fault("a gap, and nothing is gone");
    if (!story_.setting.goes_on_live && !is_last_wanted && truth_.unplaced() == 0) {
      Fault("a gap's last event is not gone, or is none that it wants");
    }
  }

  void LookAtSkip(const Gap& gap, uint64_t id) {
    if (action_ == Action::kDisconnect) return Fault("its policy is not to skip");
    if (action_ != Action::kSkip) return;
    // Who replays skips from its place on, whatever stands there.
    const auto at = truth_.in_order().find(gap.last);
    if (at != truth_.in_order().end() && !Wants(at->second)) {
      return Fault("it skips to an event that it does not want");
    }
    if (id != gap.last) Fault("it skips, and the gap's id is not the last event's");
  }

  // --- Events ---

  void LookAtEvent(const Connection& connection, const Block& block) {
    const size_t number = NumberOf(block.text);
    if (number >= story_.sent.size()) return Fault("an event that nobody sent");
    if (awaits_unknown_) return Fault("an event before it is told that its place is unknown");
    const Sent& sent = story_.sent[number];
    const std::string& id = truth_.IdOf(number);
    const bool has_retry = block.text.starts_with("retry: ");
    if (block.text != WireOf(sent, id, has_retry)) return Fault("not the bytes of the event");
    if (!Wants(number)) return Fault("an event that it does not want");
    Count("events");
    const uint64_t sequence = truth_.SequenceOf(number);
    if (sequence == 0) {
      Count("unplaced");
      had_.insert(number);
      if (!had_without_place_.insert(number).second) Fault("an event twice");
      return;
    }
    if (sequence <= place_) {
      return Fault(fmt::format("event {} (sequence {}) twice, or out of order", number, sequence));
    }
    if (sent.retry_ms != 0 && has_retry && sequence <= Settled(connection)) {
      return Fault("an event of the history with its retry");
    }
    if (sent.retry_ms != 0 && !has_retry && connection.from == From::kNow && IsFresh(connection)) {
      return Fault("a live event without its retry");
    }
    const bool is_value = !has_live_begun_ && IsLookedAtAsValue(connection, number);
    Pass(connection, place_, sequence, block.at);
    has_live_begun_ |= !is_value;
    place_ = last_had_ = sequence;
    had_.insert(number);
  }

  // --- from=values ---

  // Which newer events may have replaced one.
  struct Replacing {
    uint64_t through = UINT64_MAX;
    Tick sent_before = kNever;
    size_t surely_in_life = 0;  // not those that may have died before it
    bool is_excuse = false;     // one whose place nobody knows may have, too
  };
  bool HasNewerValue(size_t number, const std::string& topic, const Replacing& by) const {
    const Sent& sent = story_.sent[number];
    for (auto at = wanted_.upper_bound(truth_.SequenceOf(number));
         at != wanted_.end() && at->first <= by.through; ++at) {
      const Sent& newer = story_.sent[at->second];
      if (newer.key != sent.key || newer.sent_at >= by.sent_before) continue;
      if (truth_.MayBeLost(at->second, by.surely_in_life)) continue;
      if (topic.empty()
              ? newer.topics.empty()
              : std::find(newer.topics.begin(), newer.topics.end(), topic) != newer.topics.end()) {
        return true;
      }
    }
    return by.is_excuse && MayHaveAnother(number, topic, by.sent_before);
  }
  // One whose place nobody knows.
  bool MayHaveAnother(size_t number, const std::string& topic, Tick before) const {
    const Sent& sent = story_.sent[number];
    return std::any_of(without_place_.begin(), without_place_.end(), [&](size_t other) {
      const Sent& newer = story_.sent[other];
      const auto& topics = newer.topics;
      return newer.key == sent.key && newer.sent_at < before && newer.life >= sent.life &&
             (topic.empty() ? topics.empty()
                            : std::find(topics.begin(), topics.end(), topic) != topics.end());
    });
  }
  bool IsBefore(size_t number, Tick at) const { return story_.sent[number].sent_at < at; }
  // As a value of each of its topics that are asked for.
  bool IsReplacedEverywhere(size_t number, const Replacing& by) const {
    const Sent& sent = story_.sent[number];
    if (sent.topics.empty()) return HasNewerValue(number, "", by);
    for (const std::string& topic : sent.topics) {
      if (!AsksForOne(reader_.patterns, topic)) continue;
      if (!HasNewerValue(number, topic, by)) return false;
    }
    return true;
  }

  // Can it be one? An event that is none shows that the live stream has begun.
  bool IsLookedAtAsValue(const Connection& connection, size_t number) {
    const Sent& sent = story_.sent[number];
    const uint64_t settled = Settled(connection);
    if (!sent.key.empty() &&
        !IsReplacedEverywhere(number, {.through = settled, .surely_in_life = connection.life})) {
      Count("values");
      return true;
    }
    if (truth_.SequenceOf(number) <= settled) Fault("it is no value, and older than the stream");
    return false;
  }

  bool IsNoValue(const Connection& connection, size_t number, Tick at) const {
    if (connection.from != From::kValues || !IsFresh(connection)) return false;
    const Sent& sent = story_.sent[number];
    if (sent.sent_at > opened_at_ || has_live_begun_) return false;
    if (sent.key.empty() || IsReplacedEverywhere(number, {.sent_before = at, .is_excuse = true}))
      return true;
    return truth_.MayBeLost(number, connection.life) ||
           (sent.life < connection.life &&
            truth_.MayBeEvicted(number, opened_at_, connection.life));
  }

  // --- What it did not get ---

  // What it wants after one sequence and before another.
  void Pass(const Connection& connection, uint64_t after, uint64_t before, Tick at) {
    for (auto next = wanted_.upper_bound(after); next != wanted_.end() && next->first < before;
         ++next) {
      const size_t number = next->second;
      if (had_.contains(number) || IsExcused(connection, number, at)) continue;
      const Sent& sent = story_.sent[number];
      return Fault(fmt::format(
          "it misses event {} (sequence {}, of life {}, to {}, key \"{}\"), on its way to {}",
          number, next->first, sent.life, fmt::join(sent.topics, " "), sent.key, before));
    }
  }

  bool IsExcused(const Connection& connection, size_t number, Tick at) {
    const uint64_t sequence = truth_.SequenceOf(number);
    for (const Gap& gap : gaps_) {
      if (sequence < gap.first || sequence > gap.last || !Holds(gap, connection, number, at)) {
        continue;
      }
      Count(("missed, " + gap.reason).c_str());
      return true;
    }
    if (WasGoneAtTheBeginning(connection, number)) return true;
    if (IsNoValue(connection, number, at)) {
      Count("missed, no value");
      return true;
    }
    if (!IsConflated(connection, number, at)) return false;
    Count("missed, conflated");
    return true;
  }

  // Who begins in the past without an id is told of no gap for what was gone before it came.
  bool WasGoneAtTheBeginning(const Connection& connection, size_t number) const {
    const bool begins_in_the_past =
        connection.from == From::kEarliest || connection.from == From::kNewest;
    if (!IsFresh(connection) || !begins_in_the_past) return false;
    return truth_.MayBeEvicted(number, opened_at_, connection.life) ||
           truth_.MayBeLost(number, connection.life);
  }

  // What a gap names may also go after it was told.
  bool Holds(const Gap& gap, const Connection& connection, size_t number, Tick at) const {
    if (gap.reason == "skipped") return truth_.SequenceOf(number) > gap.settled;
    return story_.setting.goes_on_live || truth_.MayBeEvicted(number, at, connection.life) ||
           truth_.MayBeLost(number, connection.life);
  }

  // By a newer one that was there, and that it gets, or misses for a reason of its own.
  bool IsConflated(const Connection& connection, size_t number, Tick at) const {
    const Sent& sent = story_.sent[number];
    const uint64_t sequence = truth_.SequenceOf(number);
    if (action_ != Action::kConflate || sent.key.empty()) return false;
    if (sent.life != connection.life || sequence <= Settled(connection)) return false;
    const auto is_newer = [&](auto&& takes_its_place) {
      for (auto next = wanted_.upper_bound(sequence); next != wanted_.end(); ++next) {
        const Sent& newer = story_.sent[next->second];
        const bool is_there = newer.life == sent.life && newer.sent_at < at;
        if (is_there && newer.key == sent.key && takes_its_place(newer)) return true;
      }
      return std::any_of(without_place_.begin(), without_place_.end(), [&](size_t other) {
        const Sent& newer = story_.sent[other];
        return newer.life == sent.life && newer.key == sent.key && takes_its_place(newer);
      });
    };
    if (is_newer([&](const Sent& newer) { return newer.topics == sent.topics; })) return true;
    // In the history by a newer one of each of its topics.
    return !sent.topics.empty() &&
           std::all_of(sent.topics.begin(), sent.topics.end(), [&](const std::string& topic) {
             if (!AsksForOne(reader_.patterns, topic)) return true;
             return is_newer([&](const Sent& newer) {
               return std::find(newer.topics.begin(), newer.topics.end(), topic) !=
                      newer.topics.end();
             });
           });
  }

  const Story& story_;
  const Truth& truth_;
  const Reader& reader_;
  Counts& counts_;
  const Action action_;
  std::map<uint64_t, size_t> wanted_;
  std::vector<size_t> without_place_;  // wanted, and perhaps there
  std::set<size_t> had_;
  std::set<size_t> had_without_place_;
  std::vector<Gap> gaps_;
  uint64_t place_ = 0;
  uint64_t last_had_ = 0;  // of an event
  bool is_opened_ = false;
  bool awaits_unknown_ = false;
  bool has_live_begun_ = true;
  Tick opened_at_ = 0;
  size_t looked_at_ = 0;
  std::string fault_;
};

}  // namespace sluice::model
