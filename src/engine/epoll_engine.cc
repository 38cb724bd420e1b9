#include "engine/epoll_engine.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"
#include "engine/peer_address.h"

namespace sluice {
namespace {

constexpr size_t kArenaBytes = 256 * 1024;
constexpr size_t kReceiveBytesMax = 16 * 1024;
// Less room than this is not worth a system call: the connection waits for the next turn.
constexpr size_t kReceiveBytesMin = 4 * 1024;
constexpr size_t kEdgesMax = 512;
constexpr int kAcceptsMax = 8;
constexpr int64_t kAcceptPauseNs = 100 * kNsPerMs;
constexpr size_t kIovecsMax = 1'024;  // UIO_MAXIOV

// Tags of what is no connection; a slot stays below both.
constexpr uint32_t kWakeTag = UINT32_MAX;
constexpr uint32_t kListenerTag = UINT32_MAX - 1;
constexpr uint32_t kSlotsMax = 1u << 30;

constexpr uint64_t Tag(uint32_t low, uint32_t high) { return uint64_t{high} << 32 | low; }

// The error that ended a connection. After a FIN the kernel says EPIPE for what is a reset.
int TakeSocketError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
  return error == EPIPE ? ECONNRESET : error;
}

}  // namespace

Status EpollEngine::Create(const EngineOptions& options, std::unique_ptr<Engine>* engine) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur <= kFdReserve) {
    return Status::Unavailable(
        "the limit of open files is " + std::to_string(limit.rlim_cur) +
        ": epoll needs one a connection; raise it (ulimit -n, LimitNOFILE=)");
  }
  uint64_t bound = std::min<uint64_t>(limit.rlim_cur - kFdReserve, kSlotsMax);
  if (options.connections_max != 0) bound = std::min<uint64_t>(bound, options.connections_max);
  std::unique_ptr<EpollEngine> created(new EpollEngine(options, static_cast<uint32_t>(bound)));
  created->epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  created->wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  // Edge-triggered: each write is an edge, so the counter need not be read.
  epoll_event event{EPOLLIN | EPOLLET, {.u64 = Tag(kWakeTag, 0)}};
  if (created->epoll_fd_ < 0 || created->wake_fd_ < 0 ||
      epoll_ctl(created->epoll_fd_, EPOLL_CTL_ADD, created->wake_fd_, &event) < 0) {
    return Status::Unavailable(
        "cannot create an epoll engine: " + std::string(std::strerror(errno)) +
        "; raise the limit of open files (ulimit -n, LimitNOFILE=)");
  }
  *engine = std::move(created);
  return Status::Ok();
}

EpollEngine::EpollEngine(const EngineOptions&, uint32_t connections_max)
    : connections_max_(connections_max), edges_(kEdgesMax), arena_(new char[kArenaBytes]) {}

EpollEngine::~EpollEngine() {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.fd >= 0) close(slot.fd);
  }
  if (wake_fd_ >= 0) close(wake_fd_);
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

Status EpollEngine::Listen(int listening_fd, uint32_t listener) {
  int flags = fcntl(listening_fd, F_GETFL);
  // Another shard may take the connection between our edge and our accept: that must not block.
  if (flags < 0 || fcntl(listening_fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return Status::Internal("cannot serve listener " + std::to_string(listener) + ": " +
                            std::strerror(errno));
  }
  // Out of the set, so that the next Wait puts all of them in.
  if (is_armed_) {
    for (const Listener& old : listeners_) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, old.fd, nullptr);
    is_armed_ = false;
  }
  listeners_.push_back({listening_fd, listener});
  return Status::Ok();
}

EpollEngine::Slot* EpollEngine::Find(ConnectionId connection) {
  if (connection.slot >= slots_.size()) return nullptr;
  Slot* slot = &slots_[connection.slot];
  return slot->fd >= 0 && slot->generation == connection.generation ? slot : nullptr;
}

