#include "floor_server.h"

#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "socket_loop.h"
#include "topics.h"

namespace sluice::bench {
namespace {

constexpr unsigned kBatch = 256;
constexpr char kStreamHead[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
constexpr char kAnswer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

class FloorServer {
 public:
  explicit FloorServer(const FloorOptions& options) : options_(options) {}
  Status Start();
  void Serve();

 private:
  void Accept();
  void OnReadable(int fd);
  bool TakeRequest(int fd, std::string* text);
  void AddStream(int fd, size_t topic);
  size_t TopicOf(const std::string& request) const;
  void AddFrame(const char* body, size_t length);
  void Sweep();
  void SweepBySend();
  void SweepByRing();
  void Finish(int fd, size_t sent);
  Status AddRing();
  void AddSend(io_uring* ring, uint32_t place, size_t from, int flags);
  void FinishByRing(io_uring* ring, uint32_t place, size_t sent);

  const FloorOptions options_;
  int listener_ = -1;
  int epoll_fd_ = -1;
  // A ring's table is bounded by the limit of open files, so it takes as many rings as streams
  // need.
  const uint32_t streams_a_ring_ = SlotsMax(LoopKind::kIoUring, 1);
  std::vector<std::unique_ptr<io_uring>> rings_;
  std::vector<std::pair<uint32_t, int>> short_;  // places of a batch, and what they took
  std::vector<int> streams_;                     // closed where a ring has them
  // By topic: places in streams_, which are those in the rings' tables too. One group without
  // topics.
  std::vector<std::vector<uint32_t>> groups_;
  size_t topic_ = 0;                               // of the frames in hand
  std::unordered_map<int, std::string> requests_;  // of connections that are no stream
  std::vector<int> unanswered_;                    // posts that wait for the sweep
  std::string frames_;
};

Status FloorServer::Start() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  epoll_fd_ = ::epoll_create1(EPOLL_CLOEXEC);
  const int one = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  ::setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_, 4'096) != 0) {
    return Status::Unavailable(std::string("the floor's port cannot be had: ") +
                               std::strerror(errno));
  }
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener_;
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, listener_, &event);
  if (!options_.uses_io_uring) return Status::Ok();
  return AddRing();
}

Status FloorServer::AddRing() {
  auto ring = std::make_unique<io_uring>();
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  int result = io_uring_queue_init_params(kBatch, ring.get(), &params);
  if (result == 0) {
    io_uring_register_ring_fd(ring.get());
    result = io_uring_register_files_sparse(ring.get(), streams_a_ring_);
    rings_.push_back(std::move(ring));
  }
  if (result < 0) {
    return Status::Unsupported(std::string("no io_uring for the floor: ") + std::strerror(-result));
  }
  return Status::Ok();
}

void FloorServer::Serve() {
  epoll_event events[64];
  for (;;) {
    const int count = ::epoll_wait(epoll_fd_, events, 64, -1);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.fd == listener_) {
        Accept();
      } else {
        OnReadable(events[i].data.fd);
      }
    }
  }
}

void FloorServer::Accept() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
    requests_[fd];
  }
}

void FloorServer::OnReadable(int fd) {
  char bytes[64 * 1024];
  const ssize_t received = ::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  if (received <= 0) {
    if (received < 0 && errno == EAGAIN) return;
    requests_.erase(fd);
    std::erase(unanswered_, fd);
    ::close(fd);
    return;
  }
  std::string& text = requests_[fd];
  text.append(bytes, static_cast<size_t>(received));
  if (text.starts_with("GET")) {
    if (text.ends_with("\r\n\r\n")) AddStream(fd, TopicOf(text));
  } else {
    if (TakeRequest(fd, &text) && unanswered_.size() >= options_.joined) Sweep();
  }
}

bool FloorServer::TakeRequest(int fd, std::string* text) {
  const size_t head_end = text->find("\r\n\r\n");
  const size_t length_at = text->find("Content-Length: ");
  if (head_end == std::string::npos || length_at > head_end) return false;
  const size_t length = std::strtoul(text->c_str() + length_at + 16, nullptr, 10);
  if (text->size() < head_end + 4 + length) return false;
  topic_ = TopicOf(*text);
  AddFrame(text->data() + head_end + 4, length);
  text->clear();
  unanswered_.push_back(fd);
  return true;
}

// The number behind the path's last slash.
size_t FloorServer::TopicOf(const std::string& request) const {
  if (!options_.has_topics) return 0;
  const size_t path = request.find('/');
  const size_t last = request.rfind('/', request.find(' ', path));
  return std::min<size_t>(std::strtoul(request.c_str() + last + 1, nullptr, 10), kTopicsMax);
}

