// The epoll side of socket_loop.h: level-triggered, one recv a readiness into one large buffer.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "socket_loop.h"

namespace sluice::bench {
namespace {

constexpr size_t kBufferBytes = 256 * 1024;
constexpr int kEventsMax = 256;

struct Slot {
  int fd = -1;
  bool is_connecting = false;
  bool is_receiving = false;
  uint32_t generation = 0;
  std::string_view sending;
};

class EpollLoop final : public SocketLoop {
 public:
  ~EpollLoop() override {
    for (const Slot& slot : slots_) {
      if (slot.fd >= 0) ::close(slot.fd);
    }
    if (epoll_fd_ >= 0) ::close(epoll_fd_);
  }

  Status Start(uint32_t slots_max) {
    slots_.resize(slots_max);
    buffer_.resize(kBufferBytes);
    epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0) {
      return Status::Unavailable(std::string("epoll cannot be set up: ") + std::strerror(errno));
    }
    return Status::Ok();
  }

  LoopKind kind() const override { return LoopKind::kEpoll; }

  Status Open(uint32_t slot, const Endpoint& peer, const OpenOptions& options) override {
    Slot& s = slots_[slot];
    s.fd = OpenSocket(peer, options, true);
    if (s.fd < 0) return Status::Unavailable(std::string("no socket: ") + std::strerror(-s.fd));
    s.is_connecting = true;
    s.is_receiving = false;
    s.sending = {};
    if (::connect(s.fd, reinterpret_cast<const sockaddr*>(&peer.address), peer.length) != 0 &&
        errno != EINPROGRESS) {
      const int error = errno;
      ::close(s.fd);
      s.fd = -1;
      return Status::Unavailable(std::string("connect: ") + std::strerror(error));
    }
    Watch(slot, EPOLL_CTL_ADD);
    return Status::Ok();
  }

  void Receive(uint32_t slot) override {
    slots_[slot].is_receiving = true;
    Watch(slot, EPOLL_CTL_MOD);
  }

  void Send(uint32_t slot, std::string_view bytes) override {
    Slot& s = slots_[slot];
    s.sending = bytes;
    // OnSent is never called from within Send: the next Wait does it, as io_uring would.
    sends_.push_back({slot, s.generation});
  }

  void Close(uint32_t slot) override {
    Slot& s = slots_[slot];
    if (s.fd >= 0) ::close(s.fd);
    s.fd = -1;
    ++s.generation;
  }

  void Wait(int64_t deadline_ns, SocketHandler* handler) override {
    FlushSends(handler);
    const int64_t now = MonotonicNs();
    const int64_t wait_ns = sends_.empty() && deadline_ns > now ? deadline_ns - now : 0;
    const timespec timeout{wait_ns / kNsPerSecond, wait_ns % kNsPerSecond};
    epoll_event events[kEventsMax];
    const int count = ::epoll_pwait2(epoll_fd_, events, kEventsMax, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      const uint32_t slot = static_cast<uint32_t>(events[i].data.u64);
      const uint32_t generation = static_cast<uint32_t>(events[i].data.u64 >> 32);
      if (slots_[slot].generation == generation) OnEvent(slot, events[i].events, handler);
    }
  }

 private:
  struct Pending {
    uint32_t slot;
    uint32_t generation;
  };

  void Watch(uint32_t slot, int operation) {
    const Slot& s = slots_[slot];
    epoll_event event{};
    event.data.u64 = uint64_t{s.generation} << 32 | slot;
    if (s.is_receiving) event.events |= EPOLLIN;
    if (s.is_connecting || !s.sending.empty()) event.events |= EPOLLOUT;
    ::epoll_ctl(epoll_fd_, operation, s.fd, &event);
  }

  void FlushSends(SocketHandler* handler) {
    std::vector<Pending> sends;
    sends.swap(sends_);
    for (const Pending& send : sends) {
      if (slots_[send.slot].generation == send.generation) TrySend(send.slot, handler);
    }
  }

  void TrySend(uint32_t slot, SocketHandler* handler) {
    Slot& s = slots_[slot];
    const ssize_t sent =
        ::send(s.fd, s.sending.data(), s.sending.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN) {
      s.sending = {};
      handler->OnSent(slot, errno);
      return;
    }
    if (sent > 0) s.sending.remove_prefix(static_cast<size_t>(sent));
    if (s.sending.empty()) {
      handler->OnSent(slot, 0);
    } else {
      Watch(slot, EPOLL_CTL_MOD);
    }
  }

  void OnEvent(uint32_t slot, uint32_t ready, SocketHandler* handler) {
    Slot& s = slots_[slot];
    const uint32_t generation = s.generation;
    if (s.is_connecting && (ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0) {
      int error = 0;
      socklen_t length = sizeof error;
      ::getsockopt(s.fd, SOL_SOCKET, SO_ERROR, &error, &length);
      s.is_connecting = false;
      Watch(slot, EPOLL_CTL_MOD);
      handler->OnConnected(slot, error);
      return;
    }
    if ((ready & EPOLLOUT) != 0 && !s.sending.empty()) {
      TrySend(slot, handler);
      if (s.generation == generation && s.sending.empty()) Watch(slot, EPOLL_CTL_MOD);
    }
    if (s.generation != generation || (ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) == 0) return;
    if (!s.is_receiving) {
      if ((ready & (EPOLLERR | EPOLLHUP)) != 0) handler->OnClosed(slot, ECONNRESET);
      return;
    }
    const ssize_t received = ::recv(s.fd, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (received > 0) {
      handler->OnReceived(slot, {buffer_.data(), static_cast<size_t>(received)});
    } else if (received == 0) {
      handler->OnClosed(slot, 0);
    } else if (errno != EAGAIN && errno != EINTR) {
      handler->OnClosed(slot, errno);
    }
  }

  int epoll_fd_ = -1;
  std::vector<Slot> slots_;
  std::vector<char> buffer_;
  std::vector<Pending> sends_;
};

}  // namespace

Status CreateEpollLoop(uint32_t slots_max, std::unique_ptr<SocketLoop>* loop) {
  auto created = std::make_unique<EpollLoop>();
  Status status = created->Start(slots_max);
  if (status.ok()) *loop = std::move(created);
  return status;
}

}  // namespace sluice::bench
