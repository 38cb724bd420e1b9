// One self-contained page that shows a result: its JSON and what draws it.
//
// Thread: any. Bounds: the JSON is embedded whole.
#pragma once

#include <string>

namespace sluice::bench {

// `json` is what fanout or compare writes with --json.
std::string ReportPage(const std::string& json);

}  // namespace sluice::bench
