// Goal: what path, query and headers say of a publish reaches the publisher, whole; what is wrong
// is a 400 that says which and where, on both sides of every bound.
#include "http/publish_target.h"

#include <gtest/gtest.h>

#include "http/client.h"

namespace sluice::http {
namespace {

std::string Numbered(const std::string& stem, int count) {
  std::string query;
  for (int i = 0; i < count; ++i) query += "&" + stem + std::to_string(i);
  return query;
}

class PublishTargetTest : public testing::Test {
 protected:
  // "topics|id|key|retry" of the event that a good publish makes.
  std::string Told(const std::string& target, const std::string& lines = "") {
    const std::string reply = client_.Ask("POST " + target, lines, "1");
    EXPECT_EQ(Status(reply), 200) << target << "\n" << reply;
    return client_.fixture.services.told.empty() ? "" : client_.fixture.services.told.back();
  }
  void ExpectRefused(const std::string& target, std::string_view word, std::string_view detail,
                     const std::string& lines = "") {
    const size_t before = client_.fixture.services.published.size();
    const std::string reply = client_.Ask("POST " + target, lines, "1");
    EXPECT_EQ(Status(reply), 400) << target << "\n" << reply;
    EXPECT_TRUE(Has(reply, "\"error\":\"" + std::string(word) + "\"")) << target << "\n" << reply;
    EXPECT_TRUE(Has(reply, detail)) << target << "\n" << reply;
    EXPECT_EQ(client_.fixture.services.published.size(), before) << target;
  }

