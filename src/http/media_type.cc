#include "http/media_type.h"

#include <algorithm>
#include <string>

namespace sluice::http {
namespace {

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

Fault Unsupported(std::string detail) {
  return {Refusal::kUnsupportedMediaType, std::move(detail)};
}

// `parameters` is what follows the type, each with its ';' before it.
std::optional<Fault> CheckCharset(std::string_view parameters) {
  while (!parameters.empty()) {
    parameters.remove_prefix(1);
    const size_t bytes = std::min(parameters.find(';'), parameters.size());
    const std::string parameter = Lower(Trim(parameters.substr(0, bytes)));
    parameters.remove_prefix(bytes);
    if (!parameter.starts_with("charset=")) continue;
    std::string_view charset = std::string_view(parameter).substr(8);
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
      charset = charset.substr(1, charset.size() - 2);
    }
    if (charset != "utf-8" && charset != "utf8" && charset != "us-ascii") {
      return Unsupported("the charset must be utf-8, not " + std::string(charset));
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Fault> CheckMediaType(std::string_view content_type,
                                    std::string_view content_encoding, bool takes_events,
                                    BodyKind* kind) {
  *kind = BodyKind::kJson;
  if (!content_encoding.empty()) {
    return Unsupported("send the body without a Content-Encoding, not as " +
                       std::string(content_encoding));
  }
  // What nearly every publisher sends, as it is written.
  if (content_type.empty() || content_type == "application/json") return std::nullopt;
  const size_t type_bytes = std::min(content_type.find(';'), content_type.size());
  const std::string type = Lower(Trim(content_type.substr(0, type_bytes)));
  if (type == "application/x-ndjson" || type == "application/ndjson") {
    if (!takes_events) {
      return Unsupported("this path takes one event: send " + type + " to /publish");
    }
    *kind = BodyKind::kLines;
  } else if (type == "text/plain" || type == "application/octet-stream") {
    if (takes_events) {
      return Unsupported("send application/json or application/x-ndjson; text: /publish/TOPIC");
    }
    *kind = BodyKind::kText;
  } else if (type != "application/x-www-form-urlencoded" && !type.ends_with("/json") &&
             !type.ends_with("+json")) {
    return Unsupported(
        takes_events ? "send application/json or application/x-ndjson, not " + type
                     : "send application/json, or text/plain for any other text, not " + type);
  }
  return CheckCharset(content_type.substr(type_bytes));
}

}  // namespace sluice::http
