// Goal: a publish that asks for more than its place on the ring is answered when it has that, in
// order, or told that it was accepted all the same; nothing else of the connection is lost.
// Method: services whose acks come when the test says so; for the order, a seed that draws what is
// sent, when it arrives and when acks come, against the replies that a gateway without waits gives.
#include "http/publish_ack.h"

#include <gtest/gtest.h>

#include <random>

#include "http/client.h"
#include "http/publish_lines.h"

namespace sluice::http {
namespace {

constexpr PeerFacts kLocal{.is_loopback = true, .is_admin_listener = false};

Options WithAck(const std::string& ack) {
  Options options;
  options.publish_ack = ack;
  options.publish_ack_timeout_ms = 1'000;
  return options;
}
std::string Post(const std::string& target, const std::string& body) {
  return "POST " + target +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

class Peer {
 public:
  explicit Peer(const Options& options) : fixture(options), session(fixture.site) {
    fixture.services.counts = true;
    session.Begin(kLocal, 0);
  }
  void Send(std::string_view bytes, int64_t now_ns = 0) { session.Receive(bytes, now_ns); }
  std::string Take() {
    std::string out(session.output());
    session.Consume(out.size());
    return out;
  }
  // The acks of all up to `sequence` come.
  std::string Ack(uint64_t sequence, int64_t now_ns = 0) {
    fixture.services.acked_through = sequence;
    session.RetryAcks(now_ns);
    return Take();
  }

  SiteFixture fixture;
  Session session;
};

std::string Data(uint64_t sequence) {
  return "{\"success\":true,\"code\":200,\"data\":{\"id\":\"000000000abc-" +
         std::to_string(sequence) +
         "\",\"subscribers\":42,\"matched\":" + std::to_string(sequence * 10) + "}";
}

TEST(ParsePublishAck, TakesADurabilityAndMatchedInAnyOrder) {
  using Durability = PublishAck::Durability;
  EXPECT_EQ(ParsePublishAck("memory"), (PublishAck{Durability::kMemory, false}));
  EXPECT_EQ(ParsePublishAck("matched"), (PublishAck{Durability::kMemory, true}));
  EXPECT_EQ(ParsePublishAck("written"), (PublishAck{Durability::kWritten, false}));
  EXPECT_EQ(ParsePublishAck("synced,matched"), (PublishAck{Durability::kSynced, true}));
  EXPECT_EQ(ParsePublishAck("matched,synced"), (PublishAck{Durability::kSynced, true}));
  for (const char* wrong : {"", ",", "sync", "matched,matched", "written,synced", "synced,",
                            "synced, matched", "MEMORY"}) {
    EXPECT_FALSE(ParsePublishAck(wrong)) << wrong;
  }
}

TEST(PublishAck, MemoryAsksForNothing) {
  Peer peer(WithAck("memory"));
  peer.Send(Post("/broadcast", "1"));
  EXPECT_TRUE(Has(peer.Take(), "\"subscribers\":42}}"));
  EXPECT_EQ(peer.fixture.services.ack_asks, 0u);
  EXPECT_TRUE(peer.fixture.services.acks_asked.empty());
}

TEST(PublishAck, TheReplyComesWithTheAck) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/broadcast", "1"));
  EXPECT_EQ(peer.Take(), "");
  EXPECT_EQ(peer.session.next(), Next::kWaitsForAck);
  ASSERT_NE(peer.session.ack_wait(), nullptr);
  EXPECT_EQ(peer.session.ack_wait()->last_sequence(), 7u);
  EXPECT_EQ(peer.Ack(6), "");
  EXPECT_EQ(Body(peer.Ack(7)), Data(7) + "}");
  EXPECT_EQ(peer.session.next(), Next::kReceive);
  EXPECT_EQ(peer.session.ack_wait(), nullptr);
}

TEST(PublishAck, ARequestMayAskForMoreOrLess) {
  Peer peer(WithAck("memory"));
  peer.Send(Post("/publish/a?ack=synced,matched", "1"));
  EXPECT_EQ(peer.Take(), "");
  EXPECT_EQ(peer.fixture.services.acks_asked.back(),
            (PublishAck{PublishAck::Durability::kSynced, true}));
  EXPECT_TRUE(Has(peer.Ack(7), Data(7)));
  Peer eager(WithAck("matched"));
  eager.Send(Post("/broadcast?ack=memory", "1"));
  EXPECT_TRUE(Has(eager.Take(), "\"subscribers\":42}}"));
  eager.Send(Post("/broadcast?ack=fast", "1"));
  EXPECT_TRUE(Has(eager.Take(), "\"error\":\"invalid_parameter\""));
}

TEST(PublishAck, AnArrayWaitsForAllAndTellsEach) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/publish", "[{\"data\":1},{\"data\":2}]"));
  EXPECT_EQ(peer.Ack(7), "");
  EXPECT_TRUE(Has(peer.Ack(8), "\"subscribers\":42,\"matched\":[70,80]}}"));
}

TEST(PublishAck, PipelinedRequestsWaitTheirTurn) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/broadcast", "1") + Post("/broadcast?ack=memory", "2") +
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(peer.fixture.services.published.size(), 1u);
  const std::string replies = peer.Ack(7);
  EXPECT_EQ(StatusesOf(replies), (std::vector<int>{200, 200, 200}));
  EXPECT_LT(replies.find("matched"), replies.find("000000000abc-8"));
  EXPECT_LT(replies.find("000000000abc-8"), replies.find("\"ok\""));
}

