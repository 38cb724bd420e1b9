// The suite on the simulated engine, and what the simulation promises beyond it: the same course
// for the same seed, faults that break nothing the contract promises, and misuse that does not
// pass.
#include "engine/simulated_engine.h"

#include <map>

#include "engine/engine_suite.h"

namespace sluice {
namespace {

class SimulatedWorld final : public World {
 public:
  SimulatedWorld(const WorldOptions& options, uint64_t seed, const SimulatedFaults& faults)
      : engine_(options.engine, seed, faults) {
    for (uint32_t listener = 0; listener < 3; ++listener) {
      EXPECT_TRUE(engine_.Listen(-1, listener).ok());
    }
  }
  Engine& engine() override { return engine_; }
  int Connect(PeerFamily family) override {
    PeerAddress address;
    if (family == PeerFamily::kIpv4) {
      address = {AF_INET, next_port_, {127, 0, 0, 1}};
    } else if (family == PeerFamily::kIpv6) {
      address = {AF_INET6, next_port_, {}};
      address.address[15] = 1;
    } else {
      address.family = AF_UNIX;
    }
    int peer = static_cast<int>(engine_.Connect(static_cast<uint32_t>(family), address));
    ports_[peer] = next_port_++;
    return peer;
  }
  size_t Write(int peer, std::string_view bytes) override {
    return engine_.PeerWrite(Number(peer), bytes);
  }
  std::string ReadSome(int peer, size_t bytes_max, bool* is_end) override {
    std::string bytes = engine_.PeerRead(Number(peer), bytes_max);
    *is_end = bytes.empty() && engine_.PeerAtEnd(Number(peer));
    return bytes;
  }
  void ShutdownWrite(int peer) override { engine_.PeerShutdown(Number(peer)); }
  void Vanish(int peer) override { engine_.PeerClose(Number(peer)); }
  void Reset(int peer) override { engine_.PeerReset(Number(peer)); }
  uint16_t port(int peer) override { return ports_[peer]; }

 private:
  static SimulatedEngine::Peer Number(int peer) { return static_cast<SimulatedEngine::Peer>(peer); }

