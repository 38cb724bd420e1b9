#include "engine/engine.h"

#include <arpa/inet.h>

namespace sluice {

std::string_view Name(EngineKind kind) {
  switch (kind) {
    case EngineKind::kIoUring:
      return "io_uring";
    case EngineKind::kEpoll:
      return "epoll";
    case EngineKind::kSimulated:
      return "simulated";
  }
  return "?";
}

bool PeerAddress::is_loopback() const {
  if (family == AF_UNIX) return true;
  if (family == AF_INET) return address[0] == 127;
  if (family != AF_INET6) return false;
  for (int i = 0; i < 10; ++i) {
    if (address[i] != 0) return false;
  }
  if (address[10] == 0xff && address[11] == 0xff) return address[12] == 127;
  for (int i = 10; i < 15; ++i) {
    if (address[i] != 0) return false;
  }
  return address[15] == 1;
}

std::string PeerAddress::ToString() const {
  if (family == AF_UNIX) return "unix";
  if (family != AF_INET && family != AF_INET6) return "unknown";
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family, address, text, sizeof text);
  // By appending: GCC 12 sees an overlap in `"[" + string` that is not there (PR 105651).
  std::string all = family == AF_INET6 ? "[" : "";
  all += text;
  all += family == AF_INET6 ? "]:" : ":";
  all += std::to_string(port);
  return all;
}

}  // namespace sluice
