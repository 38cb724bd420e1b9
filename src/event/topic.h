// Topic names and the patterns that ask for them.
//
//   name     = segment *( "/" segment )
//   segment  = 1*( any UTF-8 but "/", controls and DEL ), and never with a "*" in it
//   pattern  = ( segment / "*" ) *( "/" ( segment / "*" ) ) [ "/" "**" ]  /  "**"
//
// `*` stands for exactly one whole segment, `**` for any number of them at the end: `a/**` matches
// `a`, `a/b` and `a/b/c`; `**` alone matches every event, those without topics too.
//
// Thread: pure.
// Errors: a TopicFault says where in the text what is wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

inline constexpr size_t kTopicBytesMax = 256;
inline constexpr size_t kTopicSegmentsMax = 16;

inline constexpr std::string_view kAnySegment = "*";
inline constexpr std::string_view kAnyRest = "**";

struct TopicFault {
  size_t offset = 0;  // in bytes
  const char* what = "";
  // "at byte 3 of \"a//b\": a segment is empty"
  std::string Describe(std::string_view text) const;
};

// Is it a name that an event can have?
std::optional<TopicFault> CheckTopicName(std::string_view name);
// Is it a name or pattern that a subscriber can ask for?
std::optional<TopicFault> CheckTopicPattern(std::string_view pattern);

// For a valid name or pattern: does it ask for more than the one topic?
bool IsTopicPattern(std::string_view pattern);

// Takes the first segment off a valid name or pattern, with the "/" after it.
std::string_view TakeTopicSegment(std::string_view* rest);

// The definition of a match, a segment at a time; what is fast must agree with it.
bool TopicMatches(std::string_view pattern, std::string_view name);

// Is every event that the pattern (or name) `inner` asks for one that `outer` asks for?
bool TopicCovers(std::string_view outer, std::string_view inner);

// Keyed with a secret of the process, so that nobody can make names collide on purpose.
uint64_t TopicHash(std::string_view name);

}  // namespace sluice
