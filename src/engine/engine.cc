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
  char text[INET6_ADDRSTRLEN] = {};
  if (family == AF_UNIX) return "unix";
  if (family == AF_INET && inet_ntop(AF_INET, address, text, sizeof text)) {
    return std::string(text) + ":" + std::to_string(port);
  }
  if (family == AF_INET6 && inet_ntop(AF_INET6, address, text, sizeof text)) {
    return "[" + std::string(text) + "]:" + std::to_string(port);
  }
  return "unknown";
}

}  // namespace sluice
