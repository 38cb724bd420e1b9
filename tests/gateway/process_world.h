// A world of real sockets: `sluice` as a process of its own over a journal on disk, and peers that
// never block.
//
// Thread: the driver's.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <deque>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/scratch_folder.h"
#include "gateway/program.h"
#include "model/world.h"

namespace sluice::test {

class ProcessWorld : public model::World {
 public:
  ProcessWorld(const model::Setting& setting, const std::string& engine) {
    const std::string config = folder_.path() + "/sluice.toml";
    WriteConfig(setting, config);
    arguments_ = {"--config",  config,
                  "--listen",  "127.0.0.1:0",
                  "--shards",  std::to_string(setting.shards),
                  "--engine",  engine,
                  "--journal", folder_.path() + "/journal",
                  "--ack",     setting.syncs_each ? "synced" : "memory"};
  }
  ~ProcessWorld() override {
    for (Socket& socket : sockets_) Close(&socket);
  }

  bool Start(std::string* why) override {
    program_ = std::make_unique<Program>(arguments_);
    const std::string address = program_->AwaitAddress();
    *why = program_->log();
    if (address.empty()) return false;
    port_ = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
    return true;
  }
  void Kill(model::Ending) override { program_->End(SIGKILL); }
  bool CanLosePower() const override { return false; }
  void BeginStop() override { program_->Signal(SIGTERM); }
  bool HasStopped() override { return program_->HasEnded(); }

  Peer Connect(bool takes_little) override {
    Socket socket{.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (takes_little) SetReceiveBuffer(&socket, 4096);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int result = connect(socket.fd, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    socket.is_at_end = result != 0;
    fcntl(socket.fd, F_SETFL, O_NONBLOCK);
    sockets_.push_back(std::move(socket));
    return sockets_.size() - 1;
  }
  void Write(Peer peer, std::string_view bytes) override {
    sockets_[peer].unsent += bytes;
    SendUnsent(&sockets_[peer]);
  }
  std::string Read(Peer peer, size_t bytes_max) override {
    Socket& socket = sockets_[peer];
    SendUnsent(&socket);
    // Who takes all there is does so at once.
    if (bytes_max == SIZE_MAX && socket.takes_little) SetReceiveBuffer(&socket, 1 << 20);
    std::string bytes;
    while (!socket.is_at_end && bytes.size() < bytes_max) {
      char some[16 * 1024];
      const ssize_t n = recv(socket.fd, some, std::min(sizeof some, bytes_max - bytes.size()), 0);
      if (n > 0) {
        bytes.append(some, static_cast<size_t>(n));
      } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        socket.is_at_end = true;
      } else if (errno == EAGAIN) {
        break;
      }
    }
    return bytes;
  }
  bool IsAtEnd(Peer peer) override { return sockets_[peer].is_at_end; }
  void Cut(Peer peer, bool with_reset) override {
    Socket& socket = sockets_[peer];
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    if (with_reset) setsockopt(socket.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    Close(&socket);
  }
  void Step(const std::vector<Peer>& awaited) override {
    std::vector<pollfd> watched;
    for (const Peer peer : awaited) {
      const Socket& socket = sockets_[peer];
      const short events = socket.unsent.empty() ? POLLIN : POLLIN | POLLOUT;
      if (socket.fd >= 0 && !socket.is_at_end) watched.push_back({socket.fd, events, 0});
    }
    poll(watched.data(), watched.size(), 2);
  }
  void SlowDisk(bool) override {}

 private:
  struct Socket {
    int fd = -1;
    bool is_at_end = false;
    bool takes_little = false;
    std::string unsent = {};
  };

  static void SetReceiveBuffer(Socket* socket, int bytes) {
    setsockopt(socket->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    socket->takes_little = !socket->takes_little;
  }

  static void WriteConfig(const model::Setting& setting, const std::string& path) {
    std::ofstream to(path);
    to << "[ring]\nevents_max = " << setting.ring_events_max << "\n"
       << "[socket]\nnotsent_lowat_bytes = \"2KiB\"\n"
       << "[sweep]\nsend_bytes_max = \"8KiB\"\ndrain_events_max = 16\n"
       << "[stop]\nspread = \"0\"\ntimeout = \"2s\"\n"
       << "[history]\nevents_max = " << setting.other_events_max << "\nmissing = \""
       << (setting.goes_on_live ? "live" : "earliest") << "\"\n";
    if (setting.has_rare_class) {
      to << "[[history.policy]]\ntopics = \"" << model::kRareClass
         << "\"\nevents_max = " << setting.rare_events_max << "\n";
    }
    to << "[lag]\ntable_events_max = " << setting.table_events_max << "\n"
       << "[[lag.policy]]\ntopics = \"" << model::kSkipping
       << "\"\npolicy = \"skip\"\nevents_max = " << setting.skip_events_max << "\n"
       << "[[lag.policy]]\ntopics = \"" << model::kConflating
       << "\"\npolicy = \"conflate\"\nevents_max = " << setting.conflate_events_max << "\n";
  }

  static void SendUnsent(Socket* socket) {
    if (socket->fd < 0 || socket->unsent.empty()) return;
    const ssize_t n = send(socket->fd, socket->unsent.data(), socket->unsent.size(), MSG_NOSIGNAL);
    if (n > 0) socket->unsent.erase(0, static_cast<size_t>(n));
  }
  static void Close(Socket* socket) {
    if (socket->fd >= 0) close(socket->fd);
    socket->fd = -1;
    socket->is_at_end = true;
  }

  ScratchFolder folder_;
  std::vector<std::string> arguments_;
  std::unique_ptr<Program> program_;
  uint16_t port_ = 0;
  std::deque<Socket> sockets_;
};

}  // namespace sluice::test
