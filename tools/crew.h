// The threads of a run: started together, told the phase, joined whatever happens.
//
// Thread: one thread owns a crew; the meters run on their own.
// Owner:  RunPlan and PayloadFormat outlive it.
// Errors: Join says why subscribers could not be had.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "meter_thread.h"
#include "payload.h"

namespace sluice::bench {

void SleepUntil(int64_t at_ns);
void SleepFor(int64_t ns);

// Sets the plan's loop from "auto", "io_uring" or "epoll", and its threads from what the sockets
// need.
Status ChooseLoop(const std::string& engine, RunPlan* plan);
// Keeps the calling thread, and those it starts, on these processors; all if the list is empty.
Status PinTo(const std::vector<int>& cpus);

class Crew {
 public:
  Crew(const RunPlan& plan, const PayloadFormat& format) : plan_(plan), format_(format) {}
  ~Crew() { Stop(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  void Start();
  // Waits until all have joined; `tick` is called meanwhile. Stops the crew if that fails.
  Status Join(const std::function<void()>& tick, double* seconds);
  void Enter(Phase phase);
  void Stop();

  template <typename Value>
  uint64_t Sum(Value&& value) const {
    uint64_t sum = 0;
    for (const auto& meter : meters_) sum += static_cast<uint64_t>(value(*meter));
    return sum;
  }
  uint64_t streaming() const {
    return Sum([](const MeterThread& m) { return m.streaming.load() + m.stopped.load(); });
  }
  uint64_t deliveries() const {
    return Sum([](const MeterThread& m) { return m.deliveries.load(); });
  }
  const std::vector<std::unique_ptr<MeterThread>>& meters() const { return meters_; }
  MeterThread& front() { return *meters_.front(); }
  RunControl& control() { return control_; }

 private:
  std::string Problem() const;

  const RunPlan& plan_;
  const PayloadFormat& format_;
  RunControl control_;
  std::vector<std::unique_ptr<MeterThread>> meters_;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::bench
