// The grammar of UTF-8 (RFC 3629), one character at a time: for short texts and for saying where a
// long one is wrong. Whole bodies are checked by simdjson (http/json_text.h).
//
// Thread: pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace sluice {

// Bytes of the character that `text` begins with, or 0 if it begins with none: overlong forms,
// surrogates and what is past U+10FFFF included.
inline size_t Utf8SequenceLength(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (at(i) & 0xc0) == 0x80; };
  if (text.empty()) return 0;
  const unsigned char lead = at(0);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return continues(1) ? 2 : 0;
  if (lead < 0xf0) {
    if (!continues(1) || !continues(2)) return 0;
    if (lead == 0xe0 && at(1) < 0xa0) return 0;
    if (lead == 0xed && at(1) > 0x9f) return 0;
    return 3;
  }
  if (lead > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  if (lead == 0xf0 && at(1) < 0x90) return 0;
  if (lead == 0xf4 && at(1) > 0x8f) return 0;
  return 4;
}

// Where the first byte stands that is no UTF-8; text.size() if there is none.
inline size_t Utf8ValidPrefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const size_t length = Utf8SequenceLength(text.substr(i));
    if (length == 0) break;
    i += length;
  }
  return i;
}

}  // namespace sluice
