// The client side of the kernel: many outgoing connections on one thread, on io_uring or epoll.
//
// The gateway's engine (src/engine) accepts and never connects, so the meter has its own small
// loop. io_uring: sockets are moved into the ring's own table, so connections are bounded by the fd
// limit a ring, not a process; receives are multishot into one block of buffers small enough for
// the L2 cache. epoll: level-triggered, one recv a readiness.
//
// Thread: one thread creates the loop and makes every call.
// Owner:  bytes handed to OnReceived live until it returns; bytes handed to Send must live until
//         OnSent.
// Bounds: slots 0 .. slots_max - 1, one connection each; at most one Send a slot under way.
// Errors: a connection's arrive as errno in OnConnected, OnSent or OnClosed.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace sluice::bench {

enum class LoopKind { kIoUring, kEpoll };

struct Endpoint {
  sockaddr_storage address{};
  socklen_t length = 0;
};

struct OpenOptions {
  uint32_t source_ipv4 = 0;      // host order; 0 leaves the choice to the kernel
  int receive_buffer_bytes = 0;  // 0 leaves it to the kernel
};

// The loopback source address of the n-th subscriber, host order: 127.10.0.1 and on. One serves
// fewer than half of the 28,232 ports of the default range: connect looks at ports of one parity
// first, and once those are used up it walks all of them for every connection.
constexpr uint32_t SourceOf(uint32_t subscriber) { return 0x7f0a0001 + subscriber / 10'000; }

class SocketHandler {
 public:
  virtual ~SocketHandler() = default;
  virtual void OnConnected(uint32_t slot, int error) = 0;
  virtual void OnReceived(uint32_t slot, std::string_view bytes) = 0;
  virtual void OnSent(uint32_t slot, int error) = 0;  // all of it, or an errno
  // The peer closed (error 0) or the connection broke; the owner still calls Close.
  virtual void OnClosed(uint32_t slot, int error) = 0;
};

class SocketLoop {
 public:
  virtual ~SocketLoop() = default;
  virtual LoopKind kind() const = 0;
  // Begins to connect; OnConnected follows. REQUIRES: the slot is free.
  virtual Status Open(uint32_t slot, const Endpoint& peer, const OpenOptions& options) = 0;
  // Receives from now until the connection ends.
  virtual void Receive(uint32_t slot) = 0;
  virtual void Send(uint32_t slot, std::string_view bytes) = 0;
  // Frees the slot; no call for it follows.
  virtual void Close(uint32_t slot) = 0;
  // Waits for something to do until `deadline_ns` (CLOCK_MONOTONIC) and calls the handler.
  virtual void Wait(int64_t deadline_ns, SocketHandler* handler) = 0;
};

// The largest `slots_max` a loop of this kind can have here, beside `other_fds` fds of the process.
uint32_t SlotsMax(LoopKind kind, uint32_t loops);
Status CreateSocketLoop(LoopKind kind, uint32_t slots_max, std::unique_ptr<SocketLoop>* loop);
// True if io_uring with all that the loop needs works here.
bool IoUringWorks(std::string* reason);

// A socket with the meter's options, bound to the source address; -errno if the kernel refuses.
int OpenSocket(const Endpoint& peer, const OpenOptions& options, bool is_nonblocking);

// Implemented by the two engines.
Status CreateIoUringLoop(uint32_t slots_max, std::unique_ptr<SocketLoop>* loop);
Status CreateEpollLoop(uint32_t slots_max, std::unique_ptr<SocketLoop>* loop);

}  // namespace sluice::bench
