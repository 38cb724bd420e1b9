#include "event/subscription.h"

#include <algorithm>

#include "event/topic.h"

namespace sluice {

Subscription::Subscription(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {
  std::sort(patterns_.begin(), patterns_.end());
  patterns_.erase(std::unique(patterns_.begin(), patterns_.end()), patterns_.end());
  asks_for_everything_ = std::binary_search(patterns_.begin(), patterns_.end(), kAnyRest);
  if (asks_for_everything_) patterns_.assign(1, std::string(kAnyRest));
  for (const std::string& pattern : patterns_) text_.append(pattern).push_back('\n');
}

bool Subscription::Wants(std::span<const std::string_view> topics) const {
  if (topics.empty()) return WantsNoTopic();
  return std::any_of(patterns_.begin(), patterns_.end(), [&](const std::string& pattern) {
    return std::any_of(topics.begin(), topics.end(),
                       [&](std::string_view topic) { return TopicMatches(pattern, topic); });
  });
}

}  // namespace sluice
