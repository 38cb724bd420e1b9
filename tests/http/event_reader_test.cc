// Goal: events in JSON are read to the byte, or refused with the event and the field that is wrong;
// and how an array of them is answered.
#include "http/event_reader.h"

#include <gtest/gtest.h>

#include "http/client.h"
#include "http/event_fields.h"

namespace sluice::http {
namespace {

class EventReaderTest : public testing::Test {
 protected:
  // The one event of `text`.
  Event Read(const std::string& text) {
    const auto fault = reader_.Read(text, {});
    EXPECT_FALSE(fault) << text << "\n" << (fault ? fault->detail : "");
    EXPECT_EQ(reader_.events().size(), 1u) << text;
    return reader_.events().size() == 1 ? reader_.events().front() : Event{};
  }
  std::string Data(const std::string& json) {
    return std::string(Read("{\"data\":" + json + "}").data);
  }
  void ExpectFault(const std::string& text, Refusal refusal, std::string_view detail,
                   EventReader::Wants wants = {}) {
    const auto fault = reader_.Read(text, wants);
    ASSERT_TRUE(fault) << text;
    EXPECT_EQ(Word(fault->refusal), Word(refusal)) << text << "\n" << fault->detail;
    EXPECT_TRUE(Has(fault->detail, detail)) << text << "\n" << fault->detail;
    EXPECT_TRUE(reader_.events().empty()) << text;
  }
  void ExpectInvalid(const std::string& text, std::string_view detail) {
    ExpectFault(text, Refusal::kInvalidEvent, detail);
  }