TEST(PublishAck, WhatIsSentMeanwhileIsBounded) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/broadcast", "1"));
  EXPECT_TRUE(peer.session.takes_more());
  peer.Send(std::string(64 * 1024, ' '));
  EXPECT_FALSE(peer.session.takes_more());
}

TEST(PublishAck, APeerThatEndsItsSideIsAnswered) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/broadcast", "1"));
  peer.session.ReceiveEnd(0);
  EXPECT_EQ(peer.session.next(), Next::kWaitsForAck);
  EXPECT_TRUE(Has(peer.Ack(7), Data(7)));
  EXPECT_EQ(peer.session.next(), Next::kClose);
}

TEST(PublishAck, AWaitHasABoundAndSaysThatTheEventWasAccepted) {
  Peer peer(WithAck("matched"));
  peer.Send(Post("/broadcast", "1"));
  EXPECT_EQ(peer.session.deadline_ns(), 1'000 * kNsPerMs);
  peer.session.OnDeadline(999 * kNsPerMs);
  EXPECT_EQ(peer.Take(), "");
  peer.session.OnDeadline(1'000 * kNsPerMs);
  const std::string reply = peer.Take();
  EXPECT_EQ(Status(reply), 503);
  EXPECT_TRUE(Has(reply, "\"error\":\"ack_timeout\""));
  EXPECT_TRUE(Has(reply, ",\"data\":{\"id\":\"000000000abc-7\",\"subscribers\":42}}")) << reply;
  EXPECT_FALSE(Has(reply, "Retry-After:"));
  // The connection goes on.
  peer.Send(Post("/broadcast?ack=memory", "2"), 1'001 * kNsPerMs);
  EXPECT_TRUE(Has(peer.Take(), "000000000abc-8"));
}

TEST(PublishAck, ALostOneIsToldAtOnce) {
  Peer peer(WithAck("synced"));
  peer.Send(Post("/broadcast", "1"));
  peer.fixture.services.lost.insert(7);
  const std::string reply = peer.Ack(0);
  EXPECT_EQ(Status(reply), 503);
  EXPECT_TRUE(Has(reply, "\"error\":\"ack_lost\""));
  EXPECT_TRUE(Has(reply, "000000000abc-7"));
}

TEST(PublishAck, WhatCannotBeHadIsRefusedBeforeAnythingIsPublished) {
  Peer peer(WithAck("synced"));
  peer.fixture.services.ack_refusal = Refusal::kJournalUnavailable;
  peer.Send(Post("/broadcast", "1"));
  const std::string reply = peer.Take();
  EXPECT_EQ(Status(reply), 503);
  EXPECT_TRUE(Has(reply, "Retry-After: 1\r\n"));
  EXPECT_TRUE(Has(reply, "\"error\":\"journal_unavailable\""));
  peer.fixture.services.ack_refusal = Refusal::kInvalidParameter;
  peer.Send(Post("/broadcast", "1"));
  EXPECT_EQ(Status(peer.Take()), 400);
  EXPECT_TRUE(peer.fixture.services.published.empty());
}

// --- Lines
// ----------------------------------------------------------------------------------------

const std::string kLinesHead =
    "POST /publish?ack=matched HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n";
std::string Chunk(const std::string& bytes) {
  char size[20];
  std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
  return size + bytes + "\r\n";
}
std::string Lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += "{\"data\":1}\n";
  return lines;
}
// The lines of a chunked body, one reply a chunk.
std::vector<std::string> Replies(std::string_view bytes) {
  std::vector<std::string> replies;
  while (!bytes.empty()) {
    const size_t line = bytes.find("\r\n");
    const size_t size = std::stoul(std::string(bytes.substr(0, line)), nullptr, 16);
    if (size != 0) replies.emplace_back(bytes.substr(line + 2, size));
    bytes.remove_prefix(line + 2 + size + 2);
  }
  return replies;
}

TEST(PublishAckLines, ManyWaitAtOnceAndAreAnsweredInOrder) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  peer.Send(Chunk(Lines(3) + "{\n" + Lines(1)));
  EXPECT_EQ(peer.Take(), "");
  EXPECT_EQ(peer.session.next(), Next::kReceive);
  EXPECT_EQ(Replies(peer.Ack(8)), (std::vector<std::string>{Data(7) + "}\n", Data(8) + "}\n"}));
  const auto rest = Replies(peer.Ack(10));
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_EQ(rest[0], Data(9) + "}\n");
  EXPECT_TRUE(Has(rest[1], "invalid_json") || Has(rest[1], "invalid_event")) << rest[1];
  EXPECT_TRUE(Has(rest[1], "\"line\":4}"));
  EXPECT_EQ(rest[2], Data(10) + "}\n");
  EXPECT_EQ(peer.session.ack_wait(), nullptr);
}

TEST(PublishAckLines, TooManyThatWaitStopTheReading) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  const int max = PublishLines::kWaitingMax;
  peer.Send(Chunk(Lines(max + 5)));
  EXPECT_EQ(peer.session.next(), Next::kWaitsForAck);
  EXPECT_EQ(peer.fixture.services.published.size(), static_cast<size_t>(max));
  EXPECT_EQ(Replies(peer.Ack(7)).size(), 1u);
  EXPECT_EQ(peer.fixture.services.published.size(), static_cast<size_t>(max) + 1);
  size_t replies = Replies(peer.Ack(UINT64_MAX)).size();
  EXPECT_EQ(peer.session.next(), Next::kPaused);  // that is a lot to be taken
  peer.session.Resume(0);
  replies += Replies(peer.Take()).size();
  EXPECT_EQ(replies, static_cast<size_t>(max) + 4);
  EXPECT_EQ(peer.session.next(), Next::kReceive);
}

