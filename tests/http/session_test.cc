// What a session does over time: deadlines, half-closed peers, peers that take no replies, re-use.
#include "http/session.h"

#include <gtest/gtest.h>

#include "http/site_fixture.h"

namespace sluice::http {
namespace {

constexpr PeerFacts kLocal{.is_loopback = true, .is_admin_listener = false};
const std::string kGet = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string kPost =
    "POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\n{\"a\":1}";

class SessionTest : public testing::Test {
 protected:
  SessionTest() : session_(fixture_.site) { session_.Begin(kLocal, 0); }

  void Receive(std::string_view bytes, int64_t now_ns = 0) { session_.Receive(bytes, now_ns); }
  std::string TakeAll() {
    const std::string out(session_.output());
    session_.Consume(out.size());
    return out;
  }

  SiteFixture fixture_;
  Session session_;
};

constexpr int64_t kRequestNs = 10'000 * kNsPerMs;
constexpr int64_t kIdleNs = 60'000 * kNsPerMs;

TEST_F(SessionTest, AnswersAPublishExactlySo) {
  Receive(kPost);
  EXPECT_EQ(TakeAll(), "HTTP/1.1 200 OK\r\n" + std::string(kTestDate) +
                           "Content-Type: application/json\r\nContent-Length: 75\r\n"
                           "Cache-Control: no-store\r\nAccess-Control-Allow-Origin: *\r\n"
                           "Access-Control-Expose-Headers: Retry-After\r\n\r\n"
                           "{\"success\":true,\"code\":200,\"data\":{\"id\":\"000000000abc-7\","
                           "\"subscribers\":42}}");
  EXPECT_EQ(session_.next(), Next::kReceive);
  EXPECT_TRUE(session_.is_idle());
  ASSERT_EQ(fixture_.services.published.size(), 1u);
  EXPECT_EQ(fixture_.services.published[0].second, "{\"a\":1}");
  EXPECT_EQ(fixture_.site.counters().publishes_total.value(), 1u);
  EXPECT_EQ(fixture_.site.counters().publish_bytes_total.value(), 7u);
}

TEST_F(SessionTest, IdlesUntilTheIdleDeadlineAndThenJustCloses) {
  EXPECT_EQ(session_.deadline_ns(), kIdleNs);
  EXPECT_TRUE(session_.is_idle());
  Receive(kGet, 5);
  TakeAll();
  EXPECT_EQ(session_.deadline_ns(), kIdleNs + 5);
  session_.OnDeadline(kIdleNs + 4);
  EXPECT_EQ(session_.next(), Next::kReceive) << "too early";
  session_.OnDeadline(kIdleNs + 5);
  EXPECT_EQ(session_.next(), Next::kClose);
  EXPECT_EQ(session_.output(), "");
}

TEST_F(SessionTest, CutsOffADribblerFromItsFirstByteOn) {
  for (size_t i = 0; i < 20; ++i) Receive(kPost.substr(i, 1), static_cast<int64_t>(i) * kNsPerMs);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs) << "later bytes must not move it";
  EXPECT_FALSE(session_.is_idle());
  session_.OnDeadline(kRequestNs);
  EXPECT_EQ(session_.next(), Next::kClose);
  const std::string reply = TakeAll();
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 408 ")) << reply;
  EXPECT_NE(reply.find("\"error\":\"request_timeout\""), std::string::npos);
  EXPECT_NE(reply.find("Connection: close\r\n"), std::string::npos);
}

TEST_F(SessionTest, CountsTheBodyIntoTheSameTime) {
  Receive(kPost.substr(0, kPost.size() - 3), 7);
  Receive(kPost.substr(kPost.size() - 3, 1), kRequestNs);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 7);
  session_.OnDeadline(kRequestNs + 7);
  EXPECT_TRUE(TakeAll().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(fixture_.services.published.empty());
}

TEST_F(SessionTest, GivesAPipelinedRequestItsOwnTime) {
  Receive(kGet, 0);
  Receive(kGet + kGet.substr(0, 5), 100);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 100);
}

TEST_F(SessionTest, AnswersAWholeRequestOfAHalfClosedPeer) {
  Receive(kPost);
  session_.ReceiveEnd(0);
  EXPECT_EQ(session_.next(), Next::kClose);
  EXPECT_TRUE(TakeAll().starts_with("HTTP/1.1 200 "));
}

TEST_F(SessionTest, ClosesOnAHalfRequestOfAHalfClosedPeer) {
  Receive(kPost.substr(0, 50));
  session_.ReceiveEnd(0);
  EXPECT_EQ(session_.next(), Next::kClose);
  EXPECT_EQ(session_.output(), "");
  EXPECT_TRUE(fixture_.services.published.empty());
}

