#include "event/topic.h"

#include <sys/random.h>

#include <algorithm>

#include "base/check.h"
#include "base/sip_hash.h"
#include "base/utf8.h"

namespace sluice {
namespace {

SipKey RandomKey() {
  SipKey key;
  SLUICE_CHECK(getrandom(&key, sizeof key, 0) == sizeof key);
  return key;
}

std::optional<TopicFault> CheckBytes(std::string_view text) {
  if (text.empty()) return TopicFault{0, "a topic has one byte at least"};
  if (text.size() > kTopicBytesMax) {
    return TopicFault{kTopicBytesMax, "a topic has 256 bytes at most"};
  }
  if (const size_t valid = Utf8ValidPrefix(text); valid != text.size()) {
    return TopicFault{valid, "a topic is UTF-8"};
  }
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  const auto control = std::find_if(text.begin(), text.end(), is_control);
  if (control != text.end()) {
    return TopicFault{static_cast<size_t>(control - text.begin()),
                      "a control character cannot stand in a topic"};
  }
  return std::nullopt;
}

std::optional<TopicFault> Check(std::string_view text, bool takes_pattern) {
  if (auto fault = CheckBytes(text)) return fault;
  size_t segments = 0;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find('/', from), text.size());
    const std::string_view segment = text.substr(from, to - from);
    if (segment.empty()) return TopicFault{from, "a segment is empty"};
    if (++segments > kTopicSegmentsMax) return TopicFault{from, "a topic has 16 segments at most"};
    if (const size_t star = segment.find('*'); star != std::string_view::npos) {
      if (!takes_pattern) {
        return TopicFault{from + star, "an event goes to names; only a subscriber asks with *"};
      }
      if (segment == kAnyRest && to != text.size()) {
        return TopicFault{from, "** stands only at the end"};
      }
      if (segment != kAnySegment && segment != kAnyRest) {
        return TopicFault{from + star, "* is a whole segment, ** the last one"};
      }
    }
    from = to + 1;
  }
  return std::nullopt;
}

}  // namespace

std::string TopicFault::Describe(std::string_view text) const {
  constexpr size_t kShownMax = 80;
  std::string shown(text.substr(0, kShownMax));
  if (text.size() > kShownMax) shown += "...";
  return "at byte " + std::to_string(offset) + " of \"" + shown + "\": " + what;
}

std::optional<TopicFault> CheckTopicName(std::string_view name) { return Check(name, false); }

std::optional<TopicFault> CheckTopicPattern(std::string_view pattern) {
  return Check(pattern, true);
}

bool IsTopicPattern(std::string_view pattern) {
  return pattern.find('*') != std::string_view::npos;
}

std::string_view TakeTopicSegment(std::string_view* rest) {
  const size_t bytes = std::min(rest->find('/'), rest->size());
  const std::string_view segment = rest->substr(0, bytes);
  rest->remove_prefix(std::min(bytes + 1, rest->size()));
  return segment;
}

bool TopicMatches(std::string_view pattern, std::string_view name) {
  while (!pattern.empty()) {
    const std::string_view wanted = TakeTopicSegment(&pattern);
    if (wanted == kAnyRest) return true;
    if (name.empty()) return false;
    const std::string_view segment = TakeTopicSegment(&name);
    if (wanted != kAnySegment && wanted != segment) return false;
  }
  return name.empty();
}

// Exact: `*` has more than one name, and what ends in `**` has room for one segment more.
bool TopicCovers(std::string_view outer, std::string_view inner) {
  while (!outer.empty()) {
    const std::string_view wanted = TakeTopicSegment(&outer);
    // Only `**` has the events without topics, so a rest of nothing must be asked for with it.
    if (wanted == kAnyRest) return true;
    if (inner.empty()) return false;
    const std::string_view segment = TakeTopicSegment(&inner);
    if (segment == kAnyRest || (wanted != kAnySegment && wanted != segment)) return false;
  }
  return inner.empty();
}

uint64_t TopicHash(std::string_view name) {
  static const SipKey key = RandomKey();
  return SipHash(key, name);
}

}  // namespace sluice
