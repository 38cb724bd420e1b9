#include "command_options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {

void AddStreamOptions(CLI::App* command, FanoutOptions* options) {
  FanoutOptions& o = *options;
  command->add_option("--stream", o.stream_url, "URL of the event stream")->required();
  command->add_option("--header", o.headers, "a header for every request, \"Name: value\"");
  command->add_option("--subscribers,-n", o.subscribers, "subscribers that read")
      ->check(CLI::Range(1u, 4'000'000u));
  command->add_option("--threads", o.threads, "threads of the meter (more if the sockets need it)");
  command->add_option("--cpus", o.cpus, "processors the meter runs on")->delimiter(',');
  command->add_option("--engine", o.engine, "auto, io_uring or epoll: of the meter")
      ->check(CLI::IsMember({"auto", "io_uring", "epoll"}));
  command->add_option("--pid", o.pid,
                      "the server's process: its CPU and memory, children included");
  command->add_option("--json", o.json_file, "writes the result there");
  command->add_option("--html", o.html_file, "writes a page that shows the result there");
  command->add_flag("--quiet", o.is_quiet, "no live line");
}

void AddLoadOptions(CLI::App* command, FanoutOptions* options, std::string* rate) {
  FanoutOptions& o = *options;
  command->add_option("--rate,-r", *rate, "events a second, or max: as fast as they are answered");
  command
      ->add_option("--publishers,--in-flight", o.publishers,
                   "posts under way in all, a connection each; 0: 8 at max, else 64")
      ->check(CLI::Range(0u, kPublishersMax));
  command->add_option("--size", o.payload_bytes, "bytes of an event's data")
      ->check(CLI::Range(kPayloadBytesMin, kPayloadBytesMax));
  command->add_option("--duration", o.duration_s, "seconds measured")->check(CLI::PositiveNumber);
  command->add_option("--warmup", o.warmup_s, "seconds before, not counted");
  command->add_option("--settle", o.settle_s, "seconds between the last join and the first event");
  command->add_option("--drain", o.drain_s, "seconds without a delivery until missing is lost");
}

double ReadRate(const std::string& text) {
  if (text == "max") return 0;
  char* end = nullptr;
  const double rate = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(rate >= 0) || !std::isfinite(rate)) {
    throw CLI::ValidationError("--rate", "a number of events a second, or max (or 0)");
  }
  return rate;
}

int ExitStatus(const Status& status) {
  if (status.ok()) return 0;
  std::fprintf(stderr, "sluice-bench: %s\n", status.message().c_str());
  return status.code() == StatusCode::kInvalidArgument ? 2 : 1;
}

}  // namespace sluice::bench
