// Goal: what the history tells of its topics is what was published and is held, each topic once and
// in the order of names, whatever is evicted and forgotten. Method: a model that keeps every event,
// random bounds and classes from a seed.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "base/clock.h"
#include "history/history.h"
#include "history/history_frames.h"

namespace sluice {
namespace {

Frame* MakeFrame(uint64_t sequence, const std::vector<std::string>& topics, int64_t now_ns) {
  const std::vector<std::string_view> names(topics.begin(), topics.end());
  const std::string data(sequence * 7 % 50, 'x');
  Frame* frame = Frame::Encode({.data = data, .topics = names}, Epoch(1), 1 << 16);
  frame->Stamp(sequence, now_ns, 1);
  return frame;
}

std::vector<TopicFacts> Read(History& history, int64_t now_ns, const std::string& from = "",
                             const std::string& prefix = "", size_t count = SIZE_MAX) {
  TopicOrderStep step;
  while (!history.PutTopicsInOrder(&step)) {
  }
  std::vector<TopicFacts> facts;
  history.ReadTopics(from, prefix, count, now_ns, &facts);
  return facts;
}

TEST(HistoryTopics, TellsWhatIsHeldAndWhatWasPublished) {
  HistoryLimits limits;
  limits.otherwise.events_max = 2;
  History history(limits, Epoch(1));
  EXPECT_TRUE(Read(history, 0).empty());
  const int64_t now_ns = 10 * PublishRate::kSlotNs;
  uint64_t bytes = 0;
  uint64_t sequence = 0;
  const auto append = [&](const std::vector<std::string>& topics, bool is_new = true) {
    ++sequence;
    Frame* frame = MakeFrame(sequence, topics, now_ns + static_cast<int64_t>(sequence) * kNsPerUs);
    bytes = frame->replay_bytes().size();
    history.Append(*frame, is_new);
    frame->Release();
  };
  append({"b"}, false);  // of an earlier run
  append({"b"});
  append({});
  append({"a", "b"});
  const auto facts = Read(history, now_ns);
  ASSERT_EQ(facts.size(), 3u);
  EXPECT_EQ(facts[0].name, "");
  EXPECT_EQ(facts[0].published, 1u);
  EXPECT_EQ(facts[0].first, 3u);
  EXPECT_EQ(facts[1].name, "a");
  EXPECT_EQ(facts[1].events, 1u);
  EXPECT_EQ(facts[1].bytes, bytes);
  EXPECT_EQ(facts[2].name, "b");
  EXPECT_EQ(facts[2].published, 2u);
  EXPECT_EQ(facts[2].recent, 2u);
  EXPECT_EQ(facts[2].events, 1u);  // the others are evicted
  EXPECT_EQ(facts[2].bytes, bytes);
  EXPECT_EQ(facts[2].first, 4u);
  EXPECT_EQ(facts[2].last, 4u);
  EXPECT_EQ(facts[2].last_ns, now_ns + 4 * kNsPerUs);
}

TEST(HistoryTopics, TellsTheRateOverAWindowThatMovesInSlots) {
  PublishRate rate;
  const int64_t slot_ns = PublishRate::kSlotNs;
  EXPECT_EQ(rate.EventsAt(5 * slot_ns), 0u);
  rate.Count(5 * slot_ns);
  rate.Count(6 * slot_ns - 1);
  EXPECT_EQ(rate.EventsAt(6 * slot_ns - 1), 2u);
  EXPECT_EQ(rate.EventsAt(6 * slot_ns), 2u);
  rate.Count(6 * slot_ns);
  rate.Count(6 * slot_ns - 1);  // came late: in the slot that it came in
  EXPECT_EQ(rate.EventsAt(7 * slot_ns - 1), 4u);
  EXPECT_EQ(rate.EventsAt(7 * slot_ns), 2u);
  EXPECT_EQ(rate.EventsAt(8 * slot_ns), 0u);
  rate.Count(8 * slot_ns);
  EXPECT_EQ(rate.EventsAt(8 * slot_ns), 1u);
  EXPECT_EQ(PublishRate::WindowBeginNs(8 * slot_ns + 1), 7 * slot_ns);
}

// Every event, and those of each topic that are held: in each class the newest of its bound.
struct Model {
  struct Held {
    uint64_t sequence;
    std::vector<std::string> topics;
    uint64_t bytes;
  };
  std::map<std::string, uint64_t> published;
  std::vector<std::vector<Held>> classes;
};

TEST(HistoryTopics, PropertyAgreesWithAModel) {
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    HistoryLimits limits;
    limits.otherwise.events_max = 1 + below(200);
    limits.policies.resize(below(3));
    for (size_t i = 0; i < limits.policies.size(); ++i) {
      limits.policies[i] = {"t" + std::to_string(i + 1) + "/**", {.events_max = 1 + below(100)}};
    }
    // Nothing is forgotten here but what the test below forgets.
    History history(limits, Epoch(1));
    Model model;
    model.classes.resize(limits.policies.size() + 1);
    const uint32_t names = 1u << below(10);
    uint64_t sequence = 0;
    for (int step = 0; step < 2'000; ++step) {
      std::vector<std::string> topics;
      for (uint32_t i = below(4) == 0 ? below(4) : 1; i != 0; --i) {
        const std::string name =
            "t" + std::to_string(below(3)) + "/" + std::to_string(below(names));
        if (std::find(topics.begin(), topics.end(), name) == topics.end()) topics.push_back(name);
      }
      Frame* frame = MakeFrame(++sequence, topics, 1);
      history.Append(*frame);
      size_t in = limits.policies.size();
      for (size_t i = in; i-- != 0;) {
        for (const std::string& topic : topics) {
          if (topic.starts_with("t" + std::to_string(i + 1) + "/")) in = i;
        }
      }
      auto& held = model.classes[in];
      held.push_back({sequence, topics, frame->replay_bytes().size()});
      frame->Release();
      const uint64_t held_max = in < limits.policies.size() ? limits.policies[in].limits.events_max
                                                            : limits.otherwise.events_max;
      if (held.size() > held_max) held.erase(held.begin());
      if (topics.empty()) ++model.published[""];
      for (const std::string& topic : topics) ++model.published[topic];
      if (step % 200 != 0) continue;
      const auto facts = Read(history, 1);
      ASSERT_EQ(facts.size(), model.published.size());
      size_t at = 0;
      for (const auto& [name, published] : model.published) {
        const TopicFacts& fact = facts[at++];
        ASSERT_EQ(fact.name, name);
        ASSERT_EQ(fact.published, published);
        ASSERT_EQ(fact.recent, published);
        TopicFacts wanted;
        for (const auto& events : model.classes) {
          for (const auto& event : events) {
            const auto& of = event.topics;
            const bool has =
                name.empty() ? of.empty() : std::find(of.begin(), of.end(), name) != of.end();
            if (!has) continue;
            ++wanted.events;
            wanted.bytes += event.bytes;
            wanted.first =
                wanted.first == 0 ? event.sequence : std::min(wanted.first, event.sequence);
            wanted.last = std::max(wanted.last, event.sequence);
          }
        }
        ASSERT_EQ(fact.events, wanted.events);
        ASSERT_EQ(fact.bytes, wanted.bytes);
        ASSERT_EQ(fact.first, wanted.first);
        ASSERT_EQ(fact.last, wanted.last);
      }
      // From anywhere, by a prefix, at most so many.
      const std::string prefix = "t" + std::to_string(below(3));
      const std::string from = prefix + "/" + std::to_string(below(names));
      const size_t count = 1 + below(20);
      std::vector<std::string> wanted;
      for (auto i = model.published.lower_bound(from);
           i != model.published.end() && wanted.size() < count && i->first.starts_with(prefix);
           ++i) {
        wanted.push_back(i->first);
      }
      std::vector<std::string> found;
      for (const TopicFacts& fact : Read(history, 1, from, prefix, count)) {
        found.push_back(fact.name);
      }
      ASSERT_EQ(found, wanted);
    }
  }
}

TEST(HistoryTopics, ForgetsATopicWithAllThatItKnewOfIt) {
  HistoryLimits limits;
  limits.otherwise.events_max = 10;
  limits.remembered_topics_max = 20;
  History history(limits, Epoch(1));
  const auto append = [&](uint64_t sequence) {
    Frame* frame = MakeFrame(sequence, {std::to_string(10'000 + sequence)}, 1);
    history.Append(*frame);
    frame->Release();
  };
  for (uint64_t i = 1; i <= 500; ++i) {
    append(i);
    if (i % 7 != 0) continue;  // some are in order when they are forgotten, some are not
    const auto facts = Read(history, 1);
    const uint64_t known = std::min<uint64_t>(i, 30);
    ASSERT_EQ(facts.size(), known);
    for (uint64_t at = 0; at < known; ++at) {
      ASSERT_EQ(facts[at].name, std::to_string(10'000 + i - known + 1 + at));
      ASSERT_EQ(facts[at].events, known - at <= 10 ? 1u : 0u);
    }
  }
}

// A pass ends though topics come all the time, and has all that were there when it began.
TEST(HistoryTopics, APassEndsWhileTopicsCome) {
  History history({}, Epoch(1));
  uint64_t sequence = 0;
  const auto append = [&](const std::string& name) {
    Frame* frame = MakeFrame(++sequence, {name}, 1);
    history.Append(*frame);
    frame->Release();
  };
  for (int i = 0; i < 1'000; ++i) append("old/" + std::to_string(i));
  TopicOrderStep step;
  for (uint64_t calls = 1; !history.PutTopicsInOrder(&step); ++calls) {
    ASSERT_LE(calls, 20u);
    for (int i = 0; i < 100; ++i) append("new/" + std::to_string(sequence));
  }
  std::vector<TopicFacts> facts;
  history.ReadTopics("old/", "old/", SIZE_MAX, 1, &facts);
  EXPECT_EQ(facts.size(), 1'000u);
}

}  // namespace
}  // namespace sluice
