// Goal: a stream of lines publishes each line as it comes and answers each in order, over any
// framing; a full ring refuses nothing; replies that nobody reads stay bounded and are summed up;
// and it ends in good order, whoever ends it.
#include "http/publish_lines.h"

#include <gtest/gtest.h>

#include "http/client.h"

namespace sluice::http {
namespace {

constexpr PeerFacts kLocal{.is_loopback = true, .is_admin_listener = false};
constexpr int64_t kRequestNs = 10'000 * kNsPerMs;
constexpr int64_t kIdleNs = 60'000 * kNsPerMs;
const std::string kOk =
    "{\"success\":true,\"code\":200,\"data\":{\"id\":\"000000000abc-7\",\"subscribers\":42}}\n";

std::string Head(const std::string& framing, const std::string& version = "1.1") {
  return "POST /publish HTTP/" + version +
         "\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n" + framing + "\r\n";
}
std::string Chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx", bytes.size());
  return std::string(size) + "\r\n" + bytes + "\r\n";
}
const std::string kChunkedHead = Head("Transfer-Encoding: chunked\r\n");
const std::string kLastChunk = "0\r\n\r\n";

// The bodies of a chunked reply, one after the other, and what follows its end.
std::string Unchunk(std::string_view bytes, std::string* rest = nullptr) {
  std::string body;
  while (true) {
    const size_t line = bytes.find("\r\n");
    if (line == bytes.npos) return body + "<unfinished>";
    const size_t size = std::stoul(std::string(bytes.substr(0, line)), nullptr, 16);
    body.append(bytes.substr(line + 2, size));
    bytes.remove_prefix(line + 2 + size + 2);
    if (size == 0) break;
    if (bytes.empty()) return body;
  }
  if (rest != nullptr) *rest = bytes;
  return body;
}

class PublishLinesTest : public testing::Test {
 protected:
  PublishLinesTest() : session_(fixture_.site) { session_.Begin(kLocal, 0); }

  void Receive(std::string_view bytes, int64_t now_ns = 0) { session_.Receive(bytes, now_ns); }
  std::string TakeAll() {
    const std::string out(session_.output());
    session_.Consume(out.size());
    return out;
  }
  // Begins a chunked stream of lines and takes its head.
  void Begin() {
    Receive(kChunkedHead);
    EXPECT_TRUE(TakeAll().starts_with("HTTP/1.1 200 OK\r\n"));
  }
  std::string Lines(const std::string& lines, int64_t now_ns = 0) {
    Receive(Chunk(lines), now_ns);
    const std::string out = TakeAll();
    return out.empty() ? "" : Unchunk(out);
  }
  size_t published() const { return fixture_.services.published.size(); }

