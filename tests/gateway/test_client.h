// A blocking HTTP client over a plain socket, for tests: requests with Content-Length replies, and
// streams read event by event.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::test {

class TestClient {
 public:
  // `address` is "127.0.0.1:PORT".
  explicit TestClient(const std::string& address, int receive_buffer_bytes = 0)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer_bytes != 0) {
      setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
    }
    timeval limit{60, 0};  // a hang becomes a failure
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    is_connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~TestClient() { Close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool is_connected() const { return is_connected_; }
  int fd() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  // False at the end of the stream, or an error.
  bool Fill() {
    char bytes[65536];
    ssize_t n;
    // The kernel finishes what a ring of this thread left behind (the probe's) by interrupting it.
    do {
      n = recv(fd_, bytes, sizeof(bytes), 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(n));
    return true;
  }

  std::optional<std::string> ReadTo(std::string_view delimiter) {
    size_t at;
    while ((at = buffer_.find(delimiter, taken_)) == std::string::npos) {
      buffer_.erase(0, taken_);
      taken_ = 0;
      if (!Fill()) return std::nullopt;
    }
    std::string text = buffer_.substr(taken_, at - taken_);
    taken_ = at + delimiter.size();
    return text;
  }

  // All until the peer closes.
  std::string ReadRest() {
    while (Fill()) {
    }
    return buffer_.substr(taken_);
  }

  struct Reply {
    int status = 0;
    std::string head;
    std::string body;
  };
  Reply ReadReply() {
    Reply reply;
    const auto head = ReadTo("\r\n\r\n");
    if (!head) return reply;
    reply.head = *head;
    reply.status = std::stoi(head->substr(head->find(' ') + 1));
    const size_t at = head->find("Content-Length: ");
    const size_t length = at == std::string::npos ? 0 : std::stoul(head->substr(at + 16));
    while (buffer_.size() - taken_ < length && Fill()) {
    }
    reply.body = buffer_.substr(taken_, length);
    taken_ += reply.body.size();
    return reply;
  }

  Reply Post(const std::string& data, const std::string& target = "/broadcast") {
    Send("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " +
         std::to_string(data.size()) + "\r\n\r\n" + data);
    return ReadReply();
  }

  // Subscribes; true once the greeting has come.
  bool Subscribe(const std::string& target = "/stream") {
    Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    const auto head = ReadTo("\r\n\r\n");
    if (!head || head->find(" 200 ") == std::string::npos) return false;
    const auto greeting = ReadTo("\n\n");
    return greeting && greeting->find("sluice.open") != std::string::npos;
  }
  // The `data` of the next event (one line), or nothing at the end.
  std::optional<std::string> NextData() {
    const auto block = ReadTo("\n\n");
    if (!block) return std::nullopt;
    const size_t at = block->find("data: ");
    if (at == std::string::npos) return std::string();
    return block->substr(at + 6, block->find('\n', at) - at - 6);
  }

 private:
  int fd_;
  bool is_connected_ = false;
  std::string buffer_;
  size_t taken_ = 0;
};

}  // namespace sluice::test