TEST(PublishAckLines, TheEndWaitsForTheAcks) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  peer.Send(Chunk(Lines(2)) + "0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(peer.Take(), "");
  EXPECT_EQ(peer.session.next(), Next::kWaitsForAck);
  const std::string rest = peer.Ack(8);
  EXPECT_LT(rest.find(Data(8)), rest.find("0\r\n\r\nHTTP/1.1 200"));
  EXPECT_TRUE(Has(rest, "\"ok\""));
}

TEST(PublishAckLines, AStopAnswersWhatCanBeAnsweredThenEnds) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  peer.Send(Chunk(Lines(2)));
  EXPECT_TRUE(peer.session.EndLines(0));
  EXPECT_FALSE(peer.session.EndLines(0));  // it does already
  EXPECT_EQ(peer.Take(), "");
  peer.Send(Chunk(Lines(1)));
  EXPECT_EQ(peer.fixture.services.published.size(), 2u);
  const auto replies = Replies(peer.Ack(8));
  ASSERT_EQ(replies.size(), 3u);
  EXPECT_EQ(replies[1], Data(8) + "}\n");
  EXPECT_TRUE(Has(replies[2], "\"error\":\"draining\""));
  EXPECT_EQ(peer.session.next(), Next::kClose);
}

TEST(PublishAckLines, ALineThatWaitsTooLongIsToldAndTheStreamGoesOn) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  peer.Send(Chunk(Lines(1)));
  peer.Send(Chunk(Lines(1)), 500 * kNsPerMs);
  EXPECT_EQ(peer.session.deadline_ns(), 1'000 * kNsPerMs);
  peer.session.OnDeadline(1'000 * kNsPerMs);
  const auto replies = Replies(peer.Take());
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_TRUE(Has(replies[0], "\"error\":\"ack_timeout\""));
  EXPECT_TRUE(
      Has(replies[0], "\"data\":{\"id\":\"000000000abc-7\",\"subscribers\":42},\"line\":1}"))
      << replies[0];
  EXPECT_EQ(peer.session.deadline_ns(), 1'500 * kNsPerMs);
  EXPECT_EQ(Replies(peer.Ack(8, 1'200 * kNsPerMs)), (std::vector<std::string>{Data(8) + "}\n"}));
}

TEST(PublishAckLines, RepliesThatNobodyReadsAreSummedUpWithTheirMatches) {
  Peer peer(WithAck("memory"));
  peer.Send(kLinesHead);
  peer.Take();
  // It takes nothing: the replies of the first ones fill the bound, the others are summed up.
  const int count = 1'500;
  for (int i = 0; i < count; ++i) {
    peer.Send(Chunk(Lines(1)));
    peer.fixture.services.acked_through = static_cast<uint64_t>(7 + i);
    peer.session.RetryAcks(0);
    peer.session.OnOutputHeld(0);
  }
  std::string out = peer.Take();
  peer.session.Resume(0);
  out += peer.Take();
  const auto replies = Replies(out);
  ASSERT_LT(replies.size(), static_cast<size_t>(count));
  uint64_t matched = 0;
  for (size_t i = replies.size() - 1; i < static_cast<size_t>(count); ++i) matched += (7 + i) * 10;
  EXPECT_TRUE(Has(replies.back(), "\"matched\":" + std::to_string(matched) + ",\"accepted\":" +
                                      std::to_string(count - replies.size() + 1)))
      << replies.back();
}

// Whatever arrives when and is acknowledged when, the replies are those of a gateway that never
// waits, in that order.
TEST(PublishAck, AnyOrderOfAcksGivesTheSameReplies) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
    std::string bytes;
    for (size_t left = 1 + below(8); left != 0; --left) {
      switch (below(5)) {
        case 0:
          bytes += Post("/broadcast", "1");
          break;
        case 1:
          bytes += Post("/broadcast?ack=memory", "not json");
          break;
        case 2:
          bytes += Post("/publish?ack=matched", "[{\"data\":1},{\"data\":2},{\"data\":3}]");
          break;
        case 3:
          bytes += "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
          break;
        default:
          bytes += kLinesHead;
          for (size_t lines = below(6); lines != 0; --lines) {
            bytes += Chunk(below(3) == 0 ? "wrong\n" : Lines(1 + static_cast<int>(below(3))));
          }
          bytes += "0\r\n\r\n";
      }
    }
    Peer prompt(WithAck("matched"));
    prompt.fixture.services.acked_through = UINT64_MAX;
    prompt.Send(bytes);
    const std::string expected = prompt.Take();

    Peer peer(WithAck("matched"));
    std::string replies;
    for (size_t sent = 0; sent < bytes.size() || peer.session.ack_wait() != nullptr;) {
      if (sent < bytes.size() && below(2) == 0) {
        const size_t size = std::min(bytes.size() - sent, 1 + below(200));
        peer.Send(std::string_view(bytes).substr(sent, size));
        sent += size;
      } else {
        const uint64_t newest = peer.fixture.services.last_sequence;
        uint64_t& acked = peer.fixture.services.acked_through;
        acked = std::min<uint64_t>(newest, acked + below(4) + (acked < 6 ? 6 : 0));
        peer.session.RetryAcks(0);
      }
      if (below(3) == 0) replies += peer.Take();
    }
    replies += peer.Take();
    ASSERT_EQ(replies, expected);
  }
}

}  // namespace
}  // namespace sluice::http
