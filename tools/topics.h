// Which topic an event of a run goes to, who reads it, and how a request names it.
//
// Topics are numbered; reader i has topic i % T. The topic of an event is drawn by a fixed hash of
// its publisher and number: random to the server, the same in every run, and known to whoever holds
// the payload. So every thread of the meter can tell a misrouted event without being told anything.
//
// Thread: values, constant after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice::bench {

inline constexpr uint32_t kTopicsMax = 16'000'000;

// Readers of one meter thread, as they are numbered in the whole run.
struct ReaderRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

class Topics {
 public:
  explicit Topics(uint32_t count = 1) : count_(count == 0 ? 1 : count) {}

  uint32_t count() const { return count_; }
  uint32_t OfReader(uint32_t reader) const { return reader % count_; }
  uint32_t OfEvent(uint32_t publisher, uint32_t number) const;
  // How many of the range read the topic.
  uint32_t Readers(uint32_t topic, const ReaderRange& range) const;

 private:
  uint32_t count_;
};

// A request with `{topic}` in it. A topic's name is its number, with as many digits as the last one
// has: all requests are as long, and another topic's is made by writing its digits.
class TopicTemplate {
 public:
  TopicTemplate(std::string text, const Topics& topics);

  // With zeros where a topic's digits go.
  const std::string& text() const { return text_; }
  bool has_topic() const { return !places_.empty(); }
  // `request` is a copy of text(), whatever its topic.
  void Write(uint32_t topic, char* request) const;

 private:
  std::string text_;
  size_t digits_ = 1;
  std::vector<size_t> places_;
};

// Puts `{topic}` where sluice's own URLs (/stream, /broadcast, /publish) lack it. kInvalidArgument
// if it is missing anywhere else, or stands there although there are no topics.
Status FillTopicUrls(uint32_t topics, const std::string& publish_body, std::string* stream_url,
                     std::string* publish_url);

}  // namespace sluice::bench