  SimulatedEngine engine_;
  uint16_t next_port_ = 10'000;
  std::map<int, uint16_t> ports_;
};

SuiteParameter Parameter(std::string name, uint64_t seed, int64_t delay_ns_max) {
  SimulatedFaults faults;
  faults.delay_ns_max = delay_ns_max;
  return {EngineKind::kSimulated, std::move(name), [=](const WorldOptions& options) {
            return std::make_unique<SimulatedWorld>(options, seed, faults);
          }};
}

INSTANTIATE_TEST_SUITE_P(Simulated, EngineSuite,
                         testing::Values(Parameter("simulated", 1, 0),
                                         Parameter("simulated_with_delays", 2, kNsPerMs)),
                         [](const auto& parameter) { return parameter.param.name; });

bool Counts(std::span<const char> bytes, uint8_t* next) {
  bool is_counting = true;
  for (char byte : bytes) is_counting &= static_cast<uint8_t>(byte) == (*next)++;
  return is_counting;
}

// Connections under all faults: both ends check that they get a prefix of what the other gave.
// Returns the course as text, for comparison.
std::string Course(uint64_t seed) {
  SimulatedFaults faults{.short_write = 300,
                         .spurious_eagain = 100,
                         .send_reset = 1,
                         .accept_failure = 200,
                         .accept_abort = 100,
                         .lost_close = 500,
                         .delay_ns_max = 3 * kNsPerMs,
                         .is_strict = true};
  EngineOptions options;
  options.connections_max = 20;
  SimulatedEngine engine(options, seed, faults);
  EXPECT_TRUE(engine.Listen(-1, 7).ok());
  struct End {
    SimulatedEngine::Peer peer;
    // A counting byte each way proves order and completeness.
    uint8_t given = 0, got = 0, peer_given = 0, peer_got = 0;
    bool has_ended = false;
    bool is_blocked = false;
  };
  std::map<uint32_t, ConnectionId> open;
  std::map<uint32_t, End> ends;
  std::map<uint16_t, SimulatedEngine::Peer> peer_at;
  std::mt19937_64 random(seed + 1);
  std::string course;
  std::vector<EngineEvent> events(8);
  uint16_t next_port = 1;
  size_t bytes_received = 0;
  for (int turn = 0; turn < 1'000; ++turn) {
    if (random() % 4 == 0) {
      PeerAddress address{AF_INET, next_port, {127, 0, 0, 1}};
      peer_at[next_port++] = engine.Connect(7, address);
    }
    size_t count = engine.Wait(engine.Now() + kNsPerMs, events);
    for (size_t i = 0; i < count; ++i) {
      const EngineEvent& event = events[i];
      course += std::to_string(engine.Now()) + ":" + std::to_string(static_cast<int>(event.kind)) +
                "@" + std::to_string(event.connection.slot) + "+" +
                std::to_string(event.bytes.size()) + " ";
      uint32_t slot = event.connection.slot;
      bool is_known = open.contains(slot) && open[slot] == event.connection;
      switch (event.kind) {
        case EngineEventKind::kAccepted:
          EXPECT_FALSE(open.contains(slot));
          EXPECT_EQ(event.listener, 7u);
          open[slot] = event.connection;
          ends[slot] = {peer_at[event.peer.port]};
          engine.Read(event.connection, ReadMode::kReceive);
          break;
        case EngineEventKind::kReceived:
          EXPECT_TRUE(is_known);
          EXPECT_TRUE(Counts(event.bytes, &ends[slot].got));
          bytes_received += event.bytes.size();
          break;
        case EngineEventKind::kWritable:
          EXPECT_TRUE(is_known && ends[slot].is_blocked);
          ends[slot].is_blocked = false;
          break;
        case EngineEventKind::kReadEnd:
        case EngineEventKind::kHangUp:
          EXPECT_TRUE(is_known);
          engine.Close(event.connection);
          open.erase(slot);
          break;
        default:
          EXPECT_NE(event.error, 0);
      }
    }
    std::vector<SendRequest> batch;
    std::vector<std::string> frames(open.size());
    std::vector<iovec> vecs(open.size());
    for (auto& [slot, connection] : open) {
      End& end = ends[slot];
      if (random() % 50 == 0) {
        engine.PeerShutdown(end.peer);
        end.has_ended = true;
      }
      if (!end.has_ended && random() % 2 == 0) {
        std::string up(1 + random() % 20'000, 0);
        for (size_t i = 0; i < up.size(); ++i) up[i] = static_cast<char>(end.peer_given + i);
        end.peer_given = static_cast<uint8_t>(end.peer_given + engine.PeerWrite(end.peer, up));
      }
      if (end.is_blocked) continue;
      std::string& frame = frames[batch.size()];
      frame.resize(1 + random() % 30'000);
      for (size_t i = 0; i < frame.size(); ++i) frame[i] = static_cast<char>(end.given + i);
      vecs[batch.size()] = {frame.data(), frame.size()};
      batch.push_back({connection, &vecs[batch.size()], 1, 0});
    }
    engine.Send(batch);
    for (const SendRequest& request : batch) {
      uint32_t slot = request.connection.slot;
      course += std::to_string(request.result) + " ";
      if (request.result >= 0) {
        ends[slot].given = static_cast<uint8_t>(ends[slot].given + request.result);
      } else if (request.result == -EAGAIN) {
        ends[slot].is_blocked = true;
        engine.WatchWritable(request.connection);
      } else {
        engine.Close(request.connection);
        open.erase(slot);
      }
    }
    for (auto& [slot, connection] : open) {
      if (random() % 3 == 0) continue;
      std::string read = engine.PeerRead(ends[slot].peer, random() % 100'000);
      EXPECT_TRUE(Counts(read, &ends[slot].peer_got));
    }
  }
  EXPECT_EQ(engine.connections(), open.size());
  EXPECT_GT(bytes_received, 1'000'000u);
  return course;
}

TEST(SimulatedEngine, TakesTheSameCourseForTheSameSeed) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::string course = Course(seed);
    EXPECT_EQ(course, Course(seed));
    EXPECT_NE(course, Course(seed + 100));
    EXPECT_GT(course.size(), 5'000u);
  }
}

class SimulatedMisuse : public testing::Test {
 protected:
  SimulatedMisuse() : engine_({}, 1, {.is_strict = true}) {
    EXPECT_TRUE(engine_.Listen(-1, 0).ok());
    engine_.Connect(0, {AF_INET, 1, {127, 0, 0, 1}});
    EngineEvent event;
    EXPECT_EQ(engine_.Wait(0, {&event, 1}), 1u);
    connection_ = event.connection;
  }
  SimulatedEngine engine_;
  ConnectionId connection_;
};

using SimulatedMisuseDeathTest = SimulatedMisuse;

TEST_F(SimulatedMisuseDeathTest, TwoSendsToOneConnectionInABatch) {
  char byte = 'x';
  iovec piece{&byte, 1};
  SendRequest batch[] = {{connection_, &piece, 1, 0}, {connection_, &piece, 1, 0}};
  EXPECT_DEATH(engine_.Send(batch), "broken invariant");
}

TEST_F(SimulatedMisuseDeathTest, UseAfterClose) {
  engine_.Close(connection_);
  EXPECT_DEATH(engine_.Read(connection_, ReadMode::kReceive), "broken invariant");
}

TEST_F(SimulatedMisuseDeathTest, ABatchLargerThanAgreed) {
  std::vector<SendRequest> batch(EngineOptions().send_batch_max + 1);
  EXPECT_DEATH(engine_.Send(batch), "broken invariant");
}

}  // namespace
}  // namespace sluice
