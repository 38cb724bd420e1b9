// From which size a send without a copy pays, on this machine and this way out of it.
//
//   zero_copy [--sockets 16] [--runs 5] [--ms 100] [--sizes 64,1024,...] [PATH]...
//   zero_copy sink PORT          on another host or in a network namespace: takes and drops all
//
// Each PATH is one of
//   loopback      a reader on another core, over 127.0.0.1
//   queued        nothing travels: the peer's window is closed, the bytes stay in the socket's
//                 queue and are dropped with it. The cost that zero copy can save, by itself.
//   ADDR:PORT     a `zero_copy sink` behind a real (or virtual) device
//
// Ways: send(2); io_uring SEND with registered files; SEND_ZC; SEND_ZC from a registered buffer;
// MSG_ZEROCOPY. Each sends one frame, shared by all sockets, to each socket in turn, as a gateway
// does. Figures: the sending thread's processor time a frame (with the work of interrupts that the
// kernel charges to it), and that of all processors (0: not measured); the median of the runs,
// which are interleaved, and half their range. `copied` is the share of sends that the kernel
// reports as copied all the same: loopback, veth and tun copy what they receive; small sends that
// shared a packet are reported so too, all but the first.
//
// Verified: a send takes what it says; a sink in this process has got every byte.
#include <arpa/inet.h>
#include <liburing.h>
#include <linux/errqueue.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/clock.h"

namespace sluice {
namespace {

// Younger than Debian 12's headers (Linux 6.2).
constexpr unsigned kReportUsage = 1u << 3;   // IORING_SEND_ZC_REPORT_USAGE
constexpr uint32_t kUsageCopied = 1u << 31;  // IORING_NOTIF_USAGE_ZC_COPIED
constexpr int kNotsentLowatBytes = 16 * 1024;

struct Plan {
  size_t sockets = 16;
  int runs = 5;
  int64_t run_ns = 100 * kNsPerMs;
  std::vector<size_t> sizes{64, 1024, 4096, 16384, 65536, 262144, 1048576};
};

int64_t ThreadNs() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec * kNsPerSecond + time.tv_nsec;
}

// Of all processors together, since the start; in steps of 10 ms.
int64_t MachineNs() {
  FILE* file = std::fopen("/proc/stat", "re");
  SLUICE_CHECK(file != nullptr);
  unsigned long long user, nice, system, idle, wait, irq, softirq;
  SLUICE_CHECK(std::fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                           &idle, &wait, &irq, &softirq) == 7);
  std::fclose(file);
  return static_cast<int64_t>(user + nice + system + irq + softirq) * 10 * kNsPerMs;
}

void SetInt(int fd, int level, int name, int value) {
  SLUICE_CHECK(setsockopt(fd, level, name, &value, sizeof value) == 0);
}

int Connect(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SLUICE_CHECK(fd >= 0);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::fprintf(stderr, "zero_copy: cannot connect: %s\n", std::strerror(errno));
    std::exit(2);
  }
  SetInt(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return fd;
}

int ListenOn(uint32_t host, uint16_t port, sockaddr_in* address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SetInt(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  *address = {};
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(host);
  address->sin_port = htons(port);
  socklen_t length = sizeof *address;
  SLUICE_CHECK(bind(fd, reinterpret_cast<sockaddr*>(address), length) == 0);
  SLUICE_CHECK(listen(fd, 1024) == 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(address), &length);
  return fd;
}

// Takes connections and drops what they bring, without looking at it (MSG_TRUNC): the reader is
// never what holds the sender up.
class Sink {
 public:
  explicit Sink(int listening) : listening_(listening), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    Add(listening_);
  }
  void Run() {
    epoll_event events[64];
    while (!is_stopping_) {
      const int count = epoll_wait(epoll_, events, 64, 50);
      for (int i = 0; i < count; ++i) {
        const int fd = events[i].data.fd;
        if (fd == listening_) {
          Add(accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC));
        } else {
          Take(fd);
        }
      }
    }
  }
  void Stop() { is_stopping_ = true; }
  uint64_t bytes() const { return bytes_; }

 private:
  void Add(int fd) {
    epoll_event event{EPOLLIN, {.fd = fd}};
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
  void Take(int fd) {
    const ssize_t got = recv(fd, nullptr, 1 << 24, MSG_TRUNC | MSG_DONTWAIT);
    if (got > 0) {
      bytes_ += static_cast<uint64_t>(got);
    } else if (got == 0 || errno != EAGAIN) {
      close(fd);
    }
  }

  const int listening_;
  const int epoll_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<uint64_t> bytes_{0};
};

