// Goal: a key is found within its window and not after it, with what it came with; the table stays
// bounded, and what it forgets early is counted.
#include "publish/idempotency_table.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace sluice {
namespace {

using Kind = IdempotencyTable::Kind;
constexpr int64_t kWindowNs = 1'000;

class IdempotencyTableTest : public testing::Test {
 protected:
  bool Has(std::string_view key, int64_t now_ns, Kind kind = Kind::kKey) {
    return table_.Find(kind, key, 1, now_ns).has_value();
  }
  void Add(std::string_view key, int64_t now_ns) {
    table_.Add(Kind::kKey, key, 1, {7, 42}, now_ns);
  }

  IdempotencyTable table_{kWindowNs, 4};
};

TEST_F(IdempotencyTableTest, FindsTheFirstAnswerWithinTheWindow) {
  EXPECT_FALSE(Has("a", 0));
  Add("a", 10);
  const auto found = table_.Find(Kind::kKey, "a", 1, 10 + kWindowNs - 1);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->is_same);
  EXPECT_EQ(found->answer.first_sequence, 7u);
  EXPECT_EQ(found->answer.subscribers, 42u);
  EXPECT_FALSE(Has("a", 10 + kWindowNs));
  EXPECT_EQ(table_.counts().keys, 0u);
  EXPECT_EQ(table_.counts().evicted_total, 0u);
}

TEST_F(IdempotencyTableTest, TellsAnotherFingerprint) {
  Add("a", 0);
  const auto found = table_.Find(Kind::kKey, "a", 2, 1);
  ASSERT_TRUE(found);
  EXPECT_FALSE(found->is_same);
}

TEST_F(IdempotencyTableTest, KeepsKeysAndEventIdsApart) {
  Add("a", 0);
  EXPECT_FALSE(Has("a", 1, Kind::kEventId));
  table_.Add(Kind::kEventId, "a", 1, {}, 1);
  EXPECT_TRUE(Has("a", 1, Kind::kEventId));
  EXPECT_EQ(table_.counts().keys, 2u);
}

TEST_F(IdempotencyTableTest, ForgetsTheOldestWhenFullAndCountsIt) {
  for (const char* key : {"a", "b", "c", "d"}) Add(key, 0);
  EXPECT_EQ(table_.counts().evicted_total, 0u);
  Add("e", 1);
  EXPECT_FALSE(Has("a", 1));
  for (const char* key : {"b", "c", "d", "e"}) EXPECT_TRUE(Has(key, 1)) << key;
  EXPECT_EQ(table_.counts().keys, 4u);
  EXPECT_EQ(table_.counts().evicted_total, 1u);
}

TEST_F(IdempotencyTableTest, TakesAKeyAgainAfterItsWindow) {
  IdempotencyTable large(kWindowNs, 1'000);
  // More than are removed at once stand before it.
  for (int i = 0; i < 100; ++i) large.Add(Kind::kKey, std::to_string(i), 1, {}, 0);
  large.Add(Kind::kKey, "a", 1, {1, 0}, 1);
  EXPECT_FALSE(large.Find(Kind::kKey, "a", 1, kWindowNs + 1));
  large.Add(Kind::kKey, "a", 2, {2, 0}, kWindowNs + 1);
  for (int i = 0; i < 20; ++i) {
    const auto found = large.Find(Kind::kKey, "a", 2, kWindowNs + 2);
    ASSERT_TRUE(found) << "the old entry went and took the new one with it, round " << i;
    EXPECT_EQ(found->answer.first_sequence, 2u);
  }
  EXPECT_EQ(large.counts().keys, 1u);
}

TEST_F(IdempotencyTableTest, TakesBackWhatDidNotHappen) {
  Add("a", 0);
  Add("b", 0);
  Add("c", 0);
  table_.RemoveNewest(2);
  EXPECT_TRUE(Has("a", 0));
  EXPECT_FALSE(Has("b", 0));
  EXPECT_FALSE(Has("c", 0));
}

TEST(IdempotencyFingerprint, TellsEveryField) {
  const std::string_view a[] = {"a"};
  const std::string_view b[] = {"b"};
  const std::string_view ab[] = {"a", "b"};
  const std::vector<Event> events = {
      {.data = "1"},
      {.data = "2"},
      {.data = "1", .type = "t"},
      {.data = "1", .topics = a},
      {.data = "1", .topics = b},
      {.data = "1", .topics = ab},
      {.data = "1", .id = "t"},
      {.data = "1", .key = "t"},
      {.data = "1", .retry_ms = 500},
      {.data = "", .type = "1"},
      {.data = ""},
  };
  for (size_t i = 0; i < events.size(); ++i) {
    for (size_t j = 0; j < events.size(); ++j) {
      const auto fingerprint = [&](size_t n) {
        return IdempotencyTable::Fingerprint(std::span(events).subspan(n, 1));
      };
      EXPECT_EQ(fingerprint(i) == fingerprint(j), i == j) << i << " " << j;
    }
  }
  const std::array<Event, 2> twice{events[0], events[1]};
  const std::array<Event, 2> turned{events[1], events[0]};
  EXPECT_NE(IdempotencyTable::Fingerprint(twice), IdempotencyTable::Fingerprint(turned));
}

}  // namespace
}  // namespace sluice
