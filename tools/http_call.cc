#include "http_call.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "publisher.h"

namespace sluice::bench {
namespace {

constexpr timeval kWait{10, 0};

Status Failed(const char* what) {
  return Status::Unavailable(std::string(what) + ": " + std::strerror(errno));
}

Status CallOn(int fd, const Endpoint& peer, std::string_view request, std::string* answer) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kWait, sizeof kWait);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&peer.address), peer.length) != 0) {
    return Failed("cannot connect");
  }
  while (!request.empty()) {
    const ssize_t sent = ::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return Failed("cannot send a request");
    request.remove_prefix(static_cast<size_t>(sent));
  }
  answer->clear();
  int status = 0;
  char bytes[16 * 1024];
  while (AnswerEnd(*answer, &status) == 0) {
    const ssize_t received = ::recv(fd, bytes, sizeof bytes, 0);
    if (received < 0 && errno == EINTR) continue;  // the process was stopped for a while
    if (received < 0) return Failed("a request has no answer");
    if (received == 0) return Status::Unavailable("the server closed without an answer");
    answer->append(bytes, static_cast<size_t>(received));
  }
  if (status >= 200 && status < 300) return Status::Ok();
  return Status::Unavailable("a request was answered with status " + std::to_string(status));
}

}  // namespace

Status Call(const Endpoint& peer, std::string_view request, std::string* answer) {
  const int fd = OpenSocket(peer, {}, false);
  if (fd < 0) {
    errno = -fd;
    return Failed("no socket");
  }
  const Status status = CallOn(fd, peer, request, answer);
  ::close(fd);
  return status;
}

}  // namespace sluice::bench
