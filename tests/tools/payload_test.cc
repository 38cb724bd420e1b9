#include "payload.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::bench {
namespace {

TEST(Payload, IsReadAsItWasWritten) {
  for (const size_t bytes : {kPayloadBytesMin, kPayloadBytesMin + 1, size_t{140}, size_t{70'000}}) {
    const PayloadFormat format(bytes, 12345, 0);
    std::string text(bytes, '\0');
    format.Write({200, 0xfedcba98, 0x123456789abcdef}, text.data());
    PayloadHead head;
    ASSERT_EQ(format.Read(text, &head), PayloadVerdict::kGood) << text;
    EXPECT_EQ(head.publisher, 200u);
    EXPECT_EQ(head.number, 0xfedcba98u);
    EXPECT_EQ(head.due_ns, 0x123456789abcdef);
    EXPECT_EQ(format.Read("{\"wrapped\":" + text + "}", &head), PayloadVerdict::kGood);
  }
}

TEST(Payload, AnyChangedByteIsFound) {
  const PayloadFormat format(80, 1, 0);
  std::string text(80, '\0');
  format.Write({1, 2, 3}, text.data());
  for (size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {1, 2, 16}) {
      std::string wrong = text;
      wrong[i] = static_cast<char>(wrong[i] ^ bit);
      PayloadHead head;
      EXPECT_EQ(format.Read(wrong, &head), PayloadVerdict::kCorrupted) << wrong;
    }
  }
  PayloadHead head;
  EXPECT_EQ(format.Read(text.substr(0, 79), &head), PayloadVerdict::kCorrupted);
}

TEST(Payload, OfAnEarlierRunIsForeign) {
  const PayloadFormat before(80, 1, 0);
  const PayloadFormat now(80, 2, 1'000);
  std::string text(80, '\0');
  before.Write({0, 0, 500}, text.data());
  PayloadHead head;
  EXPECT_EQ(now.Read(text, &head), PayloadVerdict::kForeign);
}

}  // namespace
}  // namespace sluice::bench
