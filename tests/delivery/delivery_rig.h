// One Delivery on a simulated engine, with peers that name themselves, so that a test knows which
// connection is whose. A peer writes its number; the rig then attaches it with its subscription.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "delivery/delivery.h"
#include "engine/simulated_engine.h"

namespace sluice::test {

inline DeliveryLimits RoomyLimits() {
  return {.lag_bytes_max = 1 << 20,
          .lag_events_max = 1 << 16,
          .lag_age_max_ns = 30 * kNsPerSecond,
          .log_bytes_max = 16 << 20,
          .segment_bytes = 64 * 1024,
          .appends_max = 4096,
          .sends_max = 256,
          .send_bytes_max = 256 * 1024,
          .heartbeat_ns = kNsPerSecond};
}

class DeliveryRig : private ReaderEvents {
 public:
  using PeerNumber = size_t;

  explicit DeliveryRig(const DeliveryLimits& limits, uint64_t seed = 1,
                       const SimulatedFaults& faults = {}, uint32_t connections_max = 4096,
                       const ReplaySource& source = {}, LedgerPart* ledger = nullptr)
      : engine_({.connections_max = connections_max}, seed, faults),
        delivery_(limits, engine_, counters_, *this, source, ledger) {
    EXPECT_TRUE(engine_.Listen(0, 0).ok());
  }

  struct PeerFacts {
    SimulatedEngine::Peer peer = 0;
    Subscription subscription;
    ConnectionId connection;
    std::string name;                      // as far as it has come
    std::optional<uint64_t> begins_after;  // attached: the sequence of the event before its first
    std::optional<StreamStart> asks;       // for more than what comes from now on
    uint64_t joined = 0;                   // the newest event when it was attached
    std::optional<Disconnect> dropped;
    bool is_ended = false;  // by a goodbye
    bool is_gone = false;   // by itself
  };

  PeerNumber Connect(std::vector<std::string> patterns) {
    PeerFacts facts;
    PeerAddress address;
    address.family = AF_INET;
    facts.peer = engine_.Connect(0, address);
    facts.subscription = Subscription(std::move(patterns));
    engine_.PeerWrite(facts.peer, std::to_string(peers_.size()) + "\n");
    peers_.push_back(std::move(facts));
    return peers_.size() - 1;
  }
  // Connects and turns until it has its opening.
  PeerNumber Join(std::vector<std::string> patterns) {
    const PeerNumber number = Connect(std::move(patterns));
    for (int i = 0; i < 100 && engine_.PeerUnread(peers_[number].peer) == 0; ++i) Turn();
    EXPECT_EQ(Read(number), Opening(*peers_[number].begins_after));
    return number;
  }
  void Leave(PeerNumber number, bool by_reset) {
    by_reset ? engine_.PeerReset(peers_[number].peer) : engine_.PeerShutdown(peers_[number].peer);
    peers_[number].is_gone = true;
  }
  std::string Read(PeerNumber number) { return engine_.PeerRead(peers_[number].peer, SIZE_MAX); }

  static std::string Opening(uint64_t after) { return "after " + std::to_string(after) + "\n"; }
  static constexpr std::string_view kGoodbye = "bye\n";

  // Makes the frame of the next sequence, and what it looks like.
  Frame* MakeFrame(std::span<const std::string_view> topics, size_t data_bytes,
                   std::string* bytes = nullptr) {
    const std::string data(data_bytes, static_cast<char>('a' + (newest_ + 1) % 26));
    Frame* frame = Frame::Encode({.data = data, .topics = topics}, Epoch(1), 1 << 24);
    frame->Stamp(newest_ + 1, engine_.Now(), 1);
    if (bytes != nullptr) *bytes = frame->bytes();
    return frame;
  }
  // Hands it over, as the shard does from the ring: true if another may follow in this turn.
  bool Append(Frame* frame) {
    newest_ = frame->sequence();
    return delivery_.Append(frame);
  }

  // One turn without the drain.
  void Handle() {
    EngineEvent events[32];
    const size_t count = engine_.Wait(0, events);
    for (size_t i = 0; i < count; ++i) On(events[i]);
  }
  void Sweep() {
    delivery_.Sweep(engine_.Now());
    delivery_.CheckLag(engine_.Now());
    CheckTopics();
  }
  void Turn() {
    Handle();
    delivery_.ContinueAppend();
    Sweep();
    engine_.Advance(kNsPerMs / 4);
  }
  void TurnUntilIdle() {
    for (int i = 0; i < 10'000; ++i) {
      Turn();
      if (!delivery_.HasWork() && i > 3) return;
    }
    ADD_FAILURE() << "always something to do";
  }

