// The engine on epoll: every Linux has it, and containers that forbid io_uring run on it.
//
// A connection is registered once, edge-triggered, for everything; an edge only sets a bit of the
// connection and puts it on the ready list. What is reported then follows from bits and read mode,
// so an edge that came while nobody asked is never lost. Listeners are level-triggered and taken
// out of the set while nothing is to be accepted.
//
// Thread: see engine.h.
// Owner:  received bytes live in one arena, used anew at each Wait.
// Bounds: connections by RLIMIT_NOFILE less kFdReserve; 64 accepts a listener and 256 KiB received
//         a Wait; one receive a connection a Wait, so that a fast sender delays nobody.
#pragma once

#include <sys/epoll.h>

#include <memory>
#include <span>
#include <vector>

#include "base/block_vector.h"
#include "engine/engine.h"

namespace sluice {

class EpollEngine final : public Engine {
 public:
  // Descriptors left to the rest of the process: listeners, eventfds, files.
  static constexpr uint32_t kFdReserve = 64;

  static Status Create(const EngineOptions& options, std::unique_ptr<Engine>* engine);
  ~EpollEngine() override;

  EngineKind kind() const override { return EngineKind::kEpoll; }
  uint32_t connections_max() const override { return connections_max_; }
  uint32_t connections() const override { return connections_; }
  Status Listen(int listening_fd, uint32_t listener) override;
  void Accepting(bool on) override { is_accepting_ = on; }
  void Read(ConnectionId connection, ReadMode mode) override;
  void WatchWritable(ConnectionId connection) override;
  void Shutdown(ConnectionId connection) override;
  void Close(ConnectionId connection) override;
  void Send(std::span<SendRequest> batch) override;
  size_t Wait(int64_t deadline_ns, std::span<EngineEvent> events) override;
  void Wake() override;
  int64_t Now() const override;

 private:
  struct Slot {
    int fd = -1;
    uint32_t generation = 0;
    ReadMode mode = ReadMode::kPaused;
    // What edges told and no later call took back.
    bool is_readable : 1 = false;
    bool is_writable : 1 = false;
    bool has_read_hang_up : 1 = false;  // EPOLLRDHUP: bytes may still be before it
    bool has_hang_up : 1 = false;       // EPOLLERR or EPOLLHUP
    // What the owner asked for and was told.
    bool wants_writable : 1 = false;
    bool told_read_end : 1 = false;
    bool told_hang_up : 1 = false;
    bool is_queued : 1 = false;
  };
  struct Listener {
    int fd;
    uint32_t listener;
    bool is_ready = false;
  };

  EpollEngine(const EngineOptions& options, uint32_t connections_max);
  Slot* Find(ConnectionId connection);
  void Queue(ConnectionId connection, Slot* slot);
  void ArmListeners();
  bool Poll(int64_t deadline_ns);
  int PollOnce(int64_t timeout_ns);
  void TakeEdge(const epoll_event& edge);
  // Each fills `events` from `count` on and returns the new count.
  size_t Accept(std::span<EngineEvent> events, size_t count);
  bool AcceptOne(const Listener& listener, EngineEvent* event);
  size_t Report(std::span<EngineEvent> events, size_t count);
  size_t ReportConnection(ConnectionId connection, Slot* slot, std::span<EngineEvent> events,
                          size_t count);
  size_t Receive(ConnectionId connection, Slot* slot, std::span<EngineEvent> events, size_t count);
  bool HasReport(const Slot& slot) const;

  const uint32_t connections_max_;
  int epoll_fd_ = -1;
  int wake_fd_ = -1;
  bool has_pwait2_ = true;
  bool is_accepting_ = true;
  bool is_armed_ = false;  // the listeners are in the epoll set
  bool is_woken_ = false;
  int64_t accept_resume_ns_ = 0;
  uint32_t connections_ = 0;
  BlockVector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<Listener> listeners_;
  std::vector<ConnectionId> ready_;
  std::vector<ConnectionId> ready_before_;  // the list of this turn; kept for its capacity
  std::vector<epoll_event> edges_;
  std::unique_ptr<char[]> arena_;
  size_t arena_used_ = 0;
};

}  // namespace sluice
