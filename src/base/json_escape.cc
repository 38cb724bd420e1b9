#include "base/json_escape.h"

#include "base/utf8.h"

namespace sluice {
namespace {

void AppendControl(std::string* out, unsigned char byte) {
  static constexpr char kHex[] = "0123456789abcdef";
  switch (byte) {
    case '\n':
      out->append("\\n");
      break;
    case '\r':
      out->append("\\r");
      break;
    case '\t':
      out->append("\\t");
      break;
    default:
      out->append("\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
  }
}

}  // namespace

void AppendJsonEscaped(std::string* out, std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte == '"' || byte == '\\') {
      out->push_back('\\');
      out->push_back(text[i++]);
    } else if (byte < 0x20 || byte == 0x7f) {
      AppendControl(out, byte);
      ++i;
    } else if (byte < 0x80) {
      out->push_back(text[i++]);
    } else if (const size_t length = Utf8SequenceLength(text.substr(i)); length != 0) {
      out->append(text.substr(i, length));
      i += length;
    } else {
      out->append("\\ufffd");
      ++i;
    }
  }
}

void AppendJsonString(std::string* out, std::string_view text) {
  out->push_back('"');
  AppendJsonEscaped(out, text);
  out->push_back('"');
}

}  // namespace sluice
