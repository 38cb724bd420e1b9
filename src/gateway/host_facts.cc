#include "gateway/host_facts.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

namespace sluice {
namespace {

std::string ReadLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<std::string> Words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::optional<uint64_t> Number(const std::string& word) {
  if (word.empty() || word.find_first_not_of("0123456789") != std::string::npos) return {};
  if (word.size() > 19) return std::numeric_limits<uint64_t>::max();
  return std::stoull(word);
}

bool ListHas(const std::string& commas, std::string_view wanted) {
  std::istringstream stream(commas);
  for (std::string part; std::getline(stream, part, ',');) {
    if (part == wanted) return true;
  }
  return false;
}

// A cgroup hierarchy as this process sees it: where it is mounted, and our group in it.
struct Hierarchy {
  std::string mount;  // "/sys/fs/cgroup", with the test's root before it
  std::string group;  // "/system.slice/sluice.service", below the mount; "" is its top
};

// Our group's path in the hierarchy of `controller` (version 1), or of version 2 if it is empty.
// Lines are ID:CONTROLLERS:PATH (cgroups(7)).
std::string ReadGroup(const std::string& root, std::string_view controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() : ListHas(controllers, controller)) {
      return line.substr(second + 1);
    }
  }
  return "";
}

// Finds the mount in mountinfo (proc_pid_mountinfo(5)): "ID PARENT DEV ROOT MOUNT OPTIONS ... -
// TYPE SOURCE SUPER". ROOT is what of the hierarchy is mounted there: in a container without a
// cgroup namespace our group begins with it and the mount does not.
std::optional<Hierarchy> FindHierarchy(const std::string& root, std::string_view controller) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = Words(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const bool is_v2 = dash[1] == "cgroup2";
    const bool is_v1 = dash[1] == "cgroup" && ListHas(dash[3], controller);
    if (controller.empty() ? !is_v2 : !is_v1) continue;
    std::string group = ReadGroup(root, controller);
    const std::string& mounted = words[3];
    if (mounted != "/" && group.starts_with(mounted)) group = group.substr(mounted.size());
    if (group == "/") group.clear();
    return Hierarchy{root + words[4], group};
  }
  return {};
}

// Calls `read` with the folder of our group and of each above it.
template <typename Read>
void WalkUp(const Hierarchy& hierarchy, Read read) {
  std::string group = hierarchy.group;
  while (true) {
    read(hierarchy.mount + group);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

void Tighten(double cores, double* tightest) {
  if (cores > 0 && (*tightest == 0 || cores < *tightest)) *tightest = cores;
}

void Tighten(uint64_t bytes, uint64_t* tightest) {
  // Version 1 writes "no bound" as a number near 2^63.
  if (bytes == 0 || bytes >= (uint64_t{1} << 62)) return;
  if (*tightest == 0 || bytes < *tightest) *tightest = bytes;
}

uint64_t LimitValue(rlim_t limit) {
  return limit == RLIM_INFINITY ? std::numeric_limits<uint64_t>::max() : limit;
}

std::vector<uint32_t> ReadAffinity() {
  std::vector<uint32_t> cpus;
  // The kernel refuses a set smaller than its own count of processors, so ask for many.
  constexpr size_t kCpuMax = 4'096;
  cpu_set_t* set = CPU_ALLOC(kCpuMax);
  const size_t bytes = CPU_ALLOC_SIZE(kCpuMax);
  if (sched_getaffinity(0, bytes, set) == 0) {
    for (size_t cpu = 0; cpu < kCpuMax; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, set)) cpus.push_back(static_cast<uint32_t>(cpu));
    }
  }
  CPU_FREE(set);
  return cpus;
}

uint64_t ReadThird(const std::string& path) {
  const std::vector<std::string> words = Words(ReadLine(path));
  return words.size() == 3 ? Number(words[2]).value_or(0) : 0;
}

uint64_t ReadHostMemory(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = Words(line);
    if (words.size() >= 2 && words[0] == "MemTotal:") return Number(words[1]).value_or(0) * 1024;
  }
  return 0;
}

}  // namespace

