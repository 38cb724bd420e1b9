// One batch of sends to many peers: the plain transport, where the bytes of a log go to the socket
// as they are. Peers that are offered the same bytes share one set of iovecs.
//
// Thread: its shard's.
// Owner:  the iovecs point into logs and asides, which the caller keeps until Send has returned.
// Bounds: `requests_max` peers, each at most once; kIovecsMax pieces a peer; bytes of one large
//         frame, which may leave without being copied, or of none.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/check.h"
#include "engine/engine.h"

namespace sluice {

class SendBatch {
 public:
  static constexpr uint32_t kIovecsMax = 8;

  explicit SendBatch(uint32_t requests_max)
      : requests_max_(requests_max),
        requests_(std::make_unique<SendRequest[]>(requests_max)),
        iovecs_(std::make_unique<iovec[]>(size_t{requests_max} * kIovecsMax)) {}

  bool empty() const { return count_ == 0; }
  bool full() const { return count_ == requests_max_; }
  uint32_t size() const { return count_; }

  // Whether bytes of this large frame (null: of none) may join what is in the batch.
  bool Takes(const Frame* large) const { return count_ == 0 || large == large_; }
  // Where the next peer's iovecs are written, kIovecsMax of them; then Add says how many.
  iovec* Space() { return iovecs_.get() + iovec_count_; }
  void Add(ConnectionId connection, uint32_t iovecs, Frame* large = nullptr) {
    SLUICE_DCHECK(!full() && iovecs <= kIovecsMax && Takes(large));
    large_ = large;
    requests_[count_++] = {connection, Space(), iovecs, 0};
    iovec_count_ += iovecs;
  }
  // The same bytes as the peer added last.
  void AddSame(ConnectionId connection) {
    SLUICE_DCHECK(count_ != 0 && !full());
    const SendRequest& last = requests_[count_ - 1];
    requests_[count_++] = {connection, last.iovecs, last.iovec_count, 0};
  }

  // Sends all; the results stand until Clear.
  std::span<const SendRequest> Send(Engine& engine) {
    const std::span<SendRequest> batch(requests_.get(), count_);
    if (count_ != 0) large_ == nullptr ? engine.Send(batch) : engine.SendLarge(batch, large_);
    return batch;
  }
  void Clear() { count_ = iovec_count_ = 0; }

 private:
  const uint32_t requests_max_;
  uint32_t count_ = 0;
  uint32_t iovec_count_ = 0;
  Frame* large_ = nullptr;  // of the peer added last
  std::unique_ptr<SendRequest[]> requests_;
  std::unique_ptr<iovec[]> iovecs_;
};

}  // namespace sluice
