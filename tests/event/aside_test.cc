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

// Popular libraries report a blank line without data before it as an event.
TEST(Aside, GoodbyeAndHeartbeatHaveNoBlankLine) {
  std::string out;
  AppendGoodbye(&out, 1'234);
  EXPECT_EQ(out, ": goodbye\nretry: 1234\n");
  EXPECT_EQ(kHeartbeat, ":\n");
}

}  // namespace
}  // namespace sluice
