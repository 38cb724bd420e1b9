// The history against a model that is too simple to be wrong: all events ever in a vector, and
// Subscription::Wants. Goal: whatever is appended, evicted and asked, a reading gets exactly the
// held events that it wants, in order and once, and is told of a gap exactly if one is there.
// Method: random steps from a seed; every answer is compared at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "event/topic.h"
#include "history/history.h"
#include "history_frames.h"

namespace sluice {
namespace {

struct ModelEvent {
  uint64_t sequence;
  TestEvent event;
  std::string bytes;
  size_t in_class;
  bool is_held = true;

  std::vector<std::string_view> topics() const {
    return {event.topics.begin(), event.topics.end()};
  }
};

class Model {
 public:
  explicit Model(const HistoryLimits& limits)
      : limits_(limits), held_(limits.policies.size() + 1) {}

  void Append(uint64_t sequence, const TestEvent& event, std::string bytes) {
    ModelEvent added{sequence, event, std::move(bytes), ClassOf(event)};
    if (!event.id.empty()) {
      const auto [at, is_new] = ids_.try_emplace(event.id, std::pair(sequence, sequence));
      at->second.second = sequence;
    }
    if (!event.key.empty()) {
      for (const std::string& topic : event.topics) values_[{topic, event.key}] = sequence;
      if (event.topics.empty()) values_[{"", event.key}] = sequence;
    }
    held_[added.in_class].push_back(events_.size());
    events_.push_back(std::move(added));
    const size_t in_class = events_.back().in_class;
    while (IsOver(in_class)) EvictOldest(in_class);
  }

  void Expire(int64_t now_ns) {
    for (size_t i = 0; i < held_.size(); ++i) {
      while (!held_[i].empty() &&
             now_ns - events_[held_[i].front()].event.published_ns > Limits(i).age_max_ns) {
        EvictOldest(i);
      }
    }
  }

  std::vector<const ModelEvent*> Wanted(const Subscription& subscription, uint64_t after,
                                        uint64_t through) const {
    std::vector<const ModelEvent*> wanted;
    for (const ModelEvent& event : events_) {
      if (!event.is_held || event.sequence <= after || event.sequence > through) continue;
      if (subscription.Wants(event.topics())) wanted.push_back(&event);
    }
    return wanted;
  }

  uint64_t LastEvicted(const Subscription& subscription, uint64_t after) const {
    for (auto at = events_.rbegin(); at != events_.rend() && at->sequence > after; ++at) {
      if (!at->is_held && subscription.Wants(at->topics())) return at->sequence;
    }
    return 0;
  }

  // The place of a publisher's id: its first use, as long as the newest is held.
  uint64_t PlaceOf(const std::string& id) const {
    const auto at = ids_.find(id);
    return at == ids_.end() ? 0 : at->second.first;
  }

  std::set<uint64_t> ValuesOf(const Subscription& subscription, uint64_t through) const {
    std::set<uint64_t> sequences;
    for (const auto& [of, sequence] : values_) {
      const std::string_view topic = of.first;
      const bool is_wanted =
          topic.empty() ? subscription.WantsNoTopic() : subscription.Wants({&topic, 1});
      if (is_wanted && sequence <= through) sequences.insert(sequence);
    }
    return sequences;
  }

  const std::string& BytesOf(uint64_t sequence) const {
    return std::find_if(events_.begin(), events_.end(),
                        [&](const auto& event) { return event.sequence == sequence; })
        ->bytes;
  }
  size_t held() const {
    size_t count = 0;
    for (const auto& in_class : held_) count += in_class.size();
    return count;
  }
  uint64_t newest() const { return events_.empty() ? 0 : events_.back().sequence; }
  uint64_t oldest_held() const {
    for (const ModelEvent& event : events_) {
      if (event.is_held) return event.sequence;
    }
    return 0;
  }

