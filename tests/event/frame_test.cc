// Goal: the wire bytes of a frame are exactly those that the HTML standard's parser turns back into
// the event, and the sequence is written in place.
#include "event/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "event/topic.h"

namespace sluice {
namespace {

std::string Wire(std::string_view data, std::string_view type = "", uint64_t sequence = 7) {
  Frame* frame = Frame::Encode({.data = data, .type = type}, Epoch(0xabc), 1 << 20);
  EXPECT_NE(frame, nullptr);
  frame->Stamp(sequence, 1, 1);
  std::string bytes(frame->bytes());
  EXPECT_LE(bytes.size(), Frame::BytesMax({.data = data, .type = type}));
  frame->Release();
  return bytes;
}

TEST(Frame, HasDataThenIdAndEndsWithABlankLine) {
  EXPECT_EQ(Wire("hello"), "data: hello\nid: 000000000abc-7\n\n");
}

TEST(Frame, NamesTheTypeFirst) {
  EXPECT_EQ(Wire("1", "price"), "event: price\ndata: 1\nid: 000000000abc-7\n\n");
}

TEST(Frame, HoldsTheLongestSequence) {
  EXPECT_EQ(Wire("x", "", UINT64_MAX), "data: x\nid: 000000000abc-18446744073709551615\n\n");
}

TEST(Frame, MakesALineOfEachLineEnd) {
  EXPECT_EQ(Wire("a\nb\rc\r\nd"), "data: a\ndata: b\ndata: c\ndata: d\nid: 000000000abc-7\n\n");
  EXPECT_EQ(Wire("a\n"), "data: a\ndata: \nid: 000000000abc-7\n\n");
  EXPECT_EQ(Wire("\n\r"), "data: \ndata: \ndata: \nid: 000000000abc-7\n\n");
  EXPECT_EQ(Wire("\r\n"), "data: \ndata: \nid: 000000000abc-7\n\n");
  EXPECT_EQ(Wire(""), "data: \nid: 000000000abc-7\n\n");
}

TEST(Frame, KeepsASpaceThatTheDataBeginsWith) {
  // A client takes away one space after the colon, the one that the encoder puts there.
  EXPECT_EQ(Wire(" a"), "data:  a\nid: 000000000abc-7\n\n");
}

TEST(Frame, IsNotMadeWhenItWouldBeTooLong) {
  const Event event{.data = "0123456789", .type = ""};
  const size_t bytes = Frame::BytesMax(event);
  EXPECT_EQ(Frame::Encode(event, Epoch(1), bytes - 1), nullptr);
  Frame* frame = Frame::Encode(event, Epoch(1), bytes);
  ASSERT_NE(frame, nullptr);
  frame->Release();
}

TEST(Epoch, IsTwelveHexDigitsAndNewEachTime) {
  const Epoch a = Epoch::Random();
  const Epoch b = Epoch::Random();
  EXPECT_EQ(a.text().size(), 12u);
  EXPECT_EQ(a.text().find_first_not_of("0123456789abcdef"), std::string_view::npos);
  EXPECT_NE(a.text(), b.text());
  EXPECT_EQ(Epoch(0x123456789abcull).Id(42), "123456789abc-42");
}

TEST(Frame, CarriesWhatMatchingAndTheHistoryNeed) {
  const std::string_view topics[] = {"orders/42", "news"};
  const Event event{.data = "x", .topics = topics, .id = "mine", .key = "k", .retry_ms = 1500};
  Frame* frame = Frame::Encode(event, Epoch(0xabc), 1 << 20);
  frame->Stamp(9, 1, 1);
  EXPECT_EQ(frame->bytes(), "retry: 1500\ndata: x\nid: mine\n\n");
  EXPECT_EQ(frame->replay_bytes(), "data: x\nid: mine\n\n");
  EXPECT_EQ(frame->publisher_id(), "mine");
  EXPECT_EQ(frame->key(), "k");
  std::vector<std::string> names;
  frame->ForEachTopic([&](const FrameTopic& topic) {
    names.emplace_back(topic.name);
    EXPECT_EQ(topic.hash, TopicHash(topic.name));
  });
  EXPECT_EQ(names, (std::vector<std::string>{"orders/42", "news"}));
  EXPECT_GE(frame->footprint_bytes(),
            sizeof(Frame) + frame->bytes().size() + Frame::ExtraBytes(event));
  frame->Release();
}

TEST(Epoch, ReadsItsOwnIds) {
  const auto parsed = Epoch::Parse(Epoch(0xabc).Id(42));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->epoch, 0xabcu);
  EXPECT_EQ(parsed->sequence, 42u);
  EXPECT_TRUE(Epoch::Parse("000000000abc-0"));
  EXPECT_TRUE(Epoch::Parse("000000000abc-18446744073709551615"));
  for (const char* id :
       {"", "000000000abc", "000000000abc-", "000000000abc-01", "000000000abC-1", "000000000abc-1x",
        "000000000abc-+1", "00000000abc-11", "000000000abc-18446744073709551616"}) {
    EXPECT_FALSE(Epoch::Parse(id)) << id;
  }
}

TEST(PublisherId, IsVisibleAndNotOfOurShape) {
  EXPECT_TRUE(IsPublisherId("order-7"));
  EXPECT_TRUE(IsPublisherId(std::string(128, 'x')));
  EXPECT_FALSE(IsPublisherId(std::string(129, 'x')));
  EXPECT_FALSE(IsPublisherId(""));
  EXPECT_FALSE(IsPublisherId("a b"));
  EXPECT_FALSE(IsPublisherId("\xc3\xbc"));
  EXPECT_FALSE(IsPublisherId("000000000abc-7"));
}

TEST(Frame, IsRestoredFromWhatIsReplayed) {
  const std::vector<std::string_view> topics{"a", "b/c"};
  Frame* frame =
      Frame::Encode({.data = "x\ny", .topics = topics, .id = "own.1", .key = "k", .retry_ms = 900},
                    Epoch(0xabc), 1 << 20);
  frame->Stamp(7, 11, 1);
  Frame* restored = Frame::Restore(
      frame->replay_bytes(), {.data = "", .topics = topics, .id = "own.1", .key = "k"}, 7, 11);
  EXPECT_EQ(restored->bytes(), frame->replay_bytes());
  EXPECT_EQ(restored->replay_bytes(), frame->replay_bytes());
  EXPECT_EQ(restored->sequence(), 7u);
  EXPECT_EQ(restored->published_ns(), 11);
  EXPECT_EQ(restored->publisher_id(), "own.1");
  EXPECT_EQ(restored->key(), "k");
  std::vector<std::string> names;
  restored->ForEachTopic([&](const FrameTopic& topic) {
    EXPECT_EQ(topic.hash, TopicHash(topic.name));
    names.emplace_back(topic.name);
  });
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b/c"}));
  frame->Release();
  restored->Release();
}

}  // namespace
}  // namespace sluice
