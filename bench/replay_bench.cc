// What user space costs readers that come back: many at one place, with many events missed, up to
// the tail; and what a turn of the loop takes meanwhile.
//
// Verified before it is timed: every reader is sent every byte that it missed.
#include <benchmark/benchmark.h>

#include <memory>

#include "base/check.h"
#include "base/clock.h"
#include "delivery_lab.h"
#include "ring/ring.h"

namespace sluice {
namespace {

struct Returned {
  const Epoch epoch{1};
  Ring ring{1 << 14, 1 << 26, 2};
  SharedHistory history{HistoryLimits{}, epoch, ring, 1};
  uint64_t missed_bytes = 0;

  explicit Returned(uint64_t events) {
    for (uint64_t i = 0; i < events; ++i) {
      Frame* frame = Frame::Encode({.data = bench::kData}, epoch, 4096);
      uint64_t sequence = 0;
      SLUICE_CHECK(ring.TryPush({&frame, 1}, 1, &sequence) == PushResult::kPushed);
      missed_bytes += frame->replay_bytes().size();
      ring.Drain(0, 1, [](Frame* drained) {
        drained->Release();
        return true;
      });
    }
    history.Require(events);
  }
};

void BM_Replay(benchmark::State& state) {
  const uint32_t readers = static_cast<uint32_t>(state.range(0));
  const uint64_t missed = static_cast<uint64_t>(state.range(1));
  Returned returned(missed);
  bench::NoEvents events;
  uint64_t turns = 0;
  int64_t longest_ns = 0;
  for (auto _ : state) {
    state.PauseTiming();
    bench::TakingEngine engine;
    DeliveryCounters counters;
    auto delivery = std::make_unique<Delivery>(
        bench::kLimits, engine, counters, events,
        ReplaySource{.history = &returned.history, .epoch = &returned.epoch, .drained = missed});
    state.ResumeTiming();
    const Subscription subscription;
    for (uint32_t i = 0; i < readers; ++i) {
      delivery->Replay({i, 1}, subscription, "opening",
                       delivery->FindStart({.from = StreamStart::From::kEarliest}, subscription));
    }
    for (bool has_more = true; has_more; ++turns) {
      const int64_t began_ns = MonotonicNs();
      has_more = delivery->Sweep(1);
      longest_ns = std::max(longest_ns, MonotonicNs() - began_ns);
    }
    state.PauseTiming();
    SLUICE_CHECK(engine.bytes_taken == readers * (returned.missed_bytes + 7));
    SLUICE_CHECK(counters.replayed.value() == readers * missed);
    SLUICE_CHECK(delivery->replaying() == 0 && delivery->readers() == readers);
    state.counters["readings"] = static_cast<double>(counters.readings.value());
    delivery.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * readers * missed));
  state.counters["longest_turn_us"] = static_cast<double>(longest_ns) / 1e3;
}
BENCHMARK(BM_Replay)->ArgNames({"readers", "missed"})->Args({1000, 100})->Args({1000, 10000});

}  // namespace
}  // namespace sluice