  Client client_;
};

TEST_F(PublishTargetTest, TakesTopicsFromPathAndQueryEachOnce) {
  EXPECT_EQ(Told("/publish/orders/42"), "orders/42,|||0");
  EXPECT_EQ(Told("/publish/orders%2F42"), "orders/42,|||0");
  EXPECT_EQ(Told("/publish/%C3%A9t%C3%A9"), "\xc3\xa9t\xc3\xa9,|||0");
  EXPECT_EQ(Told("/publish/a+b"), "a+b,|||0") << "a path has no form encoding";
  EXPECT_EQ(Told("/publish/a?topic=b&topic=a&topic=b&topic=c+d"), "a,b,c d,|||0");
  EXPECT_EQ(Told("/broadcast"), "|||0");
}

TEST_F(PublishTargetTest, TakesTheOtherFields) {
  EXPECT_EQ(Told("/publish/a?id=x-1&key=k%201&retry=1500&event=e"), "a,|x-1|k 1|1500");
  EXPECT_EQ(client_.fixture.services.published.back().first, "e");
  EXPECT_EQ(Told("/broadcast?id=x-2&key=k&retry=500"), "|x-2|k|500");
  EXPECT_EQ(Told("/broadcast?unknown=1&x"), "|||0") << "nothing stays from the request before";
  EXPECT_EQ(Told("/api/v1/sso/broadcast?id=x"), "|x||0");
}

TEST_F(PublishTargetTest, AnswersWithThePublishersOwnId) {
  EXPECT_EQ(
      Body(client_.Ask("POST /publish/a?id=%22mine%22", "", "1")),
      "{\"success\":true,\"code\":200,\"data\":{\"id\":\"\\\"mine\\\"\",\"subscribers\":42}}");
}

TEST_F(PublishTargetTest, RefusesWhatIsNoTopicAndSaysWhere) {
  ExpectRefused("/publish/a/*", "invalid_topic", "the path's topic, at byte 2 of \\\"a/*\\\"");
  ExpectRefused("/publish/a//b", "invalid_topic", "at byte 2 of \\\"a//b\\\": a segment is empty");
  ExpectRefused("/publish//", "invalid_topic", "at byte 0 of");
  ExpectRefused("/publish/a?topic=b/**", "invalid_topic", "the parameter topic, at byte 2");
  ExpectRefused("/publish/a?topic=", "invalid_topic", "the parameter topic, at byte 0");
  ExpectRefused("/publish/a%00b", "invalid_topic", "at byte 1");
  ExpectRefused("/publish/%ff", "invalid_topic", "at byte 0");
  EXPECT_EQ(Told("/publish/" + std::string(256, 'x')), std::string(256, 'x') + ",|||0");
  ExpectRefused("/publish/" + std::string(257, 'x'), "invalid_topic", "256 bytes at most");
  EXPECT_EQ(client_.fixture.site.counters().refusals(Refusal::kInvalidTopic).value(), 8u);
}

TEST_F(PublishTargetTest, BoundsTheTopicsOfAnEvent) {
  EXPECT_EQ(Status(client_.Ask("POST /publish/a?x" + Numbered("topic=", 63), "", "1")), 200);
  ExpectRefused("/publish/a?x" + Numbered("topic=", 64), "invalid_topic", "64 topics at most");
}

TEST_F(PublishTargetTest, BoundsIdRetryAndKey) {
  for (const std::string& good :
       {"id=" + std::string(128, 'i'), std::string("id=~"), std::string("id=abc-1"),
        std::string("retry=500"), std::string("retry=600000"), "key=" + std::string(256, 'k'),
        std::string("key=%C3%A9")}) {
    EXPECT_EQ(Status(client_.Ask("POST /publish/a?" + good, "", "1")), 200) << good;
  }
  for (const std::string& bad :
       {"id=" + std::string(129, 'i'), std::string("id="), std::string("id"),
        std::string("id=a%20b"), std::string("id=%C3%A9"), std::string("id=000000000abc-7")}) {
    ExpectRefused("/publish/a?" + bad, "invalid_parameter", kEventIdRule);
  }
  for (const std::string bad : {"retry=499", "retry=600001", "retry=", "retry=1e3", "retry=-500",
                                "retry=+500", "retry=99999999999999999999", "retry=500%20"}) {
    ExpectRefused("/publish/a?" + bad, "invalid_parameter", kEventRetryRule);
  }
  for (const std::string& bad :
       {"key=" + std::string(257, 'k'), std::string("key="), std::string("key=a%0Ab"),
        std::string("key=%7F"), std::string("key=%ff")}) {
    ExpectRefused("/publish/a?" + bad, "invalid_parameter", kEventKeyRule);
  }
}

TEST_F(PublishTargetTest, RefusesAParameterTwiceOrMalformed) {
  for (const std::string name : {"event", "id", "retry", "key"}) {
    const std::string value = name == "retry" ? "=1000" : "=a";
    ExpectRefused("/publish/t?" + name + value + "&" + name + value, "invalid_parameter",
                  "the parameter " + name + " may stand only once");
  }
  ExpectRefused("/publish/t?id=%4", "invalid_parameter", "two hexadecimal digits");
  ExpectRefused("/publish/t?other=%zz", "invalid_parameter", "two hexadecimal digits");
}

TEST_F(PublishTargetTest, SaysWhichPathTakesWhat) {
  ExpectRefused("/broadcast?topic=a", "invalid_parameter", "POST /publish/TOPIC takes them");
  ExpectRefused("/publish?topic=a", "invalid_parameter", "in each event's JSON");
  ExpectRefused("/publish?id=a", "invalid_parameter", "in each event's JSON");
  EXPECT_EQ(Status(client_.Ask("POST /publish/", "", "1")), 404);
  EXPECT_EQ(Status(client_.Ask("POST /publishing", "", "1")), 404);
  EXPECT_EQ(Status(client_.Ask("POST /broadcast/a", "", "1")), 404);
}

TEST_F(PublishTargetTest, TakesAnIdempotencyKey) {
  RecordedServices& services = client_.fixture.services;
  EXPECT_EQ(Told("/publish/a", "Idempotency-Key: \"8e03978e\"\r\n"), "a,|||0");
  EXPECT_EQ(services.once_by, PublishOnce::By::kKey);
  EXPECT_EQ(services.once_key, "\"8e03978e\"");
  Told("/broadcast", "Idempotency-Key: " + std::string(128, 'x') + "\r\n");
  EXPECT_EQ(services.once_key, std::string(128, 'x'));
  Told("/broadcast");
  EXPECT_EQ(services.once_by, PublishOnce::By::kNothing);
  Told("/broadcast?id=mine&idempotent=id");
  EXPECT_EQ(services.once_by, PublishOnce::By::kEventIds);
}

TEST_F(PublishTargetTest, RefusesAnIdempotencyKeyThatIsNone) {
  for (const std::string& value :
       {std::string(129, 'x'), std::string("a b"), std::string(), std::string("a\xc3\xa9")}) {
    ExpectRefused("/broadcast", "invalid_idempotency_key", "1 to 128 visible ASCII",
                  "Idempotency-Key: " + value + "\r\n");
  }
  ExpectRefused("/broadcast?id=a&idempotent=id", "invalid_idempotency_key", "not both",
                "Idempotency-Key: k\r\n");
  ExpectRefused("/broadcast?idempotent=id", "invalid_parameter", "add id=");
  ExpectRefused("/broadcast?id=a&idempotent=yes", "invalid_parameter", "the one value id");
  const std::string twice =
      client_.Ask("POST /broadcast", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", "1");
  EXPECT_EQ(Status(twice), 400);
}

TEST_F(PublishTargetTest, SaysThatAnAnswerIsARepeats) {
  client_.fixture.services.replays = 1;
  const std::string again = client_.Ask("POST /broadcast", "Idempotency-Key: k\r\n", "1");
  EXPECT_TRUE(Has(again, "Idempotency-Replayed: true\r\n"));
  EXPECT_EQ(client_.fixture.site.counters().replays_total.value(), 1u);
  EXPECT_EQ(client_.fixture.site.counters().publishes_total.value(), 0u);
  client_.fixture.services.replays = 0;
  const std::string first = client_.Ask("POST /broadcast", "Idempotency-Key: k2\r\n", "1");
  EXPECT_FALSE(Has(first, "Idempotency-Replayed"));
  EXPECT_EQ(Body(first), Body(again));
}

TEST_F(PublishTargetTest, TellsAReusedKeyWith422) {
  client_.fixture.services.publish_refusal = Refusal::kIdempotencyKeyReused;
  const std::string reply = client_.Ask("POST /broadcast", "Idempotency-Key: k\r\n", "1");
  EXPECT_EQ(Status(reply), 422);
  EXPECT_TRUE(Has(reply, "HTTP/1.1 422 Unprocessable Content\r\n"));
  EXPECT_TRUE(Has(reply, "\"error\":\"idempotency_key_reused\""));
}

TEST_F(PublishTargetTest, AsksForTheSameAuthorityAsABroadcast) {
  SiteFixture fixture({}, "a-key-that-may-publish\n");
  for (const std::string path : {"/publish", "/publish/a"}) {
    const std::string request =
        "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
    EXPECT_EQ(StatusesOf(Converse(fixture.site, request).replies), std::vector<int>{401}) << path;
  }
  EXPECT_TRUE(fixture.services.published.empty());
}

TEST_F(PublishTargetTest, AnswersOptionsAndOtherMethods) {
  for (const std::string path : {"/publish", "/publish/a/b"}) {
    const std::string options =
        client_.Ask("OPTIONS " + path, "Access-Control-Request-Method: POST\r\n");
    EXPECT_EQ(Status(options), 204);
    EXPECT_TRUE(Has(options, "Allow: POST, OPTIONS\r\n"));
    EXPECT_TRUE(Has(options, "Idempotency-Key"));
    EXPECT_TRUE(Has(options, "Last-Event-ID"));
    EXPECT_EQ(Status(client_.Ask("GET " + path)), 405);
  }
  EXPECT_TRUE(Has(client_.Ask("OPTIONS /stream/a"), "Allow: GET, HEAD, OPTIONS\r\n"));
}

}  // namespace
}  // namespace sluice::http
