#include "server_probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>

#include "base/clock.h"

namespace sluice::bench {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The number behind `name` at the beginning of a line, or 0.
uint64_t Field(const std::string& text, const std::string& name) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + 1)) {
    if (at == 0 || text[at - 1] == '\n') {
      return std::strtoull(text.c_str() + at + name.size(), nullptr, 10);
    }
  }
  return 0;
}

void ForEachNumber(const std::string& folder, const std::function<void(pid_t)>& call) {
  DIR* const dir = ::opendir(folder.c_str());
  if (dir == nullptr) return;
  while (const dirent* const entry = ::readdir(dir)) {
    const int number = std::atoi(entry->d_name);
    if (number > 0) call(number);
  }
  ::closedir(dir);
}

std::vector<pid_t> WithDescendants(pid_t pid) {
  std::vector<std::pair<pid_t, pid_t>> parents;  // child, parent
  ForEachNumber("/proc", [&parents](pid_t child) {
    const std::string stat = ReadAll("/proc/" + std::to_string(child) + "/stat");
    const size_t name_end = stat.rfind(')');
    if (name_end == std::string::npos || name_end + 4 > stat.size()) return;
    parents.emplace_back(child, std::atoi(stat.c_str() + name_end + 4));
  });
  std::vector<pid_t> found{pid};
  for (size_t i = 0; i < found.size(); ++i) {
    for (const auto& [child, parent] : parents) {
      if (parent == found[i]) found.push_back(child);
    }
  }
  return found;
}

std::string Limit(decltype(RLIMIT_NOFILE) resource) {
  rlimit limit{};
  ::getrlimit(resource, &limit);
  const auto text = [](rlim_t value) {
    return value == RLIM_INFINITY ? std::string("unlimited") : std::to_string(value);
  };
  return text(limit.rlim_cur) + ", hard " + text(limit.rlim_max);
}

std::string FirstLine(const std::string& path) {
  const std::string text = ReadAll(path);
  return text.substr(0, text.find('\n'));
}

}  // namespace

ProcessSample SampleProcess(pid_t pid, bool with_pss) {
  ProcessSample sample;
  sample.at_ns = MonotonicNs();
  const auto page_bytes = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const pid_t one : WithDescendants(pid)) {
    const std::string folder = "/proc/" + std::to_string(one);
    const std::string statm = ReadAll(folder + "/statm");
    if (statm.empty() || statm.starts_with("0 ")) continue;  // gone, or a zombie
    ++sample.processes;
    const char* const resident = std::strchr(statm.c_str(), ' ');
    if (resident != nullptr)
      sample.resident_bytes += std::strtoull(resident, nullptr, 10) * page_bytes;
    if (with_pss) sample.pss_bytes += Field(ReadAll(folder + "/smaps_rollup"), "Pss:") * 1024;
    ForEachNumber(folder + "/task", [&](pid_t task) {
      const std::string thread = folder + "/task/" + std::to_string(task);
      ++sample.threads;
      sample.cpu_ns += std::strtoll(ReadAll(thread + "/schedstat").c_str(), nullptr, 10);
      const std::string status = ReadAll(thread + "/status");
      sample.switches_voluntary += Field(status, "voluntary_ctxt_switches:");
      sample.switches_forced += Field(status, "nonvoluntary_ctxt_switches:");
    });
  }
  return sample;
}

std::string CommandLine(pid_t pid) {
  std::string line = ReadAll("/proc/" + std::to_string(pid) + "/cmdline");
  while (line.ends_with('\0')) line.pop_back();
  for (char& c : line) c = c == '\0' ? ' ' : c;
  return line;
}

KernelSample SampleKernel() {
  KernelSample sample;
  const std::string memory = ReadAll("/proc/meminfo");
  sample.slab_bytes = Field(memory, "Slab:") * 1024;
  sample.free_bytes = Field(memory, "MemFree:") * 1024;
  sample.available_bytes = Field(memory, "MemAvailable:") * 1024;
  const std::string sockets = ReadAll("/proc/net/sockstat");
  const size_t tcp = sockets.find("TCP: inuse ");
  if (tcp != std::string::npos) {
    sample.sockets = std::strtoull(sockets.c_str() + tcp + 11, nullptr, 10);
    const size_t pages = sockets.find(" mem ", tcp);
    if (pages != std::string::npos) {
      sample.tcp_bytes = std::strtoull(sockets.c_str() + pages + 5, nullptr, 10) *
                         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    }
  }
  return sample;
}

