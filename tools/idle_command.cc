#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "command_options.h"
#include "commands.h"
#include "idle.h"
#include "report.h"

namespace sluice::bench {
namespace {

std::string IdleJson(const char* command, const IdleOptions& options, const IdleReport& r) {
  JsonWriter json;
  json.Open().Number("schema", 1).Text("command", command).Truth("passed", true);
  json.Text("stream", options.base.stream_url).Text("meter_engine", r.engine);
  json.Number("subscribers", r.subscribers).Number("connect_s", r.connect_s);
  json.Number("connects_a_second", r.subscribers / r.connect_s);
  json.Number("connect_failures", static_cast<double>(r.connect_failures));
  WriteHistogram(&json, "first_byte", r.first_byte);
  if (r.server_before.is_alive()) {
    json.Open("server").Number("pss_before_bytes", static_cast<double>(r.server_before.pss_bytes));
    json.Number("pss_bytes", static_cast<double>(r.server_idle.pss_bytes));
    json.Number("pss_bytes_each", r.PssEach()).Number("idle_cpu_share", r.IdleCpuShare());
    json.Number(
        "cpu_us_a_connect",
        static_cast<double>(r.server_after.cpu_ns - r.server_before.cpu_ns) / 1e3 / r.subscribers);
    json.Close();
  }
  json.Open("kernel").Number("bytes_each", r.KernelEach());
  json.Number("slab_before_bytes", static_cast<double>(r.kernel_before.slab_bytes));
  json.Number("slab_bytes", static_cast<double>(r.kernel_after.slab_bytes));
  json.Number("tcp_before_bytes", static_cast<double>(r.kernel_before.tcp_bytes));
  json.Number("tcp_bytes", static_cast<double>(r.kernel_after.tcp_bytes)).Close();
  WriteEnvironment(&json);
  json.Close();
  return json.text() + "\n";
}

void PrintIdle(const char* command, const IdleReport& r) {
  std::printf("%s: %u subscribers, meter on %s\n", command, r.subscribers, r.engine.c_str());
  std::printf("  %-34s %.0f (%.2f s, %u at a time)\n", "connections a second",
              r.subscribers / r.connect_s, r.connect_s, r.connecting);
  PrintLatency("connect to first byte", r.first_byte);
  if (r.server_before.is_alive()) {
    std::printf("  %-34s %.0f bytes (PSS %.1f -> %.1f MiB)\n", "user memory a subscriber",
                r.PssEach(), static_cast<double>(r.server_before.pss_bytes) / (1 << 20),
                static_cast<double>(r.server_idle.pss_bytes) / (1 << 20));
    std::printf(
        "  %-34s %.2f us\n", "server CPU a connect",
        static_cast<double>(r.server_after.cpu_ns - r.server_before.cpu_ns) / 1e3 / r.subscribers);
    std::printf("  %-34s %.2f %% of a core\n", "server CPU while idle", 100 * r.IdleCpuShare());
  }
  std::printf("  %-34s %.0f bytes (slab and socket buffers, both ends)\n",
              "kernel memory a subscriber", r.KernelEach());
  if (r.connect_failures > 0) {
    std::printf("  %-34s %llu\n", "failed connects, tried again",
                static_cast<unsigned long long>(r.connect_failures));
  }
}

void AddJoining(CLI::App* app, const char* name, const char* what, int* exit_status) {
  CLI::App* const command = app->add_subcommand(name, what);
  const auto options = std::make_shared<IdleOptions>();
  AddStreamOptions(command, &options->base);
  command->add_option("--connecting", options->connecting,
                      "connections being made at a time, a thread; 0: 128, and 1,024 in all");
  command->add_option("--idle", options->idle_s, "seconds of idleness before memory is read");
  command->callback([name, options, exit_status] {
    IdleReport report;
    Status status = RunIdle(*options, &report);
    if (status.ok()) {
      PrintIdle(name, report);
      status = WriteResult(options->base, IdleJson(name, *options, report));
    }
    *exit_status = ExitStatus(status);
  });
}

}  // namespace

void AddIdle(CLI::App* app, int* exit_status) {
  AddJoining(app, "idle", "memory and CPU of subscribers while nothing is sent", exit_status);
}

void AddConnect(CLI::App* app, int* exit_status) {
  AddJoining(app, "connect", "connections a second and time to first byte", exit_status);
}

}  // namespace sluice::bench
