#include "http/json_text.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#include "base/utf8.h"

namespace sluice::http {
namespace {

// Eight bytes at a time: a set high bit marks each byte that ends a run of plain string characters
// (quote, backslash, control). Exact for the lowest marked byte, which is all that is used.
uint64_t StringStops(uint64_t bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  const auto zeros = [](uint64_t v) { return (v - kOnes) & ~v; };
  const uint64_t controls = (bytes - kOnes * 0x20) & ~bytes;
  return (zeros(bytes ^ (kOnes * '"')) | zeros(bytes ^ (kOnes * '\\')) | controls) & kHighs;
}

class Walk {
 public:
  Walk(std::string_view text, uint32_t depth_max)
      : begin_(text.data()),
        at_(begin_),
        end_(begin_ + text.size()),
        depth_max_(std::min(depth_max, kJsonDepthCeiling)) {}

  std::optional<JsonFault> Run() {
    if (end_ - at_ >= 3 && std::memcmp(at_, "\xef\xbb\xbf", 3) == 0) {
      Fail("a byte order mark is not allowed");
    } else if (Document()) {
      SkipSpace();
      if (at_ == end_) return std::nullopt;
      Fail("expected the end: one document only");
    }
    return JsonFault{static_cast<size_t>(at_ - begin_), what_};
  }

 private:
  bool Fail(const char* what) {
    what_ = what;
    return false;
  }
  void SkipSpace() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool Take(char byte) {
    if (at_ == end_ || *at_ != byte) return false;
    ++at_;
    return true;
  }
  bool is_object() const { return (objects_[depth_ / 64] >> (depth_ % 64)) & 1; }

  bool Enter(bool object) {
    if (depth_ == depth_max_) return Fail("nested too deeply");
    ++depth_;
    const uint64_t bit = uint64_t{1} << (depth_ % 64);
    objects_[depth_ / 64] = object ? objects_[depth_ / 64] | bit : objects_[depth_ / 64] & ~bit;
    ++at_;
    return true;
  }

  // Values one after the other; `depth_` says what surrounds the next one.
  bool Document() {
    while (true) {
      SkipSpace();
      if (at_ == end_) return Fail("expected a value");
      if (*at_ == '{') {
        if (!Enter(true)) return false;
        SkipSpace();
        if (!Take('}')) {
          if (!Key()) return false;
          continue;
        }
        --depth_;
      } else if (*at_ == '[') {
        if (!Enter(false)) return false;
        SkipSpace();
        if (!Take(']')) continue;
        --depth_;
      } else if (!Scalar()) {
        return false;
      }
      if (!Leave()) return false;
      if (depth_ == 0) return true;
    }
  }

  // After a value: closes what ends here; stops where another value has to follow.
  bool Leave() {
    while (depth_ != 0) {
      SkipSpace();
      if (Take(',')) {
        if (!is_object()) return true;
        SkipSpace();
        return Key();
      }
      if (!Take(is_object() ? '}' : ']')) {
        return Fail(is_object() ? "expected ',' or '}'" : "expected ',' or ']'");
      }
      --depth_;
    }
    return true;
  }

  bool Key() {
    if (at_ == end_ || *at_ != '"') return Fail("expected a key in double quotes");
    if (!String()) return false;
    SkipSpace();
    return Take(':') || Fail("expected ':'");
  }

  bool Scalar() {
    switch (*at_) {
      case '"':
        return String();
      case 't':
        return Literal("true");
      case 'f':
        return Literal("false");
      case 'n':
        return Literal("null");
      default:
        return Number();
    }
  }

  bool Literal(std::string_view word) {
    if (static_cast<size_t>(end_ - at_) < word.size() ||
        std::memcmp(at_, word.data(), word.size()) != 0) {
      return Fail("expected a value");
    }
    at_ += word.size();
    return true;
  }

  bool Digits() {
    const char* first = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != first || Fail("expected a digit");
  }

  bool Number() {
    if (*at_ != '-' && (*at_ < '0' || *at_ > '9')) return Fail("expected a value");
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (!Take('+')) Take('-');
      if (!Digits()) return false;
    }
    return true;
  }

  bool String() {
    ++at_;
    while (true) {
      while (end_ - at_ >= 8) {
        uint64_t bytes;
        std::memcpy(&bytes, at_, 8);
        const uint64_t stops = StringStops(bytes);
        if (stops != 0) {
          at_ += __builtin_ctzll(stops) / 8;
          break;
        }
        at_ += 8;
      }
      if (at_ == end_) return Fail("the string does not end");
      const auto byte = static_cast<unsigned char>(*at_);
      if (byte == '"') {
        ++at_;
        return true;
      }
      if (byte < 0x20) return Fail("a control character in a string must be escaped");
      if (byte != '\\') {
        ++at_;
      } else if (!Escape()) {
        return false;
      }
    }
  }

  bool Escape() {
    ++at_;
    if (at_ == end_) return Fail("the string does not end");
    if (*at_ != 'u') {
      if (*at_ == '\0' || std::strchr("\"\\/bfnrt", *at_) == nullptr) {
        return Fail("no such escape");
      }
      ++at_;
      return true;
    }
    ++at_;
    for (int i = 0; i < 4; ++i, ++at_) {
      const bool is_hex =
          at_ != end_ && ((*at_ >= '0' && *at_ <= '9') || (*at_ >= 'a' && *at_ <= 'f') ||
                          (*at_ >= 'A' && *at_ <= 'F'));
      if (!is_hex) return Fail("\\u needs four hexadecimal digits");
    }
    return true;
  }

  const char* const begin_;
  const char* at_;
  const char* const end_;
  const uint32_t depth_max_;
  uint32_t depth_ = 0;
  const char* what_ = "";
  // Bit n: level n is an object. Set on entry, so it needs no clearing (512 bytes, seldom touched).
  uint64_t objects_[kJsonDepthCeiling / 64 + 1];
};

}  // namespace

std::string JsonFault::Describe(std::string_view text) const {
  return "at byte " + std::to_string(offset) + " of " + std::to_string(text.size()) + ": " + what;
}

std::optional<size_t> FindInvalidUtf8(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
  return Utf8ValidPrefix(text);
}

std::optional<JsonFault> CheckJson(std::string_view text, uint32_t depth_max) {
  if (const auto offset = FindInvalidUtf8(text)) return JsonFault{*offset, "not valid UTF-8"};
  return Walk(text, depth_max).Run();
}

}  // namespace sluice::http
