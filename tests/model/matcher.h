// Which events a subscription wants, written a second time: slow, short, and without a line of the
// code that it judges.
//
// Thread: pure.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

namespace sluice::model {

inline std::vector<std::string> Segments(const std::string& text) {
  std::vector<std::string> segments(1);
  for (const char c : text) {
    if (c == '/') {
      segments.emplace_back();
    } else {
      segments.back() += c;
    }
  }
  return segments;
}

inline bool Asks(const std::string& pattern, const std::string& name) {
  std::vector<std::string> asked = Segments(pattern);
  const std::vector<std::string> given = Segments(name);
  const bool has_open_end = asked.back() == "**";
  if (has_open_end) asked.pop_back();
  if (has_open_end ? given.size() < asked.size() : given.size() != asked.size()) return false;
  for (size_t i = 0; i < asked.size(); ++i) {
    if (asked[i] != "*" && asked[i] != given[i]) return false;
  }
  return true;
}

inline bool AsksForOne(const std::vector<std::string>& patterns, const std::string& name) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return Asks(pattern, name); });
}

inline bool WantsNoTopic(const std::vector<std::string>& patterns) {
  return patterns.empty() || std::find(patterns.begin(), patterns.end(), "**") != patterns.end();
}

inline bool Wants(const std::vector<std::string>& patterns,
                  const std::vector<std::string>& topics) {
  if (topics.empty()) return WantsNoTopic(patterns);
  return std::any_of(topics.begin(), topics.end(),
                     [&](const std::string& topic) { return AsksForOne(patterns, topic); });
}

}  // namespace sluice::model
