// A name or pattern that streams of one shard have in their subscriptions, and how many have it.
//
// Thread: a value.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

struct SubscribedTopic {
  std::string name;  // "": the events without topics
  uint64_t streams = 0;
};

}  // namespace sluice