// --- The ways -----------------------------------------------------------------------------------

struct Target {
  int fd;
  size_t left;  // of the frame at hand
};

class Way {
 public:
  virtual ~Way() = default;
  virtual const char* name() const = 0;
  virtual void Use(std::vector<Target>& targets, const std::string& frame) = 0;
  // Offers each target what is left for it; true if one took something.
  virtual bool Sweep(std::vector<Target>& targets, const std::string& frame) = 0;
  // Takes the notifications that are there.
  virtual void Reap() {}
  virtual void Leave() {}
  uint64_t sends = 0;
  uint64_t notifications = 0;
  uint64_t expected = 0;
  uint64_t copied = 0;

 protected:
  bool Count(Target& target, ssize_t result) {
    if (result == -EAGAIN || result == 0) return false;
    if (result < 0) {
      std::fprintf(stderr, "zero_copy: %s: %s\n", name(), std::strerror(static_cast<int>(-result)));
      std::exit(1);
    }
    SLUICE_CHECK(static_cast<size_t>(result) <= target.left);
    target.left -= static_cast<size_t>(result);
    ++sends;
    return true;
  }
};

class SystemCall : public Way {
 public:
  explicit SystemCall(bool is_zero_copy) : is_zero_copy_(is_zero_copy) {}
  const char* name() const override { return is_zero_copy_ ? "MSG_ZEROCOPY" : "send"; }
  void Use(std::vector<Target>& targets, const std::string&) override {
    targets_ = &targets;
    if (!is_zero_copy_) return;
    for (const Target& target : targets) SetInt(target.fd, SOL_SOCKET, SO_ZEROCOPY, 1);
  }
  bool Sweep(std::vector<Target>& targets, const std::string& frame) override {
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (is_zero_copy_ ? MSG_ZEROCOPY : 0);
    bool has_moved = false;
    for (Target& target : targets) {
      if (target.left == 0) continue;
      const char* from = frame.data() + frame.size() - target.left;
      const ssize_t result = send(target.fd, from, target.left, flags);
      // ENOBUFS: too many notifications are unread.
      if (result < 0 && errno == ENOBUFS) continue;
      if (is_zero_copy_ && result > 0) ++expected;
      has_moved |= Count(target, result < 0 ? -errno : result);
    }
    return has_moved;
  }
  void Reap() override {
    if (!is_zero_copy_ || notifications == expected) return;
    for (const Target& target : *targets_) ReapOne(target.fd);
  }

