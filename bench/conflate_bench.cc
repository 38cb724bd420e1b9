// What it costs to conflate: an event more in a table that so many keys are in, while a reader of
// the channel takes a tenth of what is published; the same where nobody is slow, with and without
// the policy; and making a table of a backlog. User space alone.
//
// Verified: the reader ends with the newest event of each key; the table and the logs hold no more
// than they did after the first tenth of the run.
#include <benchmark/benchmark.h>

#include "delivery_lab.h"

namespace sluice {
namespace {

const Epoch kEpoch(1);

DeliveryLimits Limits(LagAction action) {
  DeliveryLimits limits = bench::kLimits;
  limits.lag_events_max = 1'000;
  limits.lag_action = action;
  return limits;
}

// Of connection 0 it takes a tenth of what is published; of the others all.
class SlowEngine : public bench::TakingEngine {
 public:
  void WatchWritable(ConnectionId) override { is_waiting = true; }
  void Send(std::span<SendRequest> batch) override {
    for (SendRequest& request : batch) {
      size_t bytes = 0;
      for (uint32_t i = 0; i < request.iovec_count; ++i) bytes += request.iovecs[i].iov_len;
      if (is_slow && request.connection.slot == 0) {
        bytes = std::min<size_t>(bytes, allowed);
        allowed -= bytes;
        Take(request, bytes);
      }
      request.result = bytes == 0 ? -EAGAIN : static_cast<int32_t>(bytes);
    }
  }
  // What it got, whole events or not.
  std::string taken;
  size_t allowed = 0;
  bool is_slow = false;
  bool is_waiting = false;

 private:
  void Take(const SendRequest& request, size_t bytes) {
    for (uint32_t i = 0; i < request.iovec_count && bytes != 0; ++i) {
      const size_t piece = std::min(bytes, request.iovecs[i].iov_len);
      taken.append(static_cast<const char*>(request.iovecs[i].iov_base), piece);
      bytes -= piece;
    }
  }
};

struct SlowLab {
  explicit SlowLab(LagAction action, uint32_t readers)
      : delivery(Limits(action), engine, counters, events, {.epoch = &kEpoch}) {
    for (uint32_t i = 0; i < readers; ++i) {
      delivery.Attach({i, 1}, Subscription({"prices"}), "opening");
    }
    Sweep();
  }
  void Sweep() {
    while (delivery.Sweep(1)) delivery.ContinueAppend();
    delivery.CheckLag(1);
  }
  size_t Publish(uint32_t key) {
    const std::string name = "key " + std::to_string(key);
    const std::string_view topic = "prices";
    Frame* frame =
        Frame::Encode({.data = bench::kData, .topics = {&topic, 1}, .key = name}, kEpoch, 4096);
    frame->Stamp(++sequence, 1, 1);
    const size_t bytes = frame->bytes().size();
    delivery.Append(frame);
    return bytes;
  }
  void MakeWritable() {
    if (!std::exchange(engine.is_waiting, false)) return;
    delivery.OnWritable({0, 1});
  }

  SlowEngine engine;
  bench::NoEvents events;
  DeliveryCounters counters;
  Delivery delivery;
  uint64_t sequence = 0;
};

// Nobody is slow: what the policy alone costs an event with ten readers.
void BM_PublishKeyed(benchmark::State& state) {
  SlowLab lab(state.range(0) == 0 ? LagAction::kDisconnect : LagAction::kConflate, 10);
  for (auto _ : state) {
    lab.Publish(static_cast<uint32_t>(lab.sequence % 1'000));
    lab.Sweep();
  }
  SLUICE_CHECK(lab.counters.deliveries.value() == lab.sequence * 10);
  SLUICE_CHECK(lab.counters.lag[0].conflations.value() == 0);
  state.SetItemsProcessed(static_cast<int64_t>(lab.sequence));
}
BENCHMARK(BM_PublishKeyed)->ArgName("conflate")->Arg(0)->Arg(1);

// One of ten readers takes a tenth.
void BM_ConflateAtATenth(benchmark::State& state) {
  const auto keys = static_cast<uint32_t>(state.range(0));
  SlowLab lab(LagAction::kConflate, 10);
  lab.engine.is_slow = true;
  uint64_t random = 1;
  const auto publish = [&] {
    random = random * 6364136223846793005 + 1442695040888963407;
    const size_t bytes = lab.Publish(static_cast<uint32_t>((random >> 33) % keys));
    if (lab.sequence % 10 == 0) lab.engine.allowed += bytes;
    lab.MakeWritable();
    lab.Sweep();
    lab.engine.taken.clear();
  };
  // Until every key is in the table.
  for (uint64_t i = 0; i < uint64_t{keys} * 20 + 5'000; ++i) publish();
  const uint64_t table_bytes = lab.counters.lag[0].table_bytes_highest.value();
  const uint64_t log_bytes = lab.counters.log_bytes_highest.value();
  for (auto _ : state) publish();
  SLUICE_CHECK(lab.counters.lag[0].table_events_highest.value() <= keys);
  SLUICE_CHECK(lab.counters.lag[0].table_bytes_highest.value() <= table_bytes + 64 * keys);
  SLUICE_CHECK(lab.counters.log_bytes_highest.value() <= log_bytes + log_bytes / 4);
  state.counters["table_bytes"] = static_cast<double>(table_bytes);
  state.counters["log_bytes_highest"] = static_cast<double>(lab.counters.log_bytes_highest.value());
  state.counters["of_events_got"] =
      1 - static_cast<double>(lab.counters.lag[0].conflated_events.value()) /
              static_cast<double>(lab.sequence);
  // All of it now: the newest of each key is in what is left to be had, or was before.
  const uint64_t newest = lab.sequence;
  lab.engine.allowed = SIZE_MAX / 2;
  lab.MakeWritable();
  lab.Sweep();
  SLUICE_CHECK(lab.counters.lag[0].conflating.value() == 0);
  SLUICE_CHECK(lab.engine.taken.ends_with("-" + std::to_string(newest) + "\n\n"));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
}
BENCHMARK(BM_ConflateAtATenth)->ArgName("keys")->Arg(100)->Arg(10'000);

// A table is made of what the log holds, in steps: the time of one, or of all.
void BM_MakeTable(benchmark::State& state) {
  const auto events = static_cast<uint64_t>(state.range(0));
  LogMemory memory(256 * 1024);
  LagCounters counters;
  Conflation conflation(memory, {}, counters);
  const std::string_view topic = "prices";
  for (uint64_t i = 0; i < events; ++i) {
    const std::string name = "key " + std::to_string(i % 10'000);
    Frame* frame =
        Frame::Encode({.data = bench::kData, .topics = {&topic, 1}, .key = name}, kEpoch, 4096);
    frame->Stamp(i + 1, 1, 1);
    HeldFrame* held = memory.Hold(frame);
    conflation.Append(held, i);
    memory.Release(held);
  }
  const bool is_one_step = state.range(1) != 0;
  for (auto _ : state) {
    conflation.Enter();
    if (!is_one_step) {
      while (!conflation.Make()) continue;
      SLUICE_CHECK(conflation.table().events() == std::min<uint64_t>(events, 10'000));
    }
    if (is_one_step) state.PauseTiming();
    conflation.Leave();
    if (is_one_step) state.ResumeTiming();
  }
}
BENCHMARK(BM_MakeTable)
    ->ArgNames({"events", "one_step"})
    ->Args({1'000, 0})
    ->Args({65'536, 0})
    ->Args({65'536, 1})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice
