// Goal: names and patterns are taken or refused by the grammar in event/topic.h, with the place of
// the fault, and a match is what the grammar's words say.
#include "event/topic.h"

#include <gtest/gtest.h>

#include "base/sip_hash.h"
#include "event/subscription.h"

namespace sluice {
namespace {

TEST(Topic, TakesNamesOfSegments) {
  for (const char* name : {"a", "orders/42", "a b/ü/漢", "a.b-c_d", "sluice"}) {
    EXPECT_FALSE(CheckTopicName(name)) << name;
    EXPECT_FALSE(CheckTopicPattern(name)) << name;
    EXPECT_FALSE(IsTopicPattern(name)) << name;
  }
}

TEST(Topic, SaysWhereANameIsWrong) {
  const auto offset = [](std::string_view name) {
    const auto fault = CheckTopicName(name);
    return fault ? static_cast<int>(fault->offset) : -1;
  };
  EXPECT_EQ(offset(""), 0);
  EXPECT_EQ(offset("/a"), 0);
  EXPECT_EQ(offset("a//b"), 2);
  EXPECT_EQ(offset("a/"), 2);
  EXPECT_EQ(offset("a/*"), 2);
  EXPECT_EQ(offset("a/b*c"), 3);
  EXPECT_EQ(offset("a\nb"), 1);
  EXPECT_EQ(offset("ab\x7f"), 2);
  EXPECT_EQ(offset("ab\xff"), 2);
  EXPECT_EQ(offset(std::string(256, 'a')), -1);
  EXPECT_EQ(offset(std::string(257, 'a')), 256);
  std::string deep = "a";
  for (int i = 1; i < 16; ++i) deep += "/a";
  EXPECT_EQ(offset(deep), -1);
  EXPECT_EQ(offset(deep + "/a"), 32);
  EXPECT_EQ(CheckTopicName("a//b")->Describe("a//b"), "at byte 2 of \"a//b\": a segment is empty");
}

TEST(Topic, TakesStarsOnlyAsWholeSegments) {
  for (const char* pattern : {"*", "**", "a/*", "*/a", "a/**", "*/*/**"}) {
    EXPECT_FALSE(CheckTopicPattern(pattern)) << pattern;
    EXPECT_TRUE(IsTopicPattern(pattern)) << pattern;
  }
  EXPECT_EQ(CheckTopicPattern("**/a")->offset, 0u);
  EXPECT_EQ(CheckTopicPattern("a/***")->offset, 2u);
  EXPECT_EQ(CheckTopicPattern("a/b*")->offset, 3u);
}

TEST(Topic, MatchesSegmentBySegment) {
  struct Row {
    const char* pattern;
    const char* name;
    bool matches;
  };
  for (const Row& row :
       {Row{"a", "a", true}, Row{"a", "b", false}, Row{"a", "a/b", false}, Row{"a/b", "a", false},
        Row{"*", "a", true}, Row{"*", "a/b", false}, Row{"a/*", "a", false},
        Row{"a/*", "a/b", true}, Row{"*/b", "a/b", true}, Row{"*/b", "a/c", false},
        Row{"a/**", "a", true}, Row{"a/**", "a/b/c", true}, Row{"a/**", "b", false},
        Row{"**", "a/b", true}, Row{"a/*/**", "a", false}, Row{"a/*/**", "a/b", true},
        Row{"ab", "a", false}, Row{"a", "ab", false}}) {
    EXPECT_EQ(TopicMatches(row.pattern, row.name), row.matches) << row.pattern << " " << row.name;
  }
}

// Against the definition, over all names of up to four segments of three.
TEST(Topic, CoversIsExact) {
  const auto words_of = [](std::vector<std::string> segments, size_t segments_max) {
    std::vector<std::string> words = segments;
    for (size_t from = 0, level = 1; level < segments_max; ++level) {
      const size_t to = words.size();
      for (; from < to; ++from) {
        for (const std::string& segment : segments) words.push_back(words[from] + "/" + segment);
      }
    }
    return words;
  };
  const std::vector<std::string> names = words_of({"a", "b", "c"}, 4);
  std::vector<std::string> patterns = words_of({"a", "b", "*"}, 3);
  for (size_t i = 0, count = patterns.size(); i < count; ++i) {
    if (i < 12) patterns.push_back(patterns[i] + "/**");  // one segment or two
  }
  patterns.push_back("**");
  size_t covered = 0;
  for (const std::string& outer : patterns) {
    for (const std::string& inner : patterns) {
      // Only `**` asks for the events without topics.
      const bool covers = (inner != "**" || outer == "**") &&
                          std::all_of(names.begin(), names.end(), [&](const std::string& name) {
                            return !TopicMatches(inner, name) || TopicMatches(outer, name);
                          });
      ASSERT_EQ(TopicCovers(outer, inner), covers) << outer << " over " << inner;
      covered += covers;
    }
  }
  EXPECT_GT(covered, patterns.size());
}

TEST(Topic, HashIsTheSameForTheSameName) {
  EXPECT_EQ(TopicHash("orders/42"), TopicHash(std::string("orders/") + "42"));
  EXPECT_NE(TopicHash("orders/42"), TopicHash("orders/43"));
}

// From an independent implementation that gives the paper's vector with 2 and 4 rounds.
TEST(SipHash, HasItsKnownValues) {
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string text;
  for (char c = 0; c < 15; ++c) text.push_back(c);
  EXPECT_EQ(SipHash(key, ""), 0xabac0158050fc4dcu);
  EXPECT_EQ(SipHash(key, text), 0xd320d86d2a519956u);
}

TEST(Subscription, IsEqualHoweverItIsWritten) {
  EXPECT_EQ(Subscription({"b", "a", "b"}), Subscription({"a", "b"}));
  EXPECT_NE(Subscription({"a/b"}), Subscription({"a", "b"}));
  EXPECT_NE(Subscription({"a"}), Subscription());
  EXPECT_EQ(Subscription({"a", "**"}), Subscription({"**"}));
}

TEST(Subscription, WithoutTopicsAsksForEventsWithoutTopics) {
  const std::string_view topics[] = {"x", "a/b"};
  EXPECT_TRUE(Subscription().Wants({}));
  EXPECT_FALSE(Subscription().Wants(topics));
  EXPECT_TRUE(Subscription({"**"}).Wants({}));
  EXPECT_TRUE(Subscription({"**"}).Wants(topics));
  EXPECT_FALSE(Subscription({"*"}).Wants({}));
  EXPECT_TRUE(Subscription({"a/*"}).Wants(topics));
  EXPECT_FALSE(Subscription({"b/*"}).Wants(topics));
}

}  // namespace
}  // namespace sluice