 private:
  const StoreLimits& Limits(size_t in_class) const {
    return in_class < limits_.policies.size() ? limits_.policies[in_class].limits
                                              : limits_.otherwise;
  }
  size_t ClassOf(const TestEvent& event) const {
    for (size_t i = 0; i < limits_.policies.size(); ++i) {
      const Subscription policy({limits_.policies[i].topics});
      if (policy.Wants(std::vector<std::string_view>(event.topics.begin(), event.topics.end()))) {
        return i;
      }
    }
    return limits_.policies.size();
  }
  uint64_t Charged(size_t in_class) const {
    uint64_t bytes = 0;
    std::set<std::string> topics;
    for (const size_t index : held_[in_class]) {
      const ModelEvent& event = events_[index];
      const uint64_t count = std::max<uint64_t>(1, event.event.topics.size());
      bytes += event.bytes.size() + Store::kEventCharge + count * Store::kTopicCharge;
      if (!event.event.id.empty()) bytes += Store::kPublisherIdCharge;
      if (!event.event.key.empty()) bytes += count * Store::kKeyCharge;
      topics.insert(event.event.topics.begin(), event.event.topics.end());
    }
    for (const std::string& topic : topics) bytes += Store::kHeldTopicCharge + topic.size();
    return bytes;
  }
  bool IsOver(size_t in_class) const {
    return held_[in_class].size() > Limits(in_class).events_max ||
           (Limits(in_class).bytes_max != UINT64_MAX &&
            Charged(in_class) > Limits(in_class).bytes_max);
  }
  void EvictOldest(size_t in_class) {
    ModelEvent& event = events_[held_[in_class].front()];
    held_[in_class].erase(held_[in_class].begin());
    event.is_held = false;
    const auto id = ids_.find(event.event.id);
    if (id != ids_.end() && id->second.second == event.sequence) ids_.erase(id);
  }

  const HistoryLimits limits_;
  std::vector<ModelEvent> events_;
  std::vector<std::vector<size_t>> held_;
  std::map<std::string, std::pair<uint64_t, uint64_t>> ids_;
  std::map<std::pair<std::string, std::string>, uint64_t> values_;
};

struct Shape {
  const char* name;
  HistoryLimits limits;
  uint32_t topics;
  size_t data_bytes_max;
  int steps;
};

class HistoryModel : public testing::TestWithParam<std::tuple<Shape, uint64_t>> {
 protected:
  HistoryModel()
      : shape_(std::get<0>(GetParam())),
        random_(std::get<1>(GetParam())),
        history_(shape_.limits, TestEpoch()),
        model_(shape_.limits),
        is_exact_(shape_.limits.remembered_topics_max >= shape_.topics) {}

  uint64_t Below(uint64_t end) { return random_() % end; }
  template <typename T>
  T OneOf(std::initializer_list<T> choices) {
    return *(choices.begin() + Below(choices.size()));
  }

  std::string Topic() {
    if (Below(3) != 0) return "x/" + std::to_string(Below(shape_.topics));
    return OneOf<const char*>({"a", "a/b", "a/c", "a/b/c", "b", "b/c/d"});
  }
  Subscription SomeSubscription() {
    std::vector<std::string> patterns;
    switch (Below(6)) {
      case 0:
        return Subscription();
      case 1:
        return Subscription({"**"});
      case 2:
        patterns.push_back(OneOf<const char*>({"a/*", "a/**", "*/b", "x/*", "*/*/c", "*", "b/**"}));
        [[fallthrough]];
      default:
        for (uint64_t i = Below(3) + 1; i != 0; --i) patterns.push_back(Topic());
    }
    return Subscription(std::move(patterns));
  }

