#include <unistd.h>
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "command_options.h"
#include "commands.h"
#include "compare.h"
#include "report.h"

namespace sluice::bench {
namespace {

struct CompareCall {
  std::string list = "bench/compare.toml";
  ComparePlan plan;
  std::vector<uint32_t> subscribers;
  std::vector<std::string> rates;
  std::vector<std::string> only;
  uint32_t runs = 0;
  double duration_s = 0;
  double warmup_s = -1;
};

int Compare(CompareCall* call) {
  ComparePlan& plan = call->plan;
  Status status = ReadComparePlan(call->list, &plan);
  if (!status.ok()) return ExitStatus(status);
  if (!call->subscribers.empty()) plan.subscribers = call->subscribers;
  if (!call->rates.empty()) plan.rates.clear();
  for (const std::string& rate : call->rates) plan.rates.push_back(ReadRate(rate));
  if (call->runs > 0) plan.runs = call->runs;
  if (call->duration_s > 0) plan.load.duration_s = call->duration_s;
  if (call->warmup_s >= 0) plan.load.warmup_s = call->warmup_s;
  if (!call->only.empty()) {
    std::erase_if(plan.targets, [call](const CompareTarget& target) {
      return std::find(call->only.begin(), call->only.end(), target.name) == call->only.end();
    });
  }
  plan.load.is_quiet = ::isatty(STDERR_FILENO) == 0;  // in a file the line of each run is enough
  const std::vector<CompareCell> cells = RunCompare(plan);
  std::printf("%s", CompareTable(plan, cells).c_str());
  const std::string json = CompareJson(plan, cells);
  status = WriteResult(plan.load, json);
  if (!status.ok()) return ExitStatus(status);
  bool passed = true;
  for (const CompareCell& cell : cells) {
    for (const std::string& problem : cell.Problems()) {
      std::fprintf(stderr, "%s, %u subscribers: %s\n", cell.target.c_str(), cell.subscribers,
                   problem.c_str());
    }
    const auto target =
        std::find_if(plan.targets.begin(), plan.targets.end(),
                     [&cell](const CompareTarget& one) { return one.name == cell.target; });
    if (target->is_ours) passed &= cell.passed() && cell.runs.size() == plan.runs;
  }
  return passed ? 0 : 1;
}

}  // namespace

void AddCompare(CLI::App* app, int* exit_status) {
  CLI::App* const compare =
      app->add_subcommand("compare", "servers of a list in turn, the same load on each");
  const auto call = std::make_shared<CompareCall>();
  compare->add_option("list", call->list, "the list, a TOML file")->capture_default_str();
  compare->add_option("--subscribers,-n", call->subscribers, "instead of the list's")
      ->delimiter(',');
  compare->add_option("--rate,-r", call->rates, "instead of the list's: events a second, or max")
      ->delimiter(',');
  compare->add_option("--only", call->only, "targets by name")->delimiter(',');
  compare->add_option("--runs", call->runs, "runs of each, in turn");
  compare->add_option("--duration", call->duration_s, "seconds measured, each run");
  compare->add_option("--warmup", call->warmup_s, "seconds before, not counted");
  compare->add_option("--server-cpus", call->plan.server_cpus, "processors of the servers")
      ->delimiter(',');
  compare->add_option("--cpus", call->plan.load.cpus, "processors the meter runs on")
      ->delimiter(',');
  compare->add_option("--port", call->plan.port, "the first of twenty ports, on 127.0.0.1");
  compare->add_option("--json", call->plan.load.json_file, "writes all results there");
  compare->add_option("--html", call->plan.load.html_file, "writes a page there");
  compare->callback([call, exit_status] { *exit_status = Compare(call.get()); });
}

}  // namespace sluice::bench
