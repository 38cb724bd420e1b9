// What the io_uring engine hands to the kernel: receives, polls, accepts, cancels, sends.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "engine/io_uring_engine.h"

namespace sluice {
namespace {

constexpr uint32_t kIovecsMax = 1'024;  // UIO_MAXIOV

}  // namespace

// The next free submission of a ring; a full queue is handed to the kernel first.
io_uring_sqe* IoUringEngine::Sqe(uint32_t ring) {
  io_uring_sqe* sqe;
  while ((sqe = rings_[ring].uring->NextSqe()) == nullptr) {
    rings_[ring].uring->Submit();
    Reap(ring);
  }
  return sqe;
}

io_uring_sqe* IoUringEngine::ConnectionSqe(uint32_t index, Operation operation, uint8_t opcode) {
  Slot& slot = slots_[index];
  // First the submission: getting it may reap, and so move other slots on, but never this one.
  io_uring_sqe* sqe = Sqe(slot.ring);
  ++slot.operations;
  sqe->opcode = opcode;
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->fd = static_cast<int>(index - rings_[slot.ring].base);
  sqe->user_data = Tag(operation, index, slot.generation);
  return sqe;
}

void IoUringEngine::ReadEventfd(Operation operation, int fd, uint64_t* counter) {
  io_uring_sqe* sqe = Sqe(0);
  sqe->opcode = IORING_OP_READ;
  sqe->fd = fd;
  sqe->addr = reinterpret_cast<uintptr_t>(counter);
  sqe->len = sizeof *counter;
  sqe->user_data = Tag(operation, 0, 0);
}

// --- Connections --------------------------------------------------------------------------------

void IoUringEngine::QueueArm(uint32_t index) {
  if (slots_[index].is_queued) return;
  slots_[index].is_queued = true;
  to_arm_.push_back(index);
}

void IoUringEngine::Read(ConnectionId connection, ReadMode mode) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  slot->mode = mode;
  if (mode == ReadMode::kWatch && slot->told_read_end && !slot->told_hang_up) {
    if (slot->is_telling_hang_up) return;
    slot->is_telling_hang_up = true;
    // The end was seen before; a poll armed for errors only would not tell it.
    pending_.push_back(
        {Tag(Operation::kTellHangUp, connection.slot, connection.generation), 0, 0, slot->ring});
    ++slot->operations;
    return;
  }
  QueueArm(connection.slot);
}

void IoUringEngine::WatchWritable(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  slot->wants_writable = true;
  QueueArm(connection.slot);
}

void IoUringEngine::ArmConnections() {
  arming_.swap(to_arm_);
  for (uint32_t index : arming_) {
    if (slots_[index].state == SlotState::kOpen) ArmConnection(index);
  }
  arming_.clear();
}

void IoUringEngine::ArmConnection(uint32_t index) {
  Slot& slot = slots_[index];
  slot.is_queued = false;
  if (slot.wants_writable && !slot.is_watching_writable) {
    slot.is_watching_writable = true;
    ConnectionSqe(index, Operation::kWatchWritable, IORING_OP_POLL_ADD)->poll32_events = POLLOUT;
  }
  if (slot.mode == ReadMode::kReceive && !slot.told_read_end) {
    if (slot.is_receiving || slot.has_failed) return;
    slot.is_receiving = true;
    slot.is_cancelling_receive = false;
    io_uring_sqe* sqe = ConnectionSqe(index, Operation::kReceive, IORING_OP_RECV);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = Uring::kBufferGroup;
    return;
  }
  if (slot.mode != ReadMode::kReceive && slot.is_receiving && !slot.is_cancelling_receive) {
    // A receive left armed for a stream's whole life would cost kernel memory a connection.
    slot.is_cancelling_receive = true;
    CancelOperation(index, Operation::kReceive);
  }
  if (slot.mode == ReadMode::kPaused || slot.is_watching || slot.told_hang_up) return;
  slot.is_watching = true;
  // Errors and full hang-ups are always polled for. After a read end they are all there is.
  ConnectionSqe(index, Operation::kWatch, IORING_OP_POLL_ADD)->poll32_events =
      slot.mode == ReadMode::kWatch ? POLLRDHUP : 0;
}

