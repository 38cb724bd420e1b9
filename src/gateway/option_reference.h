// The table of options as a person reads it: --help, docs/configuration.md and deploy/sluice.toml.
//
// The two files are written from here (scripts/reference) and a test compares them, so they cannot
// drift from the program.
//
// Thread: pure functions.
#pragma once

#include <map>
#include <string>

namespace sluice {

// What `sluice --help` prints: each flag with its default, unit and range, in 100 columns.
std::string HelpText();

// docs/configuration.md, whole.
std::string ReferencePage();

// deploy/sluice.toml, whole: every option commented out with its default, but for those in
// `settings` (name -> value as TOML), which stand as given.
std::string SampleFile(const std::map<std::string, std::string>& settings);

// The settings that the installed file ships with: publishing keyed, and a delay to stop.
std::map<std::string, std::string> InstalledSettings();

}  // namespace sluice