  SiteFixture fixture_;
  Session session_;
};

TEST_F(PublishLinesTest, AnswersTheHeadAtOnceAndEachLineAsItComes) {
  Receive(kChunkedHead);
  EXPECT_EQ(TakeAll(), "HTTP/1.1 200 OK\r\n" + std::string(kTestDate) +
                           "Content-Type: application/x-ndjson\r\nCache-Control: no-store\r\n"
                           "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n"
                           "Access-Control-Allow-Origin: *\r\n"
                           "Access-Control-Expose-Headers: Retry-After\r\n\r\n");
  EXPECT_EQ(Lines("{\"topics\":[\"a\"],\"data\":1}\n"), kOk);
  EXPECT_EQ(published(), 1u);
  EXPECT_EQ(fixture_.services.told.back(), "a,|||0");
  EXPECT_EQ(Lines("{\"data\":2}\r\n{\"data\":"), kOk);
  EXPECT_EQ(
      Lines("3}\n{\"data\":4,\"id\":\"mine\"}\n"),
      kOk + "{\"success\":true,\"code\":200,\"data\":{\"id\":\"mine\",\"subscribers\":42}}\n");
  Receive(kLastChunk);
  EXPECT_EQ(TakeAll(), kLastChunk);
  EXPECT_EQ(session_.next(), Next::kReceive) << "the connection goes on";
  EXPECT_TRUE(session_.is_idle());
  EXPECT_EQ(published(), 4u);
  EXPECT_EQ(fixture_.site.counters().publishes_total.value(), 4u);
  EXPECT_EQ(fixture_.site.counters().publish_streams_total.value(), 1u);
}

TEST_F(PublishLinesTest, TakesALengthAndALastLineWithoutItsEnd) {
  const std::string body = "{\"data\":1}\n{\"data\":2}";
  Receive(Head("Content-Length: " + std::to_string(body.size()) + "\r\n") + body +
          "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string out = TakeAll();
  std::string rest;
  EXPECT_EQ(Unchunk(out.substr(out.find("\r\n\r\n") + 4), &rest), kOk + kOk);
  EXPECT_TRUE(rest.starts_with("HTTP/1.1 200 OK\r\n")) << "the next request";
  EXPECT_EQ(published(), 2u);
}

TEST_F(PublishLinesTest, TakesNoLinesAtAll) {
  Receive(Head("Content-Length: 0\r\n"));
  EXPECT_TRUE(TakeAll().ends_with("\r\n\r\n0\r\n\r\n"));
  Receive(kChunkedHead + kLastChunk);
  EXPECT_TRUE(TakeAll().ends_with("\r\n\r\n0\r\n\r\n"));
  EXPECT_TRUE(session_.is_idle());
}

TEST_F(PublishLinesTest, IsEndedByCloseInHttp10) {
  const std::string body = "{\"data\":1}\n";
  Receive(Head("Content-Length: 11\r\nConnection: keep-alive\r\n", "1.0") + body);
  const std::string out = TakeAll();
  EXPECT_FALSE(Has(out, "Transfer-Encoding"));
  EXPECT_TRUE(Has(out, "Connection: close\r\n"));
  EXPECT_EQ(Body(out), kOk);
  EXPECT_EQ(session_.next(), Next::kClose);
}

TEST_F(PublishLinesTest, SaysContinueFirst) {
  Receive(Head("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n"));
  EXPECT_TRUE(TakeAll().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
}

TEST_F(PublishLinesTest, TellsABadLineWithItsNumberAndGoesOn) {
  Begin();
  EXPECT_EQ(Lines("{\"data\":1}\n\n \t\r\n{\"data\":}\n{\"data\":2}\n"),
            kOk +
                "{\"success\":false,\"code\":400,\"message\":\"cant parse request\",\"error\":"
                "\"invalid_json\",\"detail\":\"at byte 8 of 9: expected a value\",\"line\":4}\n" +
                kOk);
  EXPECT_TRUE(Has(Lines("{\"x\":1}\n"), "\"error\":\"invalid_event\""));
  EXPECT_TRUE(Has(Lines("[{\"data\":1}]\n"), "\"detail\":\"an event is an object\",\"line\":7}\n"));
  EXPECT_EQ(published(), 2u);
  EXPECT_EQ(fixture_.site.counters().refusals(Refusal::kInvalidJson).value(), 1u);
  EXPECT_EQ(session_.next(), Next::kReceive);
}

TEST_F(PublishLinesTest, BoundsALineNotTheBody) {
  Options options;
  options.body_bytes_max = 20;
  SiteFixture small(options);
  const std::string fits = "{\"data\":\"123456789\"}";  // 20 bytes
  ASSERT_EQ(fits.size(), 20u);
  const std::string body = fits + "\n" + fits + " \n" + std::string(1000, 'x') + "\n" + fits + "\n";
  const std::string request = kChunkedHead + Chunk(body) + kLastChunk;
  const Talk whole = Converse(small.site, request);
  const std::string replies = Unchunk(whole.replies.substr(whole.replies.find("\r\n\r\n") + 4));
  EXPECT_EQ(small.services.published.size(), 2u);
  EXPECT_TRUE(Has(replies,
                  "\"error\":\"body_too_large\",\"detail\":\"the line is longer than 20 "
                  "bytes (http.body_bytes_max)\",\"line\":2}"));
  EXPECT_TRUE(Has(replies, "\"line\":3}\n" + kOk));
  EXPECT_EQ(Converse(small.site, request, EveryByte(request.size())), whole);
}

TEST_F(PublishLinesTest, MarksARepeat) {
  fixture_.services.replays = 1;
  Receive("POST /publish?idempotent=id" + kChunkedHead.substr(13));
  TakeAll();
  EXPECT_EQ(Lines("{\"id\":\"mine\",\"data\":1}\n"),
            "{\"success\":true,\"code\":200,\"data\":{\"id\":\"mine\",\"subscribers\":42},"
            "\"replayed\":true}\n");
  EXPECT_EQ(fixture_.services.once_by, PublishOnce::By::kEventIds);
  EXPECT_TRUE(Has(Lines("{\"data\":1}\n"), "the field \\\"id\\\" is missing"));
}

TEST_F(PublishLinesTest, RefusesTheWholeStreamWithoutReadingIt) {
  Receive(Head("Transfer-Encoding: chunked\r\nIdempotency-Key: k\r\n"));
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{400});
  EXPECT_EQ(session_.next(), Next::kClose);
  SiteFixture keyed({}, "a-key-that-may-publish\n");
  const Talk talk = Converse(keyed.site, kChunkedHead);
  EXPECT_EQ(StatusesOf(talk.replies), std::vector<int>{401});
  EXPECT_EQ(talk.next, Next::kClose);
}

TEST_F(PublishLinesTest, WaitsForRoomAndLosesNothing) {
  Begin();
  fixture_.services.publish_refusal = Refusal::kRingFull;
  Receive(Chunk("{\"data\":1}\n{\"data\":2}\n{\"data\":"));
  EXPECT_EQ(session_.next(), Next::kWaitsForRoom);
  EXPECT_EQ(session_.deadline_ns(), INT64_MAX) << "it is not the peer's fault";
  EXPECT_FALSE(session_.is_idle());
  session_.RetryRoom(1);
  EXPECT_EQ(session_.next(), Next::kWaitsForRoom);
  Receive(Chunk("3}\n"));  // one receive may still be under way
  EXPECT_EQ(TakeAll(), "");
  fixture_.services.publish_refusal.reset();
  session_.RetryRoom(2);
  EXPECT_EQ(session_.next(), Next::kReceive);
  EXPECT_EQ(Unchunk(TakeAll()), kOk + kOk + kOk);
  EXPECT_EQ(published(), 3u);
  EXPECT_EQ(fixture_.site.counters().refusals(Refusal::kRingFull).value(), 0u);
  EXPECT_EQ(fixture_.site.counters().room_waits_total.value(), 1u);
}

TEST_F(PublishLinesTest, RemembersTheEndWhileItWaitsForRoom) {
  Begin();
  fixture_.services.publish_refusal = Refusal::kRingFull;
  Receive(Chunk("{\"data\":1}\n") + kLastChunk + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  session_.ReceiveEnd(0);
  EXPECT_EQ(session_.next(), Next::kWaitsForRoom);
  fixture_.services.publish_refusal.reset();
  session_.RetryRoom(0);
  std::string rest;
  EXPECT_EQ(Unchunk(TakeAll(), &rest), kOk);
  EXPECT_TRUE(rest.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(session_.next(), Next::kClose);
}

std::string ManyLines(size_t count) {
  std::string lines;
  for (size_t i = 0; i < count; ++i) lines += "{\"data\":1}\n";
  return lines;
}

TEST_F(PublishLinesTest, PausesUntilItsRepliesAreTaken) {
  Begin();
  Receive(Chunk(ManyLines(2'000)));
  EXPECT_EQ(session_.next(), Next::kPaused);
  EXPECT_LT(session_.output().size(), 65u * 1024);
  EXPECT_LT(published(), 2'000u);
  std::string replies;
  while (session_.next() == Next::kPaused) {
    replies += TakeAll();
    session_.Resume(0);
  }
  replies += TakeAll();
  EXPECT_EQ(published(), 2'000u);
  EXPECT_EQ(Unchunk(replies).size(), 2'000 * kOk.size());
  EXPECT_EQ(fixture_.site.counters().replies_summed_total.value(), 0u);
}

TEST_F(PublishLinesTest, SumsUpWhatNobodyReads) {
  Begin();
  Receive(Chunk(ManyLines(2'000)));
  ASSERT_EQ(session_.next(), Next::kPaused);
  EXPECT_TRUE(session_.OnOutputHeld(0));
  EXPECT_EQ(session_.next(), Next::kReceive) << "its lines go on";
  EXPECT_EQ(published(), 2'000u);
  for (int i = 0; i < 50; ++i) Receive(Chunk(ManyLines(200)));
  Receive(Chunk("bad\n{\"data\":9,\"id\":\"last\"}\n"));
  EXPECT_EQ(published(), 12'001u);
  EXPECT_LT(session_.output().size(), 65u * 1024);
  EXPECT_TRUE(session_.sums_up_replies());
  const std::string held = TakeAll();
  const size_t told = Unchunk(held).size() / kOk.size();
  session_.Resume(0);
  EXPECT_FALSE(session_.sums_up_replies());
  const std::string sum = Unchunk(TakeAll());
  EXPECT_TRUE(Has(sum,
                  "\"error\":\"invalid_json\",\"detail\":\"at byte 0 of 3: expected a value\","
                  "\"line\":12001,\"data\":{\"id\":\"last\",\"subscribers\":42,\"accepted\":" +
                      std::to_string(12'001 - told) + ",\"refused\":1,\"line\":12002," +
                      "\"refusals\":[{\"line\":12001,\"error\":\"invalid_json\"}]}}\n"))
      << sum;
  EXPECT_EQ(Lines("{\"data\":1}\n"), kOk) << "and then each has its own again";
}

TEST_F(PublishLinesTest, SumsUpAcceptedLinesAsASuccessAndBoundsTheNamedRefusals) {
  Begin();
  EXPECT_TRUE(session_.OnOutputHeld(0));
  Receive(Chunk(ManyLines(2'000)));
  TakeAll();
  session_.Resume(0);
  const std::string sum = Unchunk(TakeAll());
  EXPECT_TRUE(
      sum.starts_with("{\"success\":true,\"code\":200,\"data\":{\"id\":\"000000000abc-7\""));
  EXPECT_TRUE(sum.ends_with("\"refused\":0,\"line\":2000,\"refusals\":[]}}\n")) << sum;

  EXPECT_TRUE(session_.OnOutputHeld(0));
  Receive(Chunk(ManyLines(2'000)));
  std::string bad;
  for (int i = 0; i < 500; ++i) bad += "x\n";
  Receive(Chunk(bad));
  EXPECT_LT(session_.output().size(), 65u * 1024);
  TakeAll();
  session_.Resume(0);
  const std::string refused = Unchunk(TakeAll());
  EXPECT_TRUE(Has(refused, "\"refused\":500,")) << refused;
  size_t named = 0;
  for (size_t at = 0; (at = refused.find("{\"line\":", at)) != refused.npos; ++at) ++named;
  EXPECT_EQ(named, PublishLines::kRefusalsNamedMax);
}

TEST_F(PublishLinesTest, TellsTheSumBeforeTheEnd) {
  Begin();
  EXPECT_TRUE(session_.OnOutputHeld(0));
  Receive(Chunk(ManyLines(2'000)) + kLastChunk);
  EXPECT_FALSE(session_.sums_up_replies());
  const std::string all = Unchunk(TakeAll());
  EXPECT_TRUE(all.ends_with("\"line\":2000,\"refusals\":[]}}\n"));
  EXPECT_EQ(session_.next(), Next::kReceive);
}

TEST_F(PublishLinesTest, HasTheIdleTimeBetweenLinesAndTheRequestTimeWithinOne) {
  Begin();
  EXPECT_EQ(session_.deadline_ns(), kIdleNs);
  Lines("{\"data\":1}\n", 5);
  EXPECT_EQ(session_.deadline_ns(), kIdleNs + 5);
  Lines("{\"data\"", 10);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 10);
  Lines(":", 11);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 10) << "a dribbler gets no more";
  Lines("1}\n{", 12);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 12) << "the next line has its own";
  Lines("\"data\":1}\n\n", 13);
  EXPECT_EQ(session_.deadline_ns(), kIdleNs + 13);
  Lines("\n", 20);
  EXPECT_EQ(session_.deadline_ns(), kIdleNs + 20) << "an empty line keeps it open";
}

TEST_F(PublishLinesTest, EndsInGoodOrderWhenItsTimeIsOver) {
  Begin();
  session_.OnDeadline(kIdleNs);
  EXPECT_EQ(TakeAll(), kLastChunk);
  EXPECT_EQ(session_.next(), Next::kClose);

  session_.Begin(kLocal, 0);
  Begin();
  Lines("{\"data\"");
  session_.OnDeadline(kRequestNs);
  const std::string reply = Unchunk(TakeAll());
  EXPECT_TRUE(Has(reply, "\"error\":\"request_timeout\"")) << reply;
  EXPECT_TRUE(Has(reply, "\"line\":1}"));
  EXPECT_EQ(session_.next(), Next::kClose);
  EXPECT_EQ(published(), 0u);
}

TEST_F(PublishLinesTest, TellsAPeerThatEndsWithinALine) {
  Begin();
  Lines("{\"data\":1}\n{\"data\":2}");
  session_.ReceiveEnd(0);
  EXPECT_TRUE(Has(TakeAll(), "the body ended within a line"));
  EXPECT_EQ(session_.next(), Next::kClose);
  EXPECT_EQ(published(), 1u);
}

TEST_F(PublishLinesTest, EndsOnBrokenFraming) {
  Begin();
  Receive("b\r\n{\"data\":1}\n\r\nnonsense");
  std::string rest;
  const std::string replies = Unchunk(TakeAll(), &rest);
  EXPECT_TRUE(replies.starts_with(kOk));
  EXPECT_TRUE(Has(replies, "\"error\":\"bad_request\""));
  EXPECT_EQ(session_.next(), Next::kClose);
}

TEST_F(PublishLinesTest, EndsWhenTheGatewayStops) {
  Begin();
  fixture_.services.publish_refusal = Refusal::kDraining;
  const std::string told = Lines("{\"data\":1}\n{\"data\":2}\n");
  EXPECT_TRUE(Has(told, "\"error\":\"draining\"") && Has(told, "\"line\":1}")) << told;
  EXPECT_FALSE(Has(told, "\"line\":2}"));
  EXPECT_EQ(session_.next(), Next::kClose);

  session_.Begin(kLocal, 0);
  Begin();
  EXPECT_TRUE(session_.EndLines(0));
  EXPECT_TRUE(Has(Unchunk(TakeAll()), "\"error\":\"draining\""));
  EXPECT_EQ(session_.next(), Next::kClose);
  session_.Begin(kLocal, 0);
  EXPECT_FALSE(session_.EndLines(0)) << "no stream of lines";
  EXPECT_EQ(session_.next(), Next::kReceive);
}

TEST_F(PublishLinesTest, GoesOnForManyChunksWithLeadingZeros) {
  Begin();
  for (int i = 0; i < 20'000; ++i) Receive("0000b\r\n{\"data\":1}\n\r\n"), TakeAll();
  EXPECT_EQ(published(), 20'000u);
  EXPECT_EQ(session_.next(), Next::kReceive);
}

}  // namespace
}  // namespace sluice::http
