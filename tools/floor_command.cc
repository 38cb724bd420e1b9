#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "command_options.h"
#include "commands.h"
#include "crew.h"
#include "floor_server.h"
#include "report.h"

namespace sluice::bench {
namespace {

struct FloorMode {
  const char* name;
  bool uses_io_uring;
  uint32_t joined;
};
constexpr FloorMode kModes[] = {
    {"send", false, 1},
    {"io_uring", true, 1},
    {"send, 16 joined", false, 16},
    {"io_uring, 16 joined", true, 16},
};

// A floor server in a process of its own, ended with this object.
class Child {
 public:
  Child(const FloorOptions& options, const std::vector<int>& cpus) {
    pid_ = ::fork();
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    Status status = PinTo(cpus);
    if (status.ok()) status = RunFloorServer(options);
    ::_exit(ExitStatus(status));
  }
  ~Child() {
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

struct FloorCall {
  FanoutOptions load;
  FloorOptions server;
  std::vector<int> server_cpus;
  std::string rate = "max";
};

int Floor(const FloorCall& call) {
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", "floor").OpenList("runs");
  std::printf("%-22s %14s %14s %12s %12s %10s\n", "floor", "us a delivery", "deliveries/s",
              "last p50 ms", "last p99 ms", "server CPU");
  bool passed = true;
  for (const FloorMode& mode : kModes) {
    FanoutOptions load = call.load;
    const bool has_nothing_to_join = load.rate > 0 || load.topics > 0;
    if (has_nothing_to_join && mode.joined > 1) continue;
    FloorOptions server = call.server;
    server.uses_io_uring = mode.uses_io_uring;
    server.joined = mode.joined;
    server.has_topics = load.topics > 0;
    if (load.rate <= 0) load.publishers = mode.joined;
    const Child child(server, call.server_cpus);
    SleepFor(200 * kNsPerMs);
    const std::string base = "http://127.0.0.1:" + std::to_string(server.port);
    load.stream_url = base + "/stream";
    load.publish_url = base + "/broadcast";
    load.pid = child.pid();
    FanoutReport report;
    const Status status = RunFanout(load, &report);
    if (!status.ok()) return ExitStatus(status);
    passed &= report.passed;
    std::printf("%-22s %14.3f %14.0f %12.3f %12.3f %8.1f %% %s\n", mode.name,
                report.server_cpu_us_a_delivery, report.deliveries_a_second,
                static_cast<double>(report.last.At(0.5)) / 1e6,
                static_cast<double>(report.last.At(0.99)) / 1e6, 100 * report.server_cpu_share,
                report.passed ? "" : "FAIL");
    json.Open().Text("mode", mode.name).Raw("run", ToJson(report)).Close();
  }
  json.CloseList();
  WriteEnvironment(&json);
  json.Close();
  const Status status = WriteResult(call.load, json.text() + "\n");
  if (!status.ok()) return ExitStatus(status);
  return passed ? 0 : 1;
}

}  // namespace

void AddFloor(CLI::App* app, int* exit_status) {
  CLI::App* const floor = app->add_subcommand("floor", "the bare kernel loops: the limit here");
  const auto call = std::make_shared<FloorCall>();
  call->server.port = 9390;
  AddStreamOptions(floor, &call->load);
  floor->get_option("--stream")->required(false)->group("");
  floor->get_option("--pid")->group("");
  AddLoadOptions(floor, &call->load, &call->rate);
  floor
      ->add_option("--topics", call->load.topics,
                   "topics, as fanout has them: a frame goes to the readers of one")
      ->check(CLI::Range(1u, kTopicsMax));
  floor->add_option("--port", call->server.port, "where the bare loop listens, on 127.0.0.1");
  floor->add_option("--server-cpus", call->server_cpus, "processors of the bare loop")
      ->delimiter(',');
  floor->add_option("--frame-bytes", call->server.frame_bytes, "bytes of a frame, at least");
  floor->callback([call, exit_status] {
    call->load.rate = ReadRate(call->rate);
    *exit_status = Floor(*call);
  });
}

void AddFloorServer(CLI::App* app, int* exit_status) {
  CLI::App* const server =
      app->add_subcommand("floor-server", "one bare loop, to be loaded like any server");
  const auto options = std::make_shared<FloorOptions>();
  server->add_option("--port", options->port, "where it listens, on 127.0.0.1")->required();
  server->add_flag("--io-uring", options->uses_io_uring, "registered files, batches of 256");
  server->add_flag("--topics", options->has_topics,
                   "a post's frame goes to the streams whose path ends with the same number");
  server->add_option("--joined", options->joined, "posts whose frames are sent as one");
  server->add_option("--frame-bytes", options->frame_bytes, "bytes of a frame, at least");
  server->callback([options, exit_status] { *exit_status = ExitStatus(RunFloorServer(*options)); });
}

}  // namespace sluice::bench
