// Publishing from a shard: events are encoded, take neighbouring places on the ring, and are
// acknowledged.
//
// Thread: its shard's; any number of shards publish at once.
// Owner:  the frames are the ring's once they are pushed.
// Errors: as Refusals in the result. A full ring is retried once after this shard has drained its
//         own share, for it may be the slowest consumer itself.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "event/frame.h"
#include "http/services.h"
#include "publish/idempotency_table.h"
#include "ring/ring.h"

namespace sluice {

// What publishing asks of the shard that it runs on.
class PublishHost {
 public:
  virtual ~PublishHost() = default;
  virtual void DrainOnce() = 0;
  virtual bool is_closing() const = 0;
  // Connected to all shards now: an estimate.
  virtual uint64_t SubscribersOfAll() const = 0;
  virtual int64_t NowNs() const = 0;
  // As http::Publisher's.
  virtual std::optional<Refusal> CannotAck(const http::PublishAck& ack) const = 0;
  virtual http::AckAnswer AskAck(uint64_t sequence, const http::PublishAck& ack) const = 0;
};

class RingPublisher : public http::Publisher {
 public:
  // Without a table every publish is a new one.
  RingPublisher(Ring& ring, const Epoch& epoch, size_t frame_bytes_max, PublishHost& host,
                IdempotencyTable* idempotency = nullptr)
      : ring_(ring),
        epoch_(epoch),
        frame_bytes_max_(frame_bytes_max),
        host_(host),
        idempotency_(idempotency) {}

  http::PublishResult Publish(std::span<const Event> events,
                              const http::PublishOnce& once) override;
  std::optional<Refusal> CannotAck(const http::PublishAck& ack) override {
    return host_.CannotAck(ack);
  }
  // What the shards matched is remembered with the key of a publish that may be sent again.
  http::AckAnswer AskAck(uint64_t sequence, const http::PublishAck& ack,
                         http::PublishOnce::By once) override;
  const Epoch& epoch() const override { return epoch_; }

 private:
  http::PublishResult Encode(std::span<const Event> events);
  http::PublishResult PushAsAsked(std::span<const Event> events, const http::PublishOnce& once);
  http::PublishResult PushAll();
  http::PublishResult PushOnceByKey(std::string_view key);
  http::PublishResult PushNewById(std::span<const Event> events);
  void ReleaseFrames();

  Ring& ring_;
  const Epoch& epoch_;
  const size_t frame_bytes_max_;
  PublishHost& host_;
  IdempotencyTable* const idempotency_;

  // Of the call under way.
  std::vector<Frame*> frames_;          // ours until they are pushed
  std::vector<size_t> events_;          // by id: which event each frame is of
  std::vector<uint64_t> fingerprints_;  // by id: of each event; else one of them all
  std::vector<uint64_t> sequences_;     // by id: of each event, once it is published
};

}  // namespace sluice
