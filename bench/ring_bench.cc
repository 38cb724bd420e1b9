// What the ring costs: a push and its drains, with 1 to 4 producers and 1 to 4 consumers.
//
// Verified before it is timed: what is pushed is what every consumer drains; and while it is timed,
// that it comes out in one order without a gap.
#include "ring/ring.h"

#include <benchmark/benchmark.h>

#include <string>

#include "base/check.h"

namespace sluice {
namespace {

constexpr int kProducersMax = 4;

Frame* MakeFrame() {
  static const std::string data(100, 'x');
  return Frame::Encode({.data = data, .type = ""}, Epoch(1), 4096);
}

size_t DrainAll(Ring& ring, uint32_t consumer) {
  return ring.Drain(consumer, SIZE_MAX, [](Frame* frame) { return frame->Release(), true; });
}

void Verify(uint32_t consumers) {
  Ring ring(1024, 1 << 24, consumers);
  for (int i = 0; i < 100; ++i) {
    Frame* frame = MakeFrame();
    uint64_t sequence = 0;
    SLUICE_CHECK(ring.TryPush({&frame, 1}, 1, &sequence) == PushResult::kPushed);
  }
  for (uint32_t i = 0; i < consumers; ++i) SLUICE_CHECK(DrainAll(ring, i) == 100);
}

// One thread pushes and drains for all consumers: the cost without contention.
void BM_RingPushAndDrain(benchmark::State& state) {
  const uint32_t consumers = static_cast<uint32_t>(state.range(0));
  Verify(consumers);
  Ring ring(1024, 1 << 24, consumers);
  int64_t pushed = 0;
  for (auto _ : state) {
    Frame* frame = MakeFrame();
    uint64_t sequence = 0;
    if (ring.TryPush({&frame, 1}, 1, &sequence) != PushResult::kPushed) frame->Release();
    for (uint32_t i = 0; i < consumers; ++i) DrainAll(ring, i);
    ++pushed;
  }
  state.SetItemsProcessed(pushed);
}
BENCHMARK(BM_RingPushAndDrain)->Arg(1)->Arg(2)->Arg(4);

// Several producers at once; the first of them drains too. Every event drained must be the next of
// the order, and in the end as many must have come out as went in.
Ring* shared_ring = nullptr;
uint64_t drained = 0;
struct alignas(64) Pushed {
  int64_t count = 0;
};
Pushed pushed_by[kProducersMax];  // each written by its own thread, read after the last barrier

void DrainInOrder() {
  shared_ring->Drain(0, SIZE_MAX, [](Frame* frame) {
    SLUICE_CHECK(frame->sequence() == ++drained);
    frame->Release();
    return true;
  });
}

void BM_RingProducers(benchmark::State& state) {
  if (state.thread_index() == 0) {
    Verify(1);
    shared_ring = new Ring(4096, 1 << 26, 1);
    drained = 0;
  }
  Pushed& pushed = pushed_by[state.thread_index()];
  pushed.count = 0;
  for (auto _ : state) {
    Frame* frame = MakeFrame();
    uint64_t sequence = 0;
    const bool is_pushed = shared_ring->TryPush({&frame, 1}, 1, &sequence) == PushResult::kPushed;
    if (!is_pushed) frame->Release();
    pushed.count += is_pushed;
    if (state.thread_index() == 0) DrainInOrder();
  }
  state.SetItemsProcessed(pushed.count);
  if (state.thread_index() != 0) return;
  // The library's barrier at the loop's end: all have pushed what they push.
  DrainInOrder();
  int64_t sum = 0;
  for (int i = 0; i < state.threads(); ++i) sum += pushed_by[i].count;
  SLUICE_CHECK(drained == static_cast<uint64_t>(sum));
  delete shared_ring;
}
BENCHMARK(BM_RingProducers)->DenseThreadRange(1, kProducersMax)->UseRealTime();

}  // namespace
}  // namespace sluice
