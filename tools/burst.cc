#include "burst.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "base/clock.h"
#include "crew.h"
#include "live_line.h"
#include "publisher.h"

namespace sluice::bench {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr int kWaitS = 10;  // for a head, or a publish's answer

int64_t RealNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);  // the clock of receive timestamps
  return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

Status Failed(const std::string& what) {
  return Status::Unavailable(what + ": " + std::strerror(errno));
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 != 0 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

class Burst {
 public:
  Burst(const BurstOptions& options, BurstReport* report)
      : options_(options),
        report_(*report),
        format_(options.base.payload_bytes, static_cast<uint32_t>(MonotonicNs()), MonotonicNs()),
        checker_(format_, size_t{1} << 30),
        buffer_(kReadBytes) {}
  ~Burst() {
    for (const int fd : fds_) ::close(fd);
    if (publisher_ >= 0) ::close(publisher_);
  }
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  Status Do();

 private:
  Status Connect(const Endpoint& peer, uint32_t index, int* fd);
  Status Join(uint32_t index);
  Status Round(uint32_t round);
  Status Post(uint32_t number);
  // Reads all that is there; returns when the kernel had the newest of it, 0 if nothing was there,
  // -1 if the stream ended or cannot be read.
  int64_t ReadAll(uint32_t index);

  const BurstOptions options_;
  BurstReport& report_;
  Target target_;
  PayloadFormat format_;
  StreamChecker checker_;
  std::vector<char> buffer_;
  std::vector<int> fds_;
  std::vector<StreamState> states_;
  int publisher_ = -1;
};

Status Burst::Connect(const Endpoint& peer, uint32_t index, int* fd) {
  OpenOptions open;
  if (target_.is_loopback()) open.source_ipv4 = SourceOf(index);
  *fd = OpenSocket(peer, open, false);
  if (*fd < 0) {
    errno = -*fd;
    return Failed("no socket");
  }
  const timeval wait{kWaitS, 0};
  ::setsockopt(*fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  if (::connect(*fd, reinterpret_cast<const sockaddr*>(&peer.address), peer.length) != 0) {
    return Failed("cannot connect");
  }
  return Status::Ok();
}

Status Burst::Join(uint32_t index) {
  int fd = -1;
  Status status = Connect(target_.stream, index, &fd);
  if (fd >= 0) fds_.push_back(fd);
  if (!status.ok()) return status;
  const int one = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof one);
  ::send(fd, target_.stream_request.data(), target_.stream_request.size(), MSG_NOSIGNAL);
  states_.emplace_back();
  while (!states_[index].has_head) {
    const ssize_t received = ::recv(fd, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return Failed("a stream has no head");
    if (!checker_.Feed(&states_[index], {buffer_.data(), static_cast<size_t>(received)}, 0)) {
      return Status::Unavailable(checker_.problem());
    }
  }
  return Status::Ok();
}

int64_t Burst::ReadAll(uint32_t index) {
  int64_t newest_ns = 0;
  for (;;) {
    iovec iov{buffer_.data(), buffer_.size()};
    alignas(cmsghdr) char control[256];
    msghdr header{};
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const ssize_t received = ::recvmsg(fds_[index], &header, MSG_DONTWAIT);
    if (received < 0 && errno == EAGAIN) return newest_ns;
    if (received <= 0) return -1;
    for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec at;
      std::memcpy(&at, CMSG_DATA(c), sizeof at);
      newest_ns = std::max(newest_ns, int64_t{at.tv_sec} * kNsPerSecond + at.tv_nsec);
    }
    if (!checker_.Feed(&states_[index], {buffer_.data(), static_cast<size_t>(received)},
                       MonotonicNs())) {
      return -1;
    }
  }
}

Status Burst::Post(uint32_t number) {
  std::string body(format_.bytes(), ' ');
  format_.Write({0, number, MonotonicNs()}, body.data());
  body = target_.body_before + body + target_.body_after;
  const std::string request =
      target_.publish_head + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  for (size_t sent = 0; sent < request.size();) {
    const ssize_t more =
        ::send(publisher_, request.data() + sent, request.size() - sent, MSG_NOSIGNAL);
    if (more < 0) return Failed("cannot publish");
    sent += static_cast<size_t>(more);
  }
  std::string answer;
  int status = 0;
  while (AnswerEnd(answer, &status) == 0) {
    const ssize_t received = ::recv(publisher_, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return Failed("a publish has no answer");
    answer.append(buffer_.data(), static_cast<size_t>(received));
  }
  if (status < 200 || status >= 300) {
    return Status::Unavailable("a publish was answered with status " + std::to_string(status));
  }
  return Status::Ok();
}

Status Burst::Round(uint32_t round) {
  const pid_t pid = options_.base.pid;
  ProcessSample before;
  if (pid > 0) before = SampleProcess(pid, false);
  const int64_t begin_ns = RealNs();
  const Status status = Post(round);
  if (!status.ok()) return status;
  SleepFor(static_cast<int64_t>(options_.gap_s * 1e9));
  double cpu_us = 0;
  if (pid > 0) {
    cpu_us = static_cast<double>(SampleProcess(pid, false).cpu_ns - before.cpu_ns) / 1e3 /
             static_cast<double>(fds_.size());
  }
  int64_t last_ns = begin_ns;
  for (uint32_t i = 0; i < fds_.size(); ++i) {
    const int64_t at_ns = ReadAll(i);
    if (at_ns < 0) return Status::Unavailable("a stream ended: " + checker_.problem());
    last_ns = std::max(last_ns, at_ns);
  }
  if (round == 0) return Status::Ok();  // warms up, and takes what was left of the greetings
  report_.last_ms.push_back(static_cast<double>(last_ns - begin_ns) / 1e6);
  if (pid > 0) report_.cpu_us.push_back(cpu_us);
  return Status::Ok();
}

Status Burst::Do() {
  const FanoutOptions& base = options_.base;
  Status status =
      MakeTarget(base.stream_url, base.publish_url, base.publish_body, base.headers, &target_);
  if (status.ok()) status = PinTo(base.cpus);
  states_.reserve(base.subscribers);
  LiveLine live(base.is_quiet);
  for (uint32_t i = 0; status.ok() && i < base.subscribers; ++i) {
    status = Join(i);
    live.Show("join", {.connected = i});
  }
  if (status.ok()) status = Connect(target_.publish, 0, &publisher_);
  SleepFor(static_cast<int64_t>(options_.gap_s * 1e9));
  for (uint32_t round = 0; status.ok() && round <= options_.rounds; ++round) {
    status = Round(round);
    live.Show("burst", {.connected = states_.size(),
                        .events = round + 1,
                        .deliveries = checker_.counts().deliveries});
  }
  if (!status.ok()) return status;

  const uint32_t events = options_.rounds + 1;
  const uint64_t unseen = events - checker_.log().size();
  for (const StreamState& state : states_) {
    report_.faults.Add(checker_.Settle(
        state, [](uint32_t, uint32_t) { return true; }, unseen));
  }
  report_.faults.reordered += checker_.log().OutOfOrder();
  report_.passed = report_.faults.total() == 0;
  report_.deliveries_a_second = base.subscribers * 1e3 / Median(report_.last_ms);
  report_.cpu_us_a_delivery = Median(report_.cpu_us);
  return Status::Ok();
}

}  // namespace

Status RunBurst(const BurstOptions& options, BurstReport* report) {
  return std::make_unique<Burst>(options, report)->Do();
}

}  // namespace sluice::bench
