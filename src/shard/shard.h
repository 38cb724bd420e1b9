// A shard: one thread with its engine, its listening sockets and its slice of the subscribers. This
// is only the loop that joins the others: engine events to connections, ring to delivery, delivery
// to engine.
//
// Thread: Run on the shard's own; SetPhase, counters and sizes by any.
// Owner:  the shard owns its engine, connections and delivery; the ring, the options and the
// listening
//         sockets belong to the gateway and outlive it.
// Bounds: every turn of the loop has its budgets (Options: sweep.*), so that no part of the work
// can
//         starve another.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "delivery/delivery.h"
#include "engine/engine.h"
#include "http/site.h"
#include "journal/journal_feed.h"
#include "publish/ring_publisher.h"
#include "ring/ring.h"
#include "shard/ack_board.h"
#include "shard/connections.h"
#include "shard/topic_board.h"

namespace sluice {

// What a gateway does; a shard follows within one turn.
enum class Phase : uint8_t {
  kStarting,  // listening, not all shards are up
  kServing,
  kDraining,  // all is served, /readyz says no
  kClosing,   // no new connection; streams end, spread over stop.spread
  kStopped,   // what is left is cut off
};

struct ShardCounters {
  DeliveryCounters delivery;
  ConnectionCounters connections;
  Counter turns;               // of the loop
  Counter sleeps;              // turns that waited
  Counter ring_depth_highest;  // events found on the ring at once
};

// What all shards of a gateway share.
struct ShardShared {
  const Options& options;
  const Epoch& epoch;
  const http::PublishKeys& keys;
  Ring& ring;
  http::Reports& reports;
  // Connected to all shards.
  std::function<uint64_t()> subscribers;
  // Without one every publish is a new one.
  IdempotencyTable* idempotency = nullptr;
  SharedHistory* history = nullptr;  // null: there is none
  Journal* journal = nullptr;        // null: there is none
  JournalFeed* journal_feed = nullptr;
  Ledger* ledger = nullptr;      // null: no accounts are kept; with it
  AckBoard* acks = nullptr;      // publishes may wait until they are matched
  TopicBoard* topics = nullptr;  // null: GET /topics is not there
};

class Shard : private PublishHost, private http::Subscriptions, private http::Topics {
 public:
  // Listeners from `admin_listener_first` on are for the reports only.
  Shard(uint32_t index, const ShardShared& shared, std::unique_ptr<Engine> engine,
        std::vector<int> listening_fds, uint32_t admin_listener_first);
  ~Shard() override;

  // Listens, then turns until that returns false.
  Status Run();
  Status Listen();
  // One turn of the loop, which waits for at most `wait_ns_max`; simulations call it themselves.
  // False once the phase is kStopped, or kClosing and all is closed.
  bool Turn(int64_t wait_ns_max);
  void SetPhase(Phase phase);

  uint32_t index() const { return index_; }
  const ShardCounters& counters() const { return counters_; }
  const http::HttpCounters& http_counters() const { return site_.counters(); }
  EngineKind engine_kind() const { return engine_->kind(); }
  const EngineCounters& engine_counters() const { return engine_->counters(); }
  // No room for another subscriber.
  bool is_full() const { return counters_.delivery.subscribers.value() >= subscribers_max_; }
  uint32_t subscribers_max() const { return subscribers_max_; }

 private:
  // PublishHost
  void DrainOnce() override;
  bool is_closing() const override { return phase_seen_ >= Phase::kClosing; }
  uint64_t SubscribersOfAll() const override { return shared_.subscribers(); }
  int64_t NowNs() const override { return engine_->Now(); }
  std::optional<Refusal> CannotAck(const http::PublishAck& ack) const override;
  http::AckAnswer AskAck(uint64_t sequence, const http::PublishAck& ack) const override;
  // http::Subscriptions
  http::Admission Admit(const http::StreamRequest& request) override;
  // http::Topics
  std::unique_ptr<http::TopicsPage> AskTopics(const http::TopicsRequest& request) override;

  void FindStart(const http::StreamRequest& request, http::Admission* admission);
  void Drain();
  bool AwaitAcks();
  void AnswerTopics();
  bool HasTopicWork();
  void GiveBack(int64_t now_ns);
  bool End();
  bool FollowPhase(int64_t now_ns);
  void EndDueStreams(int64_t now_ns);
  int64_t WaitUntil();

  const uint32_t index_;
  const ShardShared shared_;
  const std::vector<int> listening_fds_;
  std::unique_ptr<Engine> engine_;
  const uint32_t subscribers_max_;
  ShardCounters counters_;
  RingPublisher publisher_;
  http::Site site_;
  Delivery delivery_;
  Start start_;  // of the stream admitted last
  Connections connections_;
  std::vector<EngineEvent> events_;

  // atomic: set by the gateway's thread, followed by the shard's.
  std::atomic<Phase> phase_{Phase::kStarting};
  Phase phase_seen_ = Phase::kStarting;
  int64_t give_back_at_ns_ = 0;  // 0: never
  int64_t closing_since_ns_ = 0;
  size_t closing_streams_ = 0;  // when closing began
  size_t closing_ended_ = 0;
  uint64_t spread_;
};

}  // namespace sluice
