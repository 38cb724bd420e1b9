// What the HTTP layer needs from the layers above it: a publisher, the subscriptions and the
// reports. `publish`, `shard` and `gateway` implement them; tests of this layer bring their own.
//
// Thread: the calling shard's own; none may block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/reason.h"
#include "event/event.h"
#include "event/subscription.h"

namespace sluice::http {

struct PublishResult {
  std::optional<Refusal> refusal;  // kRingFull, kFrameTooLarge, kDraining; else it was accepted
  std::string id;                  // the event's `id:`
  uint64_t subscribers = 0;        // connected at acceptance, all shards: an estimate
};

class Publisher {
 public:
  virtual ~Publisher() = default;
  // `event` is valid (checked by the caller). An accepted event reaches every live subscriber.
  virtual PublishResult Publish(const Event& event) = 0;
};

// What a subscriber asks for.
struct StreamRequest {
  // Where a stream begins without an id to go on after.
  enum class From : uint8_t { kNow, kEarliest, kNewest, kValues };

  Subscription subscription;
  std::string last_id;  // Last-Event-ID, else last_event_id or lastEventId; empty: none
  From from = From::kNow;
  uint32_t newest_count = 0;  // of kNewest: from=-N
};

struct Admission {
  std::optional<Refusal> refusal;  // kSubscribersFull, kDraining, kStarting
  std::string last_id;             // the newest event's id before this stream's first one
  uint32_t retry_ms = 0;           // spread; also given with a refusal
};

class Subscriptions {
 public:
  virtual ~Subscriptions() = default;
  // Asked when a stream's request is complete; when it is admitted, the caller of the session
  // attaches the connection in the same turn, so that no event lies between last_id and the first.
  virtual Admission Admit(const StreamRequest& request) = 0;
};

class Reports {
 public:
  virtual ~Reports() = default;
  virtual std::string Stats(bool pretty) = 0;
  // Can take subscribers: not starting, not draining, not full. Else why not.
  virtual std::optional<Refusal> NotReady() = 0;
};

struct Services {
  Publisher* publisher = nullptr;
  Subscriptions* subscriptions = nullptr;
  Reports* reports = nullptr;
};

}  // namespace sluice::http
