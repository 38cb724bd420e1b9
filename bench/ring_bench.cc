// What the ring costs: a push and its drains, with 1 to 4 producers and 1 to 4 consumers.
//
// Verified before it is timed: what is pushed is what every consumer drains.
#include "ring/ring.h"

#include <benchmark/benchmark.h>

#include <string>

#include "base/check.h"

namespace sluice {
namespace {

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

// Several producers at once; the first of them drains too.
Ring* shared_ring = nullptr;

void BM_RingProducers(benchmark::State& state) {
  if (state.thread_index() == 0) {
    Verify(1);
    shared_ring = new Ring(4096, 1 << 26, 1);
  }
  int64_t pushed = 0;
  for (auto _ : state) {
    Frame* frame = MakeFrame();
    uint64_t sequence = 0;
    const bool is_pushed = shared_ring->TryPush({&frame, 1}, 1, &sequence) == PushResult::kPushed;
    if (!is_pushed) frame->Release();
    pushed += is_pushed;
    if (state.thread_index() == 0) DrainAll(*shared_ring, 0);
  }
  state.SetItemsProcessed(pushed);
  if (state.thread_index() == 0) delete shared_ring;
}
BENCHMARK(BM_RingProducers)->ThreadRange(1, 4)->UseRealTime();

}  // namespace
}  // namespace sluice
