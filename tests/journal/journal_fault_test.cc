// Goal: whatever the disk does, offering never waits, what could not be kept is told and nothing
// else is missing, and the journal is whole again by itself. Method: a simulated disk that stalls,
// fills up, fails and loses its power, directed and at random from a seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "journal/journal_fixture.h"

namespace sluice {
namespace {

constexpr int64_t kLongNs = 3600 * kNsPerSecond;

bool HasNotice(const std::vector<std::string>& notices, const std::string& part) {
  for (const std::string& notice : notices) {
    if (notice.find(part) != std::string::npos) return true;
  }
  return false;
}

TEST(JournalFault, StalledDiskHoldsNobodyUpAndLosesWhatDoesNotFit) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.queue_bytes_max = 64 << 10;
  test.options.behind_ns = test.options.stalled_ns = kLongNs;
  test.Open();
  test.Offer(10);
  test.AwaitDurable();
  disk.Stall(true);
  test.Offer(5000);  // returns, though nothing is written
  disk.AwaitStalled();
  EXPECT_EQ(test.journal->durable_sequence(), 10u);
  const JournalProgress& progress = test.journal->progress();
  EXPECT_EQ(progress.Health(MonotonicNs()), JournalHealth::kFailed);
  const uint64_t losing_from = progress.losing_from();
  ASSERT_LT(losing_from, 5000u);
  EXPECT_EQ(progress.Ask(losing_from, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kLost);
  EXPECT_EQ(progress.Ask(10, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kKept);
  EXPECT_NE(progress.Describe(MonotonicNs()).find("failed: the queue is full"), std::string::npos);
  EXPECT_TRUE(HasNotice(test.journal->TakeNotices(), "are not kept"));
  // A reader of the hole that is open is told.
  disk.Stall(false);
  test.Await([&] { return test.journal->durable_sequence() == losing_from - 1; });
  std::vector<ReadBack> records = test.Read(losing_from - 2, 5010);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].kind, RecordKind::kHole);
  EXPECT_EQ(records[1].first, losing_from);
  EXPECT_EQ(records[1].last, 5010u);

  test.Offer(10);
  test.AwaitDurable();
  EXPECT_EQ(progress.Health(MonotonicNs()), JournalHealth::kOk);
  EXPECT_EQ(progress.Describe(MonotonicNs()), "ok");
  EXPECT_TRUE(HasNotice(test.journal->TakeNotices(), "whole again from sequence 5011"));
  EXPECT_EQ(progress.Ask(losing_from, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kLost);
  EXPECT_EQ(progress.Ask(5010, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kLost);
  EXPECT_EQ(progress.Ask(5011, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kKept);
  test.Close();

  test.Open();
  EXPECT_EQ(test.recovery.next_sequence, 5021u);
  records = test.Read();
  ASSERT_EQ(records.size(), losing_from - 1 + 1 + 10);
  const ReadBack& hole = records[losing_from - 1];
  EXPECT_EQ(hole.kind, RecordKind::kHole);
  EXPECT_EQ(hole.reason, HoleReason::kQueueFull);
  EXPECT_EQ(hole.first, losing_from);
  EXPECT_EQ(hole.last, 5010u);
  EXPECT_EQ(hole.events, 5011 - losing_from);
}

TEST(JournalFault, SlowDiskIsBehindThenFailed) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.Open();
  disk.Stall(true);
  test.Offer(1);
  disk.AwaitStalled();
  const JournalProgress& progress = test.journal->progress();
  const int64_t now_ns = MonotonicNs();
  EXPECT_EQ(progress.Health(now_ns + test.options.behind_ns), JournalHealth::kBehind);
  EXPECT_EQ(progress.Ask(1, JournalLevel::kSynced, now_ns + test.options.behind_ns),
            JournalAnswer::kPending);
  EXPECT_EQ(progress.Health(now_ns + test.options.stalled_ns), JournalHealth::kFailed);
  EXPECT_NE(progress.Describe(now_ns + test.options.stalled_ns).find("has not answered"),
            std::string::npos);
  // Whoever waits is told no; the event may still be kept.
  EXPECT_EQ(progress.Ask(1, JournalLevel::kSynced, now_ns + test.options.stalled_ns),
            JournalAnswer::kLost);
  disk.Stall(false);
  test.AwaitDurable();
  EXPECT_EQ(progress.Ask(1, JournalLevel::kSynced, MonotonicNs()), JournalAnswer::kKept);
}

TEST(JournalFault, FullDiskShowsTheKernelsWordsAndPasses) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.retry_ns = kNsPerMs;
  test.Open();
  test.Offer(100);
  test.AwaitDurable();
  disk.SetBytesMax(disk.bytes() + 100);
  test.Offer(100);
  test.Await([&] { return test.journal->Statistics(MonotonicNs()).failures > 2; });
  EXPECT_EQ(test.journal->Statistics(MonotonicNs()).state, "failed: No space left on device");
  EXPECT_EQ(test.journal->progress().Ask(200, JournalLevel::kSynced, MonotonicNs()),
            JournalAnswer::kLost);
  EXPECT_TRUE(HasNotice(test.journal->TakeNotices(), "No space left on device"));
  disk.SetBytesMax(UINT64_MAX);
  test.AwaitDurable();
  EXPECT_EQ(test.journal->Statistics(MonotonicNs()).state, "ok");
  EXPECT_TRUE(HasNotice(test.journal->TakeNotices(), "works again"));
  // It was full for a time that the queue could hold: nothing is missing.
  test.ExpectEvents(test.Read(), 1, 200);
}

TEST(JournalFault, FailingDiskForLongMakesOneHole) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.retry_ns = kNsPerMs;
  test.options.queue_bytes_max = 32 << 10;
  test.Open();
  test.Offer(10);
  test.AwaitDurable();
  disk.Fail("Input/output error");
  test.Offer(1000);
  test.Await([&] { return !test.journal->progress().store_works(); });
  test.Offer(1000);
  EXPECT_EQ(test.journal->Statistics(MonotonicNs()).state, "failed: Input/output error");
  disk.Fail("");
  test.Await([&] { return test.journal->Statistics(MonotonicNs()).queue_bytes == 0; });
  test.Offer(100);
  test.AwaitDurable();
  const JournalStatistics statistics = test.journal->Statistics(MonotonicNs());
  EXPECT_EQ(statistics.holes, 1u);
  EXPECT_EQ(statistics.events_committed + statistics.events_lost, 2110u);
  const std::vector<ReadBack> records = test.Read();
  EXPECT_EQ(records.size(), statistics.events_committed + 1);
}

TEST(JournalFault, StopWhileFailingEndsAndTheNextStartTells) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.retry_ns = kLongNs;
  test.Open();
  test.Offer(10);
  test.AwaitDurable();
  const uint64_t ceiling = test.journal->ceiling();
  disk.Fail("Input/output error");
  test.Offer(10);
  test.Close();
  disk.Fail("");
  test.Open();
  EXPECT_FALSE(test.recovery.was_stopped);
  EXPECT_EQ(test.recovery.next_sequence, ceiling);
  const std::vector<ReadBack> records = test.Read();
  ASSERT_EQ(records.size(), 11u);
  EXPECT_EQ(records[10].reason, HoleReason::kRestart);
}

