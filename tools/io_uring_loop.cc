// The io_uring side of socket_loop.h.
//
// user_data = operation (8 bits) | generation (24) | slot (32). Close cancels what is armed on the
// slot, each by its user_data (by file the kernel would walk all that the ring has armed), and
// closes it in the same submit; completions of an older generation are dropped.
// Buffers are used round robin by the kernel. With too few of them receives end for want of one and
// are armed again and again: with 32, at 10,000 subscribers and full speed, that was half of the
// meter's core (9.6 million deliveries a second, 20 million with 256).
#include <liburing.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "socket_loop.h"

namespace sluice::bench {
namespace {

constexpr unsigned kEntries = 1024;
constexpr unsigned kCompletions = 16 * 1024;
constexpr unsigned kBuffers = 256;  // a power of two
constexpr unsigned kBufferBytes = 16 * 1024;
constexpr int kBufferGroup = 0;
constexpr unsigned kGather = 16;       // completions worth waiting for together
constexpr int64_t kGatherNs = 20'000;  // and for how long at most

enum Operation : uint64_t { kConnect = 1, kReceive, kSend, kDiscard };

struct Slot {
  uint32_t generation = 0;
  bool is_connecting = false;
  bool is_receiving = false;
  std::string_view sending;  // what is left of it
};

class IoUringLoop final : public SocketLoop {
 public:
  ~IoUringLoop() override {
    if (buffer_ring_ != nullptr) io_uring_unregister_buf_ring(&ring_, kBufferGroup);
    if (has_ring_) io_uring_queue_exit(&ring_);
    if (buffer_ring_ != nullptr) ::munmap(buffer_ring_, kBuffers * sizeof(io_uring_buf));
    if (buffers_ != nullptr) ::munmap(buffers_, size_t{kBuffers} * kBufferBytes);
  }

  Status Start(uint32_t slots_max) {
    slots_.resize(slots_max);
    io_uring_params params{};
    params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    params.cq_entries = kCompletions;
    int result = io_uring_queue_init_params(kEntries, &ring_, &params);
    if (result == -EINVAL) {  // before 6.1
      params = {};
      params.flags = IORING_SETUP_CQSIZE;
      params.cq_entries = kCompletions;
      result = io_uring_queue_init_params(kEntries, &ring_, &params);
    }
    if (result < 0) return Failed("io_uring cannot be set up", result);
    has_ring_ = true;
    io_uring_register_ring_fd(&ring_);
    result = io_uring_register_files_sparse(&ring_, slots_max);
    if (result < 0) {
      return Failed("a table of " + std::to_string(slots_max) + " sockets is refused", result);
    }
    return StartBuffers();
  }

  LoopKind kind() const override { return LoopKind::kIoUring; }

  Status Open(uint32_t slot, const Endpoint& peer, const OpenOptions& options) override {
    if (has_pending_close_) {  // the slot's old file must be gone before it is replaced
      io_uring_submit(&ring_);
      has_pending_close_ = false;
    }
    int fd = OpenSocket(peer, options, false);
    if (fd < 0) return Failed("no socket", fd);
    const int result = io_uring_register_files_update(&ring_, slot, &fd, 1);
    ::close(fd);
    if (result < 0) return Failed("a socket cannot be registered", result);
    peer_ = peer;
    io_uring_sqe* const sqe = Prepare(slot, kConnect);
    io_uring_prep_connect(sqe, static_cast<int>(slot), reinterpret_cast<sockaddr*>(&peer_.address),
                          peer_.length);
    slots_[slot].is_connecting = true;
    Finish(sqe, slot, kConnect);
    return Status::Ok();
  }