 private:
  void ReapOne(int fd) {
    char control[128];
    msghdr header{};
    header.msg_control = control;
    for (;;) {
      header.msg_controllen = sizeof control;
      if (recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return;
      const cmsghdr* part = CMSG_FIRSTHDR(&header);
      if (part == nullptr) return;
      sock_extended_err report;
      std::memcpy(&report, CMSG_DATA(part), sizeof report);
      if (report.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
      const uint32_t count = report.ee_data - report.ee_info + 1;
      notifications += count;
      if (report.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) copied += count;
    }
  }

  const bool is_zero_copy_;
  std::vector<Target>* targets_ = nullptr;
};

class RingBatch : public Way {
 public:
  enum class Kind { kCopy, kZeroCopy, kZeroCopyRegistered };
  explicit RingBatch(Kind kind) : kind_(kind) {}
  const char* name() const override {
    return kind_ == Kind::kCopy ? "SEND" : kind_ == Kind::kZeroCopy ? "SEND_ZC" : "SEND_ZC reg.";
  }
  void Use(std::vector<Target>& targets, const std::string& frame) override {
    io_uring_params params{};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                   IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE;
    params.cq_entries = 16'384;
    SLUICE_CHECK(io_uring_queue_init_params(256, &ring_, &params) == 0);
    std::vector<int> fds;
    for (const Target& target : targets) fds.push_back(target.fd);
    SLUICE_CHECK(io_uring_register_files(&ring_, fds.data(), static_cast<unsigned>(fds.size())) ==
                 0);
    if (kind_ == Kind::kZeroCopyRegistered) {
      const iovec piece{const_cast<char*>(frame.data()), frame.size()};
      const int result = io_uring_register_buffers(&ring_, &piece, 1);
      SLUICE_CHECK(result == 0);
    }
  }
  bool Sweep(std::vector<Target>& targets, const std::string& frame) override {
    targets_ = &targets;
    has_moved_ = false;
    for (size_t begin = 0; begin < targets.size();) {
      unsigned count = 0;
      for (; begin < targets.size() && count < 256; ++begin) {
        if (targets[begin].left == 0) continue;
        Put(begin, targets[begin], frame);
        ++count;
      }
      if (count == 0) break;
      first_due_ += count;
      while (first_due_ != 0) {
        // Sends that do not wait are complete when this returns.
        SLUICE_CHECK(io_uring_submit(&ring_) >= 0);
        Take();
      }
    }
    return has_moved_;
  }
  void Reap() override {
    if (notifications == expected) return;
    if (*ring_.sq.kflags & IORING_SQ_TASKRUN) io_uring_submit_and_get_events(&ring_);
    Take();
  }
  void Leave() override { io_uring_queue_exit(&ring_); }

 private:
  void Put(size_t index, const Target& target, const std::string& frame) {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    const char* from = frame.data() + frame.size() - target.left;
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    const int fd = static_cast<int>(index);
    if (kind_ == Kind::kCopy) {
      io_uring_prep_send(sqe, fd, from, target.left, flags);
    } else if (kind_ == Kind::kZeroCopy) {
      io_uring_prep_send_zc(sqe, fd, from, target.left, flags, kReportUsage);
    } else {
      io_uring_prep_send_zc_fixed(sqe, fd, from, target.left, flags, kReportUsage, 0);
    }
    sqe->flags |= IOSQE_FIXED_FILE;
    sqe->user_data = index;
  }
  void Take() {
    io_uring_cqe* cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++seen;
      if (cqe->flags & IORING_CQE_F_NOTIF) {
        ++notifications;
        if (static_cast<uint32_t>(cqe->res) & kUsageCopied) ++copied;
        continue;
      }
      --first_due_;
      if (cqe->flags & IORING_CQE_F_MORE) ++expected;
      has_moved_ |= Count((*targets_)[cqe->user_data], cqe->res);
    }
    io_uring_cq_advance(&ring_, seen);
  }

  const Kind kind_;
  io_uring ring_{};
  std::vector<Target>* targets_ = nullptr;
  unsigned first_due_ = 0;
  bool has_moved_ = false;
};

constexpr size_t kSendWay = 1;  // of AllWays: what the others are compared with

std::vector<std::unique_ptr<Way>> AllWays() {
  std::vector<std::unique_ptr<Way>> ways;
  ways.push_back(std::make_unique<SystemCall>(false));
  ways.push_back(std::make_unique<RingBatch>(RingBatch::Kind::kCopy));
  ways.push_back(std::make_unique<RingBatch>(RingBatch::Kind::kZeroCopy));
  ways.push_back(std::make_unique<RingBatch>(RingBatch::Kind::kZeroCopyRegistered));
  ways.push_back(std::make_unique<SystemCall>(true));
  return ways;
}

// --- The runs -----------------------------------------------------------------------------------

struct Figure {
  double thread_ns = 0;  // a frame
  double machine_ns = 0;
  double copied = 0;  // share of the notifications
};

void WaitForRoom(const std::vector<Target>& targets) {
  std::vector<pollfd> polls;
  for (const Target& target : targets) {
    if (target.left != 0) polls.push_back({target.fd, POLLOUT, 0});
  }
  poll(polls.data(), polls.size(), 1);
}

void Settle(Way& way) {
  const int64_t end_ns = MonotonicNs() + kNsPerSecond;
  while (way.notifications < way.expected && MonotonicNs() < end_ns) {
    poll(nullptr, 0, 1);
    way.Reap();
  }
}

double ShareCopied(const Way& way) {
  return way.notifications == 0
             ? 0
             : static_cast<double>(way.copied) / static_cast<double>(way.notifications);
}

Figure RunTravelling(Way& way, const sockaddr_in& to, const Sink* sink, const Plan& plan,
                     const std::string& frame) {
  std::vector<Target> targets;
  for (size_t i = 0; i < plan.sockets; ++i) {
    targets.push_back({Connect(to), 0});
    SetInt(targets.back().fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kNotsentLowatBytes);
  }
  way.Use(targets, frame);
  const uint64_t sunk_before = sink == nullptr ? 0 : sink->bytes();
  uint64_t rounds = 0;
  uint64_t counted = 0;
  int64_t thread_ns = 0, machine_ns = 0, end_ns = 0;
  // The first rounds warm caches and congestion windows up and are not counted.
  for (int64_t warm_until_ns = MonotonicNs() + plan.run_ns / 4;; ++rounds) {
    const int64_t now_ns = MonotonicNs();
    if (end_ns == 0 && now_ns >= warm_until_ns) {
      thread_ns = ThreadNs(), machine_ns = MachineNs();
      counted = rounds;
      end_ns = MonotonicNs() + plan.run_ns;
    }
    if (end_ns != 0 && now_ns >= end_ns) break;
    for (Target& target : targets) target.left = frame.size();
    size_t open = targets.size();
    while (open != 0) {
      const bool has_moved = way.Sweep(targets, frame);
      way.Reap();
      open = static_cast<size_t>(std::count_if(targets.begin(), targets.end(),
                                               [](const Target& t) { return t.left != 0; }));
      if (open != 0 && !has_moved) WaitForRoom(targets);
    }
  }
  const double frames = static_cast<double>((rounds - counted) * plan.sockets);
  Figure figure;
  figure.thread_ns = static_cast<double>(ThreadNs() - thread_ns) / frames;
  figure.machine_ns = static_cast<double>(MachineNs() - machine_ns) / frames;
  Settle(way);
  figure.copied = ShareCopied(way);
  way.Leave();
  for (const Target& target : targets) close(target.fd);
  if (sink != nullptr) {
    const uint64_t sent = rounds * plan.sockets * frame.size();
    const int64_t patience_ns = MonotonicNs() + 5 * kNsPerSecond;
    while (sink->bytes() - sunk_before < sent && MonotonicNs() < patience_ns) poll(nullptr, 0, 1);
    SLUICE_CHECK(sink->bytes() - sunk_before == sent);
  }
  return figure;
}

// Connections whose peer takes nothing more. Its window was wide once: a window that was never
// wider than a few packets makes the kernel queue packets as small.
Figure RunQueued(Way& way, const Plan& plan, const std::string& frame) {
  sockaddr_in address;
  const int listening = ListenOn(INADDR_LOOPBACK, 0, &address);
  SetInt(listening, SOL_SOCKET, SO_RCVBUF, 128 * 1024);
  int64_t spent_ns = 0;
  uint64_t frames = 0;
  const std::string filling(1 << 20, 'f');
  const int64_t end_ns = MonotonicNs() + 4 * plan.run_ns;
  while (MonotonicNs() < end_ns) {
    std::vector<Target> targets;
    std::vector<int> peers;
    for (size_t i = 0; i < plan.sockets; ++i) {
      targets.push_back({Connect(address), frame.size()});
      peers.push_back(accept4(listening, nullptr, nullptr, SOCK_CLOEXEC));
      const int fd = targets.back().fd;
      SetInt(fd, SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20);
      const linger at_once{1, 0};
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      SLUICE_CHECK(send(fd, filling.data(), filling.size(), MSG_DONTWAIT) ==
                   static_cast<ssize_t>(filling.size()));
    }
    way.Use(targets, frame);
    // As many frames a socket as a megabyte holds, sixteen at most.
    const size_t rounds = std::clamp<size_t>((1 << 20) / frame.size(), 1, 16);
    const int64_t begin_ns = ThreadNs();
    for (size_t round = 0; round < rounds; ++round) {
      for (Target& target : targets) target.left = frame.size();
      way.Sweep(targets, frame);
      for (const Target& target : targets) {
        if (target.left == 0) continue;
        std::fprintf(stderr, "zero_copy: %s: %zu of %zu bytes were not queued\n", way.name(),
                     target.left, frame.size());
        std::exit(1);
      }
    }
    spent_ns += ThreadNs() - begin_ns;
    frames += rounds * plan.sockets;
    // MSG_ZEROCOPY reports to the socket itself: its notifications go down with it, uncounted. The
    // ring's file table holds the sockets too: they are disconnected, which drops their queues.
    const int64_t release_ns = ThreadNs();
    const sockaddr nobody{AF_UNSPEC, {}};
    for (const Target& target : targets) connect(target.fd, &nobody, sizeof nobody);
    way.Reap();
    while (way.notifications < way.expected) {
      const uint64_t before = way.notifications;
      way.Reap();
      if (way.notifications == before) break;
    }
    spent_ns += ThreadNs() - release_ns;
    way.Leave();
    for (const Target& target : targets) close(target.fd);
    for (const int fd : peers) close(fd);
  }
  close(listening);
  Figure figure;
  figure.thread_ns = static_cast<double>(spent_ns) / static_cast<double>(frames);
  figure.copied = ShareCopied(way);
  return figure;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double HalfRange(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return (*high - *low) / 2;
}

std::vector<double> Column(const std::vector<Figure>& figures, double Figure::*field) {
  std::vector<double> column;
  for (const Figure& figure : figures) column.push_back(figure.*field);
  return column;
}

void Table(const std::string& path, const Plan& plan,
           const std::function<Figure(Way&, const std::string&)>& run) {
  std::printf("## %s: %zu sockets, median of %d\n\n", path.c_str(), plan.sockets, plan.runs);
  std::printf(
      "| bytes | way | us a frame, sender's thread | over SEND | us, all processors | "
      "copied |\n|---|---|---|---|---|---|\n");
  for (const size_t size : plan.sizes) {
    const std::string frame(size, 'x');
    std::vector<std::vector<Figure>> figures(AllWays().size());
    for (int i = 0; i < plan.runs; ++i) {
      std::vector<std::unique_ptr<Way>> ways = AllWays();
      for (size_t way = 0; way < ways.size(); ++way) {
        figures[way].push_back(run(*ways[way], frame));
      }
    }
    const std::vector<std::unique_ptr<Way>> ways = AllWays();
    const double copying = Median(Column(figures[kSendWay], &Figure::thread_ns));
    for (size_t way = 0; way < ways.size(); ++way) {
      const std::vector<double> thread = Column(figures[way], &Figure::thread_ns);
      std::printf("| %zu | %s | %.2f +- %.2f | %.2f | %.2f | %.0f %% |\n", size, ways[way]->name(),
                  Median(thread) / 1000, HalfRange(thread) / 1000, Median(thread) / copying,
                  Median(Column(figures[way], &Figure::machine_ns)) / 1000,
                  Median(Column(figures[way], &Figure::copied)) * 100);
    }
    std::fflush(stdout);
  }
  std::printf("\n");
}

sockaddr_in ParseAddress(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const size_t colon = text.find(':');
  const bool is_good = colon != std::string::npos &&
                       inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) == 1;
  if (!is_good) {
    std::fprintf(stderr, "zero_copy: \"%s\" is no path; see the top of bench/zero_copy.cc\n",
                 text.c_str());
    std::exit(2);
  }
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(text.c_str() + colon + 1)));
  return address;
}