TEST(JournalFault, GroupsFormWhileTheDiskIsBusy) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.Open();
  disk.Stall(true);
  test.Offer(1);
  disk.AwaitStalled();
  test.Offer(999);
  const uint64_t commits = disk.commits();
  disk.Stall(false);
  test.AwaitDurable();
  EXPECT_EQ(disk.commits() - commits, 2u);  // the one that was waiting, and all others at once
}

TEST(JournalFault, LossOfPowerKeepsEverythingSynced) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.syncs_each_group = false;
  test.options.sync_interval_ns = kLongNs;
  test.Open();
  for (int i = 0; i < 10; ++i) {
    test.Offer(1);
    test.Await([&] { return test.journal->written_sequence() == test.next - 1; });
  }
  EXPECT_EQ(test.journal->durable_sequence(), 0u);
  const uint64_t ceiling = test.journal->ceiling();
  test.PowerOff(4);
  test.Open();
  EXPECT_EQ(test.recovery.last, 4u);
  EXPECT_FALSE(test.recovery.torn.empty());
  EXPECT_NE(test.recovery.Describe("d").find("its end was torn and is cut"), std::string::npos);
  EXPECT_EQ(test.recovery.next_sequence, ceiling);
}

TEST(JournalFault, WhoWaitsForTheDiskHasItSyncedAtOnceAndSharesTheFlush) {
  SimulatedDisk disk;
  JournalUnderTest test(&disk);
  test.options.syncs_each_group = false;
  test.options.sync_interval_ns = INT64_MAX / 2;
  test.Open();
  const uint64_t syncs = disk.syncs();
  // Written, and then somebody waits for it.
  test.Offer(10);
  test.Await([&] { return test.journal->written_sequence() == 10; });
  EXPECT_EQ(disk.syncs(), syncs);
  test.journal->WantSynced(7);
  test.AwaitDurable();
  EXPECT_EQ(disk.syncs() - syncs, 1u);
  // Waited for before it is offered: the group that brings it is synced, with no flush of its own.
  const uint64_t commits = disk.commits();
  test.journal->WantSynced(11);
  test.Offer(1);
  test.AwaitDurable();
  EXPECT_EQ(disk.syncs() - syncs, 2u);
  EXPECT_EQ(disk.commits() - commits, 1u);
  // Those who come while the disk is busy share one.
  disk.Stall(true);
  test.Offer(1);
  disk.AwaitStalled();
  for (int i = 0; i < 500; ++i) {
    test.Offer(1);
    test.journal->WantSynced(test.next - 1);
  }
  disk.Stall(false);
  test.AwaitDurable();
  EXPECT_EQ(disk.syncs() - syncs, 3u);
  // Nobody waits any more.
  test.Offer(1);
  test.Await([&] { return test.journal->written_sequence() == test.next - 1; });
  EXPECT_EQ(disk.syncs() - syncs, 3u);
  EXPECT_EQ(test.journal->durable_sequence(), test.next - 2);
}

