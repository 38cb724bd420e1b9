// Goal: what was offered comes back, in order, from any place, over restarts, and each number that
// is missing is told. Method: the same tests on RocksDB and on the simulated disk.
#include "journal/journal.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "journal/journal_fixture.h"
#include "journal/record.h"

namespace sluice {
namespace {

class JournalOnBoth : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<JournalUnderTest> Make() {
    if (GetParam() == "simulated") return std::make_unique<JournalUnderTest>(&disk_);
    return std::make_unique<JournalUnderTest>(folder_.path() + "/journal");
  }
  SimulatedDisk disk_;
  ScratchFolder folder_;
};
INSTANTIATE_TEST_SUITE_P(Stores, JournalOnBoth, testing::Values("rocksdb", "simulated"),
                         [](const auto& named) { return named.param; });

TEST_P(JournalOnBoth, IsNewOnceAndKeepsItsEpoch) {
  const auto test = Make();
  test->Open();
  EXPECT_TRUE(test->recovery.is_new);
  EXPECT_EQ(test->recovery.next_sequence, 1u);
  const uint64_t epoch = test->recovery.epoch;
  test->Close();
  test->Open();
  EXPECT_FALSE(test->recovery.is_new);
  EXPECT_EQ(test->recovery.epoch, epoch);
  EXPECT_TRUE(test->recovery.was_stopped);
}

TEST_P(JournalOnBoth, GivesBackWhatItWasOffered) {
  const auto test = Make();
  test->Open();
  test->Offer(1000);
  test->AwaitDurable();
  test->ExpectEvents(test->Read(), 1, 1000);
  test->ExpectEvents(test->Read(500), 501, 1000);
  test->ExpectEvents(test->Read(500, 600), 501, 600);
  test->ExpectEvents(test->Read(999), 1000, 1000);
  EXPECT_TRUE(test->Read(1000).empty());
  EXPECT_TRUE(test->Read(UINT64_MAX).empty());
}

TEST_P(JournalOnBoth, GoesOnRightAfterAStop) {
  const auto test = Make();
  test->Open();
  test->Offer(300);
  test->Close();
  for (uint64_t round = 1; round < 4; ++round) {
    test->Open();
    EXPECT_TRUE(test->recovery.was_stopped);
    EXPECT_EQ(test->recovery.next_sequence, 300 * round + 1);
    EXPECT_EQ(test->recovery.events, 300 * round);
    EXPECT_EQ(test->recovery.last, 300 * round);
    EXPECT_EQ(test->journal->durable_sequence(), 300 * round);
    test->Offer(300);
    test->AwaitDurable();
    test->ExpectEvents(test->Read(), 1, 300 * (round + 1));
    test->Close();
  }
}

TEST_P(JournalOnBoth, SaysWhereAReadingEnded) {
  const auto test = Make();
  test->Open();
  test->Offer(100);
  test->AwaitDurable();
  uint64_t looked_at = 0;
  uint64_t seen = 0;
  const OnRecord three = [&](const JournalRecord&) { return ++seen < 3; };
  ASSERT_TRUE(test->journal->ForEach(10, 90, three, &looked_at).ok());
  EXPECT_EQ(looked_at, 13u);
  const OnRecord all = [](const JournalRecord&) { return true; };
  ASSERT_TRUE(test->journal->ForEach(10, 90, all, &looked_at).ok());
  EXPECT_EQ(looked_at, 90u);
  ASSERT_TRUE(test->journal->ForEach(10, 1000, all, &looked_at).ok());
  EXPECT_EQ(looked_at, 100u);
}

TEST_P(JournalOnBoth, KeepsTheTimeOfPublishing) {
  const auto test = Make();
  test->options.wall_clock = [] { return MonotonicNs() + 1'000'000 * kNsPerSecond; };
  test->Open();
  const OwnedFrame frame = MakeFrame(1);
  test->journal->Offer(*frame);
  test->next = 2;
  test->Close();
  test->Open();
  int64_t published_ns = 0;
  uint64_t looked_at = 0;
  const OnRecord look = [&](const JournalRecord& record) {
    published_ns = record.published_ns;
    return true;
  };
  ASSERT_TRUE(test->journal->ForEach(0, 1, look, &looked_at).ok());
  // The distance of the two clocks is measured twice, by reading one after the other.
  EXPECT_LT(std::abs(published_ns - frame->published_ns()), kNsPerSecond);
}

TEST_P(JournalOnBoth, HoldsLargeEventsAndManySmallOnes) {
  const auto test = Make();
  test->Open();
  const std::string large(3 << 20, 'x');
  test->journal->Offer(*MakeFrame(1, {.data = large}));
  test->next = 2;
  test->Offer(20'000);
  test->journal->Offer(*MakeFrame(20'002, {.data = large}));
  ++test->next;
  test->AwaitDurable();
  const std::vector<ReadBack> records = test->Read();
  ASSERT_EQ(records.size(), 20'002u);
  EXPECT_GT(records.front().wire.size(), large.size());
  EXPECT_GT(records.back().wire.size(), large.size());
  const JournalStatistics statistics = test->journal->Statistics(MonotonicNs());
  EXPECT_EQ(statistics.state, "ok");
  EXPECT_EQ(statistics.events_committed, 20'002u);
  EXPECT_EQ(statistics.events_held, 20'002u);
  EXPECT_EQ(statistics.events_lost, 0u);
  EXPECT_LE(statistics.commits, 20'002u);
}

TEST_P(JournalOnBoth, RecordsNumbersThatNobodyWasGiven) {
  const auto test = Make();
  test->Open();
  test->Offer(5);
  test->next = 9;
  test->Offer(1);
  test->AwaitDurable();
  const std::vector<ReadBack> records = test->Read();
  ASSERT_EQ(records.size(), 7u);
  EXPECT_EQ(records[5].kind, RecordKind::kSkip);
  EXPECT_EQ(records[5].first, 6u);
  EXPECT_EQ(records[5].last, 8u);
  EXPECT_EQ(records[6].first, 9u);
}

TEST_P(JournalOnBoth, LetsGoOfTheOldestByEvents) {
  const auto test = Make();
  test->options.retention.events_max = 6400;
  test->Open();
  for (int i = 0; i < 200; ++i) {
    test->Offer(100);
    test->AwaitDurable();
  }
  test->Close();
  test->Open();  // so that its thread has done what the last group left to do
  const uint64_t first = test->journal->first_sequence();
  EXPECT_GT(first, 10'000u);
  EXPECT_LE(test->recovery.events, 6400u);
  EXPECT_EQ(test->recovery.events, 20'001 - first);
  test->ExpectEvents(test->Read(), first, 20'000);
  test->ExpectEvents(test->Read(first + 100), first + 101, 20'000);
  test->Close();
  test->Open();
  EXPECT_EQ(test->recovery.first, first);
  EXPECT_EQ(test->recovery.events, 20'001 - first);
  test->ExpectEvents(test->Read(), first, 20'000);
}

TEST_P(JournalOnBoth, LetsGoOfTheOldestByAge) {
  const auto test = Make();
  std::atomic<int64_t> wall_ns = 1'000'000 * kNsPerSecond;
  test->options.wall_clock = [&] { return wall_ns.load(); };
  test->options.retention.age_max_ns = 100 * kNsPerSecond;
  test->Open();
  test->Offer(10);
  test->AwaitDurable();
  wall_ns += 200 * kNsPerSecond;
  test->Close();
  test->Open();  // its housekeeping finds them too old, though nothing is offered
  test->Await([&] { return test->journal->first_sequence() == 11; });
  EXPECT_TRUE(test->Read().empty());
}

TEST_P(JournalOnBoth, SyncsAtIntervalsWhenAsked) {
  const auto test = Make();
  test->options.syncs_each_group = false;
  test->options.sync_interval_ns = kNsPerMs;
  test->Open();
  test->Offer(1000);
  test->Await([&] { return test->journal->written_sequence() == 1000; });
  test->ExpectEvents(test->Read(), 1, 1000);
  test->AwaitDurable();
}

TEST(Journal, OnRocksDbBelongsToOneProcess) {
  const ScratchFolder folder;
  JournalUnderTest first(folder.path());
  first.Open();
  JournalRecovery recovery;
  std::unique_ptr<Journal> second;
  JournalOptions options;
  options.directory = folder.path();
  const Status status = Journal::Open(options, &recovery, &second);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("another process has it open"), std::string::npos)
      << status.message();
}

TEST(Journal, WhoseFolderCannotBeMadeSaysWhy) {
  JournalRecovery recovery;
  std::unique_ptr<Journal> journal;
  JournalOptions options;
  options.directory = "/proc/nowhere/journal";
  const Status status = Journal::Open(options, &recovery, &journal);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/proc/nowhere/journal: No such file"), std::string::npos)
      << status.message();
}

TEST(Journal, ReservesCeilingsAheadOfUse) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.ceiling_block = 100;
  test.Open();
  EXPECT_EQ(test.journal->ceiling(), 101u);
  for (int i = 0; i < 100; ++i) {
    test.Offer(20);
    test.AwaitDurable();
    EXPECT_GE(test.journal->ceiling(), test.next + 50 - 20);
  }
  const uint64_t ceiling = test.journal->ceiling();
  test.Kill();
  test.Open();
  EXPECT_FALSE(test.recovery.was_stopped);
  EXPECT_EQ(test.recovery.next_sequence, ceiling);
  EXPECT_EQ(test.recovery.last, 2000u);
  // What lies between may have been given out, and is told.
  test.Offer(1);
  test.AwaitDurable();
  const std::vector<ReadBack> later = test.Read(1999);
  ASSERT_EQ(later.size(), 3u);
  EXPECT_EQ(later[0].first, 2000u);
  EXPECT_EQ(later[1].kind, RecordKind::kHole);
  EXPECT_EQ(later[1].reason, HoleReason::kRestart);
  EXPECT_EQ(later[1].first, 2001u);
  EXPECT_EQ(later[1].last, ceiling - 1);
  EXPECT_EQ(later[2].first, ceiling);
}

TEST(Journal, TellsAHoleWhereARecordIsDamaged) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.Open();
  for (int i = 0; i < 10; ++i) {
    test.Offer(1);
    test.AwaitDurable();
  }
  disk.Damage(StoreTable::kBlocks, 4, kHoleRecordBytes + 3);
  disk.Damage(StoreTable::kBlocks, 10, kHoleRecordBytes + 3);
  const std::vector<ReadBack> records = test.Read();
  ASSERT_EQ(records.size(), 10u);
  for (const size_t at : {3u, 9u}) {
    EXPECT_EQ(records[at].kind, RecordKind::kHole);
    EXPECT_EQ(records[at].reason, HoleReason::kDamage);
    EXPECT_EQ(records[at].first, at + 1);
    EXPECT_EQ(records[at].last, at + 1);
  }
  EXPECT_EQ(records[4].wire, WireOf(5, test.recovery.epoch));
}

TEST(Journal, OfADamagedStateIsNotOpened) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.Open();
  test.Close();
  disk.Damage(StoreTable::kState, 0, 20);
  const Status status = Journal::Open(test.options, &test.recovery, &test.journal);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("checksum of its state is wrong"), std::string::npos);
}

}  // namespace
}  // namespace sluice
