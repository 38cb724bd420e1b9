// A number that one thread writes and any thread reads, for /stats.
//
// Thread: Add, Set and Raise by the owner only; value() by any thread, a moment old at worst.
// Cost:   a plain load, add and store; no locked instruction, which is why there is one writer.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice {

class Counter {
 public:
  // Relaxed throughout: a counter orders nothing and publishes no other memory.
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  void Add(uint64_t n = 1) { Set(value() + n); }
  void Subtract(uint64_t n = 1) { Set(value() - n); }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  void Raise(uint64_t n) {
    if (n > value()) Set(n);
  }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace sluice
