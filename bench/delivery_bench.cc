// What user space costs a delivery: encoding, appending to the log, a cursor's next bytes, and a
// whole sweep, one event to all.
//
// The sweep stands twice. On an engine that takes every byte and does nothing else the time is
// delivery's own. On the simulated engine, whose every peer keeps what it was sent, it is the sweep
// with an engine's bookkeeping and one copy a delivery, and what each reader got can be compared.
//
// Verified before it is timed: every reader is offered every byte, in order.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "delivery_lab.h"
#include "engine/simulated_engine.h"

namespace sluice {
namespace {

constexpr int64_t kBatch = 1'024;
using bench::kData;
using bench::kLimits;
using bench::NoEvents;
using bench::TakingEngine;

Frame* MakeFrame(uint64_t sequence) {
  Frame* frame = Frame::Encode({.data = kData, .type = ""}, Epoch(1), 4096);
  frame->Stamp(sequence, 1, 1);
  return frame;
}

// A log with memory of its own and many readers.
struct LoneLog : LogMemory, Log {
  explicit LoneLog(uint32_t segment_bytes)
      : LogMemory(segment_bytes), Log(static_cast<LogMemory&>(*this)) {}
  void Append(Frame* frame) {
    HeldFrame* held = Hold(frame);
    Log::Append(held, 10'000);
    Release(held);
  }
};

std::string WireBytes(uint64_t sequence) {
  return "data: " + kData + "\nid: 000000000001-" + std::to_string(sequence) + "\n\n";
}

// The bytes from the cursor on, as a send would have them.
std::string Offered(const Log& log, const Cursor& cursor, size_t bytes_max) {
  iovec iovecs[SendBatch::kIovecsMax];
  const uint32_t count = log.Gather(cursor, UINT64_MAX, bytes_max, iovecs, SendBatch::kIovecsMax);
  std::string bytes;
  for (uint32_t i = 0; i < count; ++i) {
    bytes.append(static_cast<const char*>(iovecs[i].iov_base), iovecs[i].iov_len);
  }
  return bytes;
}

void BM_FrameEncode(benchmark::State& state) {
  Frame* checked = MakeFrame(7);
  SLUICE_CHECK(checked->bytes() == WireBytes(7));
  checked->Release();
  for (auto _ : state) MakeFrame(123456)->Release();
}
BENCHMARK(BM_FrameEncode);

void VerifyLog() {
  LoneLog log(1024);  // several segments
  Cursor cursor = log.Attach();
  std::string wanted;
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) {
    log.Append(MakeFrame(sequence));
    wanted += WireBytes(sequence);
  }
  SLUICE_CHECK(Offered(log, cursor, SIZE_MAX) == wanted);
  for (uint64_t sequence = 1; sequence <= 20; ++sequence) {
    const std::string next = Offered(log, cursor, WireBytes(sequence).size());
    SLUICE_CHECK(next == WireBytes(sequence));
    SLUICE_CHECK(log.Advance(&cursor, next.size()) == 1);
  }
  SLUICE_CHECK(log.IsAtTail(cursor));
  log.Detach(cursor);
}

// A frame that is there already is appended: one copy into the segment, and its mark.
void BM_LogAppend(benchmark::State& state) {
  VerifyLog();
  LoneLog log(256 * 1024);
  std::vector<Frame*> frames(kBatch);
  uint64_t sequence = 0;
  while (state.KeepRunningBatch(kBatch)) {
    state.PauseTiming();
    for (Frame*& frame : frames) frame = MakeFrame(++sequence);
    state.ResumeTiming();
    for (Frame* frame : frames) log.Append(frame);
  }
  SLUICE_CHECK(log.tail_index() == sequence);
  state.SetItemsProcessed(static_cast<int64_t>(sequence));
}
BENCHMARK(BM_LogAppend);

// A reader's next bytes, `joined` frames at a time: gathered, then the cursor moved past them.
void BM_CursorNext(benchmark::State& state) {
  VerifyLog();
  const auto joined = static_cast<int64_t>(state.range(0));
  LoneLog log(256 * 1024);
  Cursor cursor = log.Attach();
  const size_t frame_bytes = WireBytes(1'000'000'000).size();
  uint64_t sequence = 1'000'000'000;  // ids of one length
  uint64_t finished = 0;
  while (state.KeepRunningBatch(kBatch)) {
    state.PauseTiming();
    for (int64_t i = 0; i < kBatch * joined; ++i) log.Append(MakeFrame(sequence++));
    state.ResumeTiming();
    for (int64_t i = 0; i < kBatch; ++i) {
      iovec iovecs[SendBatch::kIovecsMax];
      const uint32_t count =
          log.Gather(cursor, UINT64_MAX, frame_bytes * static_cast<size_t>(joined), iovecs,
                     SendBatch::kIovecsMax);
      size_t bytes = 0;
      for (uint32_t piece = 0; piece < count; ++piece) bytes += iovecs[piece].iov_len;
      finished += log.Advance(&cursor, bytes);
    }
    // What is left because a send ends with its segment is not for the next batch.
    finished += log.Advance(&cursor, static_cast<size_t>(log.tail_offset() - log.Offset(cursor)));
  }
  SLUICE_CHECK(finished == sequence - 1'000'000'000);
  log.Detach(cursor);
}
BENCHMARK(BM_CursorNext)->ArgName("joined")->Arg(1)->Arg(16);

void SweepAll(Delivery& delivery) {
  while (delivery.Sweep(1)) {
  }
}

// One event to all readers, or `joined` of them in one send: user space alone.
void BM_Sweep(benchmark::State& state) {
  const uint32_t readers = static_cast<uint32_t>(state.range(0));
  const uint64_t joined = static_cast<uint64_t>(state.range(1));
  TakingEngine engine;
  NoEvents events;
  DeliveryCounters counters;
  Ledger ledger(1, 1 << 16);
  Delivery delivery(kLimits, engine, counters, events, {}, &ledger.part(0));
  for (uint32_t i = 0; i < readers; ++i) delivery.Attach({i, 1}, {}, "opening");
  SweepAll(delivery);
  uint64_t sequence = 0;
  uint64_t frame_bytes = 0;
  engine.bytes_taken = 0;
  const auto publish_and_sweep = [&] {
    for (uint64_t i = 0; i < joined; ++i) {
      Frame* frame = MakeFrame(++sequence);
      frame_bytes += frame->bytes().size();
      delivery.Append(frame);
    }
    SweepAll(delivery);
  };
  publish_and_sweep();
  SLUICE_CHECK(engine.bytes_taken == frame_bytes * readers);
  for (auto _ : state) publish_and_sweep();
  SLUICE_CHECK(engine.bytes_taken == frame_bytes * readers);
  SLUICE_CHECK(counters.deliveries.value() == sequence * readers);
  state.SetItemsProcessed(static_cast<int64_t>((sequence - joined) * readers));
}
BENCHMARK(BM_Sweep)
    ->ArgNames({"readers", "joined"})
    ->Args({100, 1})
    ->Args({1000, 1})
    ->Args({10000, 1})
    ->Args({100000, 1})
    ->Args({1000, 16});

// The simulated engine with so many connections, each a reader of the channel.
class SimulatedReaders {
 public:
  explicit SimulatedReaders(uint32_t readers)
      : engine_({.connections_max = readers}, /*seed=*/1),
        delivery_(kLimits, engine_, counters_, events_, {}, &ledger_.part(0)) {
    SLUICE_CHECK(engine_.Listen(-1, 0).ok());
    for (uint32_t i = 0; i < readers; ++i) peers_.push_back(engine_.Connect(0, {}));
    std::vector<EngineEvent> events(256);
    while (engine_.connections() < readers) {
      const size_t count = engine_.Wait(0, events);
      for (size_t i = 0; i < count; ++i) {
        SLUICE_CHECK(events[i].kind == EngineEventKind::kAccepted);
        delivery_.Attach(events[i].connection, {}, "opening");
      }
    }
    SweepAll(delivery_);
    Read("opening");
  }

  void Append(uint64_t sequence) { delivery_.Append(MakeFrame(sequence)); }
  void Sweep() { SweepAll(delivery_); }
  // Every reader must have got exactly this since the last time.
  void Read(const std::string& wanted) {
    for (const SimulatedEngine::Peer peer : peers_) {
      SLUICE_CHECK(engine_.PeerRead(peer, SIZE_MAX) == wanted);
    }
  }

 private:
  NoEvents events_;
  DeliveryCounters counters_;
  SimulatedEngine engine_;
  Ledger ledger_{1, 1 << 16};
  Delivery delivery_;
  std::vector<SimulatedEngine::Peer> peers_;
};

void BM_SweepSimulated(benchmark::State& state) {
  const uint32_t readers = static_cast<uint32_t>(state.range(0));
  const uint64_t joined = static_cast<uint64_t>(state.range(1));
  SimulatedReaders simulated(readers);
  uint64_t sequence = 0;
  std::string wanted;
  for (auto _ : state) {
    state.PauseTiming();
    wanted.clear();
    for (uint64_t i = 0; i < joined; ++i) {
      simulated.Append(++sequence);
      wanted += WireBytes(sequence);
    }
    state.ResumeTiming();
    simulated.Sweep();
    state.PauseTiming();
    simulated.Read(wanted);  // each time: what was timed is what is checked
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<int64_t>(sequence * readers));
}
BENCHMARK(BM_SweepSimulated)
    ->ArgNames({"readers", "joined"})
    ->Args({1000, 1})
    ->Args({10000, 1})
    ->Args({1000, 16});

}  // namespace
}  // namespace sluice
