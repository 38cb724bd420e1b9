// Counts of durations by size, at most 1 % wide a bucket, from 1 ns to 18 minutes (longer counts as
// that). Log-linear: 128 buckets for each power of two.
//
// Thread: Record by one owner; Merge reads another thread's histogram, a moment old at worst.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/counter.h"

namespace sluice {

class Histogram {
 public:
  static constexpr uint32_t kMantissaBits = 7;
  static constexpr uint32_t kExponentMax = 40;
  static constexpr uint32_t kBuckets = (kExponentMax - kMantissaBits + 2) << kMantissaBits;

  static constexpr uint32_t Bucket(uint64_t value) {
    if (value >= (uint64_t{1} << (kExponentMax + 1))) return kBuckets - 1;
    if (value < (1u << kMantissaBits)) return static_cast<uint32_t>(value);
    const uint32_t exponent = static_cast<uint32_t>(std::bit_width(value)) - 1;
    const uint32_t shift = exponent - kMantissaBits;
    return ((shift + 1) << kMantissaBits) +
           static_cast<uint32_t>((value >> shift) & ((1u << kMantissaBits) - 1));
  }
  // The largest value that falls into the bucket.
  static constexpr uint64_t BucketMax(uint32_t bucket) {
    if (bucket < (2u << kMantissaBits)) return bucket;
    const uint32_t shift = (bucket >> kMantissaBits) - 1;
    const uint64_t mantissa = (bucket & ((1u << kMantissaBits) - 1)) | (1u << kMantissaBits);
    return ((mantissa + 1) << shift) - 1;
  }

  void Record(int64_t value, uint64_t count = 1) {
    counts_[Bucket(value < 0 ? 0 : static_cast<uint64_t>(value))].Add(count);
  }
  uint64_t count(uint32_t bucket) const { return counts_[bucket].value(); }

 private:
  std::array<Counter, kBuckets> counts_;
};

// Percentiles over the histograms of several shards.
class HistogramSum {
 public:
  HistogramSum() : counts_(Histogram::kBuckets, 0) {}

  void Merge(const Histogram& histogram) {
    for (uint32_t i = 0; i < Histogram::kBuckets; ++i) {
      const uint64_t n = histogram.count(i);
      counts_[i] += n;
      total_ += n;
    }
  }
  uint64_t total() const { return total_; }
  // Calls with (largest value, count) of 16 buckets for each power of two, those without records
  // left out: the difference of two moments is the histogram of the time between them.
  template <typename Call>
  void ForEachBucket(Call&& call) const {
    constexpr uint32_t kJoined = 1u << (Histogram::kMantissaBits - 4);
    for (uint32_t i = 0; i < Histogram::kBuckets; i += kJoined) {
      uint64_t count = 0;
      for (uint32_t j = 0; j < kJoined; ++j) count += counts_[i + j];
      if (count != 0) call(Histogram::BucketMax(i + kJoined - 1), count);
    }
  }
  // The value that `part` (0 to 1) of the records do not exceed; 0 if there are none.
  uint64_t Percentile(double part) const {
    const double wanted = part * static_cast<double>(total_);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < Histogram::kBuckets; ++i) {
      seen += counts_[i];
      if (counts_[i] != 0 && static_cast<double>(seen) >= wanted) return Histogram::BucketMax(i);
    }
    return 0;
  }

 private:
  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
};

}  // namespace sluice
