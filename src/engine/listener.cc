#include "engine/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>

namespace sluice {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

Status Unreadable(std::string_view text, std::string_view why) {
  return Status::InvalidArgument("cannot listen on \"" + std::string(text) +
                                 "\": " + std::string(why) +
                                 "; write ADDR:PORT, [ADDR]:PORT, :PORT or unix:PATH");
}

bool ParsePort(std::string_view text, uint16_t* port) {
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, *port);
  return error == std::errc() && rest == end;
}

// What went wrong with a TCP address, and what to do about it.
Status CannotListen(const ListenAddress& address, int error) {
  std::string text = "cannot listen on " + address.ToString() + ": " + std::strerror(error);
  if (error == EADDRINUSE) {
    text += "; another program (or another sluice) listens there: stop it or choose another port";
  } else if (error == EACCES && address.family != AF_UNIX && address.port < 1024) {
    text += "; ports below 1024 need CAP_NET_BIND_SERVICE: grant it or choose a port from 1024 up";
  } else if (error == EACCES || error == EPERM) {
    text += "; choose a place that this user may write to";
  } else if (error == EADDRNOTAVAIL) {
    text += "; this host has no such address: choose one that `ip address` shows, or 0.0.0.0";
  } else if (error == EAFNOSUPPORT) {
    text += "; IPv6 is switched off on this host: listen on 0.0.0.0 instead";
  } else if (error == EMFILE || error == ENFILE) {
    text += "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
  } else if (error == ENOENT || error == ENOTDIR) {
    text += "; create the directory first";
  }
  return Status::Unavailable(std::move(text));
}

void SetInt(int fd, int level, int option, uint32_t value) {
  int as_int = static_cast<int>(value);
  // Each of these is known to every kernel sluice runs on; one that is refused costs memory or
  // latency, never correctness, so it does not keep the gateway from starting.
  (void)setsockopt(fd, level, option, &as_int, sizeof as_int);
}

socklen_t Fill(const ListenAddress& address, sockaddr_storage* storage) {
  std::memset(storage, 0, sizeof *storage);
  if (address.family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    std::memcpy(&v4->sin_addr, address.address, 4);
    return sizeof *v4;
  }
  if (address.family == AF_INET6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(address.port);
    std::memcpy(&v6->sin6_addr, address.address, 16);
    return sizeof *v6;
  }
  auto* local = reinterpret_cast<sockaddr_un*>(storage);
  local->sun_family = AF_UNIX;
  std::memcpy(local->sun_path, address.path.c_str(), address.path.size() + 1);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() + 1);
}

// A bound TCP socket, or a negative errno.
int BindTcp(const ListenAddress& address, bool is_shared) {
  int fd = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  // Connections of a gateway that has just stopped linger in TIME_WAIT and must not block the next.
  SetInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (is_shared) SetInt(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address.family == AF_INET6) SetInt(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  sockaddr_storage storage;
  socklen_t length = Fill(address, &storage);
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) < 0) {
    int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

// A gateway that was killed leaves its io_uring accepts to the kernel, which ends them, and with
// them its listening sockets, a little after the process (seen on Linux 6.18): its successor waits
// for it.
int BindWhenFree(const ListenAddress& address) {
  constexpr int kTries = 20;
  constexpr timespec kBetween{0, 50'000'000};
  int fd = BindTcp(address, /*is_shared=*/false);
  for (int i = 1; i < kTries && fd == -EADDRINUSE; ++i) {
    nanosleep(&kBetween, nullptr);
    fd = BindTcp(address, /*is_shared=*/false);
  }
  return fd;
}

void CloseAll(std::vector<int>* fds) {
  for (int fd : *fds) close(fd);
  fds->clear();
}

Status OpenTcp(ListenAddress* address, uint32_t count, const EngineOptions& options,
               std::vector<int>* listening_fds) {
  // Without SO_REUSEPORT a port that anybody listens on is refused. The probe is closed before the
  // real sockets listen, as a socket bound beside them would be in their way.
  int probe = BindWhenFree(*address);
  if (probe < 0) return CannotListen(*address, -probe);
  if (address->port == 0) {
    sockaddr_storage storage;
    socklen_t length = sizeof storage;
    if (getsockname(probe, reinterpret_cast<sockaddr*>(&storage), &length) == 0) {
      address->port =
          ntohs(address->family == AF_INET ? reinterpret_cast<sockaddr_in*>(&storage)->sin_port
                                           : reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port);
    }
  }
  close(probe);
  std::vector<int> fds;
  for (uint32_t i = 0; i < count; ++i) {
    int fd = BindTcp(*address, /*is_shared=*/true);
    if (fd < 0) {
      CloseAll(&fds);
      return CannotListen(*address, -fd);
    }
    fds.push_back(fd);
    SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    SetInt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, options.notsent_lowat_bytes);
    SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout_ms);
    // Before listen: the window scale is fixed when a connection is set up.
    if (options.receive_buffer_bytes != 0) {
      SetInt(fd, SOL_SOCKET, SO_RCVBUF, options.receive_buffer_bytes);
    }
  }
  // All are bound before one listens: a connection must not meet half a group.
  for (int fd : fds) {
    if (listen(fd, static_cast<int>(options.backlog)) < 0) {
      int error = errno;
      CloseAll(&fds);
      return CannotListen(*address, error);
    }
  }
  *listening_fds = std::move(fds);
  return Status::Ok();
}

