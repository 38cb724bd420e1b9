// The suite's world on real sockets, and what only the kernel's engines have.
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <thread>

#include "engine/engine_suite.h"
#include "engine/io_uring_engine.h"
#include "engine/listener.h"

namespace sluice {
namespace {

class KernelWorld final : public World {
 public:
  ~KernelWorld() override {
    engine_.reset();
    for (int fd : listening_) close(fd);
    for (const auto& [fd, port] : peers_) close(fd);
    if (!addresses_.empty()) unlink(addresses_[2].path.c_str());
  }

  bool Start(EngineKind kind, const WorldOptions& options) {
    Status status = CreateKernelEngine(kind, options);
    EXPECT_TRUE(status.ok()) << status.message();
    if (!status.ok()) return false;
    std::string path = "unix:/tmp/sluice_engine_test_" + std::to_string(getpid()) + ".sock";
    uint32_t number = 0;
    for (std::string_view text :
         {std::string_view("127.0.0.1:0"), std::string_view("[::1]:0"), std::string_view(path)}) {
      ListenAddress address;
      std::vector<int> fds;
      EXPECT_TRUE(ListenAddress::Parse(text, &address).ok());
      status = OpenListeners(&address, 1, options.engine, &fds);
      EXPECT_TRUE(status.ok()) << status.message();
      if (!status.ok()) return false;
      listening_.push_back(fds[0]);
      addresses_.push_back(address);
      EXPECT_TRUE(engine_->Listen(fds[0], number++).ok());
    }
    return true;
  }

  Engine& engine() override { return *engine_; }

