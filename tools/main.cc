// sluice-bench: loads any server of event streams and judges every event of every stream.
//
// Exit status: 0 if nothing was lost, repeated, reordered or corrupted and the asked load was
// really offered; 1 otherwise; 2 for a wrong call.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "commands.h"

int main(int argc, char** argv) {
  CLI::App app{"Measures servers of server-sent events, and fails a run that loses anything."};
  app.require_subcommand(1);
  int exit_status = 2;
  sluice::bench::AddFanout(&app, &exit_status);
  sluice::bench::AddBurst(&app, &exit_status);
  sluice::bench::AddCompare(&app, &exit_status);
  sluice::bench::AddConnect(&app, &exit_status);
  sluice::bench::AddIdle(&app, &exit_status);
  sluice::bench::AddResume(&app, &exit_status);
  sluice::bench::AddFloor(&app, &exit_status);
  sluice::bench::AddFloorServer(&app, &exit_status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return exit_status;
}
