// Goal: a gateway with a journal goes on where it stopped: readers from before the restart find
// their places by the same ids, get what they missed or are told of the gap, and no id is given out
// twice.
#include "gateway/journal_fixture.h"
#include "journal/journal_tool.h"

namespace sluice {
namespace {

using test::GatewayJournalTest;
using test::Reader;
using test::Received;

TEST_P(GatewayJournalTest, AReaderFromBeforeTheRestartGetsWhatItMissedOfItsTopics) {
  Start();
  std::string last_seen;
  std::vector<Received> missed;
  for (int n = 0; n < 200; ++n) {
    const std::string data = std::to_string(n);
    const std::string id = Publish(n % 3 == 0 ? "/publish/a?event=tick" : "/publish/b", data);
    if (n == 60) last_seen = id;
    if (n > 60 && n % 3 == 0) missed.push_back({id, data, "tick"});
  }
  for (int restart = 0; restart < 3; ++restart) {
    StopAndStart();
    for (int time = 0; time < 4; ++time) {  // so that both shards are asked
      Reader reader(address_, "/stream?topic=a", last_seen);
      EXPECT_EQ(reader.opened_at(), last_seen);
      const std::string data = std::to_string(1000 + 10 * restart + time);
      missed.push_back({Publish("/publish/a?event=tick", data), data, "tick"});
      for (const Received& expected : missed) {
        const Received next = reader.Next();
        ASSERT_EQ(next.data, expected.data);
        EXPECT_EQ(next.id, expected.id);
        EXPECT_EQ(next.type, "tick");
      }
    }
  }
}

TEST_P(GatewayJournalTest, TheNextIdFollowsTheLastOverAStop) {
  Start();
  Publish("/broadcast", "1");
  const auto last = Epoch::Parse(Publish("/broadcast", "2"));
  StopAndStart();
  const auto next = Epoch::Parse(Publish("/broadcast", "3"));
  EXPECT_EQ(next->epoch, last->epoch);
  EXPECT_EQ(next->sequence, last->sequence + 1);
}

TEST_P(GatewayJournalTest, KeysAndIdsOfPublishersOutliveARestart) {
  Start();
  for (int n = 0; n < 20; ++n) {
    Publish("/publish/a?key=" + std::to_string(n % 4) + "&id=own." + std::to_string(n),
            std::to_string(n));
  }
  StopAndStart();
  Reader values(address_, "/stream?topic=a&from=values");
  for (int n = 16; n < 20; ++n) EXPECT_EQ(values.Next().data, std::to_string(n));
  Reader resumed(address_, "/stream?topic=a&last_event_id=own.17");
  EXPECT_EQ(resumed.Next().id, "own.18");
  EXPECT_EQ(resumed.Next().id, "own.19");
  const std::string next = Publish("/publish/a", "20");
  EXPECT_EQ(values.Next().id, next);
  EXPECT_EQ(resumed.Next().id, next);
}

TEST_P(GatewayJournalTest, WhatTheHistoryHasNoRoomForIsToldAsAGap) {
  options_.history_events_max = 10;
  Start();
  const std::string first = Publish("/publish/a", "0");
  std::string last_gone;
  for (int n = 1; n < 100; ++n) {
    const std::string id = Publish("/publish/a", std::to_string(n));
    if (n == 89) last_gone = id;
  }
  StopAndStart();
  EXPECT_EQ(JournalStats()["events"], 100u);
  Reader reader(address_, "/stream?topic=a", first);
  const Received gap = reader.Next();
  EXPECT_EQ(gap.type, "sluice.gap");
  EXPECT_NE(gap.data.find("\"reason\":\"evicted\",\"after\":\"" + first + "\""), std::string::npos)
      << gap.data;
  EXPECT_EQ(gap.id, last_gone);
  for (int n = 90; n < 100; ++n) EXPECT_EQ(reader.Next().data, std::to_string(n));
  Reader whole(address_, "/stream?topic=a", last_gone);
  EXPECT_EQ(whole.Next().data, "90");
}

// The history reads the journal from the place on that it can hold, span by span, and what lies
// before is nobody's: told as a gap, to readers of topics that it never heard of too.
TEST_P(GatewayJournalTest, AStartReadsOnlyWhatTheHistoryCanHold) {
  options_.history_events_max = 1'000;
  options_.journal_events_max = 64'000;  // spans of 1,000
  Start();
  const std::string first = Publish("/publish/quiet", "0");
  for (uint64_t n = 1; n <= 5'000; ++n) {
    std::string id;
    ASSERT_TRUE(gateway_->Publish({.data = std::to_string(n), .type = ""}, &id).ok());
    // A group of more would make a larger span.
    if (n % 500 == 0) Await([&] { return JournalStats()["events_written_total"] == n + 1; });
  }
  StopAndStart();
  EXPECT_EQ(JournalStats()["events"], 5'001u);
  EXPECT_EQ(Stats()["history"]["events"], 1'000u);
  EXPECT_LE(Stats()["history"]["evicted_total"], 1'500u);  // read, and no room
  Reader reader(address_, "/stream?topic=quiet", first);
  EXPECT_EQ(reader.Next().type, "sluice.gap");
  const std::string live = Publish("/publish/quiet", "1");
  EXPECT_EQ(reader.Next().id, live);
}

TEST_P(GatewayJournalTest, WithoutAHistoryTheJournalKeepsAllTheSame) {
  options_.history_events_max = 0;
  Start();
  Publish("/publish/a", "0");
  const auto last = Epoch::Parse(Publish("/publish/a", "1"));
  EXPECT_TRUE(gateway_->Stop());
  gateway_.reset();
  std::ostringstream exported;
  ASSERT_TRUE(ExportJournal(options_.journal_directory, exported).ok());
  EXPECT_NE(exported.str().find(Epoch(last->epoch).Id(last->sequence)), std::string::npos);
  Start();
  EXPECT_EQ(JournalStats()["events"], 2u);
  EXPECT_EQ(Epoch::Parse(Publish("/publish/a", "2"))->sequence, last->sequence + 1);
}

TEST_P(GatewayJournalTest, AStopWritesAndSyncsAllThatWasAccepted) {
  constexpr uint64_t kEvents = 20'000;
  options_.history_events_max = kEvents;
  Start();
  for (uint64_t n = 0; n < kEvents;) {
    std::string id;
    if (gateway_->Publish({.data = std::to_string(n), .type = ""}, &id).ok()) {
      ++n;
    } else {
      std::this_thread::yield();
    }
  }
  StopAndStart();
  EXPECT_EQ(JournalStats()["events"], kEvents);
  Reader reader(address_, "/stream?from=earliest");
  for (uint64_t n = 0; n < kEvents; ++n) ASSERT_EQ(reader.Next().data, std::to_string(n));
}

TEST_P(GatewayJournalTest, AJournalIsOneGateways) {
  Start();
  const auto first = std::move(gateway_);
  const Status status = TryStart();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("one gateway, one directory"), std::string::npos)
      << status.message();
}

TEST_P(GatewayJournalTest, AFolderThatIsNotThereIsToldWithWhatToDo) {
  options_.journal_directory = folder_.path() + "/no/journal";
  const Status status = TryStart();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("make the directory"), std::string::npos) << status.message();
}

INSTANTIATE_TEST_SUITE_P(Engines, GatewayJournalTest, test::kBothEngines, test::kEngineSuffix);

}  // namespace
}  // namespace sluice