  int Connect(PeerFamily family) override {
    const ListenAddress& to = addresses_[static_cast<size_t>(family)];
    int fd = socket(to.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    if (to.family == AF_UNIX) {
      auto* local = reinterpret_cast<sockaddr_un*>(&storage);
      local->sun_family = AF_UNIX;
      std::strcpy(local->sun_path, to.path.c_str());
      length = sizeof *local;
    } else {
      getsockname(listening_[static_cast<size_t>(family)], reinterpret_cast<sockaddr*>(&storage),
                  &length);
    }
    if (connect(fd, reinterpret_cast<sockaddr*>(&storage), length) < 0) {
      close(fd);
      return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    length = sizeof storage;
    getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
    // The port stands at the same place in both families.
    peers_[fd] = ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
    return fd;
  }
  size_t Write(int peer, std::string_view bytes) override {
    ssize_t written = send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return written < 0 ? 0 : static_cast<size_t>(written);
  }
  std::string ReadSome(int peer, size_t bytes_max, bool* is_end) override {
    std::string bytes(bytes_max, 0);
    if (bytes_max == 0) return bytes;
    ssize_t got = recv(peer, bytes.data(), bytes.size(), 0);
    *is_end = got == 0 || (got < 0 && errno != EAGAIN);
    bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return bytes;
  }
  void ShutdownWrite(int peer) override { shutdown(peer, SHUT_WR); }
  void Vanish(int peer) override {
    peers_.erase(peer);
    close(peer);
  }
  void Reset(int peer) override {
    linger at_once{1, 0};
    setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    Vanish(peer);
  }
  uint16_t port(int peer) override { return peers_[peer]; }

 private:
  Status CreateKernelEngine(EngineKind kind, const WorldOptions& options);

  std::unique_ptr<Engine> engine_;
  std::vector<int> listening_;
  std::vector<ListenAddress> addresses_;
  std::map<int, uint16_t> peers_;
};

Status KernelWorld::CreateKernelEngine(EngineKind kind, const WorldOptions& options) {
  if (kind == EngineKind::kIoUring && options.table_size != 0) {
    return IoUringEngine::Create(options.engine, options.table_size, &engine_);
  }
  return CreateEngine(kind, options.engine, &engine_);
}

// What the descriptors of this process lead to, counted.
std::map<std::string, int> DescriptorTargets() {
  std::map<std::string, int> targets;
  DIR* folder = opendir("/proc/self/fd");
  while (dirent* entry = readdir(folder)) {
    char target[256] = {};
    std::string path = std::string("/proc/self/fd/") + entry->d_name;
    if (readlink(path.c_str(), target, sizeof target - 1) > 0) {
      std::string name = target;
      ++targets[name.starts_with("socket:") ? "socket" : name];
    }
  }
  closedir(folder);
  return targets;
}

SuiteParameter ManyRingsParameter() {
  return {EngineKind::kIoUring, "io_uring_tables_of_32", [](const WorldOptions& given) {
            WorldOptions options = given;
            options.table_size = 32;
            return MakeKernelWorld(EngineKind::kIoUring, options);
          }};
}

class KernelEngine : public EngineSuite {};

TEST_P(KernelEngine, IsTheOneAskedFor) {
  std::map<std::string, int> before = DescriptorTargets();
  Start();
  std::map<std::string, int> after = DescriptorTargets();
  bool is_epoll = GetParam().kind == EngineKind::kEpoll;
  EXPECT_EQ(after["anon_inode:[eventpoll]"] - before["anon_inode:[eventpoll]"], is_epoll ? 1 : 0);
  EXPECT_EQ(after["anon_inode:[io_uring]"] - before["anon_inode:[io_uring]"], is_epoll ? 0 : 1);
}

// Epoll meets the limit of open files; io_uring's connections are no descriptors of the process.
TEST_P(KernelEngine, SurvivesTheLimitOfOpenFiles) {
  Start();
  Settle();
  std::vector<int> peers;
  for (int i = 0; i < 4; ++i) peers.push_back(world().Connect());
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit tight = before;
  int lowest_free = dup(0);
  close(lowest_free);
  tight.rlim_cur = static_cast<rlim_t>(lowest_free);
  setrlimit(RLIMIT_NOFILE, &tight);
  if (GetParam().kind == EngineKind::kEpoll) {
    EXPECT_TRUE(Until(
        [&] { return !events_.empty() && events_.back().kind == EngineEventKind::kAcceptFailed; }));
    EXPECT_EQ(events_.back().error, EMFILE);
    EXPECT_LE(events_.size(), 3u);
  } else {
    EXPECT_TRUE(Until([&] { return events_.size() == 4; }));
  }
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_TRUE(Until([&] { return engine().connections() == 4; }));
}

// --- io_uring only
// --------------------------------------------------------------------------------

// The suite's own facts hold when connections spread over tables of four descriptors.
class SeveralRings : public EngineSuite {};

TEST_P(SeveralRings, HoldMoreConnectionsThanOneTable) {
  WorldOptions options;
  options.table_size = 4;
  options.engine.connections_max = 50;
  Start(options);
  std::vector<Pair> pairs;
  for (int i = 0; i < 50; ++i) pairs.push_back(Open(i % 2 ? PeerFamily::kIpv4 : PeerFamily::kUnix));
  std::vector<iovec> vecs;
  std::vector<SendRequest> batch;
  std::string frame = "to every ring";
  iovec piece{frame.data(), frame.size()};
  for (Pair& pair : pairs) {
    EXPECT_LT(pair.connection.slot, 50u);
    engine().Read(pair.connection, ReadMode::kReceive);
    batch.push_back({pair.connection, &piece, 1, 0});
  }
  for (int round = 0; round < 20; ++round) {
    Forget();
    engine().Send(batch);
    for (size_t i = 0; i < batch.size(); ++i) {
      ASSERT_EQ(batch[i].result, static_cast<int32_t>(frame.size())) << i;
      ASSERT_EQ(ReadAll(pairs[i].peer, frame.size()), frame);
      world().Write(pairs[i].peer, "up " + std::to_string(i));
    }
    for (size_t i = 0; i < batch.size(); ++i) {
      ASSERT_TRUE(
          Until([&] { return Received(pairs[i].connection) == "up " + std::to_string(i); }));
    }
  }
  for (Pair& pair : pairs) engine().Close(pair.connection);
  EXPECT_TRUE(Until([&] { return engine().connections() == 0; }));
}

TEST_P(SeveralRings, WakeTheSleepOfTheFirst) {
  WorldOptions options;
  options.table_size = 4;
  options.engine.connections_max = 40;
  Start(options);
  std::vector<Pair> pairs;
  for (int i = 0; i < 40; ++i) pairs.push_back(Open());
  for (Pair& pair : pairs) engine().Read(pair.connection, ReadMode::kReceive);
  Settle();
  for (Pair& pair : pairs) {
    Forget();
    std::thread peer([&] { world().Write(pair.peer, "wake up"); });
    while (Received(pair.connection) != "wake up") Turn(INT64_MAX);
    peer.join();
  }
}

TEST_P(SeveralRings, TakeNoDescriptorForAConnection) {
  Start();
  Settle();
  int before = DescriptorTargets()["socket"];
  for (int i = 0; i < 100; ++i) Open();
  // The peers are descriptors of this process, the engine's ends are not.
  EXPECT_EQ(DescriptorTargets()["socket"] - before, 100);
}

// The real thing, as far as both ends in one process allow: the engine holds more connections than
// the process may have descriptors. A peer's end is closed; ours stays, half closed, until closed.
TEST_P(SeveralRings, HoldMoreConnectionsThanTheLimitOfOpenFiles) {
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit tight = before;
  tight.rlim_cur = 128;
  setrlimit(RLIMIT_NOFILE, &tight);
  WorldOptions options;
  options.engine.connections_max = 1'000;
  Start(options);
  std::vector<ConnectionId> connections;
  for (int i = 0; i < 1'000; ++i) {
    Pair pair = Open();
    connections.push_back(pair.connection);
    world().Vanish(pair.peer);
  }
  EXPECT_EQ(engine().connections(), 1'000u);
  for (ConnectionId connection : connections) {
    EXPECT_EQ(Send(connection, "x"), 1);
    engine().Close(connection);
  }
  EXPECT_TRUE(Until([&] { return engine().connections() == 0; }));
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST(ProbeEngines, OffersEpollLastAndOnlyWhatCanBeCreated) {
  std::vector<EngineOffer> offers = ProbeEngines();
  ASSERT_EQ(offers.size(), 2u);
  EXPECT_EQ(offers[0].kind, EngineKind::kIoUring);
  EXPECT_EQ(offers[1].kind, EngineKind::kEpoll);
  EXPECT_TRUE(offers[1].is_available);
  for (const EngineOffer& offer : offers) {
    std::unique_ptr<Engine> engine;
    EXPECT_EQ(offer.reason.empty(), offer.is_available) << offer.reason;
    EXPECT_EQ(CreateEngine(offer.kind, {}, &engine).ok(), offer.is_available);
  }
}

TEST(ProbeEngines, SaysWhatToDoWhenThereIsNoRoomForARing) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the undefined-behaviour sanitizer opens a pipe to look at an object's type";
#endif
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit tight = before;
  int lowest_free = dup(0);
  close(lowest_free);
  tight.rlim_cur = static_cast<rlim_t>(lowest_free);
  setrlimit(RLIMIT_NOFILE, &tight);
  std::vector<EngineOffer> offers = ProbeEngines();
  setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_FALSE(offers[0].is_available);
  EXPECT_NE(offers[0].reason.find("ulimit -n"), std::string::npos) << offers[0].reason;
}

const auto kReadableName = [](const auto& parameter) { return parameter.param.name; };

INSTANTIATE_TEST_SUITE_P(On, KernelEngine,
                         testing::Values(KernelParameter(EngineKind::kEpoll),
                                         KernelParameter(EngineKind::kIoUring)),
                         kReadableName);

INSTANTIATE_TEST_SUITE_P(On, SeveralRings, testing::Values(KernelParameter(EngineKind::kIoUring)),
                         kReadableName);

// The suite on small tables: connections and accepts spread over many rings.
INSTANTIATE_TEST_SUITE_P(OnManyRings, EngineSuite, testing::Values(ManyRingsParameter()),
                         kReadableName);

}  // namespace

std::unique_ptr<World> MakeKernelWorld(EngineKind kind, const WorldOptions& options) {
  auto world = std::make_unique<KernelWorld>();
  if (!world->Start(kind, options)) return nullptr;
  return world;
}

SuiteParameter KernelParameter(EngineKind kind) {
  return {kind, std::string(Name(kind)),
          [kind](const WorldOptions& options) { return MakeKernelWorld(kind, options); }};
}

INSTANTIATE_TEST_SUITE_P(OnTheKernel, EngineSuite,
                         testing::Values(KernelParameter(EngineKind::kEpoll),
                                         KernelParameter(EngineKind::kIoUring)),
                         kReadableName);

}  // namespace sluice