uint64_t SocketBufferBytes(uint16_t port) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return 0;
  struct {
    nlmsghdr header;
    inet_diag_req_v2 request;
  } ask{};
  ask.header.nlmsg_len = sizeof ask;
  ask.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  ask.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  ask.request.sdiag_family = AF_INET;
  ask.request.sdiag_protocol = IPPROTO_TCP;
  ask.request.idiag_states = 1 << TCP_ESTABLISHED;
  ask.request.idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1);
  ask.request.id.idiag_sport = htons(port);
  uint64_t bytes = 0;
  bool is_over = ::send(fd, &ask, sizeof ask, 0) < 0;
  std::vector<char> answer(64 * 1024);
  while (!is_over) {
    const ssize_t received = ::recv(fd, answer.data(), answer.size(), 0);
    if (received <= 0) break;
    auto left = static_cast<unsigned>(received);
    for (auto* one = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(one, left);
         one = NLMSG_NEXT(one, left)) {
      is_over |= one->nlmsg_type == NLMSG_DONE || one->nlmsg_type == NLMSG_ERROR;
      if (is_over) break;
      auto* const diag = static_cast<inet_diag_msg*>(NLMSG_DATA(one));
      auto extra = static_cast<int>(one->nlmsg_len - NLMSG_LENGTH(sizeof *diag));
      for (auto* part = reinterpret_cast<rtattr*>(diag + 1); RTA_OK(part, extra);
           part = RTA_NEXT(part, extra)) {
        if (part->rta_type != INET_DIAG_SKMEMINFO) continue;
        const auto* const memory = static_cast<const uint32_t*>(RTA_DATA(part));
        bytes += uint64_t{memory[SK_MEMINFO_RMEM_ALLOC]} + memory[SK_MEMINFO_WMEM_QUEUED] +
                 memory[SK_MEMINFO_FWD_ALLOC];
      }
    }
  }
  ::close(fd);
  return bytes;
}

int64_t MachineCpuNs() {
  std::istringstream line(FirstLine("/proc/stat"));
  std::string name;
  int64_t user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
  line >> name >> user >> nice >> system >> idle >> iowait >> irq >> softirq;
  return (user + nice + system + irq + softirq) * (kNsPerSecond / ::sysconf(_SC_CLK_TCK));
}

std::vector<std::pair<std::string, std::string>> Environment() {
  std::vector<std::pair<std::string, std::string>> facts;
  utsname kernel{};
  ::uname(&kernel);
  facts.emplace_back("kernel", std::string(kernel.sysname) + " " + kernel.release);
  const std::string cpuinfo = ReadAll("/proc/cpuinfo");
  const size_t model = cpuinfo.find("model name");
  if (model != std::string::npos) {
    const size_t begin = cpuinfo.find(": ", model) + 2;
    facts.emplace_back("cpu", cpuinfo.substr(begin, cpuinfo.find('\n', begin) - begin));
  }
  facts.emplace_back("cores", std::to_string(::sysconf(_SC_NPROCESSORS_ONLN)));
  facts.emplace_back("memory",
                     std::to_string(Field(ReadAll("/proc/meminfo"), "MemTotal:") >> 10) + " MiB");
  facts.emplace_back("open files (limit)", Limit(RLIMIT_NOFILE));
  facts.emplace_back("locked memory (limit)", Limit(RLIMIT_MEMLOCK));
  facts.emplace_back("meter commit", SLUICE_BENCH_COMMIT);
  facts.emplace_back("clocksource",
                     FirstLine("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
  for (const char* const name :
       {"net/core/somaxconn", "net/core/rmem_max", "net/core/wmem_max",
        "net/core/netdev_max_backlog", "net/ipv4/tcp_rmem", "net/ipv4/tcp_wmem", "net/ipv4/tcp_mem",
        "net/ipv4/tcp_notsent_lowat", "net/ipv4/tcp_congestion_control",
        "net/ipv4/ip_local_port_range", "net/ipv4/tcp_max_syn_backlog",
        "net/netfilter/nf_conntrack_max", "fs/file-max", "fs/nr_open", "kernel/io_uring_disabled",
        "kernel/sched_autogroup_enabled"}) {
    std::string value = FirstLine(std::string("/proc/sys/") + name);
    for (char& c : value) c = c == '\t' ? ' ' : c;
    if (!value.empty()) facts.emplace_back(std::string("sysctl ") + name, value);
  }
  return facts;
}

}  // namespace sluice::bench
