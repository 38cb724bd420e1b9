// One suite for every engine. A World is an engine with peers at the other end of its connections:
// sockets of this process for the kernel's engines, the simulation's own peers for the simulated
// one.
//
// Method: every wait is for a fact (an event, a byte at a peer), never for a time; a fact that does
// not come within kPatienceNs of the engine's clock fails the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"

namespace sluice {

enum class PeerFamily { kIpv4, kIpv6, kUnix };

class World {
 public:
  virtual ~World() = default;
  virtual Engine& engine() = 0;
  // A connected peer. Its number is small and used again after Vanish or Reset.
  virtual int Connect(PeerFamily family = PeerFamily::kIpv4) = 0;
  // As many bytes as there is room for.
  virtual size_t Write(int peer, std::string_view bytes) = 0;
  // What is there now, up to `bytes_max`. `is_end` tells that the engine's side has ended.
  virtual std::string ReadSome(int peer, size_t bytes_max, bool* is_end) = 0;
  virtual void ShutdownWrite(int peer) = 0;
  virtual void Vanish(int peer) = 0;  // close: FIN if all was read
  virtual void Reset(int peer) = 0;   // RST
  // Lets the world go on by one step, where it does not do so by itself.
  virtual void Step() {}
  virtual uint16_t port(int /*peer*/) { return 0; }
};

struct WorldOptions {
  EngineOptions engine;
  uint32_t table_size = 0;  // io_uring: descriptors of one ring; 0 is the engine's own choice
};

using WorldMaker = std::function<std::unique_ptr<World>(const WorldOptions&)>;

struct SuiteParameter {
  EngineKind kind;
  std::string name;
  WorldMaker make;
};

class EngineSuite : public testing::TestWithParam<SuiteParameter> {
 protected:
  static constexpr int64_t kPatienceNs = 20 * kNsPerSecond;

  void Start(WorldOptions options = {});
  Engine& engine() { return world_->engine(); }
  World& world() { return *world_; }

  // One Wait; its events are appended to `events_`, with received bytes copied to `received_`.
  size_t Turn(int64_t deadline_ns);
  // Turns until the fact holds. False after kPatienceNs.
  bool Until(const std::function<bool()>& fact);
  // Turns until the engine has nothing more to tell for now.
  void Settle();

  struct Pair {
    int peer = -1;
    ConnectionId connection;
    PeerAddress address;
    uint32_t listener = 0;
  };
  Pair Open(PeerFamily family = PeerFamily::kIpv4);
  int32_t Send(ConnectionId connection, std::string_view bytes);
  // Sends until EAGAIN; all that was taken.
  std::string Fill(ConnectionId connection);
  // Fills until the kernel moves nothing more from our buffers to the peers' by itself.
  void FillForGood(std::vector<Pair>* pairs, std::vector<std::string>* taken);
  std::string ReadAll(int peer, size_t bytes);
  bool UntilPeerEnd(int peer);

  size_t Count(EngineEventKind kind, ConnectionId connection) const;
  const EngineEvent* Find(EngineEventKind kind, ConnectionId connection) const;
  std::string Received(ConnectionId connection) const;
  void Forget() { events_.clear(), received_.clear(); }

  std::unique_ptr<World> world_;
  std::vector<EngineEvent> events_;  // their bytes are gone: see received_
  std::vector<std::string> received_;
  size_t room_ = 256;  // events a Wait
};

// The suite's parameters of one engine; the kernel's engines that this host lacks are left out.
SuiteParameter KernelParameter(EngineKind kind);
SuiteParameter SimulatedParameter();
std::unique_ptr<World> MakeKernelWorld(EngineKind kind, const WorldOptions& options);

}  // namespace sluice
