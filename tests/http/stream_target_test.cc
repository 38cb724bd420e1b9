// Goal: what a subscriber asks for reaches the subscriptions; what is wrong is a 400 that says
// where.
#include "http/stream_target.h"

#include <gtest/gtest.h>

#include "http/client.h"

namespace sluice::http {
namespace {

using From = StreamRequest::From;

class StreamTargetTest : public testing::Test {
 protected:
  StreamRequest Ask(const std::string& target, const std::string& lines = "") {
    const std::string reply = client_.Ask("GET " + target, lines);
    EXPECT_EQ(Status(reply), 200) << target << "\n" << reply;
    if (client_.fixture.services.streams.empty()) return {};
    const StreamRequest request = client_.fixture.services.streams.back();
    client_.fixture.services.streams.clear();
    return request;
  }
  std::string Text(const std::string& target) { return Ask(target).subscription.text(); }
  void ExpectRefused(const std::string& target, std::string_view word, std::string_view detail) {
    for (const std::string method : {"GET ", "HEAD "}) {
      const std::string reply = client_.Ask(method + target, "Accept: text/event-stream\r\n");
      EXPECT_EQ(Status(reply), 400) << target << "\n" << reply;
      if (method == "HEAD ") continue;
      EXPECT_TRUE(Has(reply, "\"error\":\"" + std::string(word) + "\"")) << reply;
      EXPECT_TRUE(Has(reply, detail)) << target << "\n" << reply;
    }
    EXPECT_EQ(client_.fixture.services.admissions, 0u) << target;
  }

  Client client_;
};

TEST_F(StreamTargetTest, TakesTopicsFromPathAndQuery) {
  EXPECT_EQ(Text("/stream"), "");
  EXPECT_EQ(Text("/stream/orders/42"), "orders/42\n");
  EXPECT_EQ(Text("/api/v1/sso/stream/orders/42"), "orders/42\n");
  EXPECT_EQ(Text("/stream/orders%2F42"), "orders/42\n");
  EXPECT_EQ(Text("/stream?topic=news/*&topic=a+b&topic=news/*"), "a b\nnews/*\n");
  EXPECT_EQ(Text("/stream/z?topic=a/**"), "a/**\nz\n");
  EXPECT_EQ(Text("/stream/**"), "**\n");
  EXPECT_EQ(Text("/stream/%2A"), "*\n");
  EXPECT_TRUE(Ask("/stream?topic=**").subscription.asks_for_everything());
  EXPECT_TRUE(Ask("/stream").subscription.WantsNoTopic());
}

TEST_F(StreamTargetTest, TheLongestPathIsTheRoute) {
  Options options;
  options.stream_paths = {"/s", "/s/inner"};
  options.broadcast_paths = {"/s/b"};
  Client client(options);
  EXPECT_EQ(Status(client.Ask("GET /s/inner/a")), 200);
  EXPECT_EQ(client.fixture.services.streams.back().subscription.text(), "a\n");
  EXPECT_EQ(Status(client.Ask("GET /s/innermost")), 200);
  EXPECT_EQ(client.fixture.services.streams.back().subscription.text(), "innermost\n");
  EXPECT_EQ(Status(client.Ask("POST /s/b", "", "1")), 200);
  EXPECT_EQ(Status(client.Ask("GET /stream/a")), 404);
}

TEST_F(StreamTargetTest, RefusesWhatIsNoPatternAndSaysWhere) {
  ExpectRefused("/stream//", "invalid_topic", "the path's topic, at byte 0");
  EXPECT_EQ(Status(client_.Ask("GET /stream/")), 404) << "no topic is no path of one";
  ExpectRefused("/stream/a/", "invalid_topic", "at byte 2 of \\\"a/\\\": a segment is empty");
  ExpectRefused("/stream?topic=a*", "invalid_topic", "the parameter topic, at byte 1");
  ExpectRefused("/stream?topic=**/a", "invalid_topic", "at byte 0");
  ExpectRefused("/stream?topic=ok&topic=", "invalid_topic", "at byte 0");
  ExpectRefused("/stream?topic=%ff", "invalid_topic", "at byte 0");
  ExpectRefused("/stream?topic=%f", "invalid_parameter", "the parameter topic has a '%'");
}

TEST_F(StreamTargetTest, BoundsTheTopics) {
  std::string query = "?topic=x";
  for (int i = 0; i < 63; ++i) query += "&topic=" + std::to_string(i);
  EXPECT_EQ(Ask("/stream" + query).subscription.patterns().size(), 64u);
  client_.fixture.services.admissions = 0;
  ExpectRefused("/stream/one" + query, "invalid_topic", "64 topics at most");
}

TEST_F(StreamTargetTest, FindsTheLastIdHeaderFirst) {
  EXPECT_EQ(Ask("/stream").last_id, "");
  EXPECT_EQ(Ask("/stream?lastEventId=c").last_id, "c");
  EXPECT_EQ(Ask("/stream?lastEventId=c&last_event_id=b").last_id, "b");
  EXPECT_EQ(Ask("/stream?last_event_id=b", "Last-Event-ID: a\r\n").last_id, "a");
  EXPECT_EQ(Ask("/stream?last_event_id=b", "Last-Event-ID:\r\n").last_id, "b");
  EXPECT_EQ(Ask("/stream?last_event_id=").last_id, "");
}

TEST_F(StreamTargetTest, RefusesTheSameParameterTwice) {
  ExpectRefused("/stream?last_event_id=a&last_event_id=b", "invalid_parameter", "only once");
  ExpectRefused("/stream?lastEventId=a&lastEventId=b", "invalid_parameter", "only once");
  ExpectRefused("/stream?from=now&from=now", "invalid_parameter", "only once");
}

TEST_F(StreamTargetTest, TakesFrom) {
  EXPECT_EQ(Ask("/stream").from, From::kNow);
  EXPECT_EQ(Ask("/stream?from=now").from, From::kNow);
  EXPECT_EQ(Ask("/stream?from=earliest").from, From::kEarliest);
  EXPECT_EQ(Ask("/stream?from=values").from, From::kValues);
  EXPECT_EQ(Ask("/stream?from=-1").from, From::kNewest);
  EXPECT_EQ(Ask("/stream?from=-4294967295").newest_count, 4'294'967'295u);
  client_.fixture.services.admissions = 0;
  for (const std::string from :
       {"", "-", "-0", "0", "1", "-1x", "--1", "+1", "-4294967296", "Now", "latest", "-1.0"}) {
    ExpectRefused("/stream?from=" + from, "invalid_parameter", "from is now, earliest");
  }
}

TEST_F(StreamTargetTest, ReadsOverParametersThatAreNotKnown) {
  EXPECT_EQ(Text("/stream?t=12&x&=&%zz=1&y=%&&topic=a"), "a\n");
}

}  // namespace
}  // namespace sluice::http