void EpollEngine::Queue(ConnectionId connection, Slot* slot) {
  if (slot->is_queued) return;
  slot->is_queued = true;
  ready_.push_back(connection);
}

bool EpollEngine::HasReport(const Slot& slot) const {
  if (slot.wants_writable && slot.is_writable) return true;
  if (slot.mode == ReadMode::kPaused) return false;
  // Bytes come before the end behind them, and may still be asked for after a hang-up was told.
  if (slot.mode == ReadMode::kReceive && slot.is_readable && !slot.told_read_end) return true;
  if (slot.told_hang_up) return false;
  return slot.has_hang_up || (slot.mode == ReadMode::kWatch && slot.has_read_hang_up);
}

void EpollEngine::Read(ConnectionId connection, ReadMode mode) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  slot->mode = mode;
  if (HasReport(*slot)) Queue(connection, slot);
}

void EpollEngine::WatchWritable(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  slot->wants_writable = true;
  // The edge may have come before we were asked: then its bit is still there.
  if (slot->is_writable) Queue(connection, slot);
}

void EpollEngine::Shutdown(ConnectionId connection) {
  if (Slot* slot = Find(connection)) shutdown(slot->fd, SHUT_WR);
}

void EpollEngine::Close(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  close(slot->fd);
  uint32_t next = slot->generation + 1;
  *slot = Slot();
  slot->generation = next;
  free_slots_.push_back(connection.slot);
  --connections_;
}

