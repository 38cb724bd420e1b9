// Counts of durations in buckets of bounded relative width, after the idea of HdrHistogram.
//
// A value below 256 ns has a bucket of its own; above, each power of two is cut into 128, so a
// percentile is off by at most 1/128 of itself (0.8 %; half of that from the bucket's middle).
//
// Thread: one writer; Merge and the readers after the writer has stopped.
// Bounds: any uint64_t of nanoseconds; 7,424 buckets, 58 KiB.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::bench {

class Histogram {
 public:
  Histogram() : counts_(kBuckets) {}

  void Record(int64_t value_ns) {
    const uint64_t value = value_ns < 0 ? 0 : static_cast<uint64_t>(value_ns);
    ++counts_[Bucket(value)];
    ++count_;
    sum_ += value;
    if (value > max_) max_ = value;
    if (value < min_) min_ = value;
  }

  void Merge(const Histogram& other);
  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  double mean() const;
  // The value below or at which `quantile` (0 .. 1) of all values lie; 0 without values.
  uint64_t At(double quantile) const;

 private:
  static constexpr unsigned kSubBits = 7;
  static constexpr size_t kBuckets = ((64 - kSubBits) + 1) << kSubBits;

  static size_t Bucket(uint64_t value) {
    const unsigned width = static_cast<unsigned>(std::bit_width(value | 1));
    const unsigned shift = width > kSubBits + 1 ? width - (kSubBits + 1) : 0;
    return (static_cast<size_t>(shift) << kSubBits) + static_cast<size_t>(value >> shift);
  }
  static uint64_t Middle(size_t bucket);

  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t max_ = 0;
  uint64_t min_ = UINT64_MAX;
};

}  // namespace sluice::bench