// By its user_data, which the kernel finds in a table of buckets. By descriptor it would walk all
// that is armed on the ring: with 20,000 streams a ring, half a millisecond for each that is
// closed.
void IoUringEngine::CancelOperation(uint32_t index, Operation operation) {
  uint64_t armed = Tag(operation, index, slots_[index].generation);
  io_uring_sqe* sqe = ConnectionSqe(index, Operation::kCancel, IORING_OP_ASYNC_CANCEL);
  sqe->flags = 0;
  sqe->fd = -1;
  sqe->addr = armed;
}

void IoUringEngine::Shutdown(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr || slot->is_shut_down) return;
  slot->is_shut_down = true;
  ConnectionSqe(connection.slot, Operation::kShutdown, IORING_OP_SHUTDOWN)->len = SHUT_WR;
}

void IoUringEngine::Close(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  GiveUpZeroCopy(slot);
  slot->state = SlotState::kClosing;
  // An armed operation holds the socket: without the cancel, no FIN until it ends by itself. The
  // others end soon without one.
  if (slot->is_receiving) CancelOperation(connection.slot, Operation::kReceive);
  if (slot->is_watching) CancelOperation(connection.slot, Operation::kWatch);
  if (slot->is_watching_writable) CancelOperation(connection.slot, Operation::kWatchWritable);
  io_uring_sqe* sqe = ConnectionSqe(connection.slot, Operation::kClose, IORING_OP_CLOSE);
  sqe->flags = 0;
  sqe->file_index = static_cast<uint32_t>(sqe->fd) + 1;
  sqe->fd = 0;
}

// --- Accepts ------------------------------------------------------------------------------------

void IoUringEngine::ArmAccepts() {
  is_accept_due_ = false;
  if (accept_resume_ns_ != 0 && Now() >= accept_resume_ns_) accept_resume_ns_ = 0;
  if (!is_accepting_) {
    if (accepts_ != 0) CancelAccepts();
    return;
  }
  if (accept_resume_ns_ != 0 || listeners_.empty()) return;
  // An accept holds a slot; when slots run short the listeners share what there is.
  uint32_t listener_count = static_cast<uint32_t>(listeners_.size());
  uint32_t available = connections_max_ - used_slots_ + accepts_;
  uint32_t quota = std::clamp(available / listener_count, 1u, kAcceptsMax);
  uint32_t slot;
  bool is_short = false;
  for (uint32_t i = 0; i < listener_count; ++i) {
    if (!listeners_[i].has_waiting) continue;
    if (!TakeSlot(&slot)) {
      is_short = true;
      break;
    }
    ArmAccept(i, slot);
  }
  if (is_short) TakeAcceptBack();
  for (uint32_t i = 0; i < listener_count; ++i) {
    while (!is_short && listeners_[i].accepts < quota && TakeSlot(&slot)) ArmAccept(i, slot);
    if (listeners_[i].accepts == 0) PollListener(i);
  }
}

// The last slots may be held by accepts on a listener where nobody comes, while somebody waits at
// one that has none: it is polled instead, and then takes a slot from the one that has most.
void IoUringEngine::PollListener(uint32_t index) {
  Listener& listener = listeners_[index];
  if (listener.is_polled || listener.has_waiting) return;
  listener.is_polled = true;
  io_uring_sqe* sqe = Sqe(0);
  sqe->opcode = IORING_OP_POLL_ADD;
  sqe->fd = listener.fd;
  sqe->poll32_events = POLLIN;
  sqe->user_data = Tag(Operation::kPollListener, 0, index);
}

void IoUringEngine::TakeAcceptBack() {
  uint32_t most = UINT32_MAX;
  for (uint32_t i = 0; i < accept_records_.size(); ++i) {
    const AcceptRecord& record = accept_records_[i];
    if (!record.is_armed) continue;
    if (record.is_cancelling) return;  // one is on its way
    const Listener& listener = listeners_[record.listener_index];
    if (listener.has_waiting) continue;
    bool is_more = most == UINT32_MAX ||
                   listener.accepts > listeners_[accept_records_[most].listener_index].accepts;
    if (is_more) most = i;
  }
  if (most != UINT32_MAX) CancelAccept(most);
}

bool IoUringEngine::TakeSlot(uint32_t* slot) {
  for (;;) {
    for (Ring& ring : rings_) {
      if (ring.free_slots.empty()) continue;
      *slot = ring.free_slots.back();
      ring.free_slots.pop_back();
      ++used_slots_;
      return true;
    }
    if (slots_.size() == connections_max_) return false;
    if (!OpenRing().ok()) {
      has_ring_failed_ = true;
      return false;
    }
  }
}

void IoUringEngine::ArmAccept(uint32_t listener_index, uint32_t index) {
  if (free_records_.empty()) {
    free_records_.push_back(static_cast<uint32_t>(accept_records_.size()));
    accept_records_.emplace_back();
  }
  uint32_t number = free_records_.back();
  free_records_.pop_back();
  AcceptRecord& record = accept_records_[number];
  record = {};
  record.length = sizeof record.from;
  record.slot = index;
  record.listener_index = listener_index;
  record.is_armed = true;
  Slot& slot = slots_[index];
  slot.state = SlotState::kReserved;
  ++listeners_[listener_index].accepts;
  listeners_[listener_index].has_waiting = false;
  ++accepts_;
  io_uring_sqe* sqe = Sqe(slot.ring);
  sqe->opcode = IORING_OP_ACCEPT;
  sqe->fd = listeners_[listener_index].fd;
  sqe->addr = reinterpret_cast<uintptr_t>(&record.from);
  sqe->addr2 = reinterpret_cast<uintptr_t>(&record.length);
  // Our own choice of the index: with the kernel's, old libraries hand out a real descriptor.
  sqe->file_index = index - rings_[slot.ring].base + 1;
  sqe->user_data = Tag(Operation::kAccept, 0, number);
}

void IoUringEngine::CancelAccept(uint32_t number) {
  AcceptRecord& record = accept_records_[number];
  record.is_cancelling = true;
  io_uring_sqe* sqe = Sqe(slots_[record.slot].ring);
  sqe->opcode = IORING_OP_ASYNC_CANCEL;
  sqe->fd = -1;
  sqe->addr = Tag(Operation::kAccept, 0, number);
  sqe->user_data = Tag(Operation::kIgnored, 0, 0);
}

void IoUringEngine::CancelAccepts() {
  for (uint32_t i = 0; i < accept_records_.size(); ++i) {
    if (accept_records_[i].is_armed && !accept_records_[i].is_cancelling) CancelAccept(i);
  }
}

// --- Sends --------------------------------------------------------------------------------------

void IoUringEngine::Send(std::span<SendRequest> batch) {
  while (!batch.empty()) {
    batch_ = batch.first(std::min<size_t>(batch.size(), kSendChunk));
    batch = batch.subspan(batch_.size());
    send_rings_.clear();
    for (uint32_t i = 0; i < batch_.size(); ++i) PutSend(batch_[i], i);
    FinishSends();
  }
  batch_ = {};
}

// Submits the chunk's sends and takes their results.
void IoUringEngine::FinishSends() {
  for (uint32_t index : send_rings_) {
    Ring& ring = rings_[index];
    if (ring.uring->has_deferred()) ring.is_unconfirmed = true;
    ring.uring->Submit();
    Reap(index);
    // With MSG_DONTWAIT the kernel completes a send as it takes it. Should one be put off all the
    // same (a short of memory, a full completion queue), it is waited for: its bytes are ours.
    while (ring.sends != 0) {
      ring.uring->EnterAndSleep(-1);
      ring.is_unconfirmed = true;
      Reap(index);
    }
  }
}

void IoUringEngine::PutSend(SendRequest& request, uint32_t index) {
  const Slot* slot = Find(request.connection);
  if (slot == nullptr) {
    request.result = -EBADF;
    return;
  }
  Ring& ring = rings_[slot->ring];
  io_uring_sqe* sqe = Sqe(slot->ring);
  if (ring.sends++ == 0) send_rings_.push_back(slot->ring);
  sqe->flags = IOSQE_FIXED_FILE;
  sqe->fd = static_cast<int>(request.connection.slot - ring.base);
  sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
  sqe->user_data = Tag(Operation::kSend, 0, index);
  if (request.iovec_count == 1) {
    sqe->opcode = IORING_OP_SEND;
    sqe->addr = reinterpret_cast<uintptr_t>(request.iovecs->iov_base);
    sqe->len = static_cast<uint32_t>(request.iovecs->iov_len);
  } else {
    msghdr& header = headers_[index];
    header.msg_iov = const_cast<iovec*>(request.iovecs);
    header.msg_iovlen = std::min(request.iovec_count, kIovecsMax);
    sqe->opcode = IORING_OP_SENDMSG;
    sqe->addr = reinterpret_cast<uintptr_t>(&header);
    sqe->len = 1;
  }
}

}  // namespace sluice
