// sluice: the command line around the gateway.
//
// Exit: 0 after a stop, 1 if a second signal cut it short, 2 if it cannot start with these options,
// 3 if the host does not let it start now (a port in use, a full disk): trying again may help. Of
// `sluice journal`: 0, or 1 if the journal is not there or damaged.
#include <signal.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <thread>

#include "gateway/configuration.h"
#include "gateway/host_facts.h"
#include "gateway/host_plan.h"
#include "gateway/option_reference.h"
#include "gateway/service_notify.h"
#include "journal/journal_tool.h"
#include "sluice/gateway.h"

extern char** environ;

namespace {

constexpr int kExitCutShort = 1;
constexpr int kExitCannotStart = 2;
constexpr int kExitNotNow = 3;
constexpr int kExitJournal = 1;

int Fail(const sluice::Status& status) {
  std::fprintf(stderr, "sluice: %s\n", status.message().c_str());
  return status.code() == sluice::StatusCode::kUnavailable ? kExitNotNow : kExitCannotStart;
}

// Blocked in every thread, taken by WaitForSignal.
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

int Check(const sluice::CommandLine& command_line) {
  const sluice::HostFacts facts = sluice::ReadHostFacts();
  const std::vector<sluice::EngineOffer> offers = sluice::ProbeEngines();
  sluice::HostPlan plan;
  const sluice::Status status = sluice::PlanForHost(command_line.options, facts, offers, &plan);
  if (!status.ok()) return Fail(status);
  const std::string report =
      sluice::CheckReport(command_line.options, command_line.config_path, facts, offers, plan);
  std::fputs(report.c_str(), stdout);
  return 0;
}

int ShowJournal(const std::string& command, const std::string& directory) {
  const auto show = command == "inspect"  ? sluice::InspectJournal
                    : command == "verify" ? sluice::VerifyJournal
                                          : sluice::ExportJournal;
  const sluice::Status status = show(directory, std::cout);
  std::cout.flush();
  if (status.ok()) return 0;
  std::fprintf(stderr, "sluice: %s\n", status.message().c_str());
  return kExitJournal;
}

void Notify(std::string_view state) {
  const sluice::Status status = sluice::NotifyService(state);
  if (!status.ok()) spdlog::warn("{}", status.message());
}

int Serve(const sluice::CommandLine& command_line) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  std::unique_ptr<sluice::Gateway> gateway;
  const sluice::Status status = sluice::Gateway::Start(command_line.options, &gateway);
  if (!status.ok()) return Fail(status);
  for (const std::string& address : gateway->addresses()) spdlog::info("listening on {}", address);
  spdlog::info("serving with {} on {} shard(s)", gateway->engine_name(), gateway->shards());
  for (const std::string& line : gateway->StartNotes()) spdlog::info("{}", line);
  Notify(sluice::kServiceReady);

  const timespec second{1, 0};
  int taken;
  while ((taken = sigtimedwait(&signals, nullptr, &second)) < 0) {
    for (const std::string& line : gateway->Warnings()) spdlog::warn("{}", line);
  }
  spdlog::info("{} received: stopping", taken == SIGTERM ? "SIGTERM" : "SIGINT");
  Notify(sluice::kServiceStopping);
  std::thread([signals] {
    int again;
    sigwait(&signals, &again);
    spdlog::warn("a second signal: exiting at once");
    _exit(kExitCutShort);
  }).detach();
  if (!gateway->Stop()) spdlog::warn("connections were cut off at stop.timeout");
  for (const std::string& line : gateway->Warnings()) spdlog::warn("{}", line);
  gateway.reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::CommandLine command_line;
  const sluice::Status status = sluice::ParseCommandLine(argc, argv, environ, &command_line);
  if (!status.ok()) return Fail(status);
  if (command_line.help) {
    std::fputs(sluice::HelpText().c_str(), stdout);
    return 0;
  }
  if (command_line.version) {
    std::printf("%s\n", sluice::VersionText().c_str());
    return 0;
  }
  if (!command_line.journal_command.empty()) {
    return ShowJournal(command_line.journal_command, command_line.journal_directory);
  }
  spdlog::set_default_logger(spdlog::stderr_color_mt("sluice"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  spdlog::set_level(spdlog::level::from_str(command_line.options.log_level));
  for (const std::string& line : command_line.warnings) spdlog::warn("{}", line);
  sluice::RaiseFileLimit();
  return command_line.check ? Check(command_line) : Serve(command_line);
}