  void Receive(uint32_t slot) override {
    io_uring_sqe* const sqe = Prepare(slot, kReceive);
    io_uring_prep_recv_multishot(sqe, static_cast<int>(slot), nullptr, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = kBufferGroup;
    slots_[slot].is_receiving = true;
    Finish(sqe, slot, kReceive);
  }

  void Send(uint32_t slot, std::string_view bytes) override {
    slots_[slot].sending = bytes;
    io_uring_sqe* const sqe = Prepare(slot, kSend);
    io_uring_prep_send(sqe, static_cast<int>(slot), bytes.data(), bytes.size(),
                       MSG_NOSIGNAL | MSG_WAITALL);
    Finish(sqe, slot, kSend);
  }

  void Close(uint32_t slot) override {
    Slot& record = slots_[slot];
    if (record.is_connecting) Cancel(slot, kConnect);
    if (record.is_receiving) Cancel(slot, kReceive);
    if (!record.sending.empty()) Cancel(slot, kSend);
    io_uring_sqe* const close = Prepare(slot, kDiscard);
    io_uring_prep_close_direct(close, slot);
    close->user_data = kDiscard << 56;
    const uint32_t next = (record.generation + 1) & 0xffffff;
    record = {};
    record.generation = next;
    has_pending_close_ = true;
  }

  void Wait(int64_t deadline_ns, SocketHandler* handler) override {
    const int64_t now = MonotonicNs();
    // In the midst of a sweep the next bytes are a few microseconds away: to sleep for each of them
    // would cost the server's core an interrupt to this one for every delivery. So it asks for
    // several, or for what came within kGatherNs.
    const bool gathers = is_busy_ && deadline_ns > now + kGatherNs;
    const int64_t until = gathers ? now + kGatherNs : deadline_ns;
    const int64_t wait_ns = until > now ? until - now : 0;
    __kernel_timespec timeout{wait_ns / kNsPerSecond, wait_ns % kNsPerSecond};
    io_uring_cqe* first = nullptr;
    io_uring_submit_and_wait_timeout(&ring_, &first, gathers ? kGather : 1, &timeout, nullptr);
    is_busy_ = false;
    has_pending_close_ = false;
    io_uring_cqe* cqes[64];
    for (int turn = 0; turn < 16; ++turn) {
      const unsigned count = io_uring_peek_batch_cqe(&ring_, cqes, 64);
      if (count == 0) return;
      is_busy_ = true;
      for (unsigned i = 0; i < count; ++i) OnCompletion(*cqes[i], handler);
      io_uring_cq_advance(&ring_, count);
      if (recycled_ > 0) {
        io_uring_buf_ring_advance(buffer_ring_, recycled_);
        recycled_ = 0;
      }
    }
  }

 private:
  static Status Failed(std::string what, int result) {
    return Status::Unavailable(what + ": " + std::strerror(-result));
  }

  Status StartBuffers() {
    void* const ring = ::mmap(nullptr, kBuffers * sizeof(io_uring_buf), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void* const buffers = ::mmap(nullptr, size_t{kBuffers} * kBufferBytes, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ring == MAP_FAILED || buffers == MAP_FAILED) return Failed("no memory", -errno);
    buffers_ = static_cast<char*>(buffers);
    auto* const buffer_ring = static_cast<io_uring_buf_ring*>(ring);
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<uint64_t>(ring);
    registration.ring_entries = kBuffers;
    registration.bgid = kBufferGroup;
    const int result = io_uring_register_buf_ring(&ring_, &registration, 0);
    if (result < 0) return Failed("provided buffers are refused", result);
    buffer_ring_ = buffer_ring;
    io_uring_buf_ring_init(buffer_ring_);
    for (unsigned i = 0; i < kBuffers; ++i) Recycle(static_cast<unsigned short>(i));
    io_uring_buf_ring_advance(buffer_ring_, recycled_);
    recycled_ = 0;
    return Status::Ok();
  }

  void Recycle(unsigned short buffer) {
    io_uring_buf_ring_add(buffer_ring_, buffers_ + size_t{buffer} * kBufferBytes, kBufferBytes,
                          buffer, io_uring_buf_ring_mask(kBuffers), recycled_);
    ++recycled_;
  }

  io_uring_sqe* Prepare(uint32_t, Operation) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      const int submitted = io_uring_submit(&ring_);
      SLUICE_CHECK(submitted >= 0 || submitted == -EBUSY || submitted == -EAGAIN ||
                   submitted == -EINTR);
      if (submitted == -EBUSY) io_uring_get_events(&ring_);
      sqe = io_uring_get_sqe(&ring_);
    }
    return sqe;
  }

  uint64_t Tag(uint32_t slot, Operation operation) const {
    return operation << 56 | uint64_t{slots_[slot].generation} << 32 | slot;
  }

  void Finish(io_uring_sqe* sqe, uint32_t slot, Operation operation) {
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = Tag(slot, operation);
  }

  void Cancel(uint32_t slot, Operation operation) {
    io_uring_sqe* const sqe = Prepare(slot, kDiscard);
    io_uring_prep_cancel64(sqe, Tag(slot, operation), 0);
    sqe->user_data = kDiscard << 56;
  }

  void OnCompletion(const io_uring_cqe& cqe, SocketHandler* handler) {
    const uint64_t operation = cqe.user_data >> 56;
    if (operation == kDiscard) return;
    const uint32_t slot = static_cast<uint32_t>(cqe.user_data);
    const bool is_current =
        slots_[slot].generation == (static_cast<uint32_t>(cqe.user_data >> 32) & 0xffffff);
    const int result = cqe.res;
    const bool has_buffer = (cqe.flags & IORING_CQE_F_BUFFER) != 0;
    const auto buffer = static_cast<unsigned short>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
    if (is_current) {
      switch (operation) {
        case kConnect:
          slots_[slot].is_connecting = false;
          handler->OnConnected(slot, result < 0 ? -result : 0);
          break;
        case kSend:
          OnSendDone(slot, result, handler);
          break;
        case kReceive: {
          const uint32_t generation = slots_[slot].generation;
          if ((cqe.flags & IORING_CQE_F_MORE) == 0) slots_[slot].is_receiving = false;
          if (result > 0) {
            handler->OnReceived(
                slot, {buffers_ + size_t{buffer} * kBufferBytes, static_cast<size_t>(result)});
          } else if (result != -ENOBUFS) {
            handler->OnClosed(slot, -result);
            break;
          }
          if ((cqe.flags & IORING_CQE_F_MORE) == 0 && slots_[slot].generation == generation) {
            Receive(slot);
          }
          break;
        }
        default:
          break;
      }
    }
    if (has_buffer) Recycle(buffer);
  }

  void OnSendDone(uint32_t slot, int result, SocketHandler* handler) {
    std::string_view& sending = slots_[slot].sending;
    if (result > 0 && static_cast<size_t>(result) < sending.size()) {
      Send(slot, sending.substr(static_cast<size_t>(result)));
      return;
    }
    sending = {};
    handler->OnSent(slot, result < 0 ? -result : 0);
  }

  io_uring ring_{};
  bool has_ring_ = false;
  bool has_pending_close_ = false;
  bool is_busy_ = false;  // the last Wait found something
  int recycled_ = 0;      // buffers given back, not yet shown to the kernel
  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* buffers_ = nullptr;
  Endpoint peer_;  // read by the kernel when the connect is submitted
  std::vector<Slot> slots_;
};

}  // namespace

Status CreateIoUringLoop(uint32_t slots_max, std::unique_ptr<SocketLoop>* loop) {
  auto created = std::make_unique<IoUringLoop>();
  Status status = created->Start(slots_max);
  if (status.ok()) *loop = std::move(created);
  return status;
}

}  // namespace sluice::bench