void EpollEngine::Send(std::span<SendRequest> batch) {
  for (SendRequest& request : batch) {
    Slot* slot = Find(request.connection);
    if (slot == nullptr) {
      request.result = -EBADF;
      continue;
    }
    ssize_t sent;
    do {
      if (request.iovec_count == 1) {
        sent = send(slot->fd, request.iovecs->iov_base, request.iovecs->iov_len,
                    MSG_DONTWAIT | MSG_NOSIGNAL);
      } else {
        msghdr header{};
        header.msg_iov = const_cast<iovec*>(request.iovecs);
        header.msg_iovlen = std::min<size_t>(request.iovec_count, kIovecsMax);
        sent = sendmsg(slot->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
      }
    } while (sent < 0 && errno == EINTR);
    // Whoever asks for kWritable now is told by an edge that comes after this moment. After a short
    // write the next send says EAGAIN or goes on; both keep the bit right.
    if (sent < 0 && errno == EAGAIN) slot->is_writable = false;
    request.result = sent < 0 ? -errno : static_cast<int32_t>(sent);
  }
}

void EpollEngine::Wake() {
  uint64_t one = 1;
  // Fails only when the counter is full, and then a wake is under way.
  (void)!write(wake_fd_, &one, sizeof one);
}

int64_t EpollEngine::Now() const { return MonotonicNs(); }

void EpollEngine::ArmListeners() {
  if (accept_resume_ns_ != 0 && Now() >= accept_resume_ns_) accept_resume_ns_ = 0;
  bool wanted = is_accepting_ && connections_ < connections_max_ && accept_resume_ns_ == 0;
  if (wanted == is_armed_) return;
  for (uint32_t i = 0; i < listeners_.size(); ++i) {
    // Exclusive: of the shards that share a unix socket one is woken, not all.
    epoll_event event{EPOLLIN | EPOLLEXCLUSIVE, {.u64 = Tag(kListenerTag, i)}};
    epoll_ctl(epoll_fd_, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listeners_[i].fd, &event);
    listeners_[i].is_ready = false;
  }
  is_armed_ = wanted;
}

size_t EpollEngine::Wait(int64_t deadline_ns, std::span<EngineEvent> events) {
  SLUICE_CHECK(!events.empty());
  arena_used_ = 0;
  for (;;) {
    ArmListeners();
    bool is_late = Poll(deadline_ns);
    size_t count = 0;
    if (is_woken_) {
      is_woken_ = false;
      events[count] = {};
      events[count++].kind = EngineEventKind::kWoken;
    }
    count = Accept(events, count);
    count = Report(events, count);
    if (count != 0 || is_late) return count;
  }
}

// Takes the edges that are there, waiting for the first if there is nothing else to report. True
// when the deadline has passed.
bool EpollEngine::Poll(int64_t deadline_ns) {
  int64_t timeout_ns = 0;
  if (ready_.empty() && deadline_ns != 0) {
    int64_t until_ns = deadline_ns;
    if (accept_resume_ns_ != 0) until_ns = std::min(until_ns, accept_resume_ns_);
    timeout_ns = until_ns == INT64_MAX ? -1 : std::max<int64_t>(0, until_ns - Now());
  }
  int count = PollOnce(timeout_ns);
  for (int i = 0; i < count; ++i) TakeEdge(edges_[static_cast<size_t>(i)]);
  return deadline_ns == 0 || (deadline_ns != INT64_MAX && Now() >= deadline_ns);
}

int EpollEngine::PollOnce(int64_t timeout_ns) {
  if (has_pwait2_) {
    timespec timeout{timeout_ns / kNsPerSecond, timeout_ns % kNsPerSecond};
    int count = epoll_pwait2(epoll_fd_, edges_.data(), kEdgesMax,
                             timeout_ns < 0 ? nullptr : &timeout, nullptr);
    if (count >= 0 || errno == EINTR) return count;
    // Before Linux 5.11, or a seccomp profile older than it.
    has_pwait2_ = false;
  }
  constexpr int64_t kTimeoutMsMax = INT32_MAX;
  int64_t timeout_ms = timeout_ns < 0 ? -1 : (timeout_ns + kNsPerMs - 1) / kNsPerMs;
  return epoll_wait(epoll_fd_, edges_.data(), kEdgesMax,
                    static_cast<int>(std::min(timeout_ms, kTimeoutMsMax)));
}

void EpollEngine::TakeEdge(const epoll_event& edge) {
  uint32_t low = static_cast<uint32_t>(edge.data.u64);
  uint32_t high = static_cast<uint32_t>(edge.data.u64 >> 32);
  if (low == kWakeTag) {
    is_woken_ = true;
    return;
  }
  if (low == kListenerTag) {
    listeners_[high].is_ready = true;
    return;
  }
  ConnectionId connection{low, high};
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  if (edge.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) slot->is_readable = true;
  if (edge.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) slot->is_writable = true;
  if (edge.events & EPOLLRDHUP) slot->has_read_hang_up = true;
  if (edge.events & (EPOLLHUP | EPOLLERR)) slot->has_hang_up = true;
  if (HasReport(*slot)) Queue(connection, slot);
}

size_t EpollEngine::Accept(std::span<EngineEvent> events, size_t count) {
  for (Listener& listener : listeners_) {
    if (!listener.is_ready) continue;
    // Level-triggered: what is left in the backlog is told again by the next Wait.
    listener.is_ready = false;
    for (int i = 0; i < kAcceptsMax && count < events.size(); ++i) {
      if (!is_accepting_ || accept_resume_ns_ != 0 || connections_ == connections_max_) break;
      if (!AcceptOne(listener, &events[count])) break;
      ++count;
    }
  }
  return count;
}

// True if there is something to report.
bool EpollEngine::AcceptOne(const Listener& listener, EngineEvent* event) {
  SocketAddress from{};
  socklen_t length = sizeof from;
  int fd;
  do {
    length = sizeof from;
    fd = accept4(listener.fd, &from.any, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    // A connection that its peer took back in the backlog is no failure of ours.
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
  if (fd < 0 && errno == EAGAIN) return false;
  *event = {};
  event->listener = listener.listener;
  uint32_t index = free_slots_.empty() ? static_cast<uint32_t>(slots_.size()) : free_slots_.back();
  if (fd >= 0) {
    if (index == slots_.size()) slots_.push_back({});
    epoll_event registration{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                             {.u64 = Tag(index, slots_[index].generation)}};
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &registration) == 0) {
      if (!free_slots_.empty() && free_slots_.back() == index) free_slots_.pop_back();
      slots_[index].fd = fd;
      ++connections_;
      event->kind = EngineEventKind::kAccepted;
      event->connection = {index, slots_[index].generation};
      event->peer = ToPeerAddress(from);
      return true;
    }
    int error = errno;
    close(fd);
    if (free_slots_.empty() || free_slots_.back() != index) free_slots_.push_back(index);
    errno = error;
  }
  event->kind = EngineEventKind::kAcceptFailed;
  event->error = errno;
  accept_resume_ns_ = Now() + kAcceptPauseNs;
  return true;
}

size_t EpollEngine::Report(std::span<EngineEvent> events, size_t count) {
  ready_before_.swap(ready_);
  size_t next = 0;
  for (; next < ready_before_.size() && count < events.size(); ++next) {
    ConnectionId connection = ready_before_[next];
    Slot* slot = Find(connection);
    if (slot == nullptr) continue;
    slot->is_queued = false;
    count = ReportConnection(connection, slot, events, count);
    if (HasReport(*slot)) Queue(connection, slot);
  }
  if (next < ready_before_.size()) {
    // No room: those not looked at come first in the next turn.
    ready_before_.erase(ready_before_.begin(), ready_before_.begin() + static_cast<long>(next));
    ready_before_.insert(ready_before_.end(), ready_.begin(), ready_.end());
    ready_.swap(ready_before_);
  }
  ready_before_.clear();
  return count;
}

size_t EpollEngine::ReportConnection(ConnectionId connection, Slot* slot,
                                     std::span<EngineEvent> events, size_t count) {
  if (slot->wants_writable && slot->is_writable) {
    slot->wants_writable = false;
    events[count] = {};
    events[count].kind = EngineEventKind::kWritable;
    events[count++].connection = connection;
  }
  if (count == events.size() || !HasReport(*slot)) return count;
  if (slot->mode == ReadMode::kReceive && slot->is_readable && !slot->told_read_end) {
    return Receive(connection, slot, events, count);
  }
  slot->told_hang_up = true;
  events[count] = {};
  events[count].kind = EngineEventKind::kHangUp;
  events[count].error = slot->has_hang_up ? TakeSocketError(slot->fd) : 0;
  events[count++].connection = connection;
  return count;
}

size_t EpollEngine::Receive(ConnectionId connection, Slot* slot, std::span<EngineEvent> events,
                            size_t count) {
  size_t room = std::min(kReceiveBytesMax, kArenaBytes - arena_used_);
  if (room < kReceiveBytesMin) return count;
  char* bytes = arena_.get() + arena_used_;
  ssize_t received;
  do {
    received = recv(slot->fd, bytes, room, MSG_DONTWAIT);
  } while (received < 0 && errno == EINTR);
  if (received < 0 && errno == EAGAIN) {
    slot->is_readable = false;
    return count;
  }
  events[count] = {};
  events[count].connection = connection;
  if (received > 0) {
    events[count].kind = EngineEventKind::kReceived;
    events[count].bytes = {bytes, static_cast<size_t>(received)};
    arena_used_ += static_cast<size_t>(received);
    // A short read has emptied the socket, and whatever comes later is a new edge; only an end that
    // was seen already has none.
    if (static_cast<size_t>(received) < room && !slot->has_read_hang_up && !slot->has_hang_up) {
      slot->is_readable = false;
    }
  } else if (received == 0) {
    events[count].kind = EngineEventKind::kReadEnd;
    slot->told_read_end = true;
    slot->is_readable = false;
  } else {
    events[count].kind = EngineEventKind::kHangUp;
    events[count].error = errno == EPIPE ? ECONNRESET : errno;
    slot->told_hang_up = true;
    slot->is_readable = false;
  }
  return count + 1;
}

}  // namespace sluice
