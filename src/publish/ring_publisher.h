// Publishing from a shard: the event is encoded, takes its place on the ring, and is acknowledged.
//
// Thread: its shard's; any number of shards publish at once.
// Errors: as Refusals in the result. A full ring is retried once after this shard has drained its
// own
//         share, for it may be the slowest consumer itself.
#pragma once

#include <cstdint>

#include "event/frame.h"
#include "http/services.h"
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
};

class RingPublisher : public http::Publisher {
 public:
  RingPublisher(Ring& ring, const Epoch& epoch, size_t frame_bytes_max, PublishHost& host)
      : ring_(ring), epoch_(epoch), frame_bytes_max_(frame_bytes_max), host_(host) {}

  http::PublishResult Publish(const Event& event) override;

 private:
  Ring& ring_;
  const Epoch& epoch_;
  const size_t frame_bytes_max_;
  PublishHost& host_;
};

}  // namespace sluice
