// What the streams of a shard ask for, by name, for GET /topics.
#include <algorithm>

#include "delivery/delivery.h"
#include "event/topic.h"

namespace sluice {

uint64_t Delivery::StreamsOf(uint32_t number) const {
  if (number == kNone) return 0;
  return channels_[number]->readers() + owed_.Readers(number);
}

void Delivery::ReadTopics(std::string_view from, std::string_view prefix, size_t count,
                          std::vector<SubscribedTopic>* topics) const {
  topics->clear();
  if (from.empty() && StreamsOf(topicless_) != 0) topics->push_back({"", StreamsOf(topicless_)});
  topics_.ForEachFrom(from, [&](std::string_view text, uint64_t streams) {
    if (topics->size() >= count || !text.starts_with(prefix)) return false;
    // A channel stays for the rest of the turn in which its last reader left.
    if (streams != 0) topics->push_back({std::string(text), streams});
    return true;
  });
  // `**` alone stands in no index.
  if (StreamsOf(everything_) == 0 || kAnyRest < from || !kAnyRest.starts_with(prefix)) return;
  const auto after = std::upper_bound(
      topics->begin(), topics->end(), kAnyRest,
      [](std::string_view text, const SubscribedTopic& topic) { return text < topic.name; });
  topics->insert(after, {std::string(kAnyRest), StreamsOf(everything_)});
  if (topics->size() > count) topics->pop_back();
}

}  // namespace sluice
