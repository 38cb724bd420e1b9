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
void WriteEnvironment(JsonWriter* json);
Status WriteFile(const std::string& path, const std::string& text);

}  // namespace sluice::bench
