#include "engine/uring.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/check.h"
#include "base/clock.h"

namespace sluice {
namespace {

constexpr size_t kBufferRingBytes = Uring::kBuffers * sizeof(io_uring_buf);

void* MapPages(size_t bytes) {
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return pages == MAP_FAILED ? nullptr : pages;
}

// kernel.io_uring_disabled (Linux 6.6): 1 is for a group only, 2 for nobody; -1 if there is none.
int DisabledSetting() {
  int setting = -1;
  if (FILE* file = std::fopen("/proc/sys/kernel/io_uring_disabled", "re")) {
    if (std::fscanf(file, "%d", &setting) != 1) setting = -1;
    std::fclose(file);
  }
  return setting;
}

Status Missing(const char* what, int error) {
  std::string text = std::string("io_uring: ") + what + " failed: " + std::strerror(error);
  if (error == ENOSYS) {
    text += "; this kernel is built without io_uring, or a sandbox hides it: use epoll";
  } else if (error == EPERM || error == EACCES) {
    text += DisabledSetting() > 0
                ? "; switched off on this host: set sysctl kernel.io_uring_disabled=0"
                : "; a seccomp profile (containers have one) forbids it: allow io_uring_setup, "
                  "io_uring_enter and io_uring_register";
  } else if (error == EINVAL) {
    text += "; deferred task run, sparse tables and buffer rings need Linux 6.1 or later";
  } else if (error == ENOMEM) {
    text += "; raise the limit of locked memory (ulimit -l, LimitMEMLOCK=) or the memory limit";
  } else if (error == EMFILE || error == ENFILE) {
    text += "; raise the limit of open files (ulimit -n, LimitNOFILE=)";
  }
  return Status(
      error == EINVAL || error == ENOSYS ? StatusCode::kUnsupported : StatusCode::kUnavailable,
      std::move(text));
}

}  // namespace

Status Uring::Open(uint32_t table_size, int notify_fd, std::unique_ptr<Uring>* uring) {
  std::unique_ptr<Uring> opened(new Uring);
  if (Status status = opened->OpenRing(); !status.ok()) return status;
  if (Status status = opened->RegisterTable(table_size); !status.ok()) return status;
  if (Status status = opened->RegisterBuffers(); !status.ok()) return status;
  if (notify_fd >= 0) {
    int result = io_uring_register_eventfd(&opened->ring_, notify_fd);
    if (result < 0) return Missing("registering an eventfd", -result);
  }
  *uring = std::move(opened);
  return Status::Ok();
}

Status Uring::OpenRing() {
  io_uring_params params{};
  // R_DISABLED: with a single issuer the ring belongs to the thread that enables it, which need not
  // be the one that opens it. TASKRUN_FLAG lets has_deferred ask without a system call.
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                 IORING_SETUP_R_DISABLED;
  params.cq_entries = kCompletions;
  int result = io_uring_queue_init_params(kSubmissions, &ring_, &params);
  if (result < 0) return Missing("opening a ring", -result);
  is_open_ = true;
  return Status::Ok();
}

Status Uring::RegisterTable(uint32_t table_size) {
  int result = io_uring_register_files_sparse(&ring_, table_size);
  return result < 0 ? Missing("registering a table of descriptors", -result) : Status::Ok();
}

Status Uring::RegisterBuffers() {
  buffers_ = static_cast<char*>(MapPages(size_t{kBuffers} * kBufferBytes));
  buffer_ring_ = static_cast<io_uring_buf_ring*>(MapPages(kBufferRingBytes));
  if (buffers_ == nullptr || buffer_ring_ == nullptr) return Missing("mapping buffers", ENOMEM);
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<uintptr_t>(buffer_ring_);
  registration.ring_entries = kBuffers;
  registration.bgid = kBufferGroup;
  int result = io_uring_register_buf_ring(&ring_, &registration, 0);
  if (result < 0) return Missing("registering a ring of buffers", -result);
  for (unsigned i = 0; i < kBuffers; ++i) Recycle(static_cast<uint16_t>(i));
  return Status::Ok();
}

Uring::~Uring() {
  if (is_open_) io_uring_queue_exit(&ring_);
  if (buffer_ring_ != nullptr) munmap(buffer_ring_, kBufferRingBytes);
  if (buffers_ != nullptr) munmap(buffers_, size_t{kBuffers} * kBufferBytes);
}

Status Uring::Enable() {
  // Debian's liburing 2.3 declares io_uring_enable_rings and does not export it.
  int result = io_uring_register(static_cast<unsigned>(ring_.ring_fd), IORING_REGISTER_ENABLE_RINGS,
                                 nullptr, 0);
  return result < 0 ? Missing("enabling a ring", -result) : Status::Ok();
}

io_uring_sqe* Uring::NextSqe() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  // liburing hands entries out as the last use left them.
  if (sqe != nullptr) std::memset(sqe, 0, sizeof *sqe);
  return sqe;
}

void Uring::Submit() {
  int result = io_uring_submit(&ring_);
  // EBUSY: completions have overflowed; EAGAIN: the kernel was short of memory for a moment. The
  // entries stay queued, and the caller's reaping and next enter make room.
  SLUICE_CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
}

void Uring::Enter() {
  int result = io_uring_submit_and_get_events(&ring_);
  SLUICE_CHECK(result >= 0 || result == -EBUSY || result == -EAGAIN || result == -EINTR);
}

void Uring::EnterAndSleep(int64_t timeout_ns) {
  __kernel_timespec timeout{timeout_ns / kNsPerSecond, timeout_ns % kNsPerSecond};
  io_uring_cqe* cqe = nullptr;
  int result = io_uring_submit_and_wait_timeout(&ring_, &cqe, 1,
                                                timeout_ns < 0 ? nullptr : &timeout, nullptr);
  SLUICE_CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EBUSY ||
               result == -EAGAIN);
}

void Uring::Recycle(uint16_t index) {
  io_uring_buf_ring_add(buffer_ring_, const_cast<char*>(buffer(index)), kBufferBytes, index,
                        io_uring_buf_ring_mask(kBuffers), 0);
  io_uring_buf_ring_advance(buffer_ring_, 1);
}

}  // namespace sluice