  EventReader reader_{Options{}};
};

TEST_F(EventReaderTest, ReadsEveryField) {
  const Event event = Read(
      "{\"topics\":[\"orders/42\",\"news\"],\"event\":\"price\",\"id\":\"x-1\",\"retry\":1500,"
      "\"key\":\"ABC\",\"data\":{\"a\": 1}}");
  ASSERT_EQ(event.topics.size(), 2u);
  EXPECT_EQ(event.topics[0], "orders/42");
  EXPECT_EQ(event.topics[1], "news");
  EXPECT_EQ(event.type, "price");
  EXPECT_EQ(event.id, "x-1");
  EXPECT_EQ(event.retry_ms, 1500u);
  EXPECT_EQ(event.key, "ABC");
  EXPECT_EQ(event.data, "{\"a\": 1}");
}

TEST_F(EventReaderTest, NeedsOnlyData) {
  const Event event = Read("{\"data\":0}");
  EXPECT_TRUE(event.topics.empty());
  EXPECT_EQ(event.type, "");
  EXPECT_EQ(event.id, "");
  EXPECT_EQ(event.retry_ms, 0u);
  EXPECT_TRUE(Read("{\"topics\":[],\"data\":0}").topics.empty());
  EXPECT_EQ(Read("{\"event\":\"\",\"data\":0}").type, "");
}

TEST_F(EventReaderTest, SendsAStringAsItsText) {
  EXPECT_EQ(Data("\"plain\""), "plain");
  EXPECT_EQ(Data("\"\""), "");
  EXPECT_EQ(Data("\"two\\nlines \\\"q\\\" \\u00e9\\ud83d\\ude00\""),
            "two\nlines \"q\" \xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(Data("\"\\u0000\""), std::string(1, '\0'));
}

TEST_F(EventReaderTest, SendsAnyOtherAsItWasWritten) {
  for (const char* json :
       {"null", "true", "false", "0", "-0", "18446744073709551616", "1e400", "-1E-400",
        "1234567890123456789012345678901234567890.5", "[]", "{}", "[ 1 ,\n2 ]",
        "{\"a\" : [1, {\"b\":\"\\ud800\"}], \"a\":2}", "[[[[]]]]"}) {
    EXPECT_EQ(Data(json), json);
    EXPECT_EQ(Data(std::string(" \n") + json + "\t "), json);
    EXPECT_EQ(Read(std::string("{\"data\":") + json + " ,\"key\":\"k\"}").data, json);
  }
}

TEST_F(EventReaderTest, TakesFieldNamesInAnySpelling) {
  EXPECT_EQ(Read("{\"d\\u0061ta\":1}").data, "1");
  ExpectInvalid("{\"data\":1,\"d\\u0061ta\":2}", "the field \"data\" stands twice");
}

TEST_F(EventReaderTest, TakesATopicOnce) {
  const Event event = Read("{\"topics\":[\"a\",\"b\",\"\\u0061\"],\"data\":1}");
  ASSERT_EQ(event.topics.size(), 2u);
  EXPECT_EQ(event.topics[1], "b");
}

TEST_F(EventReaderTest, RefusesWhatIsNoEvent) {
  ExpectFault("{\"data\":1", Refusal::kInvalidJson, "at byte 9 of 9");
  ExpectFault("", Refusal::kInvalidJson, "expected a value");
  ExpectFault("{\"data\":[01]}", Refusal::kInvalidJson, "at byte");
  ExpectFault("{\"data\":1}x", Refusal::kInvalidJson, "expected the end");
  ExpectFault("\"\xff\"", Refusal::kInvalidJson, "UTF-8");
  for (const char* text : {"1", "\"data\"", "null", "true"}) {
    ExpectInvalid(text, "send an object, or an array of them");
  }
  ExpectInvalid("{}", "the field \"data\" is missing");
  ExpectInvalid("{\"topics\":[\"a\"]}", "the field \"data\" is missing");
  ExpectInvalid("{\"data\":1,\"data\":1}", "the field \"data\" stands twice");
  ExpectInvalid("{\"id\":\"a\",\"data\":1,\"id\":\"a\"}", "the field \"id\" stands twice");
  ExpectInvalid("{\"topic\":\"a\",\"data\":1}", "there is no field \"topic\"");
  ExpectInvalid("{\"Data\":1}", "there is no field \"Data\"");
  ExpectInvalid("{\"\":1}", "there is no field \"\"");
  ExpectInvalid("{\"" + std::string(1000, 'x') + "\":1}", std::string(64, 'x') + "...\"");
  ExpectInvalid("{\"\\ud800\":1}", "half a surrogate pair");
}

TEST_F(EventReaderTest, RefusesWrongTypes) {
  for (const std::string value : {"null", "1", "[]", "{}", "true"}) {
    for (const std::string field : {"event", "id", "key"}) {
      ExpectInvalid("{\"" + field + "\":" + value + ",\"data\":1}",
                    "the field \"" + field + "\" is a string");
    }
  }
  for (const char* value : {"null", "1", "{}", "\"a\"", "[1]", "[null]", "[[\"a\"]]"}) {
    ExpectInvalid(std::string("{\"topics\":") + value + ",\"data\":1}",
                  "the field \"topics\" is an array of strings");
  }
}

TEST_F(EventReaderTest, RefusesValuesPastTheirBounds) {
  const auto with = [](const std::string& field, const std::string& value) {
    return "{\"" + field + "\":" + value + ",\"data\":1}";
  };
  const auto text = [](size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; };
  EXPECT_EQ(Read(with("id", text(128))).id.size(), 128u);
  ExpectInvalid(with("id", text(129)), kEventIdRule);
  ExpectInvalid(with("id", "\"\""), kEventIdRule);
  ExpectInvalid(with("id", "\"000000000abc-1\""), kEventIdRule);
  EXPECT_EQ(Read(with("key", text(256))).key.size(), 256u);
  ExpectInvalid(with("key", text(257)), kEventKeyRule);
  ExpectInvalid(with("key", "\"\""), kEventKeyRule);
  ExpectInvalid(with("key", "\"a\\n\""), kEventKeyRule);
  EXPECT_EQ(Read(with("retry", "500")).retry_ms, 500u);
  EXPECT_EQ(Read(with("retry", "600000")).retry_ms, 600'000u);
  for (const char* retry : {"499", "600001", "0", "-500", "1000.0", "1e3", "\"1000\"", "null",
                            "99999999999999999999999"}) {
    ExpectInvalid(with("retry", retry), kEventRetryRule);
  }
  EXPECT_EQ(Read(with("event", text(256))).type.size(), 256u);
  ExpectFault(with("event", text(257)), Refusal::kInvalidEventName, "256 bytes at most");
  ExpectFault(with("event", "\"sluice.x\""), Refusal::kInvalidEventName, "the gateway's own");
  ExpectFault(with("event", "\"a\\r\""), Refusal::kInvalidEventName, "one line");
}

TEST_F(EventReaderTest, RefusesHalfSurrogatePairsInTexts) {
  for (const std::string half :
       {"\"\\ud800\"", "\"\\udc00\"", "\"a\\ud800b\"", "\"\\ud800\\ud800\""}) {
    ExpectInvalid("{\"data\":" + half + "}", "the field \"data\" has half a surrogate pair");
    ExpectInvalid("{\"key\":" + half + ",\"data\":1}", "\"key\" has half a surrogate pair");
    const auto fault = reader_.Read("{\"topics\":[" + half + "],\"data\":1}", {});
    EXPECT_TRUE(fault) << half;
  }
}

TEST_F(EventReaderTest, RefusesTopicsAndSaysWhichAndWhere) {
  ExpectFault("{\"topics\":[\"a\",\"b/*\"],\"data\":1}", Refusal::kInvalidTopic,
              "topics[1], at byte 2 of \"b/*\"");
  std::string topics = "\"t\"";
  for (int i = 0; i < 63; ++i) topics += ",\"" + std::to_string(i) + "\"";
  EXPECT_EQ(Read("{\"topics\":[" + topics + "],\"data\":1}").topics.size(), 64u);
  ExpectFault("{\"topics\":[" + topics + ",\"more\"],\"data\":1}", Refusal::kInvalidTopic,
              "64 topics at most");
}

TEST_F(EventReaderTest, ReadsAnArray) {
  ASSERT_FALSE(
      reader_.Read("[{\"data\":1,\"topics\":[\"a\",\"b\"]}, {\"data\":\"x\"},\n"
                   "{\"topics\":[\"a\"],\"data\":[]}]",
                   {}));
  EXPECT_TRUE(reader_.is_array());
  ASSERT_EQ(reader_.events().size(), 3u);
  EXPECT_EQ(reader_.events()[0].topics.size(), 2u);
  EXPECT_EQ(reader_.events()[1].data, "x");
  EXPECT_TRUE(reader_.events()[1].topics.empty());
  ASSERT_EQ(reader_.events()[2].topics.size(), 1u);
  EXPECT_EQ(reader_.events()[2].topics[0], "a");
  ASSERT_FALSE(reader_.Read("{\"data\":1}", {}));
  EXPECT_FALSE(reader_.is_array());
}

TEST_F(EventReaderTest, SaysWhichEventOfAnArray) {
  ExpectInvalid("[]", "the array has no event");
  ExpectInvalid("[{\"data\":1},{}]", "event 2: the field \"data\" is missing");
  ExpectInvalid("[{\"data\":1},1]", "event 2: an event is an object");
  ExpectInvalid("[[{\"data\":1}]]", "event 1: an event is an object");
  ExpectFault("[{\"data\":1,\"topics\":[\"*\"]}]", Refusal::kInvalidTopic, "event 1: topics[0], ");
  ExpectFault("[{\"data\":1},{\"data\":1,\"event\":\"open\"}]", Refusal::kInvalidEventName,
              "event 2: EventSource");
}

TEST_F(EventReaderTest, BoundsAnArrayByTheRing) {
  Options options;
  options.ring_events_max = 4;
  EventReader small(options);
  EXPECT_FALSE(small.Read("[{\"data\":1},{\"data\":1},{\"data\":1},{\"data\":1}]", {}));
  const auto fault =
      small.Read("[{\"data\":1},{\"data\":1},{\"data\":1},{\"data\":1},{\"data\":1}]", {});
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->refusal, Refusal::kBatchTooLarge);
}

TEST_F(EventReaderTest, AsksForIdsOrRefusesArraysWhenTold) {
  ExpectFault("{\"data\":1}", Refusal::kInvalidEvent, "the field \"id\" is missing",
              {.takes_array = true, .needs_ids = true});
  ExpectFault("[{\"data\":1}]", Refusal::kInvalidEvent, "an event is an object",
              {.takes_array = false, .needs_ids = false});
}

TEST_F(EventReaderTest, ReadsALargeTextAndASmallOneAfterIt) {
  const std::string large = "\"" + std::string(1 << 20, 'x') + "\"";
  EXPECT_EQ(Data(large).size(), size_t{1} << 20);
  EXPECT_EQ(Data("[1]"), "[1]");
}

class PublishEventsTest : public testing::Test {
 protected:
  std::string Post(const std::string& body, const std::string& lines = "",
                   const std::string& query = "") {
    return client_.Ask("POST /publish" + query, lines, body);
  }
  Client client_;
};

TEST_F(PublishEventsTest, AnswersOneWithItsId) {
  EXPECT_EQ(Body(Post("{\"topics\":[\"a\"],\"data\":1}")),
            "{\"success\":true,\"code\":200,\"data\":{\"id\":\"000000000abc-7\",\"subscribers\":"
            "42}}");
  EXPECT_EQ(client_.fixture.services.told.back(), "a,|||0");
}

TEST_F(PublishEventsTest, AnswersAnArrayWithItsIdsInOrder) {
  EXPECT_EQ(Body(Post("[{\"data\":1},{\"data\":2,\"id\":\"mine\"},{\"data\":3}]")),
            "{\"success\":true,\"code\":200,\"data\":{\"ids\":[\"000000000abc-7\",\"mine\","
            "\"000000000abc-9\"],\"subscribers\":42}}");
  EXPECT_EQ(Body(Post("[{\"data\":1}]")),
            "{\"success\":true,\"code\":200,\"data\":{\"ids\":[\"000000000abc-7\"],"
            "\"subscribers\":42}}");
  EXPECT_EQ(client_.fixture.site.counters().publishes_total.value(), 4u);
}

TEST_F(PublishEventsTest, PublishesNothingOfAnArrayWithOneFault) {
  EXPECT_EQ(Status(Post("[{\"data\":1},{\"data\":2,\"x\":0}]")), 400);
  EXPECT_TRUE(client_.fixture.services.published.empty());
  EXPECT_EQ(client_.fixture.site.counters().refusals(Refusal::kInvalidEvent).value(), 1u);
}

TEST_F(PublishEventsTest, TellsWhyNothingWasPublished) {
  RecordedServices& services = client_.fixture.services;
  services.publish_refusal = Refusal::kBatchTooLarge;
  EXPECT_EQ(Status(Post("[{\"data\":1}]")), 413);
  services.publish_refusal = Refusal::kRingFull;
  const std::string full = Post("[{\"data\":1}]");
  EXPECT_EQ(Status(full), 503);
  EXPECT_TRUE(Has(full, "Retry-After: 1\r\n"));
  services.publish_refusal = Refusal::kFrameTooLarge;
  EXPECT_TRUE(Has(Post("[{\"data\":1}]"), "\"detail\":\"event 1: with its data: lines"));
}

TEST_F(PublishEventsTest, TakesJsonOnly) {
  EXPECT_EQ(Status(Post("{\"data\":1}", "Content-Type: application/json\r\n")), 200);
  EXPECT_EQ(Status(Post("{\"data\":1}")), 200);
  EXPECT_EQ(Status(Post("{\"data\":1}", "Content-Type: text/plain\r\n")), 415);
  EXPECT_EQ(Status(client_.Ask("POST /publish/a", "Content-Type: application/x-ndjson\r\n",
                               "{\"data\":1}")),
            415);
}

TEST_F(PublishEventsTest, TakesIdempotencyForOneAndForAll) {
  Post("[{\"data\":1},{\"data\":2}]", "Idempotency-Key: k\r\n");
  EXPECT_EQ(client_.fixture.services.once_by, PublishOnce::By::kKey);
  Post("[{\"data\":1,\"id\":\"a\"}]", "", "?idempotent=id");
  EXPECT_EQ(client_.fixture.services.once_by, PublishOnce::By::kEventIds);
  const std::string reply = Post("[{\"data\":1,\"id\":\"a\"},{\"data\":1}]", "", "?idempotent=id");
  EXPECT_EQ(Status(reply), 400);
  EXPECT_TRUE(Has(reply, "event 2: the field \\\"id\\\" is missing"));
}

}  // namespace
}  // namespace sluice::http
