// What the HTTP layer needs from the layers above it: a publisher, the subscriptions and the
// reports. `publish`, `shard` and `gateway` implement them; tests of this layer bring their own.
//
// Thread: the calling shard's own; none may block.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/reason.h"
#include "event/event.h"
#include "event/frame.h"
#include "event/subscription.h"

namespace sluice::http {

// What makes a publish that is sent again happen once.
struct PublishOnce {
  enum class By : uint8_t { kNothing, kKey, kEventIds };
  By by = By::kNothing;
  std::string_view key = {};  // of kKey: for all events of the call together
};

// What a publish's 200 waits for, besides the events' places in the order.
struct PublishAck {
  enum class Durability : uint8_t {
    kMemory,   // on the ring
    kWritten,  // the journal has handed it to the kernel
    kSynced,   // the journal has it on the disk
  };
  Durability durability = Durability::kMemory;
  bool matched = false;  // every shard has counted its subscribers that get it

  bool needs_journal() const { return durability != Durability::kMemory; }
  bool waits() const { return matched || needs_journal(); }
  bool operator==(const PublishAck&) const = default;
};

struct AckAnswer {
  enum class State : uint8_t {
    kPending,
    kHad,
    kLost,  // the journal does not keep it, or nobody knows
  };
  State state = State::kPending;
  // Subscribers, if asked for; nothing if that is longer ago than anybody remembers.
  std::optional<uint64_t> matched = {};
};

struct PublishResult {
  // Nothing was published: kRingFull, kFrameTooLarge, kBatchTooLarge, kIdempotencyKeyReused,
  // kDraining. Else all events have their place.
  std::optional<Refusal> refusal;
  size_t refused_event = 0;     // which one, of kFrameTooLarge and kIdempotencyKeyReused
  uint64_t first_sequence = 0;  // the first event's; the others follow it, but
  // with some of them published before: of each event. Valid until the next call.
  std::span<const uint64_t> sequences;
  uint64_t subscribers = 0;  // connected at acceptance, all shards: an estimate
  size_t replays = 0;        // how many of the events had been published before, and were not now
};

class Publisher {
 public:
  virtual ~Publisher() = default;
  // All of the events or none. They are valid (checked by the caller); with kEventIds each has an
  // id. An accepted event reaches every live subscriber that asks for it. A repeat of what was
  // accepted before, told by `once`, gets the first result and publishes nothing.
  virtual PublishResult Publish(std::span<const Event> events, const PublishOnce& once) = 0;
  // Asked before a publish that is to wait for more than its place: kInvalidParameter (there is no
  // journal), kJournalUnavailable (it keeps nothing now).
  virtual std::optional<Refusal> CannotAck(const PublishAck& ack) = 0;
  // How it stands with an accepted event, which was published under `once`.
  virtual AckAnswer AskAck(uint64_t sequence, const PublishAck& ack, PublishOnce::By once) = 0;
  // Of the ids of events that bring none.
  virtual const Epoch& epoch() const = 0;
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
  std::optional<Refusal> refusal = {};  // kSubscribersFull, kDraining, kStarting
  std::string last_id = {};  // of the place that this stream goes on after; empty: none is told
  std::string after_opening = {};  // blocks that stand behind the greeting: a gap
  uint32_t retry_ms = 0;           // spread; also given with a refusal
};

class Subscriptions {
 public:
  virtual ~Subscriptions() = default;
  // Asked when a stream's request is complete; when it is admitted, the caller of the session
  // attaches the connection in the same turn, so that no event lies between last_id and the first.
  virtual Admission Admit(const StreamRequest& request) = 0;
};

// What became of an event.
struct DeliveryReport {
  std::optional<Refusal> refusal = {};  // kNotFound, kLedgerForgotten
  std::string text;                     // the JSON of the envelope's data; else why not
};

// A page of the topics, by name.
struct TopicsRequest {
  static constexpr uint32_t kLimitMax = 1'000;

  std::string prefix;                     // of their names
  std::optional<std::string> after = {};  // the name that the page before ended with
  uint32_t limit = 100;                   // how many
};

// It takes some turns of the loop.
class TopicsPage {
 public:
  virtual ~TopicsPage() = default;
  // Goes on, for a share of a turn; true once text() is all of it: the JSON of the envelope's data.
  virtual bool GoOn(int64_t now_ns) = 0;
  // GoOn would get further now; else others have to answer first.
  virtual bool HasWork() const = 0;
  virtual const std::string& text() const = 0;
};

class Topics {
 public:
  virtual ~Topics() = default;
  virtual std::unique_ptr<TopicsPage> AskTopics(const TopicsRequest& request) = 0;
};

class Reports {
 public:
  virtual ~Reports() = default;
  virtual std::string Stats(bool pretty) = 0;
  // By the id that the stream carries.
  virtual DeliveryReport Delivery(std::string_view id) {
    return {.refusal = Refusal::kNotFound, .text = "no accounts are kept of " + std::string(id)};
  }
  // Can take subscribers: not starting, not draining, not full. Else why not.
  virtual std::optional<Refusal> NotReady() = 0;
  // Would take a publish, as far as it is the gateway's to say: it may be full of subscribers.
  virtual std::optional<Refusal> NotReadyToPublish() { return NotReady(); }
};

struct Services {
  Publisher* publisher = nullptr;
  Subscriptions* subscriptions = nullptr;
  Reports* reports = nullptr;
  Topics* topics = nullptr;
};

}  // namespace sluice::http
