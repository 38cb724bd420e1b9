// Goal: the index finds exactly the channels whose subscription wants an event, and forgets all of
// a channel that is gone. Method: a model (a map of subscriptions, asked one by one) beside the
// index; names and patterns from a small alphabet, so that they meet; random steps from a seed.
#include "delivery/topic_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "event/subscription.h"
#include "event/topic.h"

namespace sluice {
namespace {

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(engine_() % n); }

  std::string Segment() {
    constexpr std::string_view kSegments[] = {"a", "b", "c", "news",
                                              "a rather long segment, 32 b."};
    return std::string(kSegments[Below(5)]);
  }
  std::string Name() {
    std::string name = Segment();
    for (uint32_t i = Below(5); i != 0; --i) name += "/" + Segment();
    return name;
  }
  std::string Pattern() {
    if (Below(3) == 0) return Name();
    std::string pattern;
    for (uint32_t i = Below(5); i != 0; --i) pattern += (Below(3) == 0 ? "*" : Segment()) + "/";
    return pattern + (Below(3) == 0 && !pattern.empty() ? "**" : Below(2) == 0 ? "*" : Segment());
  }
  std::vector<std::string> Patterns() {
    std::vector<std::string> patterns;
    for (uint32_t i = 1 + Below(4); i != 0; --i) patterns.push_back(Pattern());
    return patterns;
  }

 private:
  std::mt19937 engine_;
};

std::vector<uint32_t> Matched(TopicIndex& index, std::span<const std::string_view> topics) {
  Frame* frame = Frame::Encode({.data = "x", .topics = topics}, Epoch(1), 1 << 16);
  std::vector<uint32_t> channels;
  index.Match(*frame, &channels);
  frame->Release();
  std::sort(channels.begin(), channels.end());
  channels.erase(std::unique(channels.begin(), channels.end()), channels.end());
  return channels;
}

TEST(TopicIndex, FindsNamesAndPatterns) {
  TopicIndex index;
  const auto add = [&](uint32_t channel, std::vector<std::string> patterns) {
    index.Add(channel, Subscription(std::move(patterns)).patterns());
  };
  add(1, {"orders/42"});
  add(2, {"orders/*"});
  add(3, {"orders/**"});
  add(4, {"*/42", "orders/42"});
  add(5, {"orders"});
  const auto matched = [&](std::string_view name) { return Matched(index, {{name}}); };
  using Channels = std::vector<uint32_t>;
  EXPECT_EQ(matched("orders/42"), (Channels{1, 2, 3, 4}));
  EXPECT_EQ(matched("orders"), (Channels{3, 5}));
  EXPECT_EQ(matched("orders/42/lines"), (Channels{3}));
  EXPECT_EQ(matched("invoices/42"), (Channels{4}));
  EXPECT_EQ(matched("invoices"), Channels());
}

TEST(TopicIndex, PropertyAgreesWithTheDefinition) {
  size_t wanted = 0;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    TopicIndex index;
    std::map<uint32_t, Subscription> model;
    for (int step = 0; step < 1500; ++step) {
      const uint32_t channel = random.Below(60);
      switch (random.Below(4)) {
        case 0:
          if (model.contains(channel)) break;
          model[channel] = Subscription(random.Patterns());
          if (model[channel].asks_for_everything()) {
            model.erase(channel);
          } else {
            index.Add(channel, model[channel].patterns());
          }
          break;
        case 1:
          if (random.Below(2) == 0 || model.erase(channel) == 0) break;
          index.Remove(channel);
          break;
        default: {
          std::vector<std::string> names;
          for (uint32_t i = 1 + random.Below(3); i != 0; --i) names.push_back(random.Name());
          const std::vector<std::string_view> topics(names.begin(), names.end());
          std::vector<uint32_t> expected;
          for (const auto& [number, subscription] : model) {
            if (subscription.Wants(topics)) expected.push_back(number);
          }
          ASSERT_EQ(Matched(index, topics), expected);
          wanted += expected.size();
        }
      }
    }
    for (const auto& [number, subscription] : model) index.Remove(number);
    EXPECT_EQ(index.names(), 0u);
    EXPECT_EQ(index.nodes(), 1u);
  }
  EXPECT_GT(wanted, 10'000u);
}

std::vector<std::pair<std::string, uint64_t>> Listed(const TopicIndex& index,
                                                     std::string_view from) {
  std::vector<std::pair<std::string, uint64_t>> listed;
  index.ForEachFrom(from, [&](std::string_view text, uint64_t streams) {
    listed.emplace_back(text, streams);
    return true;
  });
  return listed;
}

TEST(TopicIndex, PropertyListsNamesAndPatternsInOrderWithTheirStreams) {
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    TopicIndex index;
    std::map<uint32_t, std::pair<Subscription, int>> model;  // and its streams
    for (int step = 0; step < 1500; ++step) {
      const uint32_t channel = random.Below(200);
      auto at = model.find(channel);
      if (at == model.end()) {
        const Subscription subscription(random.Patterns());
        if (subscription.asks_for_everything()) continue;
        index.Add(channel, subscription.patterns());
        at = model.insert({channel, {subscription, 0}}).first;
      }
      auto& [subscription, streams] = at->second;
      if (random.Below(3) != 0) {
        const int change = random.Below(2) == 0 && streams != 0 ? -1 : 1;
        index.CountStreams(channel, change);
        streams += change;
      } else if (random.Below(3) == 0) {
        index.CountStreams(channel, -streams);
        index.Remove(channel);
        model.erase(at);
      }
      if (step % 25 != 0) continue;
      std::map<std::string, uint64_t> wanted;
      for (const auto& [number, of] : model) {
        for (const std::string& pattern : of.first.patterns()) {
          wanted[pattern] += static_cast<uint64_t>(of.second);
        }
      }
      const std::string from = random.Below(3) == 0 ? "" : random.Pattern();
      using Rows = std::vector<std::pair<std::string, uint64_t>>;
      ASSERT_EQ(Listed(index, from), Rows(wanted.lower_bound(from), wanted.end()));
    }
    for (const auto& [number, of] : model) index.Remove(number);
    EXPECT_TRUE(Listed(index, "").empty());
  }
}

TEST(TopicIndex, ManyChannelsAtOnePlaceLeaveInAnyOrder) {
  TopicIndex index;
  constexpr uint32_t kChannels = 3000;
  for (uint32_t i = 0; i < kChannels; ++i) {
    index.Add(i, Subscription({"all", "own/" + std::to_string(i), "every/*"}).patterns());
  }
  EXPECT_EQ(Matched(index, {{"all"}}).size(), kChannels);
  EXPECT_EQ(Matched(index, {{"own/77"}}), (std::vector<uint32_t>{77}));
  EXPECT_EQ(Matched(index, {{"every/one"}}).size(), kChannels);
  for (uint32_t i = 0; i < kChannels; ++i) {
    const uint32_t gone = i * 7 % kChannels;
    if (gone % 10 != 0) index.Remove(gone);
  }
  std::vector<uint32_t> left;
  for (uint32_t i = 0; i < kChannels; i += 10) left.push_back(i);
  EXPECT_EQ(Matched(index, {{"all"}}), left);
  EXPECT_EQ(Matched(index, {{"every/one"}}), left);
}

}  // namespace
}  // namespace sluice
