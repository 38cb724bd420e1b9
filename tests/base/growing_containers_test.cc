// Goal: the containers that start small hold what a standard one holds.
// Method: random steps from a seed beside a standard container.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

#include "base/growing_array.h"
#include "base/hash_index.h"

namespace sluice {
namespace {

TEST(GrowingArray, HoldsWhatWasPushedFromOneElementToManyBlocks) {
  GrowingArray<uint32_t> array;
  EXPECT_TRUE(array.empty());
  for (uint32_t i = 0; i < 10'000; ++i) {
    array.push_back(i);
    ASSERT_EQ(array.back(), i);
    ASSERT_EQ(array[i / 2], i / 2);
  }
  for (uint32_t i = 0; i < 10'000; ++i) ASSERT_EQ(array[i], i);
  for (uint32_t i = 0; i < 9'999; ++i) array.pop_back();
  EXPECT_EQ(array.size(), 1u);
  EXPECT_EQ(array[0], 0u);
}

TEST(HashIndex, PropertyHoldsWhatAMapHolds) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    HashIndex index;
    std::map<uint32_t, uint64_t> model;  // number, hash
    for (int step = 0; step < 4000; ++step) {
      const uint32_t number = static_cast<uint32_t>(random() % 500);
      // Few hashes, so that places collide and runs are long.
      const uint64_t hash = random() % 40;
      const bool grows = step % 1000 < 600;
      if (random() % 3 == (grows ? 0u : 1u)) {
        if (const auto found = model.find(number); found != model.end()) {
          index.Erase(found->second, number);
          model.erase(found);
        }
      } else if (!model.contains(number)) {
        index.Insert(hash, number);
        model[number] = hash;
      }
      ASSERT_EQ(index.size(), model.size());
      const uint32_t asked = static_cast<uint32_t>(random() % 500);
      const auto found = model.find(asked);
      const uint64_t under = found == model.end() ? hash : found->second;
      ASSERT_EQ(index.Find(under, [&](uint32_t n) { return n == asked; }),
                found == model.end() ? HashIndex::kNone : asked);
    }
  }
}

}  // namespace
}  // namespace sluice
