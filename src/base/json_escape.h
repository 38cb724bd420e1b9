// Writes text as a JSON string, for replies and reports.
//
// Thread: pure.
// Bounds: at most six bytes are written for each byte read.
// Errors: none: bytes that are no UTF-8 become U+FFFD, so that what is written is always valid
// JSON.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

// Appends `text` without the quotes around it.
void AppendJsonEscaped(std::string* out, std::string_view text);
// Appends `text` with them.
void AppendJsonString(std::string* out, std::string_view text);

}  // namespace sluice
