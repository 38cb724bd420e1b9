// Goal: what is counted is what is held, and retention lets go of whole spans, the oldest first, no
// later than its bound and never of all there is.
#include "journal/span_table.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

JournalSpan Block(uint64_t first, uint64_t events, uint64_t bytes, int64_t wall_ns) {
  return {first, first + events - 1, events, bytes, wall_ns, wall_ns};
}

// Adds blocks as the journal's thread does.
void Add(SpanTable& spans, const JournalSpan& block, int64_t wall_ns) {
  spans.Add(block);
  if (spans.MustClose(wall_ns)) spans.Close();
  while (spans.MustDrop(wall_ns)) spans.DropOldest();
}

TEST(SpanTable, HoldsTheEventsOfItsBoundUpToASpan) {
  SpanTable spans({.events_max = 6400});
  for (uint64_t i = 0; i < 2000; ++i) {
    Add(spans, Block(1 + i * 10, 10, 1000, 1), 1);
    EXPECT_LE(spans.events(), 6400u);
    if (i > 700) {
      EXPECT_GE(spans.events(), 6300u - 10);
    }
    EXPECT_EQ(spans.events() + spans.events_dropped(), (i + 1) * 10);
    EXPECT_EQ(spans.first(), 1 + spans.events_dropped());
  }
}

TEST(SpanTable, HoldsTheBytesOfItsBound) {
  SpanTable spans({.bytes_max = 64000});
  for (uint64_t i = 0; i < 1000; ++i) Add(spans, Block(1 + i, 1, 500, 1), 1);
  EXPECT_LE(spans.bytes(), 64000u);
  EXPECT_GE(spans.bytes(), 62500u);
}

TEST(SpanTable, LetsGoOfWhatIsTooOldThoughNothingFollows) {
  SpanTable spans({.age_max_ns = 6400});
  Add(spans, Block(1, 10, 100, 1000), 1000);
  EXPECT_FALSE(spans.MustClose(1050));
  EXPECT_TRUE(spans.MustClose(1100));
  spans.Close();
  EXPECT_FALSE(spans.MustDrop(7400));
  EXPECT_TRUE(spans.MustDrop(7401));
  spans.DropOldest();
  EXPECT_EQ(spans.events(), 0u);
  EXPECT_EQ(spans.first(), 0u);
}

TEST(SpanTable, SaysWhereItsNewestBegin) {
  SpanTable spans({.events_max = 6400});  // spans of 100
  EXPECT_EQ(spans.AfterAllBut({.events_max = 10}, 1), 0u);
  for (uint64_t i = 0; i < 100; ++i) Add(spans, Block(1 + i * 10, 10, 1000, 1), 1);
  Add(spans, Block(1001, 5, 500, 2), 2);
  EXPECT_EQ(spans.AfterAllBut({}, 2), 0u);  // all
  EXPECT_EQ(spans.AfterAllBut({.events_max = 5}, 2), 1000u);
  EXPECT_EQ(spans.AfterAllBut({.events_max = 6}, 2), 900u);
  EXPECT_EQ(spans.AfterAllBut({.events_max = 205}, 2), 800u);
  EXPECT_EQ(spans.AfterAllBut({.bytes_max = 10'501}, 2), 800u);
  EXPECT_EQ(spans.AfterAllBut({.events_max = 100'000}, 2), 0u);
  EXPECT_EQ(spans.AfterAllBut({.events_max = 205, .age_max_ns = 10}, 12), 1000u);
}

TEST(SpanTable, KeepsAGroupThatIsLargerThanTheBound) {
  SpanTable spans({.events_max = 5});
  Add(spans, Block(1, 100, 1000, 1), 1);
  EXPECT_EQ(spans.events(), 100u);
  Add(spans, Block(101, 100, 1000, 1), 1);
  EXPECT_EQ(spans.events(), 100u);
  EXPECT_EQ(spans.first(), 101u);
}

TEST(JournalSpan, IsReadBackUnlessAByteChanged) {
  const JournalSpan span{1, 2, 3, 4, 0, 5};
  const std::string good = span.Encode();
  JournalSpan read;
  ASSERT_TRUE(JournalSpan::Decode(good, &read).ok());
  EXPECT_EQ(read.first, 1u);
  EXPECT_EQ(read.last, 2u);
  EXPECT_EQ(read.events, 3u);
  EXPECT_EQ(read.bytes, 4u);
  EXPECT_EQ(read.newest_wall_ns, 5);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] ^= 1;
    EXPECT_FALSE(JournalSpan::Decode(bad, &read).ok());
    EXPECT_FALSE(JournalSpan::Decode(good.substr(0, at), &read).ok());
  }
}

}  // namespace
}  // namespace sluice