double ReadQuotaCores(const std::string& root) {
  double tightest = 0;
  if (const auto v2 = FindHierarchy(root, "")) {
    WalkUp(*v2, [&](const std::string& folder) {
      const std::vector<std::string> words = Words(ReadLine(folder + "/cpu.max"));
      if (words.size() != 2) return;
      const uint64_t period = Number(words[1]).value_or(0);
      if (const auto quota = Number(words[0]); quota && period > 0) {  // else "max"
        Tighten(static_cast<double>(*quota) / static_cast<double>(period), &tightest);
      }
    });
  }
  if (const auto v1 = FindHierarchy(root, "cpu")) {
    WalkUp(*v1, [&](const std::string& folder) {
      const auto quota = Number(ReadLine(folder + "/cpu.cfs_quota_us"));  // -1: none
      const uint64_t period = Number(ReadLine(folder + "/cpu.cfs_period_us")).value_or(0);
      if (quota && period > 0) {
        Tighten(static_cast<double>(*quota) / static_cast<double>(period), &tightest);
      }
    });
  }
  return tightest;
}

uint64_t ReadMemoryBound(const std::string& root) {
  uint64_t tightest = 0;
  if (const auto v2 = FindHierarchy(root, "")) {
    WalkUp(*v2, [&](const std::string& folder) {
      Tighten(Number(ReadLine(folder + "/memory.max")).value_or(0), &tightest);
    });
  }
  if (const auto v1 = FindHierarchy(root, "memory")) {
    WalkUp(*v1, [&](const std::string& folder) {
      Tighten(Number(ReadLine(folder + "/memory.limit_in_bytes")).value_or(0), &tightest);
    });
  }
  return tightest;
}

uint32_t UsableCores(size_t affinity_count, double quota_cores) {
  uint64_t cores = std::max<size_t>(affinity_count, 1);
  if (quota_cores > 0) {
    cores = std::min(cores, static_cast<uint64_t>(std::max(1.0, std::ceil(quota_cores))));
  }
  return static_cast<uint32_t>(cores);
}

HostFacts ReadHostFacts(const std::string& root) {
  HostFacts facts;
  utsname name{};
  if (uname(&name) == 0) facts.kernel = name.release;
  facts.affinity = ReadAffinity();
  facts.quota_cores = ReadQuotaCores(root);
  facts.usable_cores = UsableCores(facts.affinity.size(), facts.quota_cores);

  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    facts.open_files_soft = LimitValue(limit.rlim_cur);
    facts.open_files_hard = LimitValue(limit.rlim_max);
  }
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0) facts.locked_bytes_soft = LimitValue(limit.rlim_cur);

  facts.somaxconn = Number(ReadLine(root + "/proc/sys/net/core/somaxconn")).value_or(0);
  const long page_bytes = sysconf(_SC_PAGESIZE);
  facts.tcp_memory_bytes_max =
      ReadThird(root + "/proc/sys/net/ipv4/tcp_mem") * static_cast<uint64_t>(page_bytes);
  facts.tcp_send_bytes_max = ReadThird(root + "/proc/sys/net/ipv4/tcp_wmem");
  facts.host_files_max = Number(ReadLine(root + "/proc/sys/fs/file-max")).value_or(0);
  // Negative in a network namespace that shares the machine's table.
  std::string buckets = ReadLine(root + "/proc/sys/net/ipv4/tcp_ehash_entries");
  if (buckets.starts_with('-')) buckets.erase(0, 1);
  facts.hash_buckets = Number(buckets).value_or(0);
  const std::string netfilter = root + "/proc/sys/net/netfilter/";
  facts.tracked = Number(ReadLine(netfilter + "nf_conntrack_count")).value_or(0);
  facts.tracked_max = Number(ReadLine(netfilter + "nf_conntrack_max")).value_or(0);
  facts.memory_bytes = ReadHostMemory(root);
  Tighten(ReadMemoryBound(root), &facts.memory_bytes);
  return facts;
}

FileLimit RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  FileLimit raised{LimitValue(limit.rlim_cur), LimitValue(limit.rlim_cur)};
  if (limit.rlim_cur == limit.rlim_max) return raised;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) raised.after = LimitValue(limit.rlim_cur);
  return raised;
}

}  // namespace sluice
