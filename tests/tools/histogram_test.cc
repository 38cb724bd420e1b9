#include "histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace sluice::bench {
namespace {

TEST(Histogram, IsWithinOnePercentFromNanosecondsToMinutes) {
  for (double value = 1; value < 600e9; value *= 1.37) {
    Histogram histogram;
    const auto ns = static_cast<int64_t>(value);
    histogram.Record(ns);
    histogram.Record(INT64_C(700'000'000'000));  // so that the maximum does not help
    const auto found = static_cast<double>(histogram.At(0.5));
    EXPECT_LE(std::abs(found - static_cast<double>(ns)), 0.01 * static_cast<double>(ns)) << ns;
  }
}

TEST(Histogram, AgreesWithSortedValues) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> distribution(14, 2);
  std::vector<int64_t> values;
  Histogram one;
  Histogram other;
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(static_cast<int64_t>(distribution(random)));
    (i % 2 == 0 ? one : other).Record(values.back());
  }
  one.Merge(other);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(one.count(), values.size());
  EXPECT_EQ(one.max(), static_cast<uint64_t>(values.back()));
  EXPECT_EQ(one.min(), static_cast<uint64_t>(values.front()));
  for (const double quantile : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999}) {
    const auto rank = static_cast<size_t>(std::ceil(quantile * 20'000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    EXPECT_NEAR(static_cast<double>(one.At(quantile)), exact, 0.01 * exact) << quantile;
  }
}

TEST(Histogram, OfNothingIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.At(0.99), 0u);
  EXPECT_EQ(histogram.min(), 0u);
}

}  // namespace
}  // namespace sluice::bench
