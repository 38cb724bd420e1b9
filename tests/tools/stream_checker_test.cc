// Goal: no way of cutting a stream changes the verdict. Method: one stream with everything in it
// (a byte order mark, head, comments, retry, named blocks, blocks without data, events of others,
// lines that end in LF, CRLF or CR), cut at random from a seed, plain and chunked, for several
// subscribers in turn; a failure prints the seed.
#include "stream_checker.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace sluice::bench {
namespace {

constexpr size_t kBytes = 90;
constexpr char kPlainHead[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
constexpr char kChunkedHead[] =
    "HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked\r\nCONTENT-TYPE: text/event-stream\r\n\r\n";

std::string Frame(const PayloadFormat& format, uint32_t number) {
  std::string payload(kBytes, ' ');
  format.Write({0, number, 1'000 + number}, payload.data());
  return "id: 7-" + std::to_string(number) + "\ndata: " + payload + "\n\n";
}

std::string Chunked(const std::string& body, std::mt19937* random) {
  std::string text;
  for (size_t at = 0; at < body.size();) {
    const size_t length = std::min<size_t>(body.size() - at, 1 + (*random)() % 200);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", length);
    text += size + body.substr(at, length) + "\r\n";
    at += length;
  }
  return text;
}

std::string WithLineEnds(const std::string& text, std::string_view line_end) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += line_end;
    } else {
      out += c;
    }
  }
  return out;
}

constexpr std::string_view kLineEnds[] = {"\n", "\r\n", "\r"};

Faults Settled(const StreamChecker& checker, const StreamState& state, uint64_t unseen = 0) {
  return checker.Settle(
      state, [](uint32_t, uint32_t) { return true; }, unseen);
}

TEST(StreamChecker, SeesTheSameHoweverTheStreamIsCut) {
  const PayloadFormat format(kBytes, 3, 0);
  constexpr uint32_t kEvents = 60;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    StreamChecker checker(format, 1 << 20);
    checker.SetWindow({0, 1'000'000});
    for (int subscriber = 0; subscriber < 4; ++subscriber) {
      const auto ended = [&random](const char* text) {
        return WithLineEnds(text, kLineEnds[random() % 3]);
      };
      std::string body = subscriber % 2 == 0 ? "\xef\xbb\xbf" : "";
      body += ended(":ok\nretry: 3000\nevent: sluice.open\ndata: {}\n\n");
      for (uint32_t i = 0; i < kEvents; ++i) {
        if (random() % 5 == 0) body += ended(":\n");
        if (random() % 9 == 0) body += ended("event: nothing\n\n");
        if (random() % 9 == 0) body += ended("data: hello\ndata\n\n");
        // After a CR this LF is no line of its own: it changes nothing either way.
        if (random() % 9 == 0) body += "\n";
        // An event's bytes are the same for all, or the straight path would not be taken.
        body += WithLineEnds(Frame(format, i), kLineEnds[(seed + i / 7) % 3]);
      }
      const bool is_chunked = random() % 2 == 0;
      const std::string text =
          is_chunked ? kChunkedHead + Chunked(body, &random) : kPlainHead + body;
      StreamState state;
      checker.Begin(&state, false);
      for (size_t at = 0; at < text.size();) {
        const size_t length = std::min<size_t>(text.size() - at, 1 + random() % 700);
        ASSERT_TRUE(checker.Feed(&state, std::string_view(text).substr(at, length), 5'000))
            << checker.problem() << ", seed " << seed;
        at += length;
      }
      ASSERT_EQ(state.events, kEvents) << "seed " << seed;
      ASSERT_EQ(Settled(checker, state).total(), 0u) << "seed " << seed;
    }
    ASSERT_EQ(checker.log().size(), kEvents);
    ASSERT_EQ(checker.counts().deliveries, uint64_t{4} * kEvents);
    ASSERT_EQ(checker.counts().deliveries_measured, uint64_t{4} * kEvents);
    ASSERT_EQ(checker.latency().count(), uint64_t{4} * kEvents);
  }
}

TEST(StreamChecker, AReaderFarBehindIsStillJudgedAfterEviction) {
  const PayloadFormat format(kBytes, 3, 0);
  constexpr uint32_t kEvents = 30'000;  // some 4 MB: more than the log may keep
  StreamChecker checker(format, 1 << 20);
  StreamState ahead;
  StreamState behind;
  ASSERT_TRUE(checker.Feed(&ahead, kPlainHead, 1));
  ASSERT_TRUE(checker.Feed(&behind, kPlainHead, 1));
  const std::string first = Frame(format, 0);
  ASSERT_TRUE(checker.Feed(&ahead, first, 1));
  ASSERT_TRUE(checker.Feed(&behind, std::string_view(first).substr(0, 50), 1));
  for (uint32_t i = 1; i < kEvents; ++i) {
    ASSERT_TRUE(checker.Feed(&ahead, Frame(format, i), 1));
    while (checker.wants_eviction()) {
      checker.StepOut(&behind);
      checker.log().Evict();
    }
  }
  ASSERT_EQ(checker.log()[0].bytes, nullptr);
  ASSERT_TRUE(checker.Feed(&behind, std::string_view(first).substr(50), 1));
  for (uint32_t i = 1; i < kEvents; ++i) {
    if (i == 9 || i == kEvents - 9) continue;
    ASSERT_TRUE(checker.Feed(&behind, Frame(format, i), 1));
  }
  EXPECT_EQ(Settled(checker, ahead).total(), 0u);
  EXPECT_EQ(Settled(checker, behind).lost, 2u);
  EXPECT_EQ(Settled(checker, behind).total(), 2u);
}

// Two readers of each of three topics, each stream cut at random, in turn and interleaved.
TEST(StreamChecker, JudgesEachTopicByItsOwnOrder) {
  const PayloadFormat format(kBytes, 3, 0);
  const Topics topics(3);
  constexpr uint32_t kEvents = 60;
  for (uint32_t seed = 0; seed < 100; ++seed) {
    std::mt19937 random(seed);
    StreamChecker checker(format, 1 << 20, topics);
    std::string streams[3];
    uint32_t events[3] = {};
    for (uint32_t i = 0; i < kEvents; ++i) {
      streams[topics.OfEvent(0, i)] += Frame(format, i);
      ++events[topics.OfEvent(0, i)];
    }
    StreamState readers[6];
    size_t had[6] = {};
    for (uint32_t reader = 0; reader < 6; ++reader) {
      readers[reader].topic = topics.OfReader(reader);
      checker.Begin(&readers[reader], false);
      ASSERT_TRUE(checker.Feed(&readers[reader], kPlainHead, 1));
    }
    for (bool is_over = false; !is_over;) {
      const auto reader = static_cast<uint32_t>(random() % 6);
      const std::string_view rest = std::string_view(streams[reader % 3]).substr(had[reader]);
      const size_t length = std::min<size_t>(rest.size(), random() % 300);
      ASSERT_TRUE(checker.Feed(&readers[reader], rest.substr(0, length), 1));
      had[reader] += length;
      is_over = true;
      for (uint32_t i = 0; i < 6; ++i) is_over &= had[i] == streams[i % 3].size();
    }
    for (uint32_t reader = 0; reader < 6; ++reader) {
      ASSERT_EQ(readers[reader].events, events[reader % 3]) << "seed " << seed;
      ASSERT_EQ(Settled(checker, readers[reader]).total(), 0u) << "seed " << seed;
      ASSERT_EQ(readers[reader].detour, nullptr);  // nothing is kept of a stream that is right
    }
    ASSERT_EQ(checker.log().OutOfOrder(), 0u);
    // Another topic's event, known or not, has no place in this reader's order.
    const uint32_t known = kEvents - 1;
    StreamState& wrong = readers[(topics.OfEvent(0, known) + 1) % 3];
    ASSERT_TRUE(checker.Feed(&wrong, Frame(format, known), 1));
    ASSERT_EQ(Settled(checker, wrong).misrouted, 1u);
    ASSERT_EQ(Settled(checker, wrong).total(), 1u);
  }
}

TEST(StreamChecker, AReaderThatJoinsLateIsJudgedFromItsFirstEvent) {
  const PayloadFormat format(kBytes, 3, 0);
  StreamChecker checker(format, 1 << 20);
  StreamState early;
  StreamState late;
  ASSERT_TRUE(checker.Feed(&early, kPlainHead, 1));
  for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(checker.Feed(&early, Frame(format, i), 1));
  checker.Begin(&late, true);
  ASSERT_TRUE(checker.Feed(&late, kPlainHead, 1));
  EXPECT_EQ(Settled(checker, late).total(), 0u);
  for (const uint32_t i : {6u, 8u, 9u}) ASSERT_TRUE(checker.Feed(&late, Frame(format, i), 1));
  EXPECT_EQ(Settled(checker, late).lost, 1u);
  // Two events that nobody saw at all: only who was there all the time must have had them.
  EXPECT_EQ(Settled(checker, late, 2).lost, 1u);
  EXPECT_EQ(Settled(checker, early, 2).lost, 2u);
}

// The same event may come in other bytes to another reader: it is still that event.
TEST(StreamChecker, KnowsAnEventByItsDataWhateverItsLineEnds) {
  const PayloadFormat format(kBytes, 3, 0);
  StreamChecker checker(format, 1 << 20);
  StreamState states[3];
  for (int reader = 0; reader < 3; ++reader) {
    ASSERT_TRUE(checker.Feed(&states[reader], kPlainHead, 1));
    for (uint32_t i = 0; i < 20; ++i) {
      const std::string frame = WithLineEnds(Frame(format, i), kLineEnds[reader]);
      for (const char& c : frame) ASSERT_TRUE(checker.Feed(&states[reader], {&c, 1}, 1));
    }
    EXPECT_EQ(states[reader].events, 20u);
    EXPECT_EQ(Settled(checker, states[reader]).total(), 0u);
  }
  EXPECT_EQ(checker.log().size(), 20u);
}

TEST(StreamChecker, DeliversABlockThatEndsInCrWithoutAnotherByte) {
  const PayloadFormat format(kBytes, 3, 0);
  StreamChecker checker(format, 1 << 20);
  StreamState state;
  ASSERT_TRUE(checker.Feed(&state, kPlainHead, 1));
  ASSERT_TRUE(checker.Feed(&state, WithLineEnds(Frame(format, 0), "\r"), 1));
  EXPECT_EQ(state.events, 1u);
  // The LF of that CRLF comes late; then an empty line and an event, which is the second.
  ASSERT_TRUE(checker.Feed(&state, "\n", 1));
  ASSERT_TRUE(checker.Feed(&state, "\n" + Frame(format, 1), 1));
  EXPECT_EQ(state.events, 2u);
  EXPECT_EQ(Settled(checker, state).total(), 0u);
}

TEST(StreamChecker, JudgesOnlyTheEventsOfItsRun) {
  const PayloadFormat format(kBytes, 3, 0);
  StreamChecker checker(format, 1 << 20);
  StreamState state;
  ASSERT_TRUE(checker.Feed(&state, kPlainHead, 1));
  ASSERT_TRUE(checker.Feed(&state, "event: ping\ndata: {}\n\ndata: welcome\n\ndata\n\n", 1));
  EXPECT_EQ(checker.counts().foreign, 3u);
  EXPECT_EQ(Settled(checker, state).total(), 0u);
  // As long as ours, and nothing of ours in it: one of ours whose every byte was changed.
  ASSERT_TRUE(checker.Feed(&state, "data: " + std::string(kBytes, 'x') + "\n\n", 1));
  EXPECT_EQ(Settled(checker, state).corrupted, 1u);
}

TEST(StreamChecker, SaysThatAStreamEndedByItsLastChunk) {
  const PayloadFormat format(kBytes, 3, 0);
  for (const char* const last : {"0\r\n\r\n", "000;x=y\r\n\r\n"}) {
    StreamChecker checker(format, 1 << 20);
    StreamState state;
    ASSERT_TRUE(checker.Feed(&state, kChunkedHead, 1));
    EXPECT_FALSE(checker.Feed(&state, last, 1));
    EXPECT_EQ(checker.problem(), "the server ended a stream");
  }
}

TEST(StreamChecker, RefusesWhatIsNoStream) {
  const PayloadFormat format(kBytes, 3, 0);
  for (const char* const answer :
       {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "SSH-2.0-x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"}) {
    StreamChecker checker(format, 1 << 20);
    StreamState state;
    EXPECT_FALSE(checker.Feed(&state, answer, 1)) << answer;
    EXPECT_FALSE(checker.problem().empty());
  }
  StreamChecker checker(format, 1 << 20);
  StreamState state;
  EXPECT_FALSE(checker.Feed(&state, std::string(kChunkedHead) + "5\r\nabcdeX", 1));
}

}  // namespace
}  // namespace sluice::bench
