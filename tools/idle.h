// What subscribers cost while nothing is sent, and how fast they can join.
//
// Thread: the caller blocks. Errors: kUnavailable if the subscribers cannot be had.
#pragma once

#include "base/status.h"
#include "fanout.h"
#include "histogram.h"
#include "server_probe.h"

namespace sluice::bench {

struct IdleReport {
  uint32_t subscribers = 0;
  uint32_t connecting = 0;  // at a time, all threads
  std::string engine;       // of the meter
  double connect_s = 0;
  Histogram first_byte;  // connect begun to the head read
  ProcessSample server_before;
  ProcessSample server_after;  // right after the last joined
  ProcessSample server_idle;   // after the idle time
  KernelSample kernel_before;
  KernelSample kernel_after;
  double idle_s = 0;
  uint64_t connect_failures = 0;

  double PssEach() const;     // user memory of the server
  double KernelEach() const;  // slab and socket buffers, both ends of the connection
  double IdleCpuShare() const;
};

struct IdleOptions {
  FanoutOptions base;       // stream, headers, subscribers, threads, cpus, engine, pid
  uint32_t connecting = 0;  // connections being made at a time, a thread; 0: chosen
  double idle_s = 2;
};

Status RunIdle(const IdleOptions& options, IdleReport* report);

}  // namespace sluice::bench
