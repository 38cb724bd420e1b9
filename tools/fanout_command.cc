#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "command_options.h"
#include "commands.h"
#include "fanout.h"
#include "report.h"

namespace sluice::bench {
namespace {

int Fanout(const FanoutOptions& options) {
  FanoutReport report;
  Status status = RunFanout(options, &report);
  if (!status.ok()) return ExitStatus(status);
  PrintTable(report);
  status = WriteResult(options, ToJson(report));
  if (!status.ok()) return ExitStatus(status);
  return report.passed ? 0 : 1;
}

}  // namespace

void AddFanout(CLI::App* app, int* exit_status) {
  CLI::App* const fanout =
      app->add_subcommand("fanout", "N subscribers, events, every one checked");
  const auto options = std::make_shared<FanoutOptions>();
  const auto rate = std::make_shared<std::string>("max");
  FanoutOptions& o = *options;
  AddStreamOptions(fanout, &o);
  fanout->add_option("--publish", o.publish_url, "URL that publishes are posted to")->required();
  fanout->add_option("--publish-body", o.publish_body, "body of a post, with {payload}");
  AddLoadOptions(fanout, &o, rate.get());
  fanout->add_option("--ahead", o.ahead_max,
                     "at max: no post while the readers are so many events behind; 0: no bound");
  fanout
      ->add_option(
          "--topics", o.topics,
          "topics, of which a subscriber reads one and an event goes to one; {topic} in the "
          "URLs, the body or a header is its number")
      ->check(CLI::Range(1u, kTopicsMax));
  fanout->add_option("--slow", o.slow, "more subscribers that never read");
  fanout->add_option("--churn", o.churn, "reconnects a second");
  fanout->add_flag("--storm", o.has_storm, "all reconnect at once, in the middle");
  fanout->callback([options, rate, exit_status] {
    options->rate = ReadRate(*rate);
    *exit_status = Fanout(*options);
  });
}

}  // namespace sluice::bench
