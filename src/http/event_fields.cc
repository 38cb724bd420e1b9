#include "http/event_fields.h"

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace sluice::http {
namespace {

constexpr size_t kEventNameBytesMax = 256;

}  // namespace

std::optional<Fault> CheckEventName(std::string_view name) {
  const auto invalid = [](std::string detail) {
    return Fault(Refusal::kInvalidEventName, std::move(detail));
  };
  if (name.empty()) return std::nullopt;
  if (name.size() > kEventNameBytesMax) {
    return invalid("an event name has 256 bytes at most, this one has " +
                   std::to_string(name.size()));
  }
  if (name.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return invalid("an event name is one line: CR, LF and NUL cannot stand in it");
  }
  if (Utf8ValidPrefix(name) != name.size()) return invalid("an event name is UTF-8");
  if (name.starts_with("sluice.")) {
    return invalid("names that begin with sluice. are the gateway's own");
  }
  if (name == "error" || name == "open") {
    return invalid("EventSource fires \"" + std::string(name) +
                   "\" itself: choose another event name");
  }
  return std::nullopt;
}

bool IsEventKey(std::string_view key) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !key.empty() && key.size() <= kEventKeyBytesMax &&
         std::none_of(key.begin(), key.end(), is_control) && Utf8ValidPrefix(key) == key.size();
}

bool ParseEventRetry(std::string_view text, uint32_t* retry_ms) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *retry_ms);
  return error == std::errc() && stop == end && IsEventRetry(*retry_ms);
}

void TopicNames::Clear() {
  text_.clear();
  ends_.clear();
}

void TopicNames::Add(std::string_view name) {
  const auto names = Views();
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  text_.append(name);
  ends_.push_back(text_.size());
}

std::span<const std::string_view> TopicNames::Views() const {
  views_.clear();
  size_t begin = 0;
  for (const size_t end : ends_) {
    views_.push_back(std::string_view(text_).substr(begin, end - begin));
    begin = end;
  }
  return views_;
}

}  // namespace sluice::http
