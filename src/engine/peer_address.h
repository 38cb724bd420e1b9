// From the kernel's socket address to ours; for the engines only.
#pragma once

#include <cstring>

#include "engine/engine.h"

namespace sluice {

// Room for every family that is accepted; a unix peer's path is cut off, nobody reads it.
union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

inline PeerAddress ToPeerAddress(const SocketAddress& from) {
  PeerAddress peer;
  peer.family = from.any.sa_family;
  if (peer.family == AF_INET) {
    peer.port = ntohs(from.v4.sin_port);
    std::memcpy(peer.address, &from.v4.sin_addr, 4);
  } else if (peer.family == AF_INET6) {
    peer.port = ntohs(from.v6.sin6_port);
    std::memcpy(peer.address, &from.v6.sin6_addr, 16);
  }
  return peer;
}

}  // namespace sluice
