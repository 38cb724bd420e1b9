// What a server process costs, from /proc: its processor time, context switches and memory, with
// all its descendants; and what the kernel as a whole holds.
//
// Thread: any, one at a time.
// Errors: a process that is gone counts as zero; is_alive tells.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::bench {

struct ProcessSample {
  int64_t at_ns = 0;
  int64_t cpu_ns = 0;  // of all threads, from schedstat: nanoseconds on a processor
  uint64_t switches_voluntary = 0;
  uint64_t switches_forced = 0;
  uint64_t resident_bytes = 0;
  uint64_t pss_bytes = 0;  // only if asked for: the kernel walks the page tables for it
  uint32_t processes = 0;
  uint32_t threads = 0;
  bool is_alive() const { return processes > 0; }
};
ProcessSample SampleProcess(pid_t pid, bool with_pss);

// The command line of a process, its arguments separated by spaces; empty if it is gone.
std::string CommandLine(pid_t pid);

struct KernelSample {
  uint64_t tcp_bytes = 0;        // socket buffers, /proc/net/sockstat
  uint64_t slab_bytes = 0;       // kernel objects, /proc/meminfo
  uint64_t free_bytes = 0;       // MemFree
  uint64_t available_bytes = 0;  // MemAvailable
  uint64_t sockets = 0;          // TCP, in use
};
KernelSample SampleKernel();

// Kernel memory in the buffers of all established IPv4 sockets whose local port is `port`: a
// server's side of its connections, whatever the readers at the other end hold. 0 if the kernel
// tells nothing.
uint64_t SocketBufferBytes(uint16_t port);

// Processor time that all processes of this machine have used together, in nanoseconds.
int64_t MachineCpuNs();

// Name and value of all that a figure depends on: kernel, processor, limits, sysctls.
std::vector<std::pair<std::string, std::string>> Environment();

}  // namespace sluice::bench
