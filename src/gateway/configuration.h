// What a gateway is started with: the configuration file, then the environment, then the flags; the
// later one wins, and a list given later replaces the earlier list.
//
// Thread: main, before any other starts (the environment is read).
// Errors: kInvalidArgument with one line that begins with the place (`--lag-bytes-max`,
//         `SLUICE_LAG_BYTES_MAX`, `sluice.toml:12:3`), then says what, why and what to do. The
//         program exits with 2 on it. CLI11 and toml++ report by exceptions; none leaves this file.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "gateway/validation.h"
#include "sluice/options.h"

namespace sluice {

struct CommandLine {
  Options options;
  std::string config_path;  // empty: no file
  bool check = false;
  bool version = false;
  bool help = false;
  // `sluice journal inspect|verify|export DIR`: then nothing else is read.
  std::string journal_command;
  std::string journal_directory;
  // Lines for a person about what was left out, such as a SLUICE_ variable that is no option.
  std::vector<std::string> warnings;
};

// With --help or --version nothing else is read. Otherwise the options come back validated.
Status ParseCommandLine(int argc, const char* const* argv, const char* const* envp,
                        CommandLine* command_line);

// What stands after `sluice --version`, one line.
std::string VersionText();

}  // namespace sluice
