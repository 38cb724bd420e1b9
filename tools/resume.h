// Readers that come back all at once, with events missed, beside readers that stayed.
//
//   join -> missed events -> warm-up -> calm window -> all come back -> the last has caught up ->
//   on
//
// The readers that stayed read at a fixed rate, open loop, throughout; their latency is told for
// the calm window and for the time from the return until the last has caught up. Those that come
// back ask for what follows an event from before the missed ones, and must get each of these once
// and in order, then the live ones: they are judged like every stream. One has caught up when it
// has all that it missed and an event that was published since it connected.
//
// Those that come back have threads of their own, of the lowest niceness.
//
// Thread: RunResume blocks the caller.
// Errors: kUnavailable if the run could not be made. A run that was made and found faults is Ok.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "fanout.h"
#include "histogram.h"
#include "server_latency.h"
#include "stream_checker.h"

namespace sluice::bench {

struct ResumeOptions {
  FanoutOptions base;  // its subscribers are those that stay, its duration is the calm window
  std::string stats_url;
  uint32_t missed = 10'000;  // events, each by all that come back
  uint32_t returning = 1'000;
  double after_s = 2;           // how long all go on together
  double catch_up_max_s = 120;  // given up
};

// One of the three windows.
struct ResumeWindow {
  double seconds = 0;
  Histogram latency;  // of the readers that stayed
  double server_cpu_share = 0;
  double meter_cpu_share = 0;     // of its processors
  double others_cpu_share = 0;    // what neither used, of the whole machine
  ServerLatency server_fanout;    // published to all readers, an event each
  ServerLatency server_delivery;  // published to handed to the kernel, a delivery each
};

struct ResumeReport {
  ResumeOptions options;
  std::string engine;
  std::string server_command;
  std::string id;  // after which they came back
  ResumeWindow calm;
  ResumeWindow during;
  ResumeWindow after;  // all are live: what so many readers cost without a replay
  uint32_t caught_up = 0;
  double last_caught_up_s = 0;  // from the return
  Histogram first_byte;         // of those that came back
  Histogram catch_up;           // connect to caught up, a reader each
  uint64_t replayed = 0;        // deliveries to them until the last had caught up
  double replayed_bytes = 0;
  Histogram publish_lag;  // due to posted, the meter's own
  double offered_share = 1;
  uint64_t events_accepted = 0;
  uint64_t publish_errors = 0;
  uint64_t deliveries = 0;
  uint64_t deliveries_due = 0;
  uint64_t disconnected = 0;
  uint64_t connect_failures = 0;
  Faults faults;
  std::vector<std::string> problems;
  bool passed = false;

  double LatencyAllowedMs() const;  // the aim: the larger of 1.5 times and 10 ms more than calm
  bool HoldsAim() const;            // by the meter and, if it tells, by the server
};

Status RunResume(const ResumeOptions& options, ResumeReport* report);

}  // namespace sluice::bench
