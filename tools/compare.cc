#include "compare.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/clock.h"
#include "crew.h"
#include "report.h"

namespace sluice::bench {
namespace {

constexpr int64_t kStartNs = 30 * kNsPerSecond;  // to listen: a broker may be compiled first
constexpr int64_t kEndNs = 15 * kNsPerSecond;

bool IsListening(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool connects =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return connects;
}

std::string Filled(std::string text, const std::string& name, const std::string& value) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
    text.replace(at, name.size(), value);
    at += value.size();
  }
  return text;
}

// A target's process, ended with this object by its own id.
class TargetProcess {
 public:
  TargetProcess(const std::vector<std::string>& command, const std::vector<int>& cpus) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    const int nowhere = ::open("/dev/null", O_RDWR);
    ::dup2(nowhere, 0);
    ::dup2(nowhere, 1);
    ::dup2(nowhere, 2);
    if (!PinTo(cpus).ok()) ::_exit(126);
    std::vector<char*> arguments;
    for (const std::string& one : command) arguments.push_back(const_cast<char*>(one.c_str()));
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ~TargetProcess() {
    if (pid_ <= 0 || has_ended_) return;
    ::kill(pid_, SIGTERM);
    const int64_t deadline_ns = MonotonicNs() + kEndNs;
    while (!Ended() && MonotonicNs() < deadline_ns) SleepFor(10 * kNsPerMs);
    if (has_ended_) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  TargetProcess(const TargetProcess&) = delete;
  TargetProcess& operator=(const TargetProcess&) = delete;

  bool Started(uint16_t port) {
    const int64_t deadline_ns = MonotonicNs() + kStartNs;
    while (MonotonicNs() < deadline_ns && !Ended()) {
      if (IsListening(port)) {
        SleepFor(300 * kNsPerMs);
        return !Ended();  // or it is a stranger that listens there
      }
      SleepFor(20 * kNsPerMs);
    }
    return false;
  }
  pid_t pid() const { return pid_; }

 private:
  bool Ended() {
    if (!has_ended_) has_ended_ = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
    return has_ended_;
  }

  pid_t pid_ = -1;
  bool has_ended_ = false;
};

void RunOnce(const ComparePlan& plan, const CompareTarget& target, uint16_t port,
             CompareCell* cell) {
  const auto filled = [port](const std::string& text) {
    return Filled(text, "{port}", std::to_string(port));
  };
  std::vector<std::string> command;
  for (const std::string& one : target.command) command.push_back(filled(one));
  TargetProcess process(command, plan.server_cpus);
  if (!process.Started(port)) {
    cell->problems.push_back(target.name + " did not start: " + command[0]);
    return;
  }
  FanoutOptions load = plan.load;
  load.stream_url = filled(target.stream);
  load.publish_url = filled(target.publish);
  load.publish_body = target.body;
  load.subscribers = cell->subscribers;
  load.rate = cell->rate;
  load.pid = process.pid();
  FanoutReport report;
  const Status status = RunFanout(load, &report);
  if (!status.ok()) {
    cell->problems.push_back(target.name + ": " + status.message());
    return;
  }
  for (const std::string& problem : report.problems) cell->problems.push_back(problem);
  if (report.meter_was_bottleneck) cell->problems.push_back("the meter was the bottleneck");
  cell->runs.push_back(std::move(report));
}

double MedianOf(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace

double CompareCell::Median(double (*value)(const FanoutReport&)) const {
  std::vector<double> values;
  for (const FanoutReport& run : runs) values.push_back(value(run));
  return MedianOf(std::move(values));
}

double CompareCell::Spread() const {
  if (runs.empty()) return 0;
  const auto [low, high] = std::minmax_element(
      runs.begin(), runs.end(),
      [](const auto& a, const auto& b) { return a.deliveries_a_second < b.deliveries_a_second; });
  const double middle = Median([](const FanoutReport& r) { return r.deliveries_a_second; });
  return middle > 0 ? (high->deliveries_a_second - low->deliveries_a_second) / 2 / middle : 0;
}

uint64_t CompareCell::lost() const {
  uint64_t sum = 0;
  for (const FanoutReport& run : runs) sum += run.faults.total();
  return sum;
}

bool CompareCell::passed() const {
  return std::all_of(runs.begin(), runs.end(), [](const FanoutReport& r) { return r.passed; });
}

std::vector<std::string> CompareCell::Problems() const {
  std::vector<std::string> found;
  for (size_t i = 0; i < problems.size(); ++i) {
    if (std::find(problems.begin(), problems.begin() + static_cast<ptrdiff_t>(i), problems[i]) !=
        problems.begin() + static_cast<ptrdiff_t>(i)) {
      continue;
    }
    const auto times = std::count(problems.begin(), problems.end(), problems[i]);
    found.push_back(problems[i] + (times > 1 ? " (" + std::to_string(times) + " runs)" : ""));
  }
  return found;
}

std::vector<CompareCell> RunCompare(const ComparePlan& plan) {
  std::vector<CompareCell> cells;
  uint16_t port = plan.port;
  for (const double rate : plan.rates) {
    for (const uint32_t subscribers : plan.subscribers) {
      const size_t first = cells.size();
      for (const CompareTarget& target : plan.targets) {
        cells.push_back({subscribers, rate, target.name, {}, {}});
      }
      for (uint32_t run = 0; run < plan.runs; ++run) {
        for (size_t i = 0; i < plan.targets.size(); ++i) {
          CompareCell& cell = cells[first + i];
          std::fprintf(stderr, "run %u/%u: %s, %u subscribers, %s\n", run + 1, plan.runs,
                       cell.target.c_str(), subscribers,
                       rate > 0 ? (std::to_string(rate) + " a second").c_str() : "full speed");
          RunOnce(plan, plan.targets[i], port, &cell);
          port = static_cast<uint16_t>(plan.port + (port - plan.port + 1) % 20);
        }
      }
    }
  }
  return cells;
}

}  // namespace sluice::bench
