#include "delivery/lag_policy.h"

#include <algorithm>

#include "event/topic.h"

namespace sluice {
namespace {

constexpr std::string_view kWords[] = {"disconnect", "skip", "conflate"};

bool Covers(std::string_view topics, const Subscription& subscription) {
  // What has no topic is asked for by `**` alone.
  if (subscription.patterns().empty()) return topics == kAnyRest;
  return std::all_of(subscription.patterns().begin(), subscription.patterns().end(),
                     [&](const std::string& pattern) { return TopicCovers(topics, pattern); });
}

}  // namespace

std::string_view Word(LagAction action) { return kWords[static_cast<size_t>(action)]; }

std::optional<LagAction> ParseLagAction(std::string_view word) {
  const auto found = std::find(std::begin(kWords), std::end(kWords), word);
  if (found == std::end(kWords)) return std::nullopt;
  return static_cast<LagAction>(found - std::begin(kWords));
}

size_t FindLagPolicy(std::span<const LagPolicy> policies, const Subscription& subscription) {
  const auto found = std::find_if(policies.begin(), policies.end(), [&](const LagPolicy& policy) {
    return Covers(policy.topics, subscription);
  });
  return static_cast<size_t>(found - policies.begin());
}

}  // namespace sluice
