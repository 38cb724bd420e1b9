// What user space costs a delivery: encoding, appending to the log, a cursor's next bytes, and a
// whole sweep over an engine that takes every byte and does nothing else.
//
// Verified before it is timed: every reader is offered every byte.
#include <benchmark/benchmark.h>

#include <string>

#include "base/check.h"
#include "delivery/channel.h"

namespace sluice {
namespace {

const std::string kData(100, 'x');

Frame* MakeFrame(uint64_t sequence) {
  Frame* frame = Frame::Encode({.data = kData, .type = ""}, Epoch(1), 4096);
  frame->Stamp(sequence, 1, 1);
  return frame;
}

void BM_FrameEncode(benchmark::State& state) {
  Frame* checked = MakeFrame(7);
  SLUICE_CHECK(checked->bytes() == "data: " + kData + "\nid: 000000000001-7\n\n");
  checked->Release();
  for (auto _ : state) MakeFrame(123456)->Release();
}
BENCHMARK(BM_FrameEncode);

void BM_LogAppendAndFollow(benchmark::State& state) {
  Log log(256 * 1024);
  Cursor cursor = log.Attach();
  uint64_t sequence = 0;
  for (auto _ : state) {
    log.Append(MakeFrame(++sequence));
    iovec iovecs[SendBatch::kIovecsMax];
    const uint32_t count = log.Gather(cursor, UINT64_MAX, 1 << 20, iovecs, SendBatch::kIovecsMax);
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; ++i) bytes += iovecs[i].iov_len;
    SLUICE_CHECK(log.Advance(&cursor, bytes) == 1);
  }
  log.Detach(cursor);
}
BENCHMARK(BM_LogAppendAndFollow);

// Takes all it is offered.
class TakingEngine : public Engine {
 public:
  EngineKind kind() const override { return EngineKind::kSimulated; }
  uint32_t connections_max() const override { return 1 << 20; }
  uint32_t connections() const override { return 0; }
  Status Listen(int, uint32_t) override { return Status::Ok(); }
  void Accepting(bool) override {}
  void Read(ConnectionId, ReadMode) override {}
  void WatchWritable(ConnectionId) override {}
  void Shutdown(ConnectionId) override {}
  void Close(ConnectionId) override {}
  void Send(std::span<SendRequest> batch) override {
    for (SendRequest& request : batch) {
      size_t bytes = 0;
      for (uint32_t i = 0; i < request.iovec_count; ++i) bytes += request.iovecs[i].iov_len;
      request.result = static_cast<int32_t>(bytes);
      bytes_taken += bytes;
    }
  }
  size_t Wait(int64_t, std::span<EngineEvent>) override { return 0; }
  void Wake() override {}
  int64_t Now() const override { return 1; }

  uint64_t bytes_taken = 0;
};

class NoEvents : public ReaderEvents {
 public:
  void OnDropped(ConnectionId, Disconnect) override { SLUICE_CHECK(false); }
  void OnEnded(ConnectionId) override { SLUICE_CHECK(false); }
};

// One event to all readers: nanoseconds of user space a delivery, kernel left out.
void BM_Sweep(benchmark::State& state) {
  const uint32_t readers = static_cast<uint32_t>(state.range(0));
  const uint64_t joined = static_cast<uint64_t>(state.range(1));
  TakingEngine engine;
  NoEvents events;
  DeliveryCounters counters;
  Channel channel({.lag_bytes_max = 1 << 22,
                   .lag_events_max = 1 << 16,
                   .lag_age_max_ns = 1'000'000'000,
                   .log_bytes_max = 1 << 26,
                   .segment_bytes = 256 * 1024,
                   .sends_max = 256,
                   .send_bytes_max = 256 * 1024,
                   .heartbeat_ns = 0},
                  engine, counters, events);
  for (uint32_t i = 0; i < readers; ++i) channel.Attach({i, 1}, "opening");
  while (channel.Sweep(1)) {
  }
  uint64_t sequence = 0;
  uint64_t frame_bytes = 0;
  engine.bytes_taken = 0;
  for (auto _ : state) {
    for (uint64_t i = 0; i < joined; ++i) {
      Frame* frame = MakeFrame(++sequence);
      frame_bytes += frame->bytes().size();
      channel.Append(frame);
    }
    while (channel.Sweep(1)) {
    }
  }
  SLUICE_CHECK(engine.bytes_taken == frame_bytes * readers);
  SLUICE_CHECK(counters.deliveries.value() == sequence * readers);
  state.SetItemsProcessed(static_cast<int64_t>(sequence * readers));
}
BENCHMARK(BM_Sweep)
    ->ArgNames({"readers", "joined"})
    ->Args({100, 1})
    ->Args({1000, 1})
    ->Args({10000, 1})
    ->Args({100000, 1})
    ->Args({1000, 16});

}  // namespace
}  // namespace sluice
