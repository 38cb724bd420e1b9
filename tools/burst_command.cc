#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "burst.h"
#include "command_options.h"
#include "commands.h"
#include "report.h"

namespace sluice::bench {
namespace {

int PrintBurst(const BurstOptions& options, const BurstReport& r) {
  std::printf("burst: %u subscribers, %u events one at a time, the meter asleep meanwhile\n",
              options.base.subscribers, options.rounds);
  std::printf("  %-34s %.0f (median of the rounds)\n", "deliveries a second",
              r.deliveries_a_second);
  std::printf("  %-34s %.2f .. %.2f ms\n", "post to the last subscriber",
              *std::min_element(r.last_ms.begin(), r.last_ms.end()),
              *std::max_element(r.last_ms.begin(), r.last_ms.end()));
  if (!r.cpu_us.empty()) {
    std::printf("  %-34s %.3f us\n", "server CPU a delivery", r.cpu_us_a_delivery);
  }
  std::printf("  %-34s %llu lost, %llu repeated, %llu reordered, %llu corrupted\n%s\n",
              "checked, every event", static_cast<unsigned long long>(r.faults.lost),
              static_cast<unsigned long long>(r.faults.repeated),
              static_cast<unsigned long long>(r.faults.reordered),
              static_cast<unsigned long long>(r.faults.corrupted), r.passed ? "PASS" : "FAIL");
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", "burst").Truth("passed", r.passed);
  json.Number("subscribers", options.base.subscribers);
  json.Number("deliveries_a_second", r.deliveries_a_second);
  json.Number("server_cpu_us_a_delivery", r.cpu_us_a_delivery).OpenList("last_ms");
  for (const double ms : r.last_ms) json.Number({}, ms);
  json.CloseList();
  WriteFaults(&json, r.faults);
  json.Close();
  WriteEnvironment(&json);
  json.Close();
  const Status status = WriteResult(options.base, json.text() + "\n");
  if (!status.ok()) return ExitStatus(status);
  return r.passed ? 0 : 1;
}

}  // namespace

void AddBurst(CLI::App* app, int* exit_status) {
  CLI::App* const burst =
      app->add_subcommand("burst", "one event at a time while the meter sleeps: the server alone");
  const auto options = std::make_shared<BurstOptions>();
  FanoutOptions& base = options->base;
  AddStreamOptions(burst, &base);
  burst->add_option("--publish", base.publish_url, "URL that publishes are posted to")->required();
  burst->add_option("--publish-body", base.publish_body, "body of a post, with {payload}");
  burst->add_option("--size", base.payload_bytes, "bytes of an event's data")
      ->check(CLI::Range(kPayloadBytesMin, kPayloadBytesMax));
  burst->add_option("--rounds", options->rounds, "events measured")->check(CLI::PositiveNumber);
  burst->add_option("--gap", options->gap_s, "seconds of sleep after each: longer than a sweep");
  burst->callback([options, exit_status] {
    BurstReport report;
    const Status status = RunBurst(*options, &report);
    *exit_status = status.ok() ? PrintBurst(*options, report) : ExitStatus(status);
  });
}

}  // namespace sluice::bench
