#include "history/start.h"

#include <algorithm>

#include "event/aside.h"
#include "event/topic.h"
#include "history/history.h"
#include "history/match_walk.h"

namespace sluice {

std::string_view Word(GapReason reason) {
  switch (reason) {
    case GapReason::kEvicted:
      return "evicted";
    case GapReason::kUnknown:
      return "unknown";
    case GapReason::kSkipped:
      return "skipped";
  }
  return "";
}

void AppendGap(std::string* out, const HistoryGap& gap, const Epoch& epoch) {
  const auto id = [&](uint64_t sequence) {
    return sequence == 0 ? std::string() : epoch.Id(sequence);
  };
  const std::string first = id(gap.first);
  const std::string last = id(gap.last);
  // The place before the first event is one too.
  const std::string resume = epoch.Id(gap.resume);
  AppendGap(
      out,
      {.reason = Word(gap.reason), .after = gap.after, .first = first, .last = last, .id = resume});
}

uint64_t History::LastEvicted(size_t index, Reading& reading, uint64_t after) const {
  const Store& store = *stores_[index];
  if (store.evicted() <= after) return 0;
  const TopicTable& topics = store.topics();
  if (reading.kind() == Reading::Kind::kEverything) return store.evicted();
  if (reading.kind() == Reading::Kind::kTopics) {
    if (reading.topics().empty()) return topics[TopicTable::kNoTopic].evicted;
    uint64_t last = 0;
    for (const Reading::Topic& wanted : reading.topics()) {
      const uint32_t topic = topics.Find(wanted.hash, wanted.name);
      last = std::max(last, topic == HeldTopic::kNone ? topics.forgotten() : topics[topic].evicted);
    }
    return last;
  }
  // The list is in the order of their evictions: the first one that is wanted was the last.
  Looks looks;
  for (uint32_t topic = topics.newest_evicted(); topic != HeldTopic::kNone;
       topic = topics[topic].older) {
    if (topics[topic].evicted <= after) break;
    if (reading.Wants(index, topics, topic, &looks)) return topics[topic].evicted;
  }
  return topics.forgotten();
}

uint64_t History::LastEvicted(Reading& reading, uint64_t after) const {
  uint64_t last = lost_through_;
  for (size_t i = 0; i < stores_.size(); ++i) last = std::max(last, LastEvicted(i, reading, after));
  return last > after ? last : 0;
}

uint64_t History::BeforeHeld(uint64_t last) const {
  const uint64_t first_held = oldest();
  return first_held == 0 ? last : std::min(last, first_held - 1);
}

// What comes after `through` comes live, even if it is evicted already.
uint64_t History::Missing(Reading& reading, uint64_t after, uint64_t through) const {
  return after < through ? LastEvicted(reading, after) : 0;
}

void History::Resolve(const StreamStart& asked, Reading& reading, uint64_t through, uint64_t newest,
                      Start* start) const {
  if (start->is_searching) return SearchNewest(reading, through, start);
  start->is_complete = true;
  if (!asked.last_id.empty()) return ResolveId(asked, reading, through, newest, start);
  switch (asked.from) {
    case StreamStart::From::kNow:
      start->after = through;
      break;
    case StreamStart::From::kEarliest:
      start->after = 0;
      break;
    case StreamStart::From::kNewest:
      start->is_complete = false;
      start->is_searching = true;
      start->search_below = through + 1;
      start->search_left = asked.newest_count;
      return SearchNewest(reading, through, start);
    case StreamStart::From::kValues:
      CollectValues(reading, through, start);
      start->after = through;
      break;
  }
  start->told = Missing(reading, start->after, through);
  NoteGone(start);
}

// Of several classes one may have lost what is newer than what another still holds.
void History::NoteGone(Start* start) const {
  if (start->told == 0) return;
  for (const auto& store : stores_) start->gone.push_back(store->evicted());
}

void History::ResolveId(const StreamStart& asked, Reading& reading, uint64_t through,
                        uint64_t newest, Start* start) const {
  const auto parsed = Epoch::Parse(asked.last_id);
  bool is_known = false;
  if (parsed.has_value()) {
    is_known =
        parsed->epoch == epoch_.value() && parsed->sequence <= std::max({newest, through, newest_});
    start->after = is_known ? parsed->sequence : 0;
  } else {
    start->after = ids_.Find(asked.last_id);
    is_known = start->after != 0;
  }
  start->told = Missing(reading, start->after, through);
  if (is_known && start->told == 0) return;
  HistoryGap gap;
  gap.reason = is_known ? GapReason::kEvicted : GapReason::kUnknown;
  gap.after = asked.last_id;
  gap.first = is_known ? start->after + 1 : 0;
  if (limits_.missing == MissingPlace::kLive) {
    start->after = std::max({start->after, through, start->told});
    start->told = gap.last = gap.resume = start->after;
  } else {
    gap.last = start->told;
    gap.resume = std::max(start->after, BeforeHeld(gap.last));
  }
  start->gap = std::move(gap);
}

void History::SearchNewest(Reading& reading, uint64_t through, Start* start) const {
  using Walk = MatchWalk<false>;
  struct Part {
    Walk walk;
    uint64_t sequence = 0;
    void LookAtHead() { sequence = walk.is_at_end() ? 0 : walk.place().sequence(); }
  };
  Looks looks;
  std::vector<Part> parts;
  parts.reserve(stores_.size());
  for (size_t i = 0; i < stores_.size(); ++i) {
    const Store& store = *stores_[i];
    const uint64_t end = store.FirstAfter(start->search_below - 1);
    parts.push_back({Walk(store, i, reading, store.first(), end, &looks)});
    parts.back().LookAtHead();
  }
  start->after = start->search_below - 1;
  while (start->search_left != 0) {
    Part& newest = *std::max_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
      return a.sequence < b.sequence;
    });
    start->after = newest.sequence == 0 ? 0 : newest.sequence - 1;
    if (newest.sequence == 0) break;
    if (newest.walk.is_paused() || looks.are_used_up()) {
      start->search_below = newest.sequence + 1;
      return;
    }
    looks.Use(1);
    --start->search_left;
    start->search_below = newest.sequence;
    newest.walk.Next();
    newest.LookAtHead();
  }
  start->is_searching = false;
  start->is_complete = true;
  start->told = Missing(reading, start->after, through);
  NoteGone(start);
}

void History::CollectValues(const Reading& reading, uint64_t through, Start* start) const {
  const auto collect = [&](uint32_t topic) {
    if (topic == Value::kNone) return;
    values_.ForEachOf(topic, [&](uint32_t value) {
      // What is newer comes live.
      const uint64_t sequence = values_[value].sequence;
      if (sequence <= through) start->values.push_back({sequence, value});
    });
  };
  if (reading.kind() == Reading::Kind::kTopics) {
    if (reading.topics().empty()) collect(values_.FindTopic(TopicHash({}), {}));
    for (const Reading::Topic& topic : reading.topics()) {
      collect(values_.FindTopic(topic.hash, topic.name));
    }
  } else {
    const bool is_everything = reading.kind() == Reading::Kind::kEverything;
    for (uint32_t topic = 0; topic < values_.topics(); ++topic) {
      const std::string_view name = values_.topic(topic).name();
      if (is_everything || (!name.empty() && reading.Wants(name))) collect(topic);
    }
  }
  // An event of several topics stands here for each: it may be replaced in one of them only.
  std::sort(start->values.begin(), start->values.end(),
            [](const ValueRef& a, const ValueRef& b) { return a.sequence < b.sequence; });
}

}  // namespace sluice
