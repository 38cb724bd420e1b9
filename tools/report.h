// A run's result, for people (a table), for programs (JSON) and for a browser (one HTML page).
//
// Thread: any. Errors: kUnavailable if a file cannot be written.
#pragma once

#include <string>

#include "base/status.h"
#include "fanout.h"
#include "json_writer.h"

namespace sluice::bench {

void PrintLatency(const char* name, const Histogram& h);
void WriteHistogram(JsonWriter* json, const char* key, const Histogram& h);
void PrintTable(const FanoutReport& report);
std::string ToJson(const FanoutReport& report);
// Begins an object "faults": the caller closes it.
void WriteFaults(JsonWriter* json, const Faults& faults);
void WriteEnvironment(JsonWriter* json);
Status WriteFile(const std::string& path, const std::string& text);
// Writes a command's result where --json and --html ask for it.
Status WriteResult(const FanoutOptions& options, const std::string& json);

}  // namespace sluice::bench
