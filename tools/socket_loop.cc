#include "socket_loop.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace sluice::bench {

int OpenSocket(const Endpoint& peer, const OpenOptions& options, bool is_nonblocking) {
  const int type = SOCK_STREAM | SOCK_CLOEXEC | (is_nonblocking ? SOCK_NONBLOCK : 0);
  const int fd = ::socket(peer.address.ss_family, type, 0);
  if (fd < 0) return -errno;
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  // Closing sends RST: a run of 100,000 leaves no TIME_WAIT for the next run to stumble over.
  const linger abort_on_close{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_on_close, sizeof abort_on_close);
  if (options.receive_buffer_bytes > 0) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer_bytes,
                 sizeof options.receive_buffer_bytes);
  }
  if (options.source_ipv4 != 0) {
    // Without this option bind would take a port of its own, for all destinations.
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr = htonl(options.source_ipv4);
    if (::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof source) != 0) {
      const int error = errno;
      ::close(fd);
      return -error;
    }
  }
  return fd;
}

uint32_t SlotsMax(LoopKind kind, uint32_t loops) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t fds = std::min<uint64_t>(limit.rlim_cur, 1u << 20);
  const uint64_t kept = 200;  // for the process itself
  if (kind == LoopKind::kIoUring) return static_cast<uint32_t>(std::min<uint64_t>(fds, 32'768));
  return static_cast<uint32_t>((fds > kept ? fds - kept : 1) / std::max(loops, 1u));
}

Status CreateSocketLoop(LoopKind kind, uint32_t slots_max, std::unique_ptr<SocketLoop>* loop) {
  return kind == LoopKind::kIoUring ? CreateIoUringLoop(slots_max, loop)
                                    : CreateEpollLoop(slots_max, loop);
}

bool IoUringWorks(std::string* reason) {
  std::unique_ptr<SocketLoop> loop;
  const Status status = CreateIoUringLoop(8, &loop);
  *reason = status.message();
  return status.ok();
}

}  // namespace sluice::bench