TEST_F(SessionTest, RunsNothingAfterAReplyThatCloses) {
  Receive(
      "POST /broadcast HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
      "Content-Length: 1\r\n\r\n1" +
      kPost);
  EXPECT_EQ(session_.next(), Next::kClose);
  Receive(kPost);
  EXPECT_EQ(fixture_.services.published.size(), 1u);
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
}

TEST_F(SessionTest, RunsNothingAfterAStream) {
  Receive("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n" + kPost);
  EXPECT_EQ(session_.next(), Next::kStream);
  EXPECT_TRUE(fixture_.services.published.empty());
}

TEST_F(SessionTest, PausesWhenRepliesAreNotTakenAndLosesNothing) {
  std::string pipeline;
  constexpr size_t kRequests = 2'000;
  for (size_t i = 0; i < kRequests; ++i) pipeline += kPost;
  Receive(pipeline);
  EXPECT_EQ(session_.next(), Next::kPaused);
  EXPECT_LT(session_.output().size(), 66u * 1024);
  EXPECT_FALSE(session_.is_idle());
  const size_t before = fixture_.services.published.size();
  EXPECT_LT(before, kRequests);
  Receive(kGet);  // one receive may still be under way
  session_.ReceiveEnd(0);
  EXPECT_EQ(fixture_.services.published.size(), before) << "nothing runs while paused";
  std::string replies;
  while (session_.next() == Next::kPaused) {
    // Taken in odd pieces, as a socket does.
    while (!session_.output().empty()) {
      const size_t piece = std::min<size_t>(session_.output().size(), 4'099);
      replies.append(session_.output().substr(0, piece));
      session_.Consume(piece);
    }
    session_.Resume(1);
  }
  replies += TakeAll();
  EXPECT_EQ(session_.next(), Next::kClose) << "the end of input was remembered";
  EXPECT_EQ(StatusesOf(replies).size(), kRequests + 1);
  EXPECT_EQ(fixture_.services.published.size(), kRequests);
  EXPECT_GT(fixture_.site.counters().pauses_total.value(), 1u);
}

TEST_F(SessionTest, ClosesAPausedPeerThatTakesNothing) {
  std::string pipeline;
  for (size_t i = 0; i < 2'000; ++i) pipeline += kGet;
  Receive(pipeline, 3);
  ASSERT_EQ(session_.next(), Next::kPaused);
  EXPECT_EQ(session_.deadline_ns(), kRequestNs + 3);
  session_.OnDeadline(kRequestNs + 3);
  EXPECT_EQ(session_.next(), Next::kClose);
}

TEST_F(SessionTest, BeginsAfreshForTheNextConnection) {
  Receive(kPost.substr(0, kPost.size() - 2));  // within a body
  session_.Begin(kLocal, 9);
  EXPECT_EQ(session_.deadline_ns(), kIdleNs + 9);
  EXPECT_TRUE(session_.is_idle());
  Receive(kGet);
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
  Receive(kPost.substr(0, 20));  // within a head
  session_.Begin(kLocal, 9);
  Receive("BAD");
  session_.Begin(kLocal, 9);
  Receive(kGet);
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
}

TEST_F(SessionTest, SaysContinueBeforeTheBodyAndTooLargeInsteadOfIt) {
  Receive(
      "POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(TakeAll(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(session_.next(), Next::kReceive);
  Receive("1");
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
  Receive(
      "POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n"
      "Expect: 100-continue\r\n\r\n");
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{413});
  EXPECT_EQ(session_.next(), Next::kClose);
}

TEST_F(SessionTest, TakesALargeBodyInPieces) {
  const std::string data = '"' + std::string(1024 * 1024 - 2, 'x') + '"';
  Receive("POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
          std::to_string(data.size()) + "\r\n\r\n");
  for (size_t at = 0; at < data.size(); at += 50'000)
    Receive(std::string_view(data).substr(at, 50'000));
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
  ASSERT_EQ(fixture_.services.published.size(), 1u);
  EXPECT_TRUE(fixture_.services.published[0].second == data);
}

// The bound on framing once counted every digit of every size: small pieces were refused with 431.
TEST_F(SessionTest, TakesALargeBodyInManySmallChunks) {
  Receive("POST /broadcast HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20'000; ++i) {
    Receive("32\r\n11111111111111111111111111111111111111111111111111\r\n");
  }
  Receive("0\r\n\r\n");
  EXPECT_EQ(StatusesOf(TakeAll()), std::vector<int>{200});
  ASSERT_EQ(fixture_.services.published.size(), 1u);
  EXPECT_EQ(fixture_.services.published[0].second, std::string(1'000'000, '1'));
}

}  // namespace
}  // namespace sluice::http
