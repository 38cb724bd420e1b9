// Goal: what a person asks of a journal on disk is answered as it is, and nothing is changed by it.
#include "journal/journal_tool.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "journal/journal_fixture.h"

namespace sluice {
namespace {

std::string Lines(Status (*tool)(const std::string&, std::ostream&), const std::string& folder) {
  std::ostringstream out;
  const Status status = tool(folder, out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out.str();
}

TEST(JournalTool, InspectsVerifiesAndExports) {
  const ScratchFolder folder;
  JournalUnderTest test(folder.path());
  test.Open();
  const std::string_view topics[] = {"orders/42", "news"};
  test.journal->Offer(
      *MakeFrame(1, {.data = "a\n\"b\"", .type = "t", .topics = topics, .id = "mine", .key = "k"}));
  test.journal->Offer(*MakeFrame(4, {.data = "plain"}, test.recovery.epoch));
  test.next = 5;
  test.Close();

  const std::string epoch(Epoch(test.recovery.epoch).text());
  const std::string inspected = Lines(InspectJournal, folder.path());
  EXPECT_NE(inspected.find("epoch:      " + epoch), std::string::npos) << inspected;
  EXPECT_NE(inspected.find("events:     2\nsequences:  1 to 4\n"), std::string::npos) << inspected;
  EXPECT_NE(inspected.find("next:       " + epoch + "-5 (stopped in order)"), std::string::npos)
      << inspected;

  const std::string verified = Lines(VerifyJournal, folder.path());
  EXPECT_NE(verified.find("{\"skip\":{\"first\":2,\"last\":3}}"), std::string::npos) << verified;
  EXPECT_NE(verified.find("2 events in "), std::string::npos) << verified;

  const std::string exported = Lines(ExportJournal, folder.path());
  EXPECT_NE(exported.find("{\"sequence\":1,\"time\":\"2"), std::string::npos) << exported;
  EXPECT_NE(exported.find("Z\",\"id\":\"mine\",\"topics\":[\"orders/42\",\"news\"],\"event\":\"t\","
                          "\"key\":\"k\",\"data\":\"a\\n\\\"b\\\"\"}\n"),
            std::string::npos)
      << exported;
  EXPECT_NE(exported.find("\"id\":\"" + epoch + "-4\",\"topics\":[],\"data\":\"plain\"}\n"),
            std::string::npos)
      << exported;

  // Nothing was changed.
  test.Open();
  EXPECT_TRUE(test.recovery.was_stopped);
  EXPECT_EQ(test.recovery.next_sequence, 5u);
}

TEST(JournalTool, SaysThatThereIsNoJournal) {
  const ScratchFolder folder;
  std::ostringstream out;
  for (const auto tool : {InspectJournal, VerifyJournal, ExportJournal}) {
    const Status status = tool(folder.path() + "/none", out);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.message().find("there is no journal"), std::string::npos);
  }
  EXPECT_EQ(out.str(), "");
}

TEST(JournalTool, WorksWhileAGatewayRuns) {
  const ScratchFolder folder;
  JournalUnderTest test(folder.path());
  test.Open();
  test.Offer(100);
  test.AwaitDurable();
  const std::string verified = Lines(VerifyJournal, folder.path());
  EXPECT_NE(verified.find("100 events in "), std::string::npos) << verified;
  EXPECT_NE(Lines(InspectJournal, folder.path()).find("(running, or not stopped in order)"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice
