#include "engine/io_uring_engine.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/clock.h"

namespace sluice {
namespace {

constexpr int64_t kAcceptPauseNs = 100 * kNsPerMs;
constexpr uint32_t kTableSizeMax = 1u << 20;  // the kernel's bound
// Entering again and again in one Wait: past this the owner has its turn.
constexpr int kRoundsMax = 16;
// The kernel runs at most twenty deferred completions an enter: so many mean there may be more.
constexpr unsigned kBusyCompletions = 16;

}  // namespace

uint64_t IoUringEngine::Tag(Operation operation, uint32_t slot, uint32_t high) {
  return static_cast<uint64_t>(operation) | uint64_t{slot} << kOperationBits |
         uint64_t{high} << (kOperationBits + kSlotBits);
}

// --- Life ---------------------------------------------------------------------------------------

Status IoUringEngine::Create(const EngineOptions& options, uint32_t table_size,
                             std::unique_ptr<Engine>* engine) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  uint32_t connections_max =
      options.connections_max == 0 ? kConnectionsMax : options.connections_max;
  if (connections_max > 1u << kSlotBits) connections_max = 1u << kSlotBits;
  uint64_t table = std::min<uint64_t>(limit.rlim_cur, kTableSizeMax);
  if (table_size != 0) table = std::min<uint64_t>(table, table_size);
  table = std::min<uint64_t>(table, connections_max);
  std::unique_ptr<IoUringEngine> created(
      new IoUringEngine(options, connections_max, static_cast<uint32_t>(table)));
  // Blocking descriptors: on a non-blocking one a read would not wait in the ring.
  created->wake_fd_ = eventfd(0, EFD_CLOEXEC);
  created->notify_fd_ = eventfd(0, EFD_CLOEXEC);
  if (created->wake_fd_ < 0 || created->notify_fd_ < 0) {
    return Status::Unavailable(
        "cannot create an io_uring engine: " + std::string(std::strerror(errno)) +
        "; raise the limit of open files (ulimit -n, LimitNOFILE=)");
  }
  if (Status status = created->OpenRing(); !status.ok()) return status;
  *engine = std::move(created);
  return Status::Ok();
}

IoUringEngine::IoUringEngine(const EngineOptions& options, uint32_t connections_max,
                             uint32_t table_size)
    : connections_max_(connections_max),
      table_size_(table_size),
      zero_copy_bytes_min_(options.zero_copy_bytes_min),
      zero_copy_always_(options.zero_copy_always),
      holds_(options.zero_copy_held_bytes_max, &counters_.zero_copy_held_bytes),
      headers_(kSendChunk) {}

IoUringEngine::~IoUringEngine() {
  rings_.clear();
  if (wake_fd_ >= 0) close(wake_fd_);
  if (notify_fd_ >= 0) close(notify_fd_);
}

Status IoUringEngine::OpenRing() {
  Ring ring;
  ring.base = static_cast<uint32_t>(slots_.size());
  uint32_t size = std::min(table_size_, connections_max_ - ring.base);
  // The first ring sleeps for all: the others tell it by an eventfd.
  int notify_fd = rings_.empty() ? -1 : notify_fd_;
  if (Status status = Uring::Open(size, notify_fd, &ring.uring); !status.ok()) return status;
  if (is_enabled_) {
    if (Status status = ring.uring->Enable(); !status.ok()) return status;
  }
  slots_.resize(slots_.size() + size);
  ring.free_slots.reserve(size);
  for (uint32_t i = size; i > 0; --i) {
    slots_[ring.base + i - 1].ring = static_cast<uint16_t>(rings_.size());
    ring.free_slots.push_back(ring.base + i - 1);
  }
  rings_.push_back(std::move(ring));
  if (rings_.size() == 2) ReadEventfd(Operation::kNotify, notify_fd_, &notify_counter_);
  return Status::Ok();
}

void IoUringEngine::Enable() {
  is_enabled_ = true;
  Status status = rings_[0].uring->Enable();
  SLUICE_CHECK(status.ok());
  ReadEventfd(Operation::kWake, wake_fd_, &wake_counter_);
}

Status IoUringEngine::Listen(int listening_fd, uint32_t listener) {
  int flags = fcntl(listening_fd, F_GETFL);
  // Some kernels end an accept on a non-blocking socket with EAGAIN instead of keeping it.
  if (flags < 0 || fcntl(listening_fd, F_SETFL, flags & ~O_NONBLOCK) < 0) {
    return Status::Internal("cannot serve listener " + std::to_string(listener) + ": " +
                            std::strerror(errno));
  }
  listeners_.push_back({listening_fd, listener});
  return Status::Ok();
}

IoUringEngine::Slot* IoUringEngine::Find(ConnectionId connection) {
  if (connection.slot >= slots_.size()) return nullptr;
  Slot* slot = &slots_[connection.slot];
  bool is_it = slot->generation == connection.generation && slot->state == SlotState::kOpen;
  return is_it ? slot : nullptr;
}

void IoUringEngine::ReleaseSlot(uint32_t index) {
  Slot& slot = slots_[index];
  SLUICE_DCHECK(slot.operations == 0);
  uint32_t next = slot.generation + 1;
  uint16_t ring = slot.ring;
  slot = Slot();
  slot.generation = next;
  slot.ring = ring;
  rings_[ring].free_slots.push_back(index);
  --used_slots_;
  is_accept_due_ = true;
}

void IoUringEngine::Wake() {
  uint64_t one = 1;
  (void)!write(wake_fd_, &one, sizeof one);
}

int64_t IoUringEngine::Now() const { return MonotonicNs(); }

// --- The turn -----------------------------------------------------------------------------------

size_t IoUringEngine::Wait(int64_t deadline_ns, std::span<EngineEvent> events) {
  SLUICE_CHECK(!events.empty());
  if (!is_enabled_) Enable();
  RecycleBuffers();
  for (;;) {
    ArmAccepts();
    // Once a turn, not once a round: a connection gets one receive a Wait.
    ArmConnections();
    size_t count = Deliver(events, 0);
    for (int round = 0; round < kRoundsMax && count < events.size(); ++round) {
      bool has_moved = false;
      for (uint32_t i = 0; i < rings_.size(); ++i) {
        const Ring& ring = rings_[i];
        if (ring.uring->has_submissions() || ring.uring->has_deferred() || ring.is_busy ||
            (round == 0 && ring.is_unconfirmed)) {
          has_moved |= EnterRing(i);
        }
      }
      count = Deliver(events, count);
      if (!has_moved) break;
      // A backlog is emptied as far as there is room for events.
      if (is_accept_due_) ArmAccepts();
    }
    if (count != 0 || deadline_ns == 0) return count;
    if (deadline_ns != INT64_MAX && Now() >= deadline_ns) return count;
    if (to_arm_.empty() && !is_accept_due_ && !EnterOthers()) Sleep(deadline_ns);
  }
}

// The first ring sleeps for all, so the others must be known to be quiet. True if one was not.
bool IoUringEngine::EnterOthers() {
  bool was_active = false;
  for (uint32_t i = 1; i < rings_.size(); ++i) {
    const Ring& ring = rings_[i];
    if (!ring.uring->has_submissions() && !ring.uring->has_deferred() && !ring.is_unconfirmed) {
      continue;
    }
    EnterRing(i);
    was_active = true;
  }
  return was_active;
}

void IoUringEngine::Sleep(int64_t deadline_ns) {
  int64_t until_ns = deadline_ns;
  if (accept_resume_ns_ != 0) until_ns = std::min(until_ns, accept_resume_ns_);
  int64_t timeout_ns = until_ns == INT64_MAX ? -1 : std::max<int64_t>(0, until_ns - Now());
  rings_[0].uring->EnterAndSleep(timeout_ns);
  rings_[0].is_unconfirmed = true;
  rings_[0].is_busy = Reap(0) >= kBusyCompletions;
}

// True if it had completions.
bool IoUringEngine::EnterRing(uint32_t index) {
  Ring& ring = rings_[index];
  bool had_deferred = ring.uring->has_deferred();
  ring.uring->Enter();
  unsigned count = Reap(index);
  ring.is_busy = count >= kBusyCompletions;
  ring.is_unconfirmed = had_deferred || count != 0;
  return count != 0;
}

unsigned IoUringEngine::Reap(uint32_t index) {
  Ring& ring = rings_[index];
  return ring.uring->Reap([&](uint64_t user_data, int32_t result, uint32_t flags) {
    constexpr uint64_t kOperationMask = (uint64_t{1} << kOperationBits) - 1;
    if ((user_data & kOperationMask) == static_cast<uint64_t>(Operation::kSend)) {
      batch_[user_data >> (kOperationBits + kSlotBits)].result = result;
      --ring.sends;
    } else if ((user_data & kOperationMask) == static_cast<uint64_t>(Operation::kSendLarge)) {
      CompleteLarge(user_data, result, flags, &ring);
    } else {
      pending_.push_back({user_data, result, flags, index});
    }
  });
}

size_t IoUringEngine::Deliver(std::span<EngineEvent> events, size_t count) {
  if (has_ring_failed_ && count < events.size()) {
    has_ring_failed_ = false;
    accept_resume_ns_ = Now() + kAcceptPauseNs;
    events[count] = {};
    events[count].kind = EngineEventKind::kAcceptFailed;
    events[count++].error = ENOBUFS;
  }
  while (pending_next_ < pending_.size() && count < events.size()) {
    // A copy: completing may add to the list.
    Completion completion = pending_[pending_next_++];
    events[count] = {};
    if (Complete(completion, &events[count])) ++count;
  }
  if (pending_next_ == pending_.size()) {
    pending_.clear();
    pending_next_ = 0;
  }
  return count;
}

void IoUringEngine::RecycleBuffers() {
  for (HeldBuffer held : held_buffers_) rings_[held.ring].uring->Recycle(held.index);
  held_buffers_.clear();
}

// --- Completions --------------------------------------------------------------------------------

bool IoUringEngine::Complete(const Completion& completion, EngineEvent* event) {
  constexpr uint64_t kOperationMask = (uint64_t{1} << kOperationBits) - 1;
  switch (static_cast<Operation>(completion.user_data & kOperationMask)) {
    case Operation::kIgnored:
    case Operation::kSend:
    case Operation::kSendLarge:
      return false;
    case Operation::kWake:
      ReadEventfd(Operation::kWake, wake_fd_, &wake_counter_);
      event->kind = EngineEventKind::kWoken;
      return completion.result > 0;
    case Operation::kNotify:
      ReadEventfd(Operation::kNotify, notify_fd_, &notify_counter_);
      return false;
    case Operation::kPollListener: {
      Listener& listener = listeners_[completion.user_data >> (kOperationBits + kSlotBits)];
      listener.is_polled = false;
      listener.has_waiting = listener.accepts == 0 && completion.result > 0;
      is_accept_due_ = true;
      return false;
    }
    case Operation::kAccept:
      return CompleteAccept(completion, event);
    default:
      return CompleteConnection(completion, event);
  }
}

bool IoUringEngine::CompleteAccept(const Completion& completion, EngineEvent* event) {
  uint32_t number = static_cast<uint32_t>(completion.user_data >> (kOperationBits + kSlotBits));
  AcceptRecord& record = accept_records_[number];
  Listener& listener = listeners_[record.listener_index];
  record.is_armed = false;
  free_records_.push_back(number);
  --listener.accepts;
  --accepts_;
  is_accept_due_ = true;
  event->listener = listener.listener;
  if (completion.result >= 0) {
    Slot& slot = slots_[record.slot];
    slot.state = SlotState::kOpen;
    ++connections_;
    event->kind = EngineEventKind::kAccepted;
    event->connection = {record.slot, slot.generation};
    event->peer = ToPeerAddress(record.from);
    TryZeroCopy(&slot, event->peer);
    return true;
  }
  ReleaseSlot(record.slot);
  int error = -completion.result;
  // Cancelled by us, or by a peer that was faster than we: no failure.
  if (error == ECANCELED || error == EAGAIN || error == EINTR || error == ECONNABORTED ||
      error == EPROTO) {
    return false;
  }
  bool is_first = accept_resume_ns_ == 0;  // one of dozens that fail for the same reason
  accept_resume_ns_ = Now() + kAcceptPauseNs;
  event->kind = EngineEventKind::kAcceptFailed;
  event->error = error;
  return is_first;
}

bool IoUringEngine::CompleteConnection(const Completion& completion, EngineEvent* event) {
  constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
  uint32_t index = static_cast<uint32_t>(completion.user_data >> kOperationBits) & kSlotMask;
  Slot& slot = slots_[index];
  constexpr uint64_t kOperationMask = (uint64_t{1} << kOperationBits) - 1;
  Operation operation = static_cast<Operation>(completion.user_data & kOperationMask);
  SLUICE_DCHECK(slot.generation == completion.user_data >> (kOperationBits + kSlotBits));
  SLUICE_DCHECK(slot.operations > 0);
  --slot.operations;
  bool has_buffer = (completion.flags & IORING_CQE_F_BUFFER) != 0;
  uint16_t buffer = static_cast<uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
  if (slot.state == SlotState::kClosing) {
    if (has_buffer) rings_[completion.ring].uring->Recycle(buffer);
    if (operation == Operation::kClose) slot.is_closed = true;
    if (slot.is_closed && slot.operations == 0) {
      --connections_;
      ReleaseSlot(index);
    }
    return false;
  }
  event->connection = {index, slot.generation};
  switch (operation) {
    case Operation::kReceive:
      if (has_buffer) held_buffers_.push_back({completion.ring, buffer});
      return CompleteReceive(completion, index, event);
    case Operation::kWatch:
      return CompleteWatch(completion, index, event);
    case Operation::kWatchWritable:
      slot.is_watching_writable = false;
      if (!slot.wants_writable) return false;
      if (completion.result < 0) {
        QueueArm(index);
        return false;
      }
      slot.wants_writable = false;
      event->kind = EngineEventKind::kWritable;
      return true;
    case Operation::kAskError: {
      int error = -completion.result;
      // A unix socket does not say; EPIPE is what the kernel says after a FIN.
      bool is_said = error > 0 && error != EPIPE && error != EAGAIN;
      return TellHangUp(&slot, is_said ? error : ECONNRESET, event);
    }
    case Operation::kTellHangUp:
      slot.is_telling_hang_up = false;
      return slot.mode == ReadMode::kWatch && TellHangUp(&slot, 0, event);
    default:
      return false;
  }
}

bool IoUringEngine::TellHangUp(Slot* slot, int error, EngineEvent* event) {
  if (slot->told_hang_up) return false;
  slot->told_hang_up = true;
  event->kind = EngineEventKind::kHangUp;
  event->error = error;
  return true;
}

bool IoUringEngine::CompleteReceive(const Completion& completion, uint32_t index,
                                    EngineEvent* event) {
  Slot& slot = slots_[index];
  slot.is_receiving = false;
  if (completion.result > 0) {
    uint16_t buffer = static_cast<uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    event->kind = EngineEventKind::kReceived;
    event->bytes = {rings_[completion.ring].uring->buffer(buffer),
                    static_cast<size_t>(completion.result)};
    if (slot.mode == ReadMode::kReceive) QueueArm(index);
    return true;
  }
  if (completion.result == 0) {
    // In another mode by now: the poll tells the end, or the next receive finds it again.
    if (slot.mode != ReadMode::kReceive) return false;
    slot.told_read_end = true;
    event->kind = EngineEventKind::kReadEnd;
    QueueArm(index);
    return true;
  }
  int error = -completion.result;
  if (error == ECANCELED || error == EAGAIN || error == EINTR || error == ENOBUFS) {
    // ENOBUFS: more had bytes than there are buffers; they come back with the next Wait.
    if (slot.mode == ReadMode::kReceive) QueueArm(index);
    return false;
  }
  slot.has_failed = true;
  return TellHangUp(&slot, error == EPIPE ? ECONNRESET : error, event);
}

bool IoUringEngine::CompleteWatch(const Completion& completion, uint32_t index,
                                  EngineEvent* event) {
  Slot& slot = slots_[index];
  slot.is_watching = false;
  if (slot.told_hang_up || slot.is_asking_error) return false;
  if (completion.result < 0) {
    QueueArm(index);
    return false;
  }
  bool is_dead = (completion.result & (POLLERR | POLLHUP)) != 0;
  bool is_asked = slot.mode == ReadMode::kWatch ||
                  (slot.mode == ReadMode::kReceive && slot.told_read_end && is_dead);
  if (!is_asked) {
    // Armed in another mode. Receiving finds the end by itself; after it, errors are watched for.
    if (slot.mode == ReadMode::kReceive && slot.told_read_end) QueueArm(index);
    return false;
  }
  if ((completion.result & POLLERR) == 0) return TellHangUp(&slot, 0, event);
  slot.is_asking_error = true;
  ConnectionSqe(index, Operation::kAskError, IORING_OP_SEND)->msg_flags =
      MSG_DONTWAIT | MSG_NOSIGNAL;
  return false;
}

}  // namespace sluice
