#include "topics.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kPlace = "{topic}";

bool HasPlace(std::string_view text) { return text.find(kPlace) != std::string_view::npos; }

// The readers below `reader` that have the topic.
uint64_t ReadersBelow(uint64_t reader, uint32_t topic, uint32_t topics) {
  return (reader + topics - 1 - topic) / topics;
}

}  // namespace

uint32_t Topics::OfEvent(uint32_t publisher, uint32_t number) const {
  if (count_ == 1) return 0;
  // The finaliser of SplitMix64; then the upper half scaled to the range.
  uint64_t mixed = (uint64_t{publisher} << 32 | number) + 0x9e3779b97f4a7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
  mixed ^= mixed >> 31;
  return static_cast<uint32_t>((mixed >> 32) * count_ >> 32);
}

uint32_t Topics::Readers(uint32_t topic, const ReaderRange& range) const {
  const uint64_t end = uint64_t{range.first} + range.count;
  return static_cast<uint32_t>(ReadersBelow(end, topic, count_) -
                               ReadersBelow(range.first, topic, count_));
}

TopicTemplate::TopicTemplate(std::string text, const Topics& topics)
    : text_(std::move(text)), digits_(std::to_string(topics.count() - 1).size()) {
  for (size_t at = text_.find(kPlace); at != std::string::npos; at = text_.find(kPlace, at)) {
    text_.replace(at, kPlace.size(), std::string(digits_, '0'));
    places_.push_back(at);
  }
}

void TopicTemplate::Write(uint32_t topic, char* request) const {
  for (const size_t place : places_) {
    uint32_t rest = topic;
    for (size_t i = digits_; i-- > 0; rest /= 10) {
      request[place + i] = static_cast<char>('0' + rest % 10);
    }
  }
}

Status FillTopicUrls(uint32_t topics, const std::string& publish_body, std::string* stream_url,
                     std::string* publish_url) {
  if (topics == 0) {
    if (!HasPlace(*stream_url) && !HasPlace(*publish_url) && !HasPlace(publish_body)) {
      return Status::Ok();
    }
    return Status::InvalidArgument("{topic} needs --topics: how many there are");
  }
  constexpr std::string_view kBroadcast = "/broadcast";
  if (!HasPlace(*stream_url)) {
    if (!stream_url->ends_with("/stream")) {
      return Status::InvalidArgument(
          "--topics needs {topic} in --stream, where a subscriber says what it reads: " +
          *stream_url);
    }
    *stream_url += "/{topic}";
  }
  if (!HasPlace(*publish_url) && !HasPlace(publish_body)) {
    if (publish_url->ends_with(kBroadcast)) {
      publish_url->replace(publish_url->size() - kBroadcast.size(), kBroadcast.size(),
                           "/publish/{topic}");
    } else if (publish_url->ends_with("/publish")) {
      *publish_url += "/{topic}";
    } else {
      return Status::InvalidArgument("--topics needs {topic} in --publish or --publish-body: " +
                                     *publish_url);
    }
  }
  return Status::Ok();
}

}  // namespace sluice::bench
