// Goal: the wire bytes of a frame are exactly those that the HTML standard's parser turns back into
// the event, and the sequence is written in place.
#include "event/frame.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace sluice
