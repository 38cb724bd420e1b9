#include "event/aside.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Aside, OpeningGreetsWithTheLastId) {
  std::string out;
  AppendOpening(&out, "e-7", 2'500);
  EXPECT_EQ(out, ":ok\nretry: 2500\nevent: sluice.open\ndata: {\"id\":\"e-7\"}\nid: e-7\n\n");
}

TEST(Aside, OpeningWithoutAnIdSetsNone) {
  std::string out;
  AppendOpening(&out, "", 1);
  EXPECT_EQ(out, ":ok\nretry: 1\nevent: sluice.open\ndata: {\"id\":\"\"}\n\n");
}

TEST(Aside, OpeningEscapesAPublishersOwnId) {
  std::string out;
  AppendOpening(&out, "a\"\\b", 1);
  EXPECT_NE(out.find("data: {\"id\":\"a\\\"\\\\b\"}\nid: a\"\\b\n"), std::string::npos) << out;
}

TEST(Aside, ErrorSaysWhyAndWhenToComeBack) {
  std::string out;
  AppendError(&out, "draining", "a \"reason\"\nof two lines", 3'000);
  EXPECT_EQ(out,
            "retry: 3000\nevent: sluice.error\n"
            "data: {\"error\":\"draining\",\"message\":\"a \\\"reason\\\"\\nof two lines\"}\n\n");
}

TEST(Aside, GapSaysWhatIsMissing) {
  std::string out;
  AppendGap(&out, {.reason = "evicted",
                   .after = "0123456789ab-7",
                   .first = "0123456789ab-8",
                   .last = "0123456789ab-20",
                   .id = "0123456789ab-20"});
  EXPECT_EQ(out,
            "event: sluice.gap\n"
            "data: {\"reason\":\"evicted\",\"after\":\"0123456789ab-7\","
            "\"first\":\"0123456789ab-8\",\"last\":\"0123456789ab-20\"}\n"
            "id: 0123456789ab-20\n\n");
}

// The id comes from a client and may be anything.
TEST(Aside, GapEchoesOnlyPossibleIds) {
  const auto after = [](std::string_view id) {
    std::string out;
    AppendGap(&out, {.reason = "unknown", .after = id, .first = "", .last = "", .id = ""});
    const size_t from = out.find("\"after\":") + 8;
    EXPECT_TRUE(out.ends_with(",\"first\":null,\"last\":null}\n\n")) << out;
    return out.substr(from, out.find(",\"first\"") - from);
  };
  EXPECT_EQ(after("order-7"), "\"order-7\"");
  EXPECT_EQ(after("a\"\\b"), "\"a\\\"\\\\b\"");
  EXPECT_EQ(after(""), "null");
  EXPECT_EQ(after("two words"), "null");
  EXPECT_EQ(after("line\n\nid: 1"), "null");
  EXPECT_EQ(after("\xff\xfe"), "null");
  EXPECT_EQ(after(std::string(129, 'x')), "null");
}

// Popular libraries report a blank line without data before it as an event.
TEST(Aside, GoodbyeAndHeartbeatHaveNoBlankLine) {
  std::string out;
  AppendGoodbye(&out, 1'234);
  EXPECT_EQ(out, ": goodbye\nretry: 1234\n");
  EXPECT_EQ(kHeartbeat, ":\n");
}

}  // namespace
}  // namespace sluice