  Delivery& delivery() { return delivery_; }
  SimulatedEngine& engine() { return engine_; }
  const DeliveryCounters& counters() const { return counters_; }
  PeerFacts& peer(PeerNumber number) { return peers_[number]; }
  const PeerFacts& peer(PeerNumber number) const { return peers_[number]; }
  const Subscription& subscription(PeerNumber number) const { return peers_[number].subscription; }
  size_t peers() const { return peers_.size(); }
  uint64_t newest() const { return newest_; }

 private:
  void On(const EngineEvent& event) {
    switch (event.kind) {
      case EngineEventKind::kAccepted:
        engine_.Read(event.connection, ReadMode::kReceive);
        names_.At(event.connection.slot).clear();
        peer_of_.At(event.connection.slot) = SIZE_MAX;
        break;
      case EngineEventKind::kReceived:
        OnReceived(event);
        break;
      case EngineEventKind::kWritable:
        delivery_.OnWritable(event.connection);
        break;
      case EngineEventKind::kReadEnd:
      case EngineEventKind::kHangUp:
        if (delivery_.Detach(event.connection)) CountStreams(event.connection, -1);
        engine_.Close(event.connection);
        break;
      default:
        break;
    }
  }
  void OnReceived(const EngineEvent& event) {
    std::string& name = names_.At(event.connection.slot);
    if (peer_of_[event.connection.slot] != SIZE_MAX) return;
    name.append(event.bytes.data(), event.bytes.size());
    if (!name.ends_with('\n')) return;
    const PeerNumber number = std::stoul(name);
    peer_of_[event.connection.slot] = number;
    PeerFacts& facts = peers_[number];
    facts.connection = event.connection;
    facts.begins_after = facts.joined = newest_;
    engine_.Read(event.connection, ReadMode::kWatch);
    CountStreams(event.connection, 1);
    if (facts.asks) {
      Start start = delivery_.FindStart(*facts.asks, facts.subscription);
      facts.begins_after = start.gap ? start.gap->first - 1 : start.opens_at;
      std::string opening = Opening(*facts.begins_after);
      if (start.gap) AppendGap(&opening, *start.gap, Epoch(1));
      delivery_.Replay(event.connection, facts.subscription, opening, std::move(start));
      return;
    }
    delivery_.Attach(event.connection, facts.subscription, Opening(newest_));
  }
  void OnDropped(ConnectionId connection, Disconnect reason) override {
    CountStreams(connection, -1);
    peers_[peer_of_[connection.slot]].dropped = reason;
    engine_.Close(connection);
  }
  void OnEnded(ConnectionId connection) override {
    CountStreams(connection, -1);
    peers_[peer_of_[connection.slot]].is_ended = true;
    engine_.Shutdown(connection);
  }

  void CountStreams(ConnectionId connection, int change) {
    const Subscription& subscription = peers_[peer_of_[connection.slot]].subscription;
    const auto count = [&](const std::string& name) {
      if ((streams_[name] += static_cast<uint64_t>(change)) == 0) streams_.erase(name);
    };
    if (subscription.patterns().empty()) count("");
    for (const std::string& pattern : subscription.patterns()) count(pattern);
  }
  // At any time each name and pattern has as many streams as asked for it and are still there.
  void CheckTopics() const {
    std::vector<SubscribedTopic> topics;
    delivery_.ReadTopics("", "", SIZE_MAX, &topics);
    auto at = streams_.begin();
    for (const SubscribedTopic& topic : topics) {
      ASSERT_TRUE(at != streams_.end() && at->first == topic.name) << topic.name;
      ASSERT_EQ(at->second, topic.streams) << topic.name;
      ++at;
    }
    ASSERT_TRUE(at == streams_.end()) << at->first;
  }

  SimulatedEngine engine_;
  DeliveryCounters counters_;
  Delivery delivery_;
  std::vector<PeerFacts> peers_;
  SlotArray<std::string> names_;             // by slot
  SlotArray<PeerNumber> peer_of_;            // by slot
  std::map<std::string, uint64_t> streams_;  // by name and pattern
  uint64_t newest_ = 0;
};

}  // namespace sluice::test
