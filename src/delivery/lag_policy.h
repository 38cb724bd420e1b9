// What happens to a reader that falls behind its bounds, by the topics that it asks for.
//
// The first listed policy whose pattern covers all that a subscription asks for counts, else the
// default. It is found once a channel.
//
// Thread: values; the counters are written by the shard, read by any (base/counter.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/counter.h"
#include "event/subscription.h"

namespace sluice {

enum class LagAction : uint8_t {
  kDisconnect,
  kSkip,      // to the newest event, and it is told of a gap
  kConflate,  // of each key it gets the newest event only (see conflation.h)
};
std::string_view Word(LagAction action);
std::optional<LagAction> ParseLagAction(std::string_view word);

struct LagPolicy {
  std::string topics = {};  // a pattern; empty: what no other covers
  LagAction action = LagAction::kDisconnect;
  // A reader may be behind by so much.
  uint64_t bytes_max = 0;
  uint64_t events_max = 0;
  int64_t age_max_ns = 0;
};

inline constexpr size_t kLagPoliciesMax = 255;

// The index of the policy, or the size if none covers the subscription.
size_t FindLagPolicy(std::span<const LagPolicy> policies, const Subscription& subscription);

// Of one policy, a shard.
struct LagCounters {
  Counter disconnects;       // readers given up
  Counter skips;             // times that a reader was moved to the newest event
  Counter skipped_events;    // that those did not get, a reader each
  Counter conflations;       // times that a reader left its log for the newest of each key
  Counter conflated_events;  // that those did not get: newer ones took their place, each
  Counter conflating;        // readers, now
  Counter table_events;      // held for them, now
  Counter table_events_highest;
  Counter table_bytes;
  Counter table_bytes_highest;
};

}  // namespace sluice
