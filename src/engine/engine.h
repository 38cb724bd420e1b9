// The kernel interface of one shard: sockets in, events out.
//
// The same contract stands for io_uring, epoll and the simulation, and one suite
// (tests/engine/engine_suite.h) runs on all three.
//
// Thread:  one thread owns an engine and makes every call but `Wake`, which any thread may make.
// Owner:   bytes of a kReceived event belong to the engine and live until the next `Wait`. What is
//          handed to `Send` is read before `Send` returns and never pinned; a frame handed to
//          `SendLarge` may be read for longer, and then the engine keeps a reference to it.
// Bounds:  connections up to `connections_max`; past it accepting stops by itself and goes on once
// a
//          connection is closed.
// Errors:  a connection's error arrives as kHangUp or as a negative errno in SendRequest::result;
// the
//          owner then calls Close. Nothing here blocks but `Wait`.
#pragma once

#include <netinet/in.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "base/status.h"
#include "event/frame.h"

namespace sluice {

enum class EngineKind { kIoUring, kEpoll, kSimulated };
std::string_view Name(EngineKind kind);

// A connection of one engine. `slot` indexes dense per-connection arrays (0 .. connections_max - 1)
// and is used again after Close; `generation` tells the uses apart, so a stale id matches nothing.
struct ConnectionId {
  uint32_t slot = UINT32_MAX;
  uint32_t generation = 0;
  bool operator==(const ConnectionId&) const = default;
};

// Where the other end is. A unix socket has no address: family AF_UNIX.
struct PeerAddress {
  sa_family_t family = AF_UNSPEC;
  uint16_t port = 0;
  uint8_t address[16] = {};  // network order; IPv4 in the first four bytes

  // True for 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104 and unix sockets.
  bool is_loopback() const;
  std::string ToString() const;
};

// How a connection's incoming side is served.
enum class ReadMode : uint8_t {
  kPaused,   // nothing is read or watched (a freshly accepted connection is so)
  kReceive,  // bytes arrive as kReceived; the peer's FIN as kReadEnd, once
  kWatch,    // nothing is read; FIN, RST and errors arrive as kHangUp
};

enum class EngineEventKind : uint8_t {
  kAccepted,      // connection, listener, peer
  kAcceptFailed,  // listener, error: EMFILE, ENOBUFS ...; accepting goes on by itself later
  kReceived,      // connection, bytes (one or more)
  kReadEnd,       // connection: the peer will send nothing more; it may still read
  kWritable,      // connection: after WatchWritable, once
  kHangUp,        // connection, error (0 for an orderly end); the owner is to call Close
  kWoken,         // Wake was called since the last Wait
};

struct EngineEvent {
  EngineEventKind kind;
  int error = 0;  // an errno, positive
  ConnectionId connection;
  uint32_t listener = 0;  // as passed to Listen
  PeerAddress peer;
  std::span<const char> bytes;
};

// One send in a batch. result: bytes taken (may be fewer than offered), or -EAGAIN when the peer's
// buffer is full, or another negative errno: the connection is dead.
struct SendRequest {
  ConnectionId connection;
  const iovec* iovecs = nullptr;
  uint32_t iovec_count = 0;
  int32_t result = 0;
};

struct EngineOptions {
  uint32_t connections_max = 0;  // 0: as many as the kernel's limits allow this engine
  uint32_t backlog = 4'096;
  uint32_t notsent_lowat_bytes = 16 * 1024;
  uint32_t receive_buffer_bytes = 32 * 1024;
  uint32_t user_timeout_ms = 60'000;
  uint32_t send_batch_max = 1'024;  // the largest span handed to Send
  // From this size on SendLarge leaves the copying out, where the engine can; 0: never.
  uint32_t zero_copy_bytes_min = 0;
  // ... also to peers for which the kernel is known to copy all the same.
  bool zero_copy_always = false;
  // Frames that the kernel is not done with, in all; past it SendLarge copies.
  uint64_t zero_copy_held_bytes_max = 64 * 1024 * 1024;
};

// Written by the engine's thread, read by any.
struct EngineCounters {
  Counter zero_copy_sends;       // that took bytes, handed over without a copy
  Counter zero_copy_copied;      // of them, those that the kernel had to copy all the same
  Counter zero_copy_refused;     // not taken so (locked memory, no such socket): sent by copying
  Counter zero_copy_held_bytes;  // of frames that the kernel is not done with, now
};

class Engine {
 public:
  virtual ~Engine() = default;
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  virtual EngineKind kind() const = 0;
  // The most connections this engine can ever hold under the limits found at creation.
  virtual uint32_t connections_max() const = 0;
  // Open now, those being closed included.
  virtual uint32_t connections() const = 0;

  // Serves an already bound and listening socket (see listener.h). The caller keeps the fd open as
  // long as the engine lives. `listener` comes back in kAccepted.
  virtual Status Listen(int listening_fd, uint32_t listener) = 0;
  // Takes new connections, or leaves them in the kernel's backlog. On at first.
  virtual void Accepting(bool on) = 0;

  // Takes effect at the next Wait. A receive already under way may still deliver once after a
  // change of mode: the owner ignores what it does not want.
  virtual void Read(ConnectionId connection, ReadMode mode) = 0;
  // One kWritable once the peer's buffer has room again. Asking twice is asking once.
  virtual void WatchWritable(ConnectionId connection) = 0;
  // Ends our sending side (FIN after what is in the socket's buffer); receiving goes on.
  virtual void Shutdown(ConnectionId connection) = 0;
  // Frees the connection. No event for it arrives with a later Wait (those of the last one that are
  // still unread are the owner's to skip: their id is stale); the FIN leaves at once even if a
  // receive or poll was armed. A stale id is ignored.
  virtual void Close(ConnectionId connection) = 0;

  // Sends each request, in order, at most one a connection, and fills in every result before it
  // returns. Never waits for a peer and leaves nothing pending.
  virtual void Send(std::span<SendRequest> batch) = 0;

  // Send for bytes of one large frame: each request's pieces lie in it. The kernel may be left to
  // read them where they are, for as long as it needs, even after Close; until then the engine
  // holds a reference to the frame. Without such a way it is Send.
  virtual void SendLarge(std::span<SendRequest> batch, Frame* /*frame*/) { Send(batch); }
  // From how many bytes in one piece on SendLarge may do better than Send for somebody who is
  // connected now.
  uint32_t large_bytes_min() const { return large_bytes_min_; }
  const EngineCounters& counters() const { return counters_; }

  // Submits what was asked for, waits until an event is there or `deadline_ns` (clock of Now; 0
  // does not wait at all), and returns how many of `events` were filled in.
  virtual size_t Wait(int64_t deadline_ns, std::span<EngineEvent> events) = 0;
  // Makes the owner's Wait return with kWoken, now or the next time. Any thread; async-signal-safe.
  virtual void Wake() = 0;
  // CLOCK_MONOTONIC in nanoseconds, or the simulation's clock.
  virtual int64_t Now() const = 0;

 protected:
  uint32_t large_bytes_min_ = UINT32_MAX;
  EngineCounters counters_;
};

// What this host can run, best first; epoll is always last and always there. `reason` says why an
// engine is missing, with what to do about it (a sysctl, a seccomp profile, a kernel version).
struct EngineOffer {
  EngineKind kind;
  bool is_available = false;
  std::string reason;
};
// Really creates a ring and tries the operations the engine needs, in a few milliseconds.
std::vector<EngineOffer> ProbeEngines();

Status CreateEngine(EngineKind kind, const EngineOptions& options, std::unique_ptr<Engine>* engine);

}  // namespace sluice
