// Goal: what is read back is what was written, and no byte that changed in between is taken for it.
#include "journal/record.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "journal/journal_fixture.h"

namespace sluice {
namespace {

std::string Sealed(const Frame& frame, int64_t wall_ns) {
  std::string bytes(EventRecordBytes(frame), '\0');
  EXPECT_EQ(PutEventRecord(bytes.data(), frame, wall_ns), bytes.data() + bytes.size());
  SealRecord(bytes.data());
  return bytes;
}

std::string SealedHole(uint64_t first, uint64_t last) {
  JournalRecord hole;
  hole.kind = RecordKind::kHole;
  hole.reason = HoleReason::kQueueFull;
  hole.first = first;
  hole.last = last;
  hole.events = 3;
  std::string bytes(kHoleRecordBytes, '\0');
  EXPECT_EQ(PutHoleRecord(bytes.data(), hole), bytes.data() + bytes.size());
  SealRecord(bytes.data());
  return bytes;
}

TEST(JournalRecord, GivesBackAllThatHistoryNeeds) {
  const std::string_view topics[] = {"orders/42", "news"};
  const OwnedFrame frame = MakeFrame(
      77,
      {.data = "a\nb", .type = "t", .topics = topics, .id = "mine", .key = "k", .retry_ms = 900});
  const std::string bytes = Sealed(*frame, 123456789);
  std::string_view rest = bytes;
  JournalRecord record;
  ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kRecord);
  EXPECT_EQ(record.kind, RecordKind::kEvent);
  EXPECT_EQ(record.first, 77u);
  EXPECT_EQ(record.last, 77u);
  EXPECT_EQ(record.wall_ns, 123456789);
  EXPECT_EQ(record.wire, "event: t\ndata: a\ndata: b\nid: mine\n\n");  // and no retry
  EXPECT_EQ(record.publisher_id, "mine");
  EXPECT_EQ(record.key, "k");
  std::vector<std::string> read;
  record.ForEachTopic([&](std::string_view topic) { read.emplace_back(topic); });
  EXPECT_EQ(read, (std::vector<std::string>{"orders/42", "news"}));
  EXPECT_EQ(TakeRecord(&rest, &record), ParsedAs::kEnd);
}

TEST(JournalRecord, FollowsAnotherInABlock) {
  std::string block = Sealed(*MakeFrame(1), 5) + SealedHole(2, 9) + Sealed(*MakeFrame(10), 6);
  std::string_view rest = block;
  JournalRecord record;
  ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kRecord);
  EXPECT_EQ(record.first, 1u);
  ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kRecord);
  EXPECT_EQ(record.kind, RecordKind::kHole);
  EXPECT_EQ(record.reason, HoleReason::kQueueFull);
  EXPECT_EQ(record.first, 2u);
  EXPECT_EQ(record.last, 9u);
  EXPECT_EQ(record.events, 3u);
  ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kRecord);
  EXPECT_EQ(record.first, 10u);
  EXPECT_EQ(TakeRecord(&rest, &record), ParsedAs::kEnd);
}

TEST(JournalRecord, WithAnyByteChangedIsNoRecord) {
  const std::string_view topics[] = {"a"};
  const std::string good =
      Sealed(*MakeFrame(3, {.data = "x", .topics = topics, .id = "i", .key = "k"}), 1);
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
      std::string_view rest = bad;
      JournalRecord record;
      ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kDamaged) << at << " " << bit;
    }
  }
}

TEST(JournalRecord, DamagedLeavesTheNextOnesReadable) {
  const std::string first = Sealed(*MakeFrame(1), 1);
  std::string block = first + Sealed(*MakeFrame(2), 1);
  block[first.size() - 2] ^= 1;
  std::string_view rest = block;
  JournalRecord record;
  EXPECT_EQ(TakeRecord(&rest, &record), ParsedAs::kDamaged);
  ASSERT_EQ(TakeRecord(&rest, &record), ParsedAs::kRecord);
  EXPECT_EQ(record.first, 2u);
}

TEST(JournalRecord, RandomAndCutOffBytesAreNone) {
  std::mt19937 random(7);
  const std::string good = Sealed(*MakeFrame(5), 1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (round % 2 == 0) bytes = good.substr(0, random() % good.size());
    std::string_view rest = bytes;
    JournalRecord record;
    for (ParsedAs parsed; (parsed = TakeRecord(&rest, &record)) != ParsedAs::kEnd;) {
      ASSERT_EQ(parsed, ParsedAs::kDamaged);
    }
  }
}

}  // namespace
}  // namespace sluice
