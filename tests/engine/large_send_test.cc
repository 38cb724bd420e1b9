// Sends of large frames, which the kernel may read without copying them first: on every engine.
//
// Method: the caller gives its own reference to a frame away as soon as the send has returned, so
// that an engine that keeps none reads freed memory (which the address sanitizer sees) or other
// bytes than were sent (which the comparison sees).
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "engine/engine_suite.h"
#include "engine/listener.h"

namespace sluice {
namespace {

WorldOptions WithZeroCopy() {
  WorldOptions options;
  options.engine.zero_copy_bytes_min = 4'096;
  options.engine.zero_copy_always = true;
  return options;
}

Frame* MakeFrame(size_t bytes, uint64_t sequence) {
  std::string data(bytes, 0);
  for (size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<char>('a' + (i * 7 + i / 4'096 + sequence) % 26);
  }
  Frame* frame = Frame::Encode({.data = data, .type = ""}, Epoch(1), 1 << 24);
  frame->Stamp(sequence, 1, 1);
  return frame;
}

int32_t SendFrom(Engine& engine, ConnectionId connection, Frame* frame, size_t from) {
  iovec piece{const_cast<char*>(frame->bytes().data()) + from, frame->bytes().size() - from};
  SendRequest request{connection, &piece, 1, 12345};
  engine.SendLarge({&request, 1}, frame);
  return request.result;
}

uint64_t Held(Engine& engine) { return engine.counters().zero_copy_held_bytes.value(); }

// Sends what is left of the frame as its peer reads it, and gives the frame away.
std::string SendWhole(Engine& engine, World& world, int peer, ConnectionId connection, Frame* frame,
                      const std::function<bool(const std::function<bool()>&)>& until) {
  const std::string want(frame->bytes());
  std::string got;
  size_t sent = 0;
  bool is_end = false;
  EXPECT_TRUE(until([&] {
    if (sent < want.size()) {
      const int32_t result = SendFrom(engine, connection, frame, sent);
      EXPECT_TRUE(result > 0 || result == -EAGAIN) << result;
      if (result > 0) sent += static_cast<size_t>(result);
      if (sent == want.size()) frame->Release();
    }
    got += world.ReadSome(peer, 1 << 20, &is_end);
    return got.size() == want.size() || testing::Test::HasFailure();
  }));
  EXPECT_TRUE(got == want);
  return got;
}

TEST_P(EngineSuite, SendsLargeFramesWholeAndGivesThemBack) {
  Start(WithZeroCopy());
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kIpv6, PeerFamily::kUnix}) {
    Pair pair = Open(family);
    for (uint64_t i = 0; i < 4; ++i) {
      SendWhole(engine(), world(), pair.peer, pair.connection, MakeFrame(700'000, i),
                [this](const auto& fact) { return Until(fact); });
    }
  }
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
}

TEST_P(EngineSuite, SendsOneLargeFrameToManyInABatch) {
  Start(WithZeroCopy());
  constexpr size_t kConnections = 300;
  std::vector<Pair> pairs;
  for (size_t i = 0; i < kConnections; ++i) pairs.push_back(Open());
  const ConnectionId stale = pairs[7].connection;
  engine().Close(stale);
  for (uint64_t round = 0; round < 3; ++round) {
    Frame* frame = MakeFrame(10'000, round);
    const std::string want(frame->bytes());
    iovec piece{const_cast<char*>(frame->bytes().data()), want.size()};
    std::vector<SendRequest> batch;
    for (const Pair& pair : pairs) batch.push_back({pair.connection, &piece, 1, 12345});
    engine().SendLarge(batch, frame);
    frame->Release();
    for (size_t i = 0; i < kConnections; ++i) {
      if (pairs[i].connection == stale) {
        EXPECT_EQ(batch[i].result, -EBADF);
        continue;
      }
      ASSERT_EQ(batch[i].result, static_cast<int32_t>(want.size())) << i;
      ASSERT_TRUE(ReadAll(pairs[i].peer, want.size()) == want) << i;
    }
  }
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
}

TEST_P(EngineSuite, KeepsALargeFrameThatAClosedConnectionHasYetToSend) {
  Start(WithZeroCopy());
  Pair pair = Open();
  Frame* frame = MakeFrame(200'000, 1);
  const std::string want(frame->bytes());
  const int32_t taken = SendFrom(engine(), pair.connection, frame, 0);
  ASSERT_GT(taken, 0);
  frame->Release();
  engine().Close(pair.connection);
  // What takes the place of freed memory.
  Frame* other = MakeFrame(200'000, 2);
  EXPECT_TRUE(Until([&] { return engine().connections() == 0; }));
  const std::string got = ReadAll(pair.peer, static_cast<size_t>(taken));
  EXPECT_TRUE(got == want.substr(0, static_cast<size_t>(taken)));
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
  other->Release();
}

TEST_P(EngineSuite, GivesALargeFrameBackThoughItsPeerIsGone) {
  Start(WithZeroCopy());
  Pair pair = Open();
  Frame* frame = MakeFrame(400'000, 1);
  for (size_t sent = 0; sent < 400'000;) {
    const int32_t result = SendFrom(engine(), pair.connection, frame, sent);
    if (result < 0) break;
    sent += static_cast<size_t>(result);
  }
  frame->Release();
  world().Reset(pair.peer);
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
  engine().Close(pair.connection);
}

TEST_P(EngineSuite, SaysEagainForALargeFrameToo) {
  Start(WithZeroCopy());
  Pair pair = Open();
  std::vector<Pair> one{pair};
  std::vector<std::string> taken(1);
  FillForGood(&one, &taken);
  Frame* frame = MakeFrame(100'000, 1);
  EXPECT_EQ(SendFrom(engine(), pair.connection, frame, 0), -EAGAIN);
  engine().WatchWritable(pair.connection);
  EXPECT_TRUE(ReadAll(pair.peer, taken[0].size()) == taken[0]);
  EXPECT_TRUE(Until([&] { return Count(EngineEventKind::kWritable, pair.connection) == 1; }));
  EXPECT_GT(SendFrom(engine(), pair.connection, frame, 0), 0);
  frame->Release();
  world().Reset(pair.peer);
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
}

TEST_P(EngineSuite, HoldsNoMoreThanItMay) {
  WorldOptions options = WithZeroCopy();
  options.engine.zero_copy_held_bytes_max = 50'000;
  Start(options);
  Pair pair = Open();
  Frame* frame = MakeFrame(60'000, 1);
  EXPECT_GT(SendFrom(engine(), pair.connection, frame, 0), 0);
  EXPECT_EQ(engine().counters().zero_copy_sends.value(), 0u);
  EXPECT_EQ(Held(engine()), 0u);
  frame->Release();
}

// --- io_uring only
// --------------------------------------------------------------------------------

class ZeroCopy : public EngineSuite {
 protected:
  const EngineCounters& counters() { return engine().counters(); }
  void SendTo(const Pair& pair, uint64_t sequence) {
    SendWhole(engine(), world(), pair.peer, pair.connection, MakeFrame(50'000, sequence),
              [this](const auto& fact) { return Until(fact); });
  }
};

TEST_P(ZeroCopy, IsReallyUsedAndLoopbackIsReportedAsCopied) {
  Start(WithZeroCopy());
  EXPECT_EQ(engine().large_bytes_min(), UINT32_MAX);  // nobody is there
  Pair pair = Open();
  EXPECT_EQ(engine().large_bytes_min(), 4'096u);
  for (uint64_t i = 0; i < 10; ++i) SendTo(pair, i);
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
  EXPECT_GE(counters().zero_copy_sends.value(), 10u);
  EXPECT_EQ(counters().zero_copy_copied.value(), counters().zero_copy_sends.value());
  EXPECT_EQ(counters().zero_copy_refused.value(), 0u);
  engine().Close(pair.connection);
  EXPECT_EQ(engine().large_bytes_min(), UINT32_MAX);
}

TEST_P(ZeroCopy, IsNotTriedOnLoopbackUnlessAskedFor) {
  WorldOptions options = WithZeroCopy();
  options.engine.zero_copy_always = false;
  Start(options);
  for (PeerFamily family : {PeerFamily::kIpv4, PeerFamily::kIpv6, PeerFamily::kUnix}) {
    SendTo(Open(family), 1);
  }
  EXPECT_EQ(engine().large_bytes_min(), UINT32_MAX);
  EXPECT_EQ(counters().zero_copy_sends.value(), 0u);
}

// An address of this host that is no loopback address: the bytes go over loopback all the same.
std::string OwnAddress() {
  std::string found;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return found;
  for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    const auto* address = reinterpret_cast<const sockaddr_in*>(at->ifa_addr);
    if ((ntohl(address->sin_addr.s_addr) >> 24) == 127) continue;
    char text[INET_ADDRSTRLEN];
    found = inet_ntop(AF_INET, &address->sin_addr, text, sizeof text);
  }
  freeifaddrs(list);
  return found;
}

TEST_P(ZeroCopy, IsGivenUpWhereTheKernelReportsACopy) {
  const std::string own = OwnAddress();
  if (own.empty()) GTEST_SKIP() << "this host has loopback addresses only";
  WorldOptions options = WithZeroCopy();
  options.engine.zero_copy_always = false;
  Start(options);
  ListenAddress to;
  std::vector<int> fds;
  ASSERT_TRUE(ListenAddress::Parse(own + ":0", &to).ok());
  ASSERT_TRUE(OpenListeners(&to, 1, options.engine, &fds).ok());
  ASSERT_TRUE(engine().Listen(fds[0], 9).ok());
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(fds[0], reinterpret_cast<sockaddr*>(&address), &length);
  const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(connect(peer, reinterpret_cast<const sockaddr*>(&address), length), 0);
  fcntl(peer, F_SETFL, O_NONBLOCK);
  ASSERT_TRUE(Until([&] { return engine().connections() == 1; }));
  Pair pair;
  pair.peer = peer;
  pair.connection = events_.back().connection;
  EXPECT_EQ(events_.back().listener, 9u);
  EXPECT_EQ(engine().large_bytes_min(), 4'096u);
  for (uint64_t i = 1; i < 20 && engine().large_bytes_min() != UINT32_MAX; ++i) {
    SendTo(pair, i);
    EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
  }
  EXPECT_EQ(engine().large_bytes_min(), UINT32_MAX);
  const uint64_t sends = counters().zero_copy_sends.value();
  EXPECT_GE(counters().zero_copy_copied.value(), 8u);
  SendTo(pair, 2);
  EXPECT_EQ(counters().zero_copy_sends.value(), sends);
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
  engine().Close(pair.connection);
  close(peer);
  world_.reset();
  for (int fd : fds) close(fd);
}

// While it lives, rings made by this thread are held to the limit of locked memory, as without
// CAP_IPC_LOCK.
class LimitedMemory {
 public:
  LimitedMemory() {
    getrlimit(RLIMIT_MEMLOCK, &before_);
    syscall(SYS_capget, &header_, data_);
    __user_cap_data_struct less[2] = {data_[0], data_[1]};
    less[0].effective &= ~(1u << CAP_IPC_LOCK);
    syscall(SYS_capset, &header_, less);
  }
  ~LimitedMemory() {
    syscall(SYS_capset, &header_, data_);
    Lift();
  }
  void Forbid() { SetLimit(0); }
  void Lift() { SetLimit(before_.rlim_cur); }

 private:
  void SetLimit(rlim_t bytes) {
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_MEMLOCK, &limit);
  }

  rlimit before_;
  __user_cap_header_struct header_{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data_[2];
};

TEST_P(ZeroCopy, FallsBackToCopyingWhereNoMemoryMayBeLocked) {
  LimitedMemory memory;
  Start(WithZeroCopy());
  Pair pair = Open();
  memory.Forbid();
  SendTo(pair, 1);
  EXPECT_GT(counters().zero_copy_refused.value(), 0u);
  EXPECT_EQ(counters().zero_copy_sends.value(), 0u);
  memory.Lift();
  SendTo(pair, 2);
  EXPECT_GT(counters().zero_copy_sends.value(), 0u);
  EXPECT_TRUE(Until([&] { return Held(engine()) == 0; }));
}

INSTANTIATE_TEST_SUITE_P(On, ZeroCopy, testing::Values(KernelParameter(EngineKind::kIoUring)),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace sluice
