// Options that several commands share, and how a Status becomes an exit status.
//
// Thread: main. Errors: CLI11 throws for a wrong call; main turns that into exit status 2.
#pragma once

#include "base/status.h"
#include "fanout.h"

namespace CLI {
class App;
}

namespace sluice::bench {

// --stream, --header, --subscribers, --threads, --cpus, --engine, --pid, --json, --html, --quiet.
void AddStreamOptions(CLI::App* command, FanoutOptions* options);
// --size, --duration, --warmup, --rate, --publishers and the like; `rate` is "max" or a number.
void AddLoadOptions(CLI::App* command, FanoutOptions* options, std::string* rate);
// Events a second; 0, as fast as they are answered, for "max". Throws if it is neither.
double ReadRate(const std::string& text);

// Prints the message, if there is one: 0, or 1, or 2 for a wrong call.
int ExitStatus(const Status& status);

}  // namespace sluice::bench
