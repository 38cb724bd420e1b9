// Goal: systemd gets the datagram of sd_notify(3), and nothing is sent without it.
#include "gateway/service_notify.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

namespace sluice {
namespace {

// A socket as systemd holds one; a name that begins with @ is abstract.
int BindSocket(const std::string& name) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') {
    address.sun_path[0] = '\0';
  } else {
    unlink(name.c_str());
  }
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  return fd;
}

class ServiceNotify : public testing::TestWithParam<const char*> {};

TEST_P(ServiceNotify, SendsOneDatagram) {
  const std::string name = GetParam() + std::to_string(getpid());
  const int fd = BindSocket(name);
  setenv("NOTIFY_SOCKET", name.c_str(), 1);
  EXPECT_TRUE(NotifyService(kServiceReady).ok());
  EXPECT_TRUE(NotifyService(ServiceStatus("two\nlines")).ok());
  unsetenv("NOTIFY_SOCKET");
  char bytes[256];
  ssize_t count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  EXPECT_EQ(std::string(bytes, static_cast<size_t>(std::max<ssize_t>(count, 0))), "READY=1");
  count = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
  EXPECT_EQ(std::string(bytes, static_cast<size_t>(std::max<ssize_t>(count, 0))),
            "STATUS=two lines");
  close(fd);
  if (name[0] != '@') unlink(name.c_str());
}

INSTANTIATE_TEST_SUITE_P(Names, ServiceNotify,
                         testing::Values("/tmp/sluice_notify_", "@sluice_notify_"));

TEST(ServiceNotifyAbsent, NothingIsDoneWithoutASocket) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(NotifyService(kServiceReady).ok());
}

TEST(ServiceNotifyAbsent, SocketThatIsGoneIsSaid) {
  setenv("NOTIFY_SOCKET", "/tmp/sluice_notify_nobody", 1);
  EXPECT_EQ(NotifyService(kServiceReady).code(), StatusCode::kUnavailable);
  unsetenv("NOTIFY_SOCKET");
}

}  // namespace
}  // namespace sluice
