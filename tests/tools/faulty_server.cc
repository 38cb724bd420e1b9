#include "faulty_server.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/check.h"

namespace sluice::bench {
namespace {

void SendAll(int fd, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t more = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (more <= 0) return;
    sent += static_cast<size_t>(more);
  }
}

// What follows the path's first segment: `17` of `GET /stream/17 HTTP/1.1`.
std::string TopicOf(const std::string& request) {
  const size_t path = request.find(" /") + 2;
  const std::string target = request.substr(path, request.find(' ', path) - path);
  const size_t slash = target.find('/');
  return slash == std::string::npos ? "" : target.substr(slash + 1);
}

}  // namespace

FaultyServer::FaultyServer(const FaultyOptions& options) : options_(options) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SLUICE_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  SLUICE_CHECK(::listen(listener_, 128) == 0);
  socklen_t length = sizeof address;
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  base_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this] { Serve(); });
}

FaultyServer::~FaultyServer() {
  const uint64_t one = 1;
  SLUICE_CHECK(::write(stop_fd_, &one, sizeof one) == sizeof one);
  thread_.join();
  for (const auto& [fd, text] : requests_) ::close(fd);
  for (const int fd : streams_) ::close(fd);
  ::close(listener_);
  ::close(stop_fd_);
}

void FaultyServer::Serve() {
  for (;;) {
    std::vector<pollfd> polls{{stop_fd_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& [fd, text] : requests_) polls.push_back({fd, POLLIN, 0});
    ::poll(polls.data(), polls.size(), -1);
    if (polls[0].revents != 0) return;
    for (size_t i = 2; i < polls.size(); ++i) {
      if (polls[i].revents != 0) OnReadable(polls[i].fd);
    }
    if (polls[1].revents != 0) Accept();
  }
}

void FaultyServer::Accept() {
  const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd >= 0) requests_[fd];
}

void FaultyServer::OnReadable(int fd) {
  char bytes[16 * 1024];
  const ssize_t received = ::recv(fd, bytes, sizeof bytes, 0);
  if (received <= 0) {
    requests_.erase(fd);
    ::close(fd);
    return;
  }
  std::string& text = requests_[fd];
  text.append(bytes, static_cast<size_t>(received));
  const size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos) return;
  if (text.starts_with("GET")) {
    const std::string head = text;
    const char* const encoding =
        options_.is_chunked ? "Transfer-Encoding: chunked\r\n" : "Connection: close\r\n";
    SendAll(fd, std::string("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n") + encoding +
                    "\r\n");
    streams_.push_back(fd);
    topics_[fd] = TopicOf(text);
    requests_.erase(fd);
    Write(fd, std::string(options_.has_bom ? "\xef\xbb\xbf" : "") +
                  ":ok\nretry: 2000\nevent: sluice.open\ndata: {\"id\":\"1-0\"}\n\n");
    if (options_.is_talkative) Write(fd, "data: welcome\n\n");
    if (options_.has_history) Replay(fd, head);
    return;
  }
  const size_t length =
      std::strtoul(text.c_str() + text.find("Content-Length: ") + 16, nullptr, 10);
  if (text.size() < head_end + 4 + length) return;
  const std::string body = text.substr(head_end + 4, length);
  const std::string topic = TopicOf(text);
  text.clear();
  ++events_;
  if (options_.fault == Fault::kRefuse && events_ % options_.every == 0) {
    ++injected_;
    Answer(fd, "503 Service Unavailable", "");
    return;
  }
  Answer(fd, "200 OK", "{\"data\":{\"id\":\"" + std::to_string(events_) + "\"}}");
  OnEvent(topic, body);
}

void FaultyServer::Replay(int fd, const std::string& request) {
  constexpr char kHeader[] = "Last-Event-ID: ";
  const size_t at = request.find(kHeader);
  if (at == std::string::npos) return;
  const uint64_t after = std::strtoul(request.c_str() + at + sizeof kHeader - 1, nullptr, 10);
  for (auto event = history_.upper_bound(after); event != history_.end(); ++event) {
    if (options_.hits_replays && IsWrong(event->first) && !held_.contains(fd)) {
      Mistreat(fd, event->second);
      continue;
    }
    Write(fd, event->second);
    if (held_.contains(fd)) {
      Write(fd, held_[fd]);
      held_.erase(fd);
      ++injected_;
    }
  }
}

