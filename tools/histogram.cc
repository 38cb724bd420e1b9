#include "histogram.h"

#include <algorithm>
#include <cmath>

namespace sluice::bench {

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
  min_ = std::min(min_, other.min_);
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

uint64_t Histogram::Middle(size_t bucket) {
  if (bucket < size_t{2} << kSubBits) return bucket;
  const size_t shift = (bucket >> kSubBits) - 1;
  const uint64_t mantissa = bucket - (shift << kSubBits);
  return (mantissa << shift) + (uint64_t{1} << shift >> 1);
}

uint64_t Histogram::At(double quantile) const {
  if (count_ == 0) return 0;
  const double wanted = std::ceil(quantile * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(wanted), 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= rank) return std::clamp(Middle(i), min_, max_);
  }
  return max_;
}

}  // namespace sluice::bench
