#include "history/reading.h"

#include <algorithm>

#include "event/topic.h"

namespace sluice {
namespace {

constexpr uint32_t kIsTried = 1;
constexpr uint32_t kIsWanted = 2;

Reading::Kind KindOf(const Subscription& subscription) {
  if (subscription.asks_for_everything()) return Reading::Kind::kEverything;
  const auto patterns = subscription.patterns();
  const bool has_pattern = std::any_of(patterns.begin(), patterns.end(), IsTopicPattern);
  return has_pattern ? Reading::Kind::kPatterns : Reading::Kind::kTopics;
}

}  // namespace

Reading::Reading(Subscription subscription)
    : subscription_(std::move(subscription)), kind_(KindOf(subscription_)) {
  if (kind_ != Kind::kTopics) return;
  for (const std::string& name : subscription_.patterns()) {
    topics_.push_back({TopicHash(name), name});
  }
}

bool Reading::Wants(std::string_view name) const {
  const auto patterns = subscription_.patterns();
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const std::string& pattern) { return TopicMatches(pattern, name); });
}

bool Reading::Wants(size_t store, const TopicTable& topics, uint32_t topic, Looks* looks) {
  if (topic == TopicTable::kNoTopic) return false;
  if (store >= tried_.size()) tried_.resize(store + 1);
  std::vector<uint32_t>& tried = tried_[store];
  if (topic >= tried.size()) tried.resize(topics.size(), 0);
  const uint32_t generation = topics.generation(topic) << 2;
  if ((tried[topic] & ~kIsWanted) != (generation | kIsTried)) {
    looks->Use(subscription_.patterns().size() * Looks::kPatternLooks);
    tried[topic] = generation | kIsTried | (Wants(topics[topic].name()) ? kIsWanted : 0);
  }
  return (tried[topic] & kIsWanted) != 0;
}

uint64_t Reading::bytes_held() const {
  uint64_t bytes = sizeof *this;
  for (const auto& tried : tried_) bytes += tried.capacity() * sizeof(uint32_t);
  return bytes;
}

}  // namespace sluice