void Measure(const std::string& path, const Plan& plan) {
  if (path == "queued") {
    Table(path, plan,
          [&](Way& way, const std::string& frame) { return RunQueued(way, plan, frame); });
    return;
  }
  sockaddr_in address;
  if (path != "loopback") {
    address = ParseAddress(path);
    Table(path, plan, [&](Way& way, const std::string& frame) {
      return RunTravelling(way, address, nullptr, plan, frame);
    });
    return;
  }
  Sink sink(ListenOn(INADDR_LOOPBACK, 0, &address));
  std::thread reader([&] {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(1, &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
    sink.Run();
  });
  Table(path, plan, [&](Way& way, const std::string& frame) {
    return RunTravelling(way, address, &sink, plan, frame);
  });
  sink.Stop();
  reader.join();
}

int Main(int argc, char** argv) {
  Plan plan;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "sink" && i + 1 < argc) {
      sockaddr_in address;
      const uint16_t port = static_cast<uint16_t>(std::atoi(argv[i + 1]));
      Sink(ListenOn(INADDR_ANY, port, &address)).Run();
      return 0;
    }
    if (word.starts_with("--") && i + 1 < argc) {
      const char* value = argv[++i];
      if (word == "--sockets") plan.sockets = static_cast<size_t>(std::atoi(value));
      if (word == "--runs") plan.runs = std::atoi(value);
      if (word == "--ms") plan.run_ns = std::atoi(value) * kNsPerMs;
      if (word == "--sizes") {
        plan.sizes.clear();
        for (const char* at = value; at != nullptr; at = std::strchr(at, ',')) {
          if (*at == ',') ++at;
          plan.sizes.push_back(static_cast<size_t>(std::atoll(at)));
        }
      }
      continue;
    }
    paths.push_back(word);
  }
  if (paths.empty()) paths = {"queued", "loopback"};
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(0, &cpus);
  sched_setaffinity(0, sizeof cpus, &cpus);
  for (const std::string& path : paths) Measure(path, plan);
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