bool FaultyServer::IsWrong(uint64_t event) const {
  return options_.fault != Fault::kNone && event % options_.every == 0;
}

void FaultyServer::Answer(int fd, const std::string& status, const std::string& body) {
  SendAll(fd, "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) +
                  (options_.closes_publishes ? "\r\nConnection: close" : "") + "\r\n\r\n" + body);
  if (!options_.closes_publishes) return;
  requests_.erase(fd);
  ::close(fd);
}

void FaultyServer::OnEvent(const std::string& topic, const std::string& body) {
  std::string frame;
  for (size_t at = 0; at <= body.size();) {
    const size_t end = std::min(body.find('\n', at), body.size());
    frame += "data: " + body.substr(at, end - at) + "\n";
    at = end + 1;
  }
  if (options_.is_talkative) frame += "event: price\nunknown: field\nnothing\n";
  frame += "id: " + std::to_string(events_) + "\n" + (events_ % 7 == 0 ? ":\n\n" : "\n");
  if (topic.empty()) history_[events_] = frame;
  const bool is_wrong = !options_.hits_replays && IsWrong(events_);
  if (is_wrong && options_.fault == Fault::kDelay && injected_ == 0) {
    ++injected_;
    pollfd stop{stop_fd_, POLLIN, 0};
    ::poll(&stop, 1, options_.delay_ms);  // stands still, as a stalled server does
  }
  std::vector<int> readers;
  std::vector<int> others;
  for (const int fd : streams_) (topics_[fd] == topic ? readers : others).push_back(fd);
  due_ += readers.size();
  if (is_wrong && options_.fault == Fault::kMisroute) {
    for (const int fd : others) {
      if (!options_.hits_all && fd != others.back()) continue;
      Write(fd, frame);
      ++injected_;
    }
  }
  for (const int fd : readers) {
    if (options_.is_talkative && (events_ + static_cast<uint64_t>(fd)) % 3 == 0) {
      Write(fd, ":keep-alive\nevent: ping\ndata\n\ndata: {\"time\":1}\n\n");
    }
    if (is_wrong && (options_.hits_all || fd == readers.back()) && !held_.contains(fd)) {
      Mistreat(fd, frame);
      continue;
    }
    Write(fd, frame);
    if (held_.contains(fd)) {
      Write(fd, held_[fd]);
      held_.erase(fd);
      ++injected_;
    }
  }
}

void FaultyServer::Mistreat(int fd, const std::string& frame) {
  switch (options_.fault) {
    case Fault::kLose:
      ++injected_;
      break;
    case Fault::kRepeat:
      Write(fd, frame);
      Write(fd, frame);
      ++injected_;
      break;
    case Fault::kReorder:
      held_[fd] = frame;
      break;
    case Fault::kCorrupt: {
      std::string wrong = frame;
      wrong[60] = static_cast<char>(wrong[60] ^ 1);  // within the padding: a letter stays a letter
      Write(fd, wrong);
      ++injected_;
      break;
    }
    case Fault::kHangUp:
      ::shutdown(fd, SHUT_RDWR);
      ::close(fd);
      std::erase(streams_, fd);
      ++injected_;
      break;
    default:
      Write(fd, frame);
  }
}

// `text` has LF for its line ends: the server's own go out.
void FaultyServer::Write(int fd, const std::string& text) {
  std::string frame;
  for (const char c : text) {
    if (c == '\n') {
      frame += options_.line_end;
    } else {
      frame += c;
    }
  }
  if (!options_.is_chunked) {
    SendAll(fd, frame);
    return;
  }
  // Cut within the chunk's size, within the frame, and a frame over two chunks.
  const size_t half = frame.size() / 2;
  char size[40];
  std::snprintf(size, sizeof size, "%zX\r\n", half);
  SendAll(fd, std::string(size, 1));
  SendAll(fd, std::string(size + 1) + frame.substr(0, half) + "\r");
  std::snprintf(size, sizeof size, "%zx;x=y\r\n", frame.size() - half);
  SendAll(fd, "\n" + std::string(size) + frame.substr(half, 3));
  SendAll(fd, frame.substr(half + 3) + "\r\n");
}

}  // namespace sluice::bench
