// The engine on io_uring: connections are direct descriptors, in as many rings as they need, so
// that they are not bounded by the process's limit of open files.
//
// Slot s of the engine is index s % table of ring s / table. Each operation in the kernel belongs
// to one use of a slot; the slot is used again only when its close and all its operations have
// completed, so a late completion never meets the next connection.
//
// Sends carry MSG_DONTWAIT: their completions are there when the submit returns, and a peer that
// stops reading leaves nothing in the kernel. A send without a copy takes its bytes as
// synchronously; that the kernel has done with them is a second completion, some time later, which
// may come after the connection's end (io_uring_large.cc). All other completions met on the way go
// to `pending_` and from there, one by one, to the events of Wait.
//
// Thread: see engine.h; the thread that first calls Wait is the one that owns the rings.
// Owner:  received bytes live in the ring's buffers until the next Wait.
// Bounds: kAcceptsMax accepts a listener in the kernel, each holding a slot; one receive a
//         connection a Wait.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/large_holds.h"
#include "engine/peer_address.h"
#include "engine/uring.h"

namespace sluice {

class IoUringEngine final : public Engine {
 public:
  static constexpr uint32_t kConnectionsMax = 1u << 20;  // when the options say 0
  static constexpr uint32_t kAcceptsMax = 32;
  static constexpr uint32_t kSendChunk = 256;

  // `table_size`: descriptors of one ring; 0 is the limit of open files, the most there can be.
  static Status Create(const EngineOptions& options, uint32_t table_size,
                       std::unique_ptr<Engine>* engine);
  ~IoUringEngine() override;

  EngineKind kind() const override { return EngineKind::kIoUring; }
  uint32_t connections_max() const override { return connections_max_; }
  uint32_t connections() const override { return connections_; }
  Status Listen(int listening_fd, uint32_t listener) override;
  void Accepting(bool on) override { is_accepting_ = on; }
  void Read(ConnectionId connection, ReadMode mode) override;
  void WatchWritable(ConnectionId connection) override;
  void Shutdown(ConnectionId connection) override;
  void Close(ConnectionId connection) override;
  void Send(std::span<SendRequest> batch) override;
  void SendLarge(std::span<SendRequest> batch, Frame* frame) override;
  size_t Wait(int64_t deadline_ns, std::span<EngineEvent> events) override;
  void Wake() override;
  int64_t Now() const override;

 private:
  // What a completion belongs to; the low bits of its user_data.
  enum class Operation : uint8_t {
    kIgnored,       // cancels of accepts: their result is the accept's completion
    kWake,          // a read of the wake eventfd
    kNotify,        // a read of the eventfd of the other rings
    kPollListener,  // high half: index of the listener
    kAccept,        // high half: index of the record in accepts_
    kSend,          // high half: index in the batch at hand
    kReceive,       // from here on: slot, and its generation in the high half
    kWatch,         // a poll for hang-up
    kWatchWritable,
    kAskError,  // an empty send, which takes the socket's error
    kShutdown,
    kCancel,  // of one or all operations of a connection
    kClose,
    kTellHangUp,  // made by ourselves
    kSendLarge,   // without a copy; completes twice: see io_uring_large.cc
  };
  enum class SlotState : uint8_t { kFree, kReserved, kOpen, kClosing };
  struct Slot {
    uint32_t generation = 0;
    uint16_t ring = 0;
    SlotState state = SlotState::kFree;
    ReadMode mode = ReadMode::kPaused;
    uint8_t operations = 0;         // in the kernel for this use of the slot
    uint8_t larges_failed : 4 = 0;  // large sends that took nothing, not yet reported on
    uint8_t larges_copied : 4 = 0;  // reported as copied, one after the other
    bool is_receiving : 1 = false;
    bool is_cancelling_receive : 1 = false;
    bool is_watching : 1 = false;
    bool is_watching_writable : 1 = false;
    bool is_asking_error : 1 = false;
    bool is_telling_hang_up : 1 = false;
    bool is_shut_down : 1 = false;
    bool is_queued : 1 = false;  // in to_arm_
    bool wants_writable : 1 = false;
    bool told_read_end : 1 = false;
    bool told_hang_up : 1 = false;
    bool has_failed : 1 = false;  // a receive met an error: there is nothing more to receive
    bool is_closed : 1 = false;   // while closing: the close itself is done
    bool is_copied : 1 = true;    // the kernel would copy a large send to it all the same
  };
  struct Ring {
    std::unique_ptr<Uring> uring;
    uint32_t base = 0;  // its first slot
    std::vector<uint32_t> free_slots;
    uint32_t sends = 0;           // of the batch at hand, not completed
    bool is_busy = false;         // the last enter may have left deferred work behind
    bool is_unconfirmed = false;  // no enter has found it quiet since it was active
  };
  struct Listener {
    int fd;
    uint32_t listener;
    uint32_t accepts = 0;      // in the kernel
    bool is_polled = false;    // ... instead, as there was no slot for an accept
    bool has_waiting = false;  // the poll has told so, and no accept was armed since
  };
  struct AcceptRecord {
    SocketAddress from;
    socklen_t length = 0;
    uint32_t slot = 0;
    uint32_t listener_index = 0;
    bool is_armed = false;
    bool is_cancelling = false;
  };
  struct Completion {
    uint64_t user_data;
    int32_t result;
    uint32_t flags;
    uint32_t ring;
  };

