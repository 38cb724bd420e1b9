// What the benches of delivery share: an engine that takes every byte and does nothing else, and a
// Delivery on it whose readers have had their openings.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "delivery/delivery.h"

namespace sluice::bench {

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

inline const std::string kData(100, 'x');

inline const DeliveryLimits kLimits = {.lag_bytes_max = 1 << 22,
                                       .lag_events_max = 1 << 16,
                                       .lag_age_max_ns = 1'000'000'000,
                                       .log_bytes_max = 1 << 26,
                                       .segment_bytes = 256 * 1024,
                                       .appends_max = 4096,
                                       .sends_max = 256,
                                       .send_bytes_max = 256 * 1024,
                                       .heartbeat_ns = 0};

// A Delivery whose readers have had their openings.
struct Lab {
  TakingEngine engine;
  NoEvents events;
  DeliveryCounters counters;
  Ledger ledger{1, 1 << 16};
  Delivery delivery{kLimits, engine, counters, events, {}, &ledger.part(0)};
  uint64_t sequence = 0;
  uint64_t frame_bytes = 0;  // of what Publish made
  uint32_t readers = 0;

  void Attach(std::vector<std::string> patterns) {
    delivery.Attach({readers++, 1}, Subscription(std::move(patterns)), "opening");
    if (readers % 256 == 0) Sweep();
  }
  void Sweep() {
    while (delivery.Sweep(1)) delivery.ContinueAppend();
  }
  // Returns Append's answer.
  bool Publish(std::span<const std::string_view> topics = {}) {
    Frame* frame = Frame::Encode({.data = kData, .topics = topics}, Epoch(1), 4096);
    frame->Stamp(++sequence, 1, 1);
    frame_bytes += frame->bytes().size();
    return delivery.Append(frame);
  }
  void Begin() {
    Sweep();
    engine.bytes_taken = 0;
  }
};

}  // namespace sluice::bench
