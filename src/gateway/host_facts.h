// What this host gives the gateway: processors, limits and kernel settings.
//
// Thread: main, before the shards start.
// Errors: what cannot be read is left at 0 or empty; the report says so and nothing fails on it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct HostFacts {
  std::string kernel;              // "6.1.0-13-amd64"
  std::vector<uint32_t> affinity;  // processors this process may run on
  double quota_cores = 0;          // the tightest cgroup quota, in processors; 0: none
  uint32_t usable_cores = 1;       // of both, rounded up, at least 1
  uint64_t open_files_soft = 0;    // RLIMIT_NOFILE; UINT64_MAX is unlimited
  uint64_t open_files_hard = 0;
  uint64_t locked_bytes_soft = 0;     // RLIMIT_MEMLOCK
  uint64_t somaxconn = 0;             // net.core.somaxconn
  uint64_t tcp_memory_bytes_max = 0;  // net.ipv4.tcp_mem's third value, in bytes
  uint64_t tcp_send_bytes_max = 0;    // net.ipv4.tcp_wmem's third value
  uint64_t host_files_max = 0;        // fs.file-max
  uint64_t hash_buckets = 0;          // net.ipv4.tcp_ehash_entries (Linux 6.1 and later)
  uint64_t tracked = 0;               // net.netfilter.nf_conntrack_count
  uint64_t tracked_max = 0;           // nf_conntrack_max; 0: this kernel tracks nothing
  uint64_t memory_bytes = 0;          // of the host, or the tightest cgroup bound
};

// Reads /proc and /sys below `root` (tests bring their own tree); affinity and limits are the
// process's own.
HostFacts ReadHostFacts(const std::string& root = "");

// The tightest CPU quota of this process's cgroup and those above it, in processors, under version
// 1 or 2 of cgroups; 0: none.
double ReadQuotaCores(const std::string& root);
// The tightest memory bound in the same way, in bytes; 0: none.
uint64_t ReadMemoryBound(const std::string& root);

uint32_t UsableCores(size_t affinity_count, double quota_cores);

struct FileLimit {
  uint64_t before = 0;  // RLIMIT_NOFILE, soft
  uint64_t after = 0;
};
// Raises the soft limit of open files to the hard one. On epoll it bounds the subscribers.
FileLimit RaiseFileLimit();

}  // namespace sluice