// Removes a socket file that nobody answers on; refuses all else that stands at the path.
Status ClearPath(const ListenAddress& address) {
  struct stat facts;
  if (lstat(address.path.c_str(), &facts) < 0) {
    return errno == ENOENT ? Status::Ok() : CannotListen(address, errno);
  }
  if (!S_ISSOCK(facts.st_mode)) {
    return Status::Unavailable("cannot listen on " + address.ToString() +
                               ": a file that is no socket stands there; choose another path");
  }
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return CannotListen(address, errno);
  sockaddr_storage storage;
  socklen_t length = Fill(address, &storage);
  int error = connect(fd, reinterpret_cast<sockaddr*>(&storage), length) < 0 ? errno : 0;
  close(fd);
  // EAGAIN is a full backlog: somebody is there. Only a refusal says that nobody is.
  if (error == ENOENT) return Status::Ok();
  if (error != ECONNREFUSED) {
    return CannotListen(address, error == 0 || error == EAGAIN ? EADDRINUSE : error);
  }
  if (unlink(address.path.c_str()) < 0 && errno != ENOENT) return CannotListen(address, errno);
  return Status::Ok();
}

Status OpenUnix(const ListenAddress& address, uint32_t count, const EngineOptions& options,
                std::vector<int>* listening_fds) {
  if (Status status = ClearPath(address); !status.ok()) return status;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return CannotListen(address, errno);
  std::vector<int> fds{fd};
  sockaddr_storage storage;
  socklen_t length = Fill(address, &storage);
  if (bind(fd, reinterpret_cast<sockaddr*>(&storage), length) < 0 ||
      listen(fd, static_cast<int>(options.backlog)) < 0) {
    int error = errno;
    CloseAll(&fds);
    return CannotListen(address, error);
  }
  while (fds.size() < count) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
      int error = errno;
      CloseAll(&fds);
      unlink(address.path.c_str());
      return CannotListen(address, error);
    }
    fds.push_back(copy);
  }
  *listening_fds = std::move(fds);
  return Status::Ok();
}

}  // namespace

Status ListenAddress::Parse(std::string_view text, ListenAddress* address) {
  *address = ListenAddress();
  if (text.starts_with(kUnixPrefix)) {
    std::string_view path = text.substr(kUnixPrefix.size());
    if (path.empty()) return Unreadable(text, "the path is empty");
    if (path.find('\0') != path.npos) return Unreadable(text, "the path holds a zero byte");
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return Unreadable(text, "the path is longer than the kernel's 107 bytes");
    }
    address->family = AF_UNIX;
    address->path = path;
    return Status::Ok();
  }
  size_t colon = text.rfind(':');
  if (colon == text.npos) return Unreadable(text, "it has no port");
  if (!ParsePort(text.substr(colon + 1), &address->port)) {
    return Unreadable(text, "the port is no number from 0 to 65535");
  }
  std::string_view host = text.substr(0, colon);
  if (host.empty()) {
    address->family = AF_INET;
    return Status::Ok();
  }
  if (host.front() == '[' && host.back() == ']' && host.size() > 2) {
    std::string inner(host.substr(1, host.size() - 2));
    if (inet_pton(AF_INET6, inner.c_str(), address->address) != 1) {
      return Unreadable(text, "what stands in brackets is no IPv6 address");
    }
    address->family = AF_INET6;
    return Status::Ok();
  }
  if (inet_pton(AF_INET, std::string(host).c_str(), address->address) != 1) {
    return Unreadable(text, host.find(':') != host.npos
                                ? "an IPv6 address stands in brackets"
                                : "it is no IPv4 address (names are not looked up)");
  }
  address->family = AF_INET;
  return Status::Ok();
}

std::string ListenAddress::ToString() const {
  if (family == AF_UNIX) return std::string(kUnixPrefix) + path;
  PeerAddress same;
  same.family = family;
  same.port = port;
  std::memcpy(same.address, address, sizeof address);
  return same.ToString();
}

Status OpenListeners(ListenAddress* address, uint32_t count, const EngineOptions& options,
                     std::vector<int>* listening_fds) {
  listening_fds->clear();
  if (address->family == AF_UNIX) return OpenUnix(*address, count, options, listening_fds);
  return OpenTcp(address, count, options, listening_fds);
}

}  // namespace sluice
