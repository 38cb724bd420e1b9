// What a shard counts of its deliveries, for /stats.
//
// Thread: written by the shard, read by any (base/counter.h).
#pragma once

#include <array>
#include <vector>

#include "base/counter.h"
#include "base/histogram.h"
#include "base/reason.h"
#include "delivery/lag_policy.h"
#include "history/start.h"

namespace sluice {

struct DeliveryCounters {
  Counter subscribers;         // now
  Counter subscribed;          // ever
  Counter blocked_readers;     // now: their socket's buffer is full
  Counter furthest_lag_bytes;  // of the reader furthest behind, as last checked
  Counter log_bytes;           // held by the logs now
  Counter log_bytes_highest;
  Counter channels;     // now: different subscriptions
  Counter events;       // taken from the ring
  Counter appends;      // of events to logs: a channel that wanted it each
  Counter deliveries;   // events wholly handed to the kernel, a subscriber each
  Counter bytes_out;    // of streams
  Counter sends;        // that took bytes
  Counter sends_short;  // that took fewer than were offered, or none
  Counter heartbeats;
  Counter drain_pauses;  // turns that left the ring alone: the readers had not had what is there
  Counter replays;       // readers that began behind the tail, ever
  Counter replaying;     // of them, those that have not come to it, now
  Counter readings;      // of the history, for all of them
  Counter replayed;      // events of deliveries that came from the history
  std::array<Counter, kGapReasonCount> gaps;  // told
  std::array<Counter, kDisconnectCount> disconnects;
  std::vector<LagCounters> lag;  // a policy, and the last for the default; sized once, by Delivery
  Histogram delivery_ns;         // publish to handed to the kernel, a delivery each
  Histogram fanout_ns;  // publish to the shard's last reader that was not blocked, an event each
};

}  // namespace sluice
