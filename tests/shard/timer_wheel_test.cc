// Goal: each timer fires once, not before its time (unless it lies beyond the wheel's reach), and
// at most a tick after the first Advance that reaches it.
#include "shard/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace sluice {
namespace {

constexpr int64_t kTick = TimerWheel::kTickNs;

std::vector<uint32_t> Fired(TimerWheel& wheel, int64_t now_ns, uint32_t due_max = UINT32_MAX) {
  std::vector<uint32_t> slots;
  wheel.Advance(now_ns, due_max, [&](uint32_t slot) { slots.push_back(slot); });
  return slots;
}

TEST(TimerWheel, FiresAtItsTimeAndOnce) {
  TimerWheel wheel(0);
  wheel.Set(3, 10 * kTick);
  EXPECT_EQ(wheel.next_ns(), 10 * kTick);
  EXPECT_TRUE(Fired(wheel, 10 * kTick - 1).empty());
  EXPECT_EQ(Fired(wheel, 10 * kTick), std::vector<uint32_t>{3});
  EXPECT_TRUE(Fired(wheel, 700 * kTick).empty());
  EXPECT_EQ(wheel.next_ns(), INT64_MAX);
}

TEST(TimerWheel, SettingAgainReplaces) {
  TimerWheel wheel(0);
  wheel.Set(3, 10 * kTick);
  wheel.Set(3, 20 * kTick);
  EXPECT_TRUE(Fired(wheel, 19 * kTick).empty());
  EXPECT_EQ(Fired(wheel, 20 * kTick), std::vector<uint32_t>{3});
}

TEST(TimerWheel, ATimePastFiresAtTheNextTickNotInALoop) {
  TimerWheel wheel(100 * kTick);
  wheel.Set(1, 0);
  int fired = 0;
  wheel.Advance(101 * kTick, UINT32_MAX, [&](uint32_t slot) {
    ++fired;
    wheel.Set(slot, 0);
  });
  EXPECT_EQ(fired, 1);
}

TEST(TimerWheel, NeverIsAsFarAsTheWheelReaches) {
  TimerWheel wheel(0);
  wheel.Set(1, INT64_MAX);
  EXPECT_EQ(wheel.next_ns(), TimerWheel::kReachNs);
}

TEST(TimerWheel, LeavesTheRestDueWhenTheBudgetIsSpent) {
  TimerWheel wheel(0);
  for (uint32_t slot = 0; slot < 10; ++slot) wheel.Set(slot, 5 * kTick);
  EXPECT_EQ(Fired(wheel, 6 * kTick, 4).size(), 4u);
  EXPECT_LE(wheel.next_ns(), 6 * kTick);
  EXPECT_EQ(Fired(wheel, 6 * kTick, 100).size(), 6u);
}

TEST(TimerWheel, PropertyAgainstAMap) {
  std::mt19937 random(7);
  TimerWheel wheel(0);
  std::map<uint32_t, int64_t> model;
  int64_t now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const uint32_t slot = static_cast<uint32_t>(random() % 3000);
    const int64_t at = now + static_cast<int64_t>(random() % (500 * kTick));
    if (random() % 4 == 0) {
      if (wheel.next_ns() != INT64_MAX) wheel.Unset(slot);
      model.erase(slot);
    } else {
      wheel.Set(slot, at);
      model[slot] = at;
    }
    if (random() % 8 != 0) continue;
    now += static_cast<int64_t>(random() % (3 * kTick));
    for (const uint32_t fired : Fired(wheel, now)) {
      ASSERT_TRUE(model.contains(fired));
      ASSERT_LE(model[fired], now);
      model.erase(fired);
    }
    for (const auto& [left, due] : model) ASSERT_GT(due, now - 2 * kTick) << left;
  }
}

}  // namespace
}  // namespace sluice
