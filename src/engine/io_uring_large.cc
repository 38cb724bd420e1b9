// Sends without a copy: IORING_OP_SEND_ZC for one large piece of a frame.
//
// The first completion says how many bytes were taken, at once, as with any send. If it says that
// there is more, a second one (the notification) comes when no packet refers to the frame's memory
// any longer: acknowledged by the peer, or dropped with the connection. Until then the frame is on
// hold.
//
// On some ways (loopback, a virtual pair into a container, a network card without scatter-gather)
// the kernel copies after all, later and at a higher price. The notification tells; a connection of
// which it was told so kCopiedMax times without a break is sent to by copying from then on.
// Loopback needs no telling.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "engine/io_uring_engine.h"

namespace sluice {
namespace {

// Younger than the headers of Debian 12's liburing; Linux 6.2, and 6.1 with its later updates.
constexpr uint16_t kReportUsage = 1u << 3;   // IORING_SEND_ZC_REPORT_USAGE
constexpr uint32_t kUsageCopied = 1u << 31;  // IORING_NOTIF_USAGE_ZC_COPIED

// Once is no proof: of sends that end up in one packet the kernel (6.10 and later) reports all but
// the first as copied. A packet has room for seventeen pages, and smaller takes are rare.
constexpr uint8_t kCopiedMax = 8;
constexpr uint8_t kFailedMax = 15;

// The upper half of a large send's user_data; the lower names the slot.
struct LargeTag {
  uint8_t index;  // in the chunk at hand: for the first completion only
  uint16_t hold;
  uint8_t generation;  // the lowest bits of the slot's

  static LargeTag From(uint64_t high) {
    return {static_cast<uint8_t>(high), static_cast<uint16_t>(high >> 8),
            static_cast<uint8_t>(high >> 24)};
  }
  uint32_t high() const { return index | uint32_t{hold} << 8 | uint32_t{generation} << 24; }
};
static_assert(IoUringEngine::kSendChunk <= 1u << 8 && LargeHolds::kHoldsMax <= 1u << 16);

// The kernel would not take it so, but may by copying: a socket of another kind, or no more memory
// may be locked (RLIMIT_MEMLOCK).
bool IsRefusal(int32_t result) {
  return result == -EOPNOTSUPP || result == -EINVAL || result == -ENOMEM || result == -ENOBUFS;
}

}  // namespace

void IoUringEngine::SendLarge(std::span<SendRequest> batch, Frame* frame) {
  const uint32_t hold = large_bytes_min_ == UINT32_MAX ? LargeHolds::kNone : holds_.Open(frame);
  if (hold == LargeHolds::kNone) return Send(batch);
  for (std::span<SendRequest> rest = batch; !rest.empty(); rest = rest.subspan(batch_.size())) {
    batch_ = rest.first(std::min<size_t>(rest.size(), kSendChunk));
    send_rings_.clear();
    for (uint32_t i = 0; i < batch_.size(); ++i) PutLarge(batch_[i], i, hold);
    FinishSends();
  }
  batch_ = {};
  holds_.Drop(hold);
  CopyRefused(batch);
}

void IoUringEngine::PutLarge(SendRequest& request, uint32_t index, uint32_t hold) {
  const Slot* slot = Find(request.connection);
  if (slot == nullptr || slot->is_copied || request.iovec_count != 1 ||
      request.iovecs->iov_len < zero_copy_bytes_min_) {
    return PutSend(request, index);
  }
  Ring& ring = rings_[slot->ring];
  io_uring_sqe* sqe = Sqe(slot->ring);
  if (ring.sends++ == 0) send_rings_.push_back(slot->ring);
  sqe->opcode = IORING_OP_SEND_ZC;
  sqe->ioprio = kReportUsage;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->fd = static_cast<int>(request.connection.slot - ring.base);
  sqe->addr = reinterpret_cast<uintptr_t>(request.iovecs->iov_base);
  sqe->len = static_cast<uint32_t>(request.iovecs->iov_len);
  sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  const LargeTag tag{static_cast<uint8_t>(index), static_cast<uint16_t>(hold),
                     static_cast<uint8_t>(slot->generation)};
  sqe->user_data = Tag(Operation::kSendLarge, request.connection.slot, tag.high());
}

void IoUringEngine::CompleteLarge(uint64_t user_data, int32_t result, uint32_t flags, Ring* ring) {
  constexpr uint64_t kSlotMask = (uint64_t{1} << kSlotBits) - 1;
  const LargeTag tag = LargeTag::From(user_data >> (kOperationBits + kSlotBits));
  Slot& slot = slots_[user_data >> kOperationBits & kSlotMask];
  if ((flags & IORING_CQE_F_NOTIF) == 0) {
    batch_[tag.index].result = result;
    --ring->sends;
    if (result > 0) counters_.zero_copy_sends.Add();
    if ((flags & IORING_CQE_F_MORE) == 0) return;
    holds_.Add(tag.hold);
    // The notification of a send that took nothing says "copied" too.
    if (result <= 0 && slot.larges_failed < kFailedMax) ++slot.larges_failed;
    return;
  }
  holds_.Drop(tag.hold);
  const bool is_copied = (static_cast<uint32_t>(result) & kUsageCopied) != 0;
  const bool is_same =
      slot.state == SlotState::kOpen && static_cast<uint8_t>(slot.generation) == tag.generation;
  if (is_copied && is_same && slot.larges_failed != 0) {
    --slot.larges_failed;
    return;
  }
  if (is_copied) counters_.zero_copy_copied.Add();
  if (!is_same || zero_copy_always_) return;
  if (!is_copied) {
    slot.larges_copied = 0;
  } else if (++slot.larges_copied == kCopiedMax) {
    GiveUpZeroCopy(&slot);
  }
}

// What the kernel would not take so is sent as ever.
void IoUringEngine::CopyRefused(std::span<SendRequest> batch) {
  refused_.clear();
  refused_at_.clear();
  for (uint32_t i = 0; i < batch.size(); ++i) {
    const int32_t result = batch[i].result;
    if (!IsRefusal(result)) continue;
    counters_.zero_copy_refused.Add();
    refused_.push_back(batch[i]);
    refused_at_.push_back(i);
    // No such operation or flag in this kernel, or no such socket: it will not change.
    if (result == -EINVAL) zero_copy_bytes_min_ = 0;
    Slot* slot = Find(batch[i].connection);
    if (slot != nullptr && (result == -EINVAL || result == -EOPNOTSUPP)) GiveUpZeroCopy(slot);
  }
  if (refused_.empty()) return;
  TellLargeBytesMin();
  Send(refused_);
  for (size_t i = 0; i < refused_.size(); ++i) batch[refused_at_[i]].result = refused_[i].result;
}

// A new connection: its large sends are worth a try unless it is known better.
void IoUringEngine::TryZeroCopy(Slot* slot, const PeerAddress& peer) {
  if (zero_copy_bytes_min_ == 0 || peer.family == AF_UNIX) return;
  if (peer.is_loopback() && !zero_copy_always_) return;
  slot->is_copied = false;
  ++zero_copy_connections_;
  TellLargeBytesMin();
}

void IoUringEngine::GiveUpZeroCopy(Slot* slot) {
  slot->larges_copied = 0;
  if (slot->is_copied) return;
  slot->is_copied = true;
  --zero_copy_connections_;
  TellLargeBytesMin();
}

void IoUringEngine::TellLargeBytesMin() {
  const bool is_used = zero_copy_bytes_min_ != 0 && zero_copy_connections_ != 0;
  large_bytes_min_ = is_used ? zero_copy_bytes_min_ : UINT32_MAX;
}

}  // namespace sluice
