// Whether this host can run an engine is found out by running it: a small one accepts a connection,
// receives, sends, watches and closes.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/io_uring_engine.h"

namespace sluice {
namespace {

constexpr int64_t kTrialNs = 2 * kNsPerSecond;
constexpr uint32_t kTrialConnections = 8;

// A listening unix socket of the abstract namespace, and a peer connected to it.
class TrialSockets {
 public:
  ~TrialSockets() {
    if (listening_ >= 0) close(listening_);
    if (peer_ >= 0) close(peer_);
  }
  bool Open() {
    listening_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    peer_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // Bound to a family only, the kernel chooses a free name.
    socklen_t length = sizeof address.sun_family;
    if (bind(listening_, reinterpret_cast<sockaddr*>(&address), length) < 0) return false;
    if (listen(listening_, 1) < 0) return false;
    length = sizeof address;
    getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &length);
    return connect(peer_, reinterpret_cast<sockaddr*>(&address), length) == 0;
  }
  int listening() const { return listening_; }
  int peer() const { return peer_; }

 private:
  int listening_ = -1;
  int peer_ = -1;
};

// The first event of one kind, or false if another came or none.
bool Next(Engine* engine, EngineEventKind kind, EngineEvent* event) {
  return engine->Wait(engine->Now() + kTrialNs, {event, 1}) == 1 && event->kind == kind;
}

// Empty if all went well, or what did not work.
const char* Try(Engine* engine, const TrialSockets& sockets) {
  EngineEvent event;
  if (!engine->Listen(sockets.listening(), 0).ok()) return "listening";
  if (!Next(engine, EngineEventKind::kAccepted, &event)) return "a direct accept";
  ConnectionId connection = event.connection;
  engine->Read(connection, ReadMode::kReceive);
  if (send(sockets.peer(), "ping", 4, MSG_NOSIGNAL) != 4) return "the trial's own send";
  if (!Next(engine, EngineEventKind::kReceived, &event) || event.bytes.size() != 4) {
    return "a receive into a ring of buffers";
  }
  char pong[] = "pong";
  iovec piece{pong, 4};
  SendRequest request{connection, &piece, 1, 0};
  engine->Send({&request, 1});
  if (request.result != 4) return "a send";
  engine->WatchWritable(connection);
  if (!Next(engine, EngineEventKind::kWritable, &event)) return "a poll";
  engine->Read(connection, ReadMode::kWatch);
  engine->Wait(0, {&event, 1});
  engine->Close(connection);
  for (int64_t end_ns = engine->Now() + kTrialNs; engine->connections() != 0;) {
    if (engine->Now() >= end_ns) return "a cancel followed by a close";
    engine->Wait(engine->Now() + kNsPerMs, {&event, 1});
  }
  return nullptr;
}

EngineOffer ProbeIoUring() {
  EngineOffer offer{EngineKind::kIoUring, false, ""};
  EngineOptions options;
  options.connections_max = kTrialConnections;
  std::unique_ptr<Engine> engine;
  if (Status status = IoUringEngine::Create(options, kTrialConnections, &engine); !status.ok()) {
    offer.reason = status.message();
    return offer;
  }
  TrialSockets sockets;
  if (!sockets.Open()) {
    offer.reason = std::string("io_uring: no unix sockets to try it with: ") + std::strerror(errno);
    return offer;
  }
  const char* failed = Try(engine.get(), sockets);
  offer.is_available = failed == nullptr;
  if (failed != nullptr) {
    offer.reason = std::string("io_uring: ") + failed +
                   " did not work in a trial; Linux 6.1 or later is needed: use epoll";
  }
  return offer;
}

}  // namespace

std::vector<EngineOffer> ProbeEngines() { return {ProbeIoUring(), {EngineKind::kEpoll, true, ""}}; }

}  // namespace sluice
