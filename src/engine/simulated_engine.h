// An engine without a kernel: its peers are driven by the test, its clock moves only when the test
// says so or when Wait would sleep, and every choice is drawn from one seed. The same calls with
// the same seed give the same events, results and times.
//
// It is stricter than the kernel where a breach of the contract would go unseen there: two sends to
// one connection in a batch, a batch that is too large, and (if asked for) any use of a stale id
// end the program; received bytes are overwritten and freed at the next Wait.
//
// Thread: one, but for Wake. A Wait without a deadline, with nothing under way, really sleeps until
//         Wake.
// Owner:  as engine.h; a peer's number is valid until the engine goes.
// Bounds: a connection holds kInFlightBytes from its peer, and the peer's buffer limit towards it.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <queue>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace sluice {

// Probabilities are per mille of the occasions named.
struct SimulatedFaults {
  uint32_t short_write = 0;      // a send that could take all takes a part
  uint32_t spurious_eagain = 0;  // a send with room says EAGAIN; kWritable follows later
  uint32_t send_reset = 0;       // a send finds that the peer has reset the connection
  uint32_t accept_failure = 0;   // an accept fails for want of memory or descriptors
  uint32_t accept_abort = 0;     // a connection is gone before it is accepted
  uint32_t lost_close = 0;       // a close with unread input drops what the peer has not read
  int64_t delay_ns_max = 0;      // what a peer does is seen after up to so long, in order
  bool is_strict = false;        // a stale id ends the program
};

class SimulatedEngine final : public Engine {
 public:
  using Peer = uint32_t;
  static constexpr size_t kInFlightBytes = 256 * 1024;
  static constexpr size_t kReceiveBytesMax = 16 * 1024;
  static constexpr uint32_t kPeerBufferBytes = 64 * 1024;

  SimulatedEngine(const EngineOptions& options, uint64_t seed, const SimulatedFaults& faults = {});
  ~SimulatedEngine() override;

  // --- Engine ---
  EngineKind kind() const override { return EngineKind::kSimulated; }
  uint32_t connections_max() const override { return connections_max_; }
  uint32_t connections() const override { return connections_; }
  // The descriptor is not looked at: any number will do.
  Status Listen(int listening_fd, uint32_t listener) override;
  void Accepting(bool on) override { is_accepting_ = on; }
  void Read(ConnectionId connection, ReadMode mode) override;
  void WatchWritable(ConnectionId connection) override;
  void Shutdown(ConnectionId connection) override;
  void Close(ConnectionId connection) override;
  void Send(std::span<SendRequest> batch) override;
  // Reads the frame as late as it may: when the peer does, or when it gives the frame back.
  void SendLarge(std::span<SendRequest> batch, Frame* frame) override;
  size_t Wait(int64_t deadline_ns, std::span<EngineEvent> events) override;
  void Wake() override;
  int64_t Now() const override { return now_ns_; }

  // --- The peers, and time ---
  Peer Connect(uint32_t listener, const PeerAddress& address);
  // How many bytes were taken: less than all when kInFlightBytes are not yet received.
  size_t PeerWrite(Peer peer, std::string_view bytes);
  // Up to `bytes_max` of what was sent to the peer.
  std::string PeerRead(Peer peer, size_t bytes_max);
  size_t PeerUnread(Peer peer) const { return peers_[peer].unread.size(); }
  // The engine's side has ended and all before the end was read.
  bool PeerAtEnd(Peer peer) const;
  // It writes no more: it has ended, or a fault has reset it.
  bool PeerHasEnded(Peer peer) const { return peers_[peer].has_ended; }
  // Room for what the peer has not read; bytes already there stay.
  void PeerBuffer(Peer peer, uint32_t bytes_max);
  void PeerShutdown(Peer peer);
  void PeerReset(Peer peer);
  // Closes: an end to the reader, and a reset to who sends on.
  void PeerClose(Peer peer);
  void Advance(int64_t ns) { now_ns_ += ns; }

 private:
  // What a peer did, as it will be seen.
  struct Arrival {
    enum class Kind : uint8_t { kBytes, kEnd, kReset };
    int64_t at_ns;
    Kind kind;
    std::string bytes;
  };
  struct PeerState {
    uint32_t listener = 0;
    PeerAddress address;
    ConnectionId connection;  // none while in the backlog, or after Close
    std::deque<Arrival> arrivals;
    size_t in_flight_bytes = 0;  // in arrivals, or arrived and not received
    std::string unread;          // sent to the peer
    uint64_t read_bytes = 0;     // that came before `unread`
    uint32_t buffer_bytes = kPeerBufferBytes;
    bool has_ended = false;     // the peer writes no more
    bool is_gone = false;       // ... and reads no more
    bool engine_ended = false;  // Shutdown or Close
  };
  struct Slot {
    uint32_t generation = 0;
    Peer peer = UINT32_MAX;  // none: free
    ReadMode mode = ReadMode::kPaused;
    std::string received;          // arrived, not handed out
    int64_t blocked_until_ns = 0;  // a spurious EAGAIN lasts so long
    uint64_t batch = 0;            // the last batch it was in
    bool has_end = false;
    bool has_reset = false;
    bool is_shut_down = false;
    bool wants_writable = false;
    bool told_read_end = false;
    bool told_hang_up = false;
    bool is_touched = false;
  };
  struct Listener {
    uint32_t listener;
    std::deque<Peer> backlog;
  };
  // Bytes of a frame, sent and not yet copied from it.
  struct LatePiece {
    Peer peer;
    uint64_t at;  // in all that was sent to the peer
    const char* data;
    size_t bytes;
    Frame* frame;  // one reference each
    int64_t due_ns;
  };
  struct Alarm {
    int64_t at_ns;
    uint32_t slot;
    bool operator>(const Alarm& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : slot > other.slot;
    }
  };

  uint64_t Draw(uint64_t below);
  bool Chance(uint32_t per_mille);
  Slot* Find(ConnectionId connection);
  void Touch(uint32_t slot);
  void Arrive(Peer peer, Arrival::Kind kind, std::string_view bytes);
  void TakeArrivals(uint32_t slot);
  int32_t SendOne(uint32_t slot, const SendRequest& request, Frame* large);
  void SendEach(std::span<SendRequest> batch, Frame* large);
  void CopyPiece(const LatePiece& piece);
  void GiveFramesBack();
  bool IsWritable(const Slot& slot) const;
  bool HasReport(const Slot& slot) const;
  size_t TakeWake(std::span<EngineEvent> events);
  size_t Accept(std::span<EngineEvent> events, size_t count);
  bool AcceptOne(Listener* listener, EngineEvent* event);
  size_t Report(std::span<EngineEvent> events, size_t count);
  void ReportOne(uint32_t slot, EngineEvent* event);
  void RingAlarms();
  void Sleep(int64_t deadline_ns);

  const uint32_t connections_max_;
  const uint32_t send_batch_max_;
  const uint64_t held_bytes_max_;
  const SimulatedFaults faults_;
  std::mt19937_64 random_;
  int64_t now_ns_;
  uint32_t connections_ = 0;
  bool is_accepting_ = true;
  int64_t accept_resume_ns_ = 0;
  uint64_t batches_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<uint32_t> touched_;
  std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms_;
  std::vector<Listener> listeners_;
  std::deque<PeerState> peers_;
  std::vector<LatePiece> late_pieces_;
  std::deque<std::string> handed_out_;  // short strings hold their bytes: they never move

  std::mutex wake_mutex_;  // guards is_woken_ only
  std::condition_variable wake_condition_;
  bool is_woken_ = false;
};

}  // namespace sluice
