#include "base/json_escape.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace sluice {
namespace {

std::string Escaped(std::string_view text) {
  std::string out;
  AppendJsonString(&out, text);
  return out;
}

TEST(JsonEscape, LeavesPlainTextAlone) {
  EXPECT_EQ(Escaped("plain /text 1"), "\"plain /text 1\"");
  EXPECT_EQ(Escaped("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
}

TEST(JsonEscape, EscapesWhatCannotStandInAString) {
  EXPECT_EQ(Escaped("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(Escaped(std::string_view("\n\r\t\0\x1f\x7f", 6)), "\"\\n\\r\\t\\u0000\\u001f\\u007f\"");
}

TEST(JsonEscape, ReplacesWhatIsNoUtf8) {
  EXPECT_EQ(Escaped("a\xff"
                    "b"),
            "\"a\\ufffdb\"");
  EXPECT_EQ(Escaped("\xc3"), "\"\\ufffd\"");
  EXPECT_EQ(Escaped("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\"");
}

TEST(Utf8, KnowsEachBoundary) {
  for (const std::string_view good :
       {"a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(Utf8SequenceLength(good), good.size());
    EXPECT_EQ(Utf8SequenceLength(good.substr(0, good.size() - 1)), 0u) << "cut short";
  }
  for (const std::string_view bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xe2\x28\xa1", "\xf0\x9f\x98x"}) {
    EXPECT_EQ(Utf8SequenceLength(bad), 0u);
  }
  EXPECT_EQ(Utf8ValidPrefix("ab\xc3\xa9\xff"), 4u);
}

}  // namespace
}  // namespace sluice