  void Append() {
    TestEvent event;
    event.data = std::string(1 + Below(shape_.data_bytes_max), 'd');
    if (Below(100) == 0) event.data = std::string(OneOf({8'100, 20'000, 70'000}), 'L');
    std::set<std::string> topics;
    for (uint64_t i = OneOf<uint64_t>({0, 1, 1, 1, 1, 2, 4}); i != 0; --i) topics.insert(Topic());
    event.topics.assign(topics.begin(), topics.end());
    if (Below(4) == 0) event.id = "order " + std::to_string(Below(50));
    std::replace(event.id.begin(), event.id.end(), ' ', ':');
    if (Below(4) == 0) event.key = "key " + std::to_string(Below(5));
    now_ns_ += static_cast<int64_t>(Below(2'000'000));
    event.published_ns = now_ns_ - static_cast<int64_t>(Below(1'000'000));
    sequence_ += 1 + (Below(10) == 0 ? Below(5) : 0);
    const TestFrame frame = MakeFrame(sequence_, event);
    history_.Append(*frame);
    event.published_ns = event.published_ns / 1000 * 1000;
    model_.Append(sequence_, event, std::string(frame->replay_bytes()));
    ASSERT_EQ(history_.events(), model_.held());
  }

  void CheckGap(uint64_t told, const Subscription& subscription, uint64_t after) {
    const uint64_t expected = model_.LastEvicted(subscription, after);
    if (is_exact_) {
      ASSERT_EQ(told, expected) << subscription.text() << "after " << after;
    } else {
      ASSERT_GE(told, expected) << subscription.text() << "after " << after;
    }
  }

  void Read() {
    const Subscription subscription = SomeSubscription();
    Reading reading(subscription);
    const uint64_t after = Below(sequence_ + 2);
    const uint64_t through = Below(3) == 0 ? after + Below(sequence_ + 1) : sequence_;
    CheckRead(reading, after, through);
  }

  void CheckRead(Reading& reading, uint64_t after, uint64_t through) {
    const auto expected = model_.Wanted(reading.subscription(), after, through);
    size_t next = 0;
    Chunk chunk;
    chunk.last = after;
    do {
      const uint64_t from = chunk.last;
      history_.Read(reading, from, through, &chunk);
      ASSERT_EQ(chunk.after, from);
      ASSERT_NO_FATAL_FAILURE(CheckGap(chunk.evicted, reading.subscription(), from));
      ASSERT_TRUE(chunk.last > from || chunk.is_complete);
      ASSERT_TRUE(chunk.bytes.size() <= History::kChunkBytes || chunk.marks.size() == 1);
      size_t begin = 0;
      for (const ChunkMark& mark : chunk.marks) {
        ASSERT_LT(next, expected.size());
        ASSERT_EQ(mark.sequence, expected[next]->sequence);
        ASSERT_EQ(mark.published_ns, expected[next]->event.published_ns);
        ASSERT_EQ(chunk.bytes.substr(begin, mark.end - begin), expected[next]->bytes);
        ASSERT_LE(mark.sequence, chunk.last);
        begin = mark.end;
        ++next;
      }
      ASSERT_EQ(begin, chunk.bytes.size());
    } while (!chunk.is_complete);
    ASSERT_EQ(next, expected.size()) << reading.subscription().text();
    ASSERT_GE(chunk.last, through);
  }

  void ResolveId() {
    const Subscription subscription = SomeSubscription();
    Reading reading(subscription);
    const uint64_t place = Below(sequence_ + 3);
    const std::string id = OneOf<std::string>({TestEpoch().Id(place), Epoch(7).Id(place),
                                               "never seen", "order:" + std::to_string(Below(50))});
    Start start;
    history_.Resolve({.last_id = id}, reading, sequence_, sequence_, &start);
    ASSERT_TRUE(start.is_complete);
    uint64_t after = 0;
    bool is_known = false;
    if (id == TestEpoch().Id(place)) {
      is_known = place <= sequence_;
      after = is_known ? place : 0;
    } else {
      after = model_.PlaceOf(id);
      is_known = after != 0;
    }
    ASSERT_NO_FATAL_FAILURE(
        CheckGap(start.gap && shape_.limits.missing == MissingPlace::kEarliest ? start.gap->last
                 : start.gap && is_known ? model_.LastEvicted(subscription, after)
                                         : (start.gap ? model_.LastEvicted(subscription, 0) : 0),
                 subscription, after));
    if (is_exact_ && is_known) {
      ASSERT_EQ(start.gap.has_value(), model_.LastEvicted(subscription, after) != 0);
    }
    if (!is_known) {
      ASSERT_TRUE(start.gap.has_value());
    }
    if (start.gap.has_value()) {
      ASSERT_EQ(start.gap->after, id);
      ASSERT_EQ(start.gap->reason, is_known ? GapReason::kEvicted : GapReason::kUnknown);
      ASSERT_EQ(start.gap->first, is_known ? after + 1 : 0);
      if (shape_.limits.missing == MissingPlace::kLive) {
        ASSERT_EQ(start.after, sequence_);
        ASSERT_EQ(start.gap->resume, sequence_);
        return;
      }
      // Cut off right after the gap event, the reader loses nothing of what it was to get.
      ASSERT_EQ(model_.Wanted(subscription, start.after, sequence_),
                model_.Wanted(subscription, start.gap->resume, sequence_));
      // With one class it is told once.
      if (is_exact_ && history_.classes() == 1) {
        ASSERT_EQ(model_.LastEvicted(subscription, start.gap->resume), 0u);
      }
    }
    ASSERT_EQ(start.after, after);
    Chunk chunk;
    history_.Read(reading, start.after, sequence_, &chunk);
    ASSERT_LE(chunk.evicted, start.told);  // no second gap for the same events
  }

  void ResolveFrom() {
    const Subscription subscription = SomeSubscription();
    Reading reading(subscription);
    const uint64_t through = Below(4) == 0 ? Below(sequence_ + 1) : sequence_;
    StreamStart asked;
    asked.from = OneOf({StreamStart::From::kNow, StreamStart::From::kEarliest,
                        StreamStart::From::kNewest, StreamStart::From::kValues});
    asked.newest_count = static_cast<uint32_t>(Below(20));
    Start start;
    while (!start.is_complete) history_.Resolve(asked, reading, through, sequence_, &start);
    ASSERT_FALSE(start.gap.has_value());
    Chunk chunk;
    history_.Read(reading, start.after, through, &chunk);
    // What comes after `through` comes live, evicted or not.
    ASSERT_LE(chunk.evicted, start.after < through ? start.told : UINT64_MAX);
    ASSERT_TRUE(start.after < through || start.told == 0);
    const size_t all = model_.Wanted(subscription, 0, through).size();
    const size_t to_come = model_.Wanted(subscription, start.after, through).size();
    switch (asked.from) {
      case StreamStart::From::kNow:
        ASSERT_EQ(to_come, 0u);
        break;
      case StreamStart::From::kEarliest:
        ASSERT_EQ(to_come, all);
        break;
      case StreamStart::From::kNewest:
        ASSERT_EQ(to_come, std::min<size_t>(all, asked.newest_count));
        break;
      case StreamStart::From::kValues:
        ASSERT_EQ(to_come, 0u);
        CheckValues(subscription, start, through);
    }
  }

  void CheckValues(const Subscription& subscription, const Start& start, uint64_t through) {
    const std::set<uint64_t> expected = model_.ValuesOf(subscription, through);
    std::vector<uint64_t> sequences;
    size_t done = 0;
    while (done < start.values.size()) {
      Chunk chunk;
      const size_t more = history_.ReadValues(std::span(start.values).subspan(done), &chunk);
      ASSERT_GT(more, 0u);
      done += more;
      size_t begin = 0;
      for (const ChunkMark& mark : chunk.marks) {
        ASSERT_EQ(chunk.bytes.substr(begin, mark.end - begin), model_.BytesOf(mark.sequence));
        sequences.push_back(mark.sequence);
        begin = mark.end;
      }
    }
    ASSERT_TRUE(std::is_sorted(sequences.begin(), sequences.end()));
    if (shape_.limits.values_bytes_max == UINT64_MAX) {
      ASSERT_EQ(sequences, std::vector<uint64_t>(expected.begin(), expected.end()));
    } else {
      for (const uint64_t sequence : sequences) ASSERT_TRUE(expected.contains(sequence));
      ASSERT_LE(history_.values().taken_over_bytes(), shape_.limits.values_bytes_max);
    }
  }

  const Shape shape_;
  std::mt19937_64 random_;
  History history_;
  Model model_;
  const bool is_exact_;
  uint64_t sequence_ = 0;
  int64_t now_ns_ = 5'000'000'000;
};

TEST_P(HistoryModel, AgreesWithTheHistory) {
  for (int step = 0; step < shape_.steps; ++step) {
    SCOPED_TRACE(step);
    const uint64_t what = Below(100);
    if (what < 80) {
      Append();
    } else if (what < 82) {
      now_ns_ += static_cast<int64_t>(Below(20'000'000));
      while (history_.Expire(now_ns_, 1 + Below(10))) {
      }
      model_.Expire(now_ns_);
      ASSERT_EQ(history_.events(), model_.held());
      ASSERT_EQ(history_.oldest(), model_.oldest_held());
    } else if (what < 90) {
      Read();
    } else if (what < 95) {
      ResolveId();
    } else {
      ResolveFrom();
    }
    if (HasFatalFailure()) return;
  }
}

HistoryLimits Bounded(StoreLimits otherwise, std::vector<HistoryPolicy> policies = {}) {
  HistoryLimits limits;
  limits.otherwise = otherwise;
  limits.policies = std::move(policies);
  limits.values_bytes_max = UINT64_MAX;
  return limits;
}

HistoryLimits With(HistoryLimits limits, uint32_t remembered, uint64_t values,
                   MissingPlace missing) {
  limits.remembered_topics_max = remembered;
  limits.values_bytes_max = values;
  limits.missing = missing;
  return limits;
}

std::vector<Shape> Shapes() {
  const StoreLimits events{.events_max = 60};
  const StoreLimits bytes{.bytes_max = 30'000};
  const StoreLimits age{.age_max_ns = 100'000'000};
  const std::vector<HistoryPolicy> policies = {
      {"a/*", {.events_max = 5}}, {"x/1", {.events_max = 200}}, {"b/**", {.bytes_max = 9'000}}};
  constexpr MissingPlace kEarliest = MissingPlace::kEarliest;
  return {
      {"Events", Bounded(events), 20, 100, 1500},
      {"OneEvent", Bounded({.events_max = 1}), 5, 100, 600},
      {"NoEvent", Bounded({.events_max = 0}), 5, 100, 300},
      {"Bytes", Bounded(bytes), 20, 400, 1500},
      {"Age", Bounded(age), 20, 100, 1500},
      {"Blocks", Bounded({.events_max = 2'000}), 200, 600, 5000},
      {"Classes", Bounded(events, policies), 20, 100, 2000},
      {"ClassOfEverything", Bounded({}, {{"x/*", events}, {"**", bytes}}), 20, 100, 1500},
      {"Forgetful", With(Bounded(events, policies), 3, 5'000, kEarliest), 30, 100, 2000},
      {"ForgetsAll", With(Bounded(events), 0, 0, kEarliest), 30, 100, 1000},
      {"Live", With(Bounded(events), 1'000, UINT64_MAX, MissingPlace::kLive), 20, 100, 1500},
  };
}

INSTANTIATE_TEST_SUITE_P(Shapes, HistoryModel,
                         testing::Combine(testing::ValuesIn(Shapes()),
                                          testing::Range<uint64_t>(1, 13)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param).name) + "Seed" +
                                  std::to_string(std::get<1>(tested.param));
                         });

}  // namespace
}  // namespace sluice