void FloorServer::AddStream(int fd, size_t topic) {
  ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  requests_.erase(fd);
  if (topic >= groups_.size()) groups_.resize(topic + 1);
  groups_[topic].push_back(static_cast<uint32_t>(streams_.size()));
  streams_.push_back(fd);
  ::send(fd, kStreamHead, sizeof kStreamHead - 1, MSG_NOSIGNAL);
  if (!options_.uses_io_uring) return;
  const auto place = static_cast<uint32_t>(streams_.size() - 1);
  if (place / streams_a_ring_ >= rings_.size()) SLUICE_CHECK(AddRing().ok());
  const int result = io_uring_register_files_update(rings_[place / streams_a_ring_].get(),
                                                    place % streams_a_ring_, &fd, 1);
  SLUICE_CHECK(result == 1);
  ::close(fd);
}

void FloorServer::AddFrame(const char* body, size_t length) {
  const size_t bare = length + sizeof "data: \n\n" - 1;
  frames_.append("data: ").append(body, length).append("\n");
  if (options_.frame_bytes > bare + 5) {
    frames_.append("id: ").append(options_.frame_bytes - bare - 5, '0').append("\n");
  }
  frames_.append("\n");
}

void FloorServer::Sweep() {
  if (topic_ >= groups_.size()) groups_.resize(topic_ + 1);  // nobody reads it
  if (options_.uses_io_uring) {
    SweepByRing();
  } else {
    SweepBySend();
  }
  frames_.clear();
  for (const int fd : unanswered_) ::send(fd, kAnswer, sizeof kAnswer - 1, MSG_NOSIGNAL);
  unanswered_.clear();
}

void FloorServer::SweepBySend() {
  for (const uint32_t place : groups_[topic_]) {
    const int fd = streams_[place];
    const ssize_t sent = ::send(fd, frames_.data(), frames_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(frames_.size())) {
      Finish(fd, sent < 0 ? 0 : static_cast<size_t>(sent));
    }
  }
}

void FloorServer::SweepByRing() {
  const std::vector<uint32_t>& group = groups_[topic_];
  for (size_t begin = 0; begin < group.size();) {
    const uint32_t number = group[begin] / streams_a_ring_;
    io_uring* const ring = rings_[number].get();
    size_t end = begin;
    for (; end < group.size() && end - begin < kBatch; ++end) {
      if (group[end] / streams_a_ring_ != number) break;
      AddSend(ring, group[end], 0, MSG_DONTWAIT);
    }
    io_uring_submit_and_wait(ring, static_cast<unsigned>(end - begin));
    io_uring_cqe* cqe;
    unsigned head;
    unsigned seen = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
      ++seen;
      if (cqe->res == static_cast<int>(frames_.size())) continue;
      short_.emplace_back(static_cast<uint32_t>(cqe->user_data), std::max(0, cqe->res));
    }
    SLUICE_CHECK(seen == end - begin);
    io_uring_cq_advance(ring, seen);
    for (const auto& [place, sent] : short_) FinishByRing(ring, place, static_cast<size_t>(sent));
    short_.clear();
    begin = end;
  }
}

void FloorServer::AddSend(io_uring* ring, uint32_t place, size_t from, int flags) {
  io_uring_sqe* const sqe = io_uring_get_sqe(ring);
  io_uring_prep_send(sqe, static_cast<int>(place % streams_a_ring_), frames_.data() + from,
                     frames_.size() - from, flags | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_FIXED_FILE;
  sqe->user_data = place;
}

// A reader that was full is waited for, so that its stream stays whole; one that is gone is
// skipped.
void FloorServer::FinishByRing(io_uring* ring, uint32_t place, size_t sent) {
  while (sent < frames_.size()) {
    AddSend(ring, place, sent, 0);
    io_uring_submit_and_wait(ring, 1);
    io_uring_cqe* cqe = nullptr;
    SLUICE_CHECK(io_uring_peek_cqe(ring, &cqe) == 0);
    const int more = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    if (more <= 0) return;
    sent += static_cast<size_t>(more);
  }
}

void FloorServer::Finish(int fd, size_t sent) {
  while (sent < frames_.size()) {
    pollfd poll{fd, POLLOUT, 0};
    ::poll(&poll, 1, -1);
    const ssize_t more =
        ::send(fd, frames_.data() + sent, frames_.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (more < 0 && errno != EAGAIN) return;
    if (more > 0) sent += static_cast<size_t>(more);
  }
}

}  // namespace

Status RunFloorServer(const FloorOptions& options) {
  FloorServer server(options);
  const Status status = server.Start();
  if (status.ok()) server.Serve();
  return status;
}

}  // namespace sluice::bench