  IoUringEngine(const EngineOptions& options, uint32_t connections_max, uint32_t table_size);
  // user_data: the operation, the slot that it is for, and what each operation needs besides.
  static constexpr uint64_t kOperationBits = 4;
  static constexpr uint64_t kSlotBits = 28;
  static uint64_t Tag(Operation operation, uint32_t slot, uint32_t high);
  Slot* Find(ConnectionId connection);
  Status OpenRing();
  void Enable();
  void Sleep(int64_t deadline_ns);
  bool EnterOthers();

  // --- Submissions (io_uring_submit.cc) ---
  io_uring_sqe* Sqe(uint32_t ring);
  io_uring_sqe* ConnectionSqe(uint32_t slot, Operation operation, uint8_t opcode);
  void ReadEventfd(Operation operation, int fd, uint64_t* counter);
  void QueueArm(uint32_t slot);
  void ArmConnections();
  void ArmConnection(uint32_t index);
  void CancelOperation(uint32_t slot, Operation operation);
  void ArmAccepts();
  void ArmAccept(uint32_t listener_index, uint32_t slot);
  void CancelAccept(uint32_t record);
  void CancelAccepts();
  void PollListener(uint32_t listener_index);
  void TakeAcceptBack();
  bool TakeSlot(uint32_t* slot);
  void PutSend(SendRequest& request, uint32_t index);
  void FinishSends();

  // --- Sends without a copy (io_uring_large.cc) ---
  void PutLarge(SendRequest& request, uint32_t index, uint32_t hold);
  void CompleteLarge(uint64_t user_data, int32_t result, uint32_t flags, Ring* ring);
  void CopyRefused(std::span<SendRequest> batch);
  void TryZeroCopy(Slot* slot, const PeerAddress& peer);
  void GiveUpZeroCopy(Slot* slot);
  void TellLargeBytesMin();

  // --- Completions ---
  unsigned Reap(uint32_t ring);
  bool EnterRing(uint32_t ring);
  size_t Deliver(std::span<EngineEvent> events, size_t count);
  // True if `event` was filled in.
  bool Complete(const Completion& completion, EngineEvent* event);
  bool CompleteAccept(const Completion& completion, EngineEvent* event);
  bool CompleteConnection(const Completion& completion, EngineEvent* event);
  bool CompleteReceive(const Completion& completion, uint32_t slot, EngineEvent* event);
  bool CompleteWatch(const Completion& completion, uint32_t slot, EngineEvent* event);
  bool TellHangUp(Slot* slot, int error, EngineEvent* event);
  void ReleaseSlot(uint32_t slot);
  void RecycleBuffers();

  const uint32_t connections_max_;
  const uint32_t table_size_;
  int wake_fd_ = -1;
  int notify_fd_ = -1;
  uint64_t wake_counter_ = 0;
  uint64_t notify_counter_ = 0;
  bool is_enabled_ = false;
  bool is_accepting_ = true;
  int64_t accept_resume_ns_ = 0;
  bool has_ring_failed_ = false;  // one more could not be opened: told as kAcceptFailed
  uint32_t connections_ = 0;
  uint32_t accepts_ = 0;        // in the kernel, all listeners
  uint32_t used_slots_ = 0;     // open, closing or held by an accept
  bool is_accept_due_ = false;  // a slot or a record came free since ArmAccepts

  std::deque<Ring> rings_;
  std::vector<Slot> slots_;
  std::vector<Listener> listeners_;
  std::deque<AcceptRecord> accept_records_;  // the kernel writes to them: they never move
  std::vector<uint32_t> free_records_;
  std::vector<uint32_t> to_arm_;  // slots
  std::vector<uint32_t> arming_;
  std::vector<Completion> pending_;
  size_t pending_next_ = 0;
  struct HeldBuffer {
    uint32_t ring;
    uint16_t index;
  };
  std::vector<HeldBuffer> held_buffers_;

  uint32_t zero_copy_bytes_min_;  // 0: never
  const bool zero_copy_always_;
  uint32_t zero_copy_connections_ = 0;  // open, and not known to be copied
  LargeHolds holds_;
  std::vector<SendRequest> refused_;
  std::vector<uint32_t> refused_at_;  // their places in the batch

  std::span<SendRequest> batch_;  // the chunk at hand
  std::vector<msghdr> headers_;
  std::vector<uint32_t> send_rings_;
};

}  // namespace sluice
