// Binding of listening sockets, and their addresses as a person writes them.
//
// Errors: kInvalidArgument for an address that cannot be read, kUnavailable for one that cannot be
//         bound (in use, not ours, no permission), each with what to do.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "engine/engine.h"

namespace sluice {

struct ListenAddress {
  sa_family_t family = AF_UNSPEC;  // AF_INET, AF_INET6 (dual-stack for [::]) or AF_UNIX
  uint16_t port = 0;
  uint8_t address[16] = {};
  std::string path;  // AF_UNIX

  // "127.0.0.1:8181", "[::]:8181", ":8181" (all IPv4 addresses) or "unix:/run/sluice.sock".
  static Status Parse(std::string_view text, ListenAddress* address);
  std::string ToString() const;
};

// Opens `count` sockets on one address, one a shard: SO_REUSEPORT for TCP, so that the kernel
// spreads the connections; for a unix path one socket, duplicated. A port that anybody listens on
// is refused, although SO_REUSEPORT alone would let a second gateway of the same user share it in
// silence; a unix path is taken over only if nobody answers on it. The options of `EngineOptions`
// (NODELAY, NOTSENT_LOWAT, USER_TIMEOUT, RCVBUF) are set here: accepted connections inherit them.
// Port 0 takes a free port, the same for all; `address->port` then says which.
Status OpenListeners(ListenAddress* address, uint32_t count, const EngineOptions& options,
                     std::vector<int>* listening_fds);

}  // namespace sluice
