// Writes one JSON document, keys in the order given.
//
// Thread: one. Errors: none; values that are no finite number are written as null.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace sluice::bench {

class JsonWriter {
 public:
  JsonWriter& Open(std::string_view key = {}) { return Begin(key, '{'); }
  JsonWriter& OpenList(std::string_view key = {}) { return Begin(key, '['); }
  JsonWriter& Close() { return End('}'); }
  JsonWriter& CloseList() { return End(']'); }
  JsonWriter& Text(std::string_view key, std::string_view value) {
    Key(key);
    Quote(value);
    return *this;
  }
  JsonWriter& Number(std::string_view key, double value) {
    Key(key);
    char digits[40];
    std::snprintf(digits, sizeof digits, "%.10g", value);
    text_ += std::isfinite(value) ? digits : "null";
    return *this;
  }
  JsonWriter& Truth(std::string_view key, bool value) {
    Key(key);
    text_ += value ? "true" : "false";
    return *this;
  }
  // A value that is JSON already.
  JsonWriter& Raw(std::string_view key, std::string_view json) {
    Key(key);
    text_ += json;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  JsonWriter& Begin(std::string_view key, char bracket) {
    Key(key);
    text_ += bracket;
    return *this;
  }
  JsonWriter& End(char bracket) {
    text_ += bracket;
    return *this;
  }
  void Key(std::string_view key) {
    if (!text_.empty() && text_.back() != '{' && text_.back() != '[' && text_.back() != ':') {
      text_ += ',';
    }
    if (key.empty()) return;
    Quote(key);
    text_ += ':';
  }
  void Quote(std::string_view value) {
    text_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        char escape[8];
        std::snprintf(escape, sizeof escape, "\\u%04x", c);
        text_ += escape;
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
};

}  // namespace sluice::bench
