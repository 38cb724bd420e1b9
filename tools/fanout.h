// One run of the meter: subscribers join, events are published, every stream is judged.
//
// Thread: RunFanout blocks the caller, who reads nothing meanwhile.
// Errors: kUnavailable if the run could not be made at all (a refused connection, no sockets). A
// run
//         that was made and found faults is Ok: see FanoutReport::passed.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "histogram.h"
#include "server_probe.h"
#include "stream_checker.h"

namespace sluice::bench {

struct FanoutOptions {
  std::string stream_url;
  std::string publish_url;
  std::string publish_body = "{payload}";
  std::vector<std::string> headers;
  uint32_t subscribers = 1'000;
  double rate = 0;          // events a second; 0: as fast as the server answers
  uint32_t publishers = 0;  // posts under way in all; 0: 8 at full speed, 64 at a rate
  // At full speed: no post while the readers are so many events behind, on average; 0: whatever
  // the server accepts.
  uint32_t ahead_max = 256;
  size_t payload_bytes = 100;
  double duration_s = 10;
  double warmup_s = 2;
  double drain_s = 5;  // without any delivery, before what is missing is called lost
  double settle_s = 0.5;
  double join_stall_s = 15;  // without one more subscriber joined: given up
  uint32_t threads = 1;
  std::vector<int> cpus;
  std::string engine = "auto";
  pid_t pid = 0;
  uint32_t slow = 0;
  double churn = 0;
  uint32_t topics = 0;  // 0: none, all subscribers read every event
  bool has_storm = false;
  bool is_quiet = false;  // no live line
  std::string json_file;
  std::string html_file;
};

struct TimelinePoint {
  double at_s = 0;
  double deliveries_a_second = 0;
  double cpu_share = 0;
  double resident_bytes = 0;
};

// Memory before the first subscriber came and once all had joined.
struct MemoryReport {
  ProcessSample server_before;  // with PSS; nothing without --pid
  ProcessSample server_joined;
  ProcessSample meter_before;
  ProcessSample meter_joined;
  KernelSample kernel_before;
  KernelSample kernel_joined;
  uint64_t tcp_bytes_peak = 0;  // socket buffers while events were on their way
};

struct FanoutReport {
  FanoutOptions options;
  std::string engine;
  uint32_t joined = 0;
  double window_s = 0;
  double connect_s = 0;
  MemoryReport memory;
  uint64_t events_posted = 0;
  uint64_t events_accepted = 0;
  uint64_t publishes_retried = 0;
  uint64_t publish_errors = 0;
  double publish_rate = 0;   // accepted a second, within the window
  double offered_share = 1;  // of the asked load, accepted
  double deliveries_a_second = 0;
  uint64_t deliveries = 0;
  uint64_t deliveries_due = 0;  // of accepted events, had every reader been there all the time
  double wire_bytes_an_event = 0;
  double joined_share = 0;  // deliveries that came in a read behind another
  Histogram latency;        // due to received
  Histogram last;           // due to received by the last subscriber, by event
  Histogram answer;         // post to its answer
  Histogram publish_lag;    // due to posted, the meter's own
  Histogram first_byte;
  Faults faults;
  uint64_t foreign = 0;
  bool is_one_order = true;  // all threads saw the accepted events in the same order
  uint64_t disconnected = 0;
  uint64_t reconnected = 0;
  uint64_t connect_failures = 0;
  uint32_t slow_joined = 0;
  uint32_t slow_cut_off = 0;
  double slow_kernel_bytes = 0;  // each, the server's side of its socket; 0 without slow readers
  double slow_kernel_bytes_both = 0;  // each, with what the stopped reader's own socket holds
  bool has_server = false;
  std::string server_command;  // its command line: which engine, how many shards
  double server_cpu_share = 0;
  double server_cpu_us_a_delivery = 0;
  double server_switches_a_second = 0;
  ProcessSample server_begin;
  ProcessSample server_end;
  double meter_cpu_share = 0;   // of the processors it runs on
  double others_cpu_share = 0;  // what neither server nor meter used, of the whole machine
  bool meter_was_bottleneck = false;
  std::vector<TimelinePoint> timeline;
  std::vector<std::string> problems;
  bool passed = false;
};

Status RunFanout(const FanoutOptions& options, FanoutReport* report);

}  // namespace sluice::bench
