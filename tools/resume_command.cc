#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "command_options.h"
#include "commands.h"
#include "report.h"
#include "resume.h"

namespace sluice::bench {
namespace {

double Ms(const Histogram& h, double quantile) { return static_cast<double>(h.At(quantile)) / 1e6; }

void PrintServer(const char* name, const ServerLatency& latency) {
  if (latency.count() == 0) return;
  std::printf("  %-34s p50 %.3f   p99 %.3f   p99.9 %.3f ms\n", name, latency.AtMs(0.5),
              latency.AtMs(0.99), latency.AtMs(0.999));
}

void PrintWindow(const char* name, const ResumeWindow& window, bool has_server) {
  std::printf("%s, %.2f s\n", name, window.seconds);
  PrintLatency("latency of those that stayed", window.latency);
  PrintServer("server: published to all", window.server_fanout);
  PrintServer("server: published to each", window.server_delivery);
  if (has_server)
    std::printf("  %-34s %.1f %% of a core\n", "server CPU", 100 * window.server_cpu_share);
  std::printf("  %-34s %.1f %% of its cores\n", "meter CPU", 100 * window.meter_cpu_share);
}

void PrintResume(const ResumeReport& r) {
  const ResumeOptions& o = r.options;
  std::printf(
      "resume: %u stay at %g events/s, %u come back with %u missed each, %zu bytes of data, meter "
      "on %s\n",
      o.base.subscribers, o.base.rate, o.returning, o.missed, o.base.payload_bytes,
      r.engine.c_str());
  const bool has_server = o.base.pid > 0;
  PrintWindow("calm", r.calm, has_server);
  PrintWindow("until the last has caught up", r.during, has_server);
  PrintWindow("after, all live", r.after, has_server);
  const double calm_ms = Ms(r.calm.latency, 0.99);
  const double during_ms = Ms(r.during.latency, 0.99);
  std::printf("  %-34s %.2f times, %+.3f ms; allowed %.3f ms: %s\n", "p99 over calm",
              during_ms / std::max(calm_ms, 1e-6), during_ms - calm_ms, r.LatencyAllowedMs(),
              r.HoldsAim() ? "held" : "not held");
  std::printf("those that came back\n");
  PrintLatency("connect to first byte", r.first_byte);
  PrintLatency("connect to caught up", r.catch_up);
  const double seconds = std::max(r.last_caught_up_s, 1e-9);
  std::printf("  %-34s %.3f s; %u of %u\n", "the last had caught up after", r.last_caught_up_s,
              r.caught_up, o.returning);
  std::printf("  %-34s %.0f (%.1f MiB a second)\n", "replayed events a second",
              static_cast<double>(r.replayed) / seconds, r.replayed_bytes / seconds / (1 << 20));
  PrintLatency("meter's own lag, due to posted", r.publish_lag);
  std::printf("  %-34s %.1f %%\n", "asked load accepted", 100 * r.offered_share);
  std::printf("  %-34s %llu had, %llu due\n", "deliveries",
              static_cast<unsigned long long>(r.deliveries),
              static_cast<unsigned long long>(r.deliveries_due));
  std::printf("  %-34s %llu lost, %llu repeated, %llu reordered, %llu corrupted, %llu cut off\n",
              "checked, every event", static_cast<unsigned long long>(r.faults.lost),
              static_cast<unsigned long long>(r.faults.repeated),
              static_cast<unsigned long long>(r.faults.reordered),
              static_cast<unsigned long long>(r.faults.corrupted),
              static_cast<unsigned long long>(r.disconnected));
  for (const std::string& problem : r.problems) std::printf("  problem: %s\n", problem.c_str());
  std::printf("%s\n", r.passed ? "PASS" : "FAIL");
}

void WriteServer(JsonWriter* json, const char* key, const ServerLatency& latency) {
  if (latency.count() == 0) return;
  json->Open(key).Number("count", static_cast<double>(latency.count()));
  json->Number("p50_ms", latency.AtMs(0.5)).Number("p99_ms", latency.AtMs(0.99));
  json->Number("p99_9_ms", latency.AtMs(0.999)).Close();
}

void WriteWindow(JsonWriter* json, const char* key, const ResumeWindow& window, bool has_server) {
  json->Open(key).Number("seconds", window.seconds);
  WriteHistogram(json, "latency", window.latency);
  WriteServer(json, "server_fanout", window.server_fanout);
  WriteServer(json, "server_delivery", window.server_delivery);
  if (has_server) {
    json->Number("server_cpu_share", window.server_cpu_share);
    json->Number("others_cpu_share", window.others_cpu_share);
  }
  json->Number("meter_cpu_share", window.meter_cpu_share).Close();
}

std::string ToJson(const ResumeReport& r) {
  const ResumeOptions& o = r.options;
  const double seconds = std::max(r.last_caught_up_s, 1e-9);
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", "resume").Truth("passed", r.passed);
  json.Open("asked").Text("stream", o.base.stream_url).Text("publish", o.base.publish_url);
  json.Number("subscribers", o.base.subscribers).Number("rate", o.base.rate);
  json.Number("missed", o.missed).Number("returning", o.returning);
  json.Number("payload_bytes", static_cast<double>(o.base.payload_bytes)).Close();
  json.Text("meter_engine", r.engine).Text("server_command", r.server_command);
  WriteWindow(&json, "calm", r.calm, o.base.pid > 0);
  WriteWindow(&json, "during", r.during, o.base.pid > 0);
  WriteWindow(&json, "after", r.after, o.base.pid > 0);
  json.Number("p99_allowed_ms", r.LatencyAllowedMs()).Truth("holds_aim", r.HoldsAim());
  json.Open("returned").Number("caught_up", r.caught_up);
  json.Number("last_caught_up_s", r.last_caught_up_s);
  json.Number("events", static_cast<double>(r.replayed));
  json.Number("events_a_second", static_cast<double>(r.replayed) / seconds);
  json.Number("bytes_a_second", r.replayed_bytes / seconds);
  WriteHistogram(&json, "first_byte", r.first_byte);
  WriteHistogram(&json, "catch_up", r.catch_up);
  json.Close();
  WriteHistogram(&json, "meter_lag", r.publish_lag);
  json.Number("offered_share", r.offered_share);
  json.Number("events_accepted", static_cast<double>(r.events_accepted));
  json.Number("publish_errors", static_cast<double>(r.publish_errors));
  json.Number("deliveries", static_cast<double>(r.deliveries));
  json.Number("deliveries_due", static_cast<double>(r.deliveries_due));
  WriteFaults(&json, r.faults);
  json.Number("disconnected", static_cast<double>(r.disconnected)).Close();
  json.OpenList("problems");
  for (const std::string& problem : r.problems) json.Text({}, problem);
  json.CloseList();
  WriteEnvironment(&json);
  json.Close();
  return json.text() + "\n";
}

int Resume(const ResumeOptions& options) {
  ResumeReport report;
  Status status = RunResume(options, &report);
  if (!status.ok()) return ExitStatus(status);
  PrintResume(report);
  status = WriteResult(options.base, ToJson(report));
  if (!status.ok()) return ExitStatus(status);
  return report.passed ? 0 : 1;
}

}  // namespace

void AddResume(CLI::App* app, int* exit_status) {
  CLI::App* const resume = app->add_subcommand(
      "resume", "readers come back at once, with events missed, beside others that stayed");
  const auto options = std::make_shared<ResumeOptions>();
  const auto rate = std::make_shared<std::string>("100");
  FanoutOptions& o = options->base;
  AddStreamOptions(resume, &o);
  resume->remove_option(resume->get_option("--html"));
  resume->add_option("--publish", o.publish_url, "URL that publishes are posted to")->required();
  resume->add_option("--publish-body", o.publish_body, "body of a post, with {payload}");
  resume->add_option("--stats", options->stats_url,
                     "sluice's /stats: its own latencies of the same times");
  AddLoadOptions(resume, &o, rate.get());
  resume->add_option("--missed", options->missed, "events that they missed")
      ->check(CLI::Range(1u, 100'000'000u));
  resume->add_option("--returning", options->returning, "readers that come back")
      ->check(CLI::Range(1u, 1'000'000u));
  resume->add_option("--after", options->after_s, "seconds for which all go on together");
  resume->callback([options, rate, exit_status] {
    options->base.rate = ReadRate(*rate);
    if (options->base.rate <= 0) {
      throw CLI::ValidationError("--rate",
                                 "a number of events a second: those that stayed read at it");
    }
    *exit_status = Resume(*options);
  });
}

}  // namespace sluice::bench
