// Addresses as a person writes them, and the ports and paths that must be refused.
#include "engine/listener.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

namespace sluice {
namespace {

std::string Parsed(std::string_view text) {
  ListenAddress address;
  Status status = ListenAddress::Parse(text, &address);
  return status.ok() ? address.ToString() : "refused: " + status.message();
}

class Opened {
 public:
  explicit Opened(std::string_view text, uint32_t count = 1) {
    status = ListenAddress::Parse(text, &address);
    if (status.ok()) status = OpenListeners(&address, count, EngineOptions(), &fds);
  }
  ~Opened() {
    for (int fd : fds) close(fd);
  }
  int Option(int level, int option) const {
    int value = 0;
    socklen_t length = sizeof value;
    getsockopt(fds[0], level, option, &value, &length);
    return value;
  }
  ListenAddress address;
  std::vector<int> fds;
  Status status;
};

TEST(ListenAddress, ReadsWhatItWrites) {
  for (const char* text : {"127.0.0.1:8181", "0.0.0.0:0", "[::]:8181", "[2001:db8::1]:65535",
                           "[::ffff:127.0.0.1]:1", "unix:/run/sluice.sock"}) {
    EXPECT_EQ(Parsed(text), text);
  }
  EXPECT_EQ(Parsed(":8181"), "0.0.0.0:8181");
}

TEST(ListenAddress, RefusesWhatItCannotReadAndSaysHowToWriteIt) {
  for (const char* text :
       {"", "8181", "localhost:8181", "127.0.0.1:", "127.0.0.1:65536", "1.2.3:80", "127.0.0.1:80x",
        "127.0.0.1:-1", "::1:80", "[::1:80", "[]:80", "[x]:80", "unix:", "127.0.0.1: 80"}) {
    EXPECT_NE(Parsed(text).find("write ADDR:PORT"), std::string::npos) << text;
  }
  EXPECT_NE(Parsed("unix:/" + std::string(200, 'x')).find("107"), std::string::npos);
}

TEST(OpenListeners, TakeOneFreePortForAll) {
  Opened opened("127.0.0.1:0", 3);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message();
  EXPECT_NE(opened.address.port, 0);
  ASSERT_EQ(opened.fds.size(), 3u);
  for (int fd : opened.fds) {
    sockaddr_in bound{};
    socklen_t length = sizeof bound;
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
    EXPECT_EQ(ntohs(bound.sin_port), opened.address.port);
  }
}

TEST(OpenListeners, SetTheOptionsThatConnectionsInherit) {
  Opened opened("127.0.0.1:0");
  ASSERT_TRUE(opened.status.ok());
  EngineOptions defaults;
  EXPECT_EQ(opened.Option(IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(opened.Option(IPPROTO_TCP, TCP_NOTSENT_LOWAT),
            static_cast<int>(defaults.notsent_lowat_bytes));
  EXPECT_EQ(opened.Option(IPPROTO_TCP, TCP_USER_TIMEOUT),
            static_cast<int>(defaults.user_timeout_ms));
  EXPECT_EQ(opened.Option(SOL_SOCKET, SO_RCVBUF),
            2 * static_cast<int>(defaults.receive_buffer_bytes));
}

TEST(OpenListeners, RefuseAPortInUseThoughItIsShared) {
  Opened first("127.0.0.1:0", 2);
  ASSERT_TRUE(first.status.ok());
  for (const std::string& host :
       {std::string("127.0.0.1"), std::string("0.0.0.0"), std::string("[::]")}) {
    Opened second(host + ":" + std::to_string(first.address.port));
    EXPECT_EQ(second.status.code(), StatusCode::kUnavailable) << host;
    EXPECT_NE(second.status.message().find("listens there"), std::string::npos)
        << second.status.message();
  }
}

TEST(OpenListeners, TakeAPortAgainThoughConnectionsLinger) {
  uint16_t port;
  {
    Opened first("127.0.0.1:0");
    ASSERT_TRUE(first.status.ok());
    port = first.address.port;
    int peer = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(peer, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    int ours = accept(first.fds[0], nullptr, nullptr);
    ASSERT_GE(ours, 0);
    close(ours);  // the first to close stays in TIME_WAIT
    close(peer);
  }
  Opened second("127.0.0.1:" + std::to_string(port));
  EXPECT_TRUE(second.status.ok()) << second.status.message();
}

TEST(OpenListeners, DualStackTakesIpv4Too) {
  Opened opened("[::]:0");
  ASSERT_TRUE(opened.status.ok()) << opened.status.message();
  int peer = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(opened.address.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(peer, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  close(peer);
}

TEST(OpenListeners, SayThatAnAddressIsNotOurs) {
  Opened opened("192.0.2.1:8181");
  EXPECT_EQ(opened.status.code(), StatusCode::kUnavailable);
  EXPECT_NE(opened.status.message().find("ip address"), std::string::npos);
}

class UnixPath : public testing::Test {
 protected:
  ~UnixPath() override { unlink(path_.c_str()); }
  std::string path_ = "/tmp/sluice_listener_test_" + std::to_string(getpid()) + ".sock";
  std::string text_ = "unix:" + path_;
};

TEST_F(UnixPath, IsOneSocketForAllShards) {
  Opened opened(text_, 3);
  ASSERT_TRUE(opened.status.ok()) << opened.status.message();
  EXPECT_EQ(opened.fds.size(), 3u);
}

TEST_F(UnixPath, IsTakenOverOnlyWhenNobodyAnswers) {
  {
    Opened first(text_);
    ASSERT_TRUE(first.status.ok());
    Opened second(text_);
    EXPECT_EQ(second.status.code(), StatusCode::kUnavailable);
    EXPECT_NE(second.status.message().find("listens there"), std::string::npos);
  }
  EXPECT_EQ(access(path_.c_str(), F_OK), 0);  // left behind
  Opened third(text_);
  EXPECT_TRUE(third.status.ok()) << third.status.message();
}

TEST_F(UnixPath, IsRefusedWhereAnotherFileStands) {
  std::ofstream(path_) << "precious";
  Opened opened(text_);
  EXPECT_EQ(opened.status.code(), StatusCode::kUnavailable);
  EXPECT_NE(opened.status.message().find("no socket"), std::string::npos);
  std::string content;
  std::ifstream(path_) >> content;
  EXPECT_EQ(content, "precious");
}

TEST_F(UnixPath, IsRefusedWhereNoFolderIs) {
  Opened opened("unix:/nonexistent_folder/sluice.sock");
  EXPECT_EQ(opened.status.code(), StatusCode::kUnavailable);
  EXPECT_NE(opened.status.message().find("create the directory"), std::string::npos);
}

TEST(PeerAddress, KnowsLoopback) {
  PeerAddress v4{AF_INET, 1, {127, 9, 9, 9}};
  EXPECT_TRUE(v4.is_loopback());
  PeerAddress mapped{AF_INET6, 1, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1}};
  EXPECT_TRUE(mapped.is_loopback());
  mapped.address[12] = 10;
  EXPECT_FALSE(mapped.is_loopback());
  PeerAddress v6{AF_INET6, 1, {}};
  EXPECT_FALSE(v6.is_loopback());  // ::
  v6.address[15] = 1;
  EXPECT_TRUE(v6.is_loopback());
  EXPECT_EQ(v6.ToString(), "[::1]:1");
  EXPECT_FALSE(PeerAddress().is_loopback());
}

}  // namespace
}  // namespace sluice
