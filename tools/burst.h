// One event to many subscribers while the meter sleeps: the server's own speed, nobody beside it.
//
// The subscribers' receive buffers hold what comes; nothing of the meter runs meanwhile, so a
// server with as many shards as the machine has cores can be measured on that machine. When each
// subscriber's bytes arrived is known from the kernel's receive timestamp (SO_TIMESTAMPNS). Every
// event is verified once the burst is over.
//
// Thread: the caller's, alone. Bounds: subscribers up to the limit of open files.
// Errors: kUnavailable if subscribers or publisher cannot be had, or an event is refused.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "fanout.h"
#include "stream_checker.h"

namespace sluice::bench {

struct BurstOptions {
  FanoutOptions base;
  uint32_t rounds = 10;
  double gap_s = 0.5;  // the meter's sleep after an event
};

struct BurstReport {
  std::vector<double> last_ms;     // a round: post sent to the last subscriber's bytes
  std::vector<double> cpu_us;      // a round: server CPU a delivery; empty without --pid
  double deliveries_a_second = 0;  // median over the rounds
  double cpu_us_a_delivery = 0;    // median
  Faults faults;
  bool passed = false;
};

Status RunBurst(const BurstOptions& options, BurstReport* report);

}  // namespace sluice::bench
