// Is this text one JSON document? The grammar of RFC 8259 in valid UTF-8, no more and no less:
// numbers of any size, lone \u surrogates, scalars at the top, equal keys; no byte order mark.
//
// UTF-8 is checked by simdjson, the grammar by a walk of ours: together they cost what simdjson's
// DOM costs at 100 bytes and at 16 KiB (bench/http_bench.cc), and the DOM (3.0.1) is right only
// when it accepts: it refuses integers of 2^64 and more, 1e400 and lone surrogates, so every
// refusal would need the walk as well. Its on-demand raw access takes `[01]` and trailing text. The
// tests hold the walk against the DOM.
//
// Thread: pure.
// Bounds: depth up to `depth_max` (kJsonDepthCeiling at most); nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::http {

// The walk keeps one bit a level on the stack.
inline constexpr uint32_t kJsonDepthCeiling = 4'096;

struct JsonFault {
  size_t offset = 0;      // of the byte that is wrong; the text's size if it ends too early
  const char* what = "";  // "expected a value"
  // "at byte 12 of 20: expected a value"
  std::string Describe(std::string_view text) const;
};

// Nothing if `text` is a JSON document; else the first thing that is wrong with it.
std::optional<JsonFault> CheckJson(std::string_view text, uint32_t depth_max);

// Where `text` stops being UTF-8, if it does.
std::optional<size_t> FindInvalidUtf8(std::string_view text);

}  // namespace sluice::http