// One life after another on one disk: at random it stalls, fills, fails, is killed or loses power.
// The model: what Ask called kept is there, all that is there is in order and right, and every
// number that is not there lies in a hole.
class JournalLives {
 public:
  explicit JournalLives(uint64_t seed) : random_(seed), test_(&disk_) {
    test_.options.retry_ns = kNsPerMs;
    test_.options.queue_bytes_max = 20'000;
    test_.options.ceiling_block = 60;  // so small that a stalled disk meets it
    test_.options.syncs_each_group = seed % 2 == 0;
    test_.options.sync_interval_ns = kNsPerMs;
  }

  void Run(int lives) {
    for (int life = 0; life < lives && !testing::Test::HasFailure(); ++life) {
      disk_.Fail("");
      test_.Open();
      EXPECT_GT(test_.next, newest_given_) << "a sequence is given out twice";
      CheckHeld();
      Live();
      End();
    }
  }

 private:
  bool OneIn(uint32_t n) { return random_() % n == 0; }

  void Live() {
    for (uint64_t turn = random_() % 30; turn > 0; --turn) {
      if (OneIn(10)) disk_.Stall(true);
      if (OneIn(10)) disk_.Fail("Input/output error");
      // As the gateway does: none past the ceiling.
      for (uint64_t i = random_() % 60; i > 0 && test_.next < test_.journal->ceiling(); --i) {
        test_.Offer(1);
        newest_given_ = test_.next - 1;
      }
      if (OneIn(4)) disk_.Stall(false);
      if (OneIn(4)) disk_.Fail("");
      if (OneIn(4)) {
        disk_.Stall(false);
        disk_.Fail("");
        test_.Await([&] { return test_.journal->Statistics(MonotonicNs()).queue_bytes == 0; });
      }
      NoteKept();
    }
  }
  void NoteKept() {
    const uint64_t durable = test_.journal->durable_sequence();
    for (uint64_t s = std::max(asked_ + 1, test_.recovery.next_sequence); s <= durable; ++s) {
      if (test_.journal->progress().Ask(s, JournalLevel::kSynced, MonotonicNs()) ==
          JournalAnswer::kKept) {
        kept_.push_back(s);
      }
      asked_ = s;
    }
  }
  void End() {
    NoteKept();
    switch (random_() % 3) {
      case 0:
        test_.PowerOff(random_() % 4);
        break;
      case 1:
        test_.Kill();
        break;
      default:
        disk_.Stall(false);
        test_.Close();
    }
    disk_.Stall(false);
  }
  void CheckHeld() {
    uint64_t expected = 1;
    size_t kept = 0;
    for (const ReadBack& record : test_.Read()) {
      ASSERT_EQ(record.first, expected);
      ASSERT_NE(record.reason, HoleReason::kDamage) << record.first << " to " << record.last;
      if (record.kind == RecordKind::kEvent) {
        ASSERT_EQ(record.wire, WireOf(record.first, test_.recovery.epoch));
        if (kept < kept_.size() && kept_[kept] == record.first) ++kept;
      }
      expected = record.last + 1;
    }
    EXPECT_EQ(kept, kept_.size()) << "event " << kept_[kept] << " was acknowledged and is missing";
    EXPECT_EQ(expected, test_.next);
  }

  std::mt19937_64 random_;
  SimulatedDisk disk_;
  JournalUnderTest test_;
  uint64_t newest_given_ = 0;
  uint64_t asked_ = 0;
  std::vector<uint64_t> kept_;
};

TEST(JournalFault, RandomLivesLoseNothingThatWasAcknowledged) {
  const char* rounds = std::getenv("SLUICE_JOURNAL_SEEDS");
  const uint64_t seeds = rounds == nullptr ? 20 : std::strtoull(rounds, nullptr, 10);
  for (uint64_t seed = 1; seed <= seeds && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    JournalLives(seed).Run(20);
  }
}

}  // namespace
}  // namespace sluice
