#include "topics.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::bench {
namespace {

TEST(Topics, CountsTheReadersOfATopic) {
  for (const uint32_t count : {1u, 2u, 7u, 30u}) {
    const Topics topics(count);
    for (uint32_t first = 0; first < 20; ++first) {
      for (uint32_t readers = 0; readers < 20; ++readers) {
        std::vector<uint32_t> counted(count, 0);
        for (uint32_t i = first; i < first + readers; ++i) ++counted[topics.OfReader(i)];
        for (uint32_t topic = 0; topic < count; ++topic) {
          ASSERT_EQ(topics.Readers(topic, {first, readers}), counted[topic]);
        }
      }
    }
  }
}

TEST(Topics, AreDrawnEvenlyAndAlwaysTheSame) {
  constexpr uint32_t kCount = 100;
  constexpr uint32_t kEvents = 100'000;
  const Topics topics(kCount);
  const Topics same(kCount);
  std::vector<uint32_t> events(kCount, 0);
  for (uint32_t i = 0; i < kEvents; ++i) {
    const uint32_t topic = topics.OfEvent(i % 64, i / 64);
    ASSERT_LT(topic, kCount);
    ASSERT_EQ(topic, same.OfEvent(i % 64, i / 64));
    ++events[topic];
  }
  for (const uint32_t one : events) {  // 1,000 each, within six deviations
    EXPECT_GT(one, 800u);
    EXPECT_LT(one, 1'200u);
  }
}

TEST(Topics, AreNamedWithAsManyDigitsAsTheLast) {
  const TopicTemplate request("GET /a/{topic}?t={topic} HTTP", Topics(1'001));
  EXPECT_EQ(request.text(), "GET /a/0000?t=0000 HTTP");
  std::string text = request.text();
  request.Write(1'000, text.data());
  EXPECT_EQ(text, "GET /a/1000?t=1000 HTTP");
  request.Write(27, text.data());
  EXPECT_EQ(text, "GET /a/0027?t=0027 HTTP");
  EXPECT_EQ(TopicTemplate("{topic}", Topics(1'000)).text(), "000");
  EXPECT_FALSE(TopicTemplate("GET / HTTP", Topics(5)).has_topic());
}

TEST(Topics, StandInSluicesOwnUrlsWithoutBeingWritten) {
  std::string stream = "http://h:1/stream";
  std::string publish = "http://h:1/broadcast";
  ASSERT_TRUE(FillTopicUrls(3, "{payload}", &stream, &publish).ok());
  EXPECT_EQ(stream, "http://h:1/stream/{topic}");
  EXPECT_EQ(publish, "http://h:1/publish/{topic}");

  stream = "http://h:1/sub?id={topic}";
  publish = "http://h:1/publish";
  ASSERT_TRUE(FillTopicUrls(3, "{\"topics\":[\"{topic}\"]}", &stream, &publish).ok());
  EXPECT_EQ(stream, "http://h:1/sub?id={topic}");
  EXPECT_EQ(publish, "http://h:1/publish");
}

TEST(Topics, AreRefusedWhereTheyCannotBe) {
  const auto code = [](uint32_t topics, std::string stream, std::string publish) {
    return FillTopicUrls(topics, "{payload}", &stream, &publish).code();
  };
  EXPECT_EQ(code(3, "http://h/sub", "http://h/pub/{topic}"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(3, "http://h/sub/{topic}", "http://h/pub"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(0, "http://h/sub/{topic}", "http://h/pub"), StatusCode::kInvalidArgument);
  EXPECT_EQ(code(0, "http://h/sub", "http://h/pub"), StatusCode::kOk);
}

}  // namespace
}  // namespace sluice::bench
