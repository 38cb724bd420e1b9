#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "commands.h"
#include "fanout.h"
#include "report.h"

namespace sluice::bench {
namespace {

int Fanout(const FanoutOptions& options) {
  FanoutReport report;
  Status status = RunFanout(options, &report);
  if (!status.ok()) {
    std::fprintf(stderr, "sluice-bench: %s\n", status.message().c_str());
    return status.code() == StatusCode::kInvalidArgument ? 2 : 1;
  }
  PrintTable(report);
  if (!options.json_file.empty()) status = WriteFile(options.json_file, ToJson(report));
  if (!status.ok()) {
    std::fprintf(stderr, "sluice-bench: %s\n", status.message().c_str());
    return 1;
  }
  return report.passed ? 0 : 1;
}

}  // namespace

void AddFanout(CLI::App* app, int* exit_status) {
  CLI::App* const fanout =
      app->add_subcommand("fanout", "N subscribers, events, every one checked");
  const auto options = std::make_shared<FanoutOptions>();
  const auto rate = std::make_shared<std::string>("max");
  FanoutOptions& o = *options;
  fanout->add_option("--stream", o.stream_url, "URL of the event stream")->required();
  fanout->add_option("--publish", o.publish_url, "URL that publishes are posted to")->required();
  fanout->add_option("--publish-body", o.publish_body, "body of a post, with {payload}");
  fanout->add_option("--header", o.headers, "a header for every request, \"Name: value\"");
  fanout->add_option("--subscribers,-n", o.subscribers, "subscribers that read")
      ->check(CLI::Range(1u, 4'000'000u));
  fanout->add_option("--rate,-r", *rate, "events a second, or max: as fast as they are answered");
  fanout
      ->add_option("--publishers,--in-flight", o.publishers,
                   "posts under way in all, a connection each; 0: 8 at max, else 64")
      ->check(CLI::Range(0u, kPublishersMax));
  fanout->add_option("--size", o.payload_bytes, "bytes of an event's data")
      ->check(CLI::Range(kPayloadBytesMin, kPayloadBytesMax));
  fanout->add_option("--duration", o.duration_s, "seconds measured")->check(CLI::PositiveNumber);
  fanout->add_option("--warmup", o.warmup_s, "seconds before, not counted");
  fanout->add_option("--settle", o.settle_s, "seconds between the last join and the first event");
  fanout->add_option("--drain", o.drain_s, "seconds without a delivery until missing is lost");
  fanout->add_option("--threads", o.threads, "threads of the meter (more if the sockets need it)");
  fanout->add_option("--cpus", o.cpus, "processors the meter runs on")->delimiter(',');
  fanout->add_option("--engine", o.engine, "auto, io_uring or epoll: of the meter")
      ->check(CLI::IsMember({"auto", "io_uring", "epoll"}));
  fanout->add_option("--pid", o.pid, "the server's process: its CPU and memory, children included");
  fanout->add_option("--slow", o.slow, "more subscribers that never read");
  fanout->add_option("--churn", o.churn, "reconnects a second");
  fanout->add_flag("--storm", o.has_storm, "all reconnect at once, in the middle");
  fanout->add_flag("--quiet", o.is_quiet, "no live line");
  fanout->add_option("--json", o.json_file, "writes the result there");
  fanout->callback([options, rate, exit_status] {
    if (*rate != "max") {
      char* end = nullptr;
      options->rate = std::strtod(rate->c_str(), &end);
      if (*end != '\0' || options->rate <= 0) {
        throw CLI::ValidationError("--rate", "a number above 0, or max");
      }
    }
    *exit_status = Fanout(*options);
  });
}

}  // namespace sluice::bench
