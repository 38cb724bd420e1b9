// A shard's connections: each is a session (HTTP), then perhaps a stream (a reader), then
// lingers (its end is sent, what still comes is discarded) and is closed.
//
// Thread: its shard's.
// Owner:  sessions are pooled; a stream holds none. The engine owns the sockets.
// Bounds: idle_connections_max sessions (past it the one idle longest is closed), subscribers_max
//         streams; a lingering connection is closed after kLingerBytesMax or kLingerNs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/fifo.h"
#include "base/slot_array.h"
#include "delivery/delivery.h"
#include "engine/engine.h"
#include "http/site.h"
#include "shard/ack_queue.h"
#include "shard/session_pool.h"
#include "shard/timer_wheel.h"
#include "sluice/options.h"
#include "transport/send_batch.h"

namespace sluice {

struct ConnectionCounters {
  Counter accepted;         // ever
  Counter accept_failures;  // out of descriptors and the like
  Counter connections;      // open now, streams included
  Counter sessions;         // of them, those that are no stream
  Counter idle_closed;      // closed by the idle bound or the idle time
  Counter reply_sends;
};

class Connections : public ReaderEvents {
 public:
  // `start` is where the stream that was admitted last begins.
  Connections(const Options& options, Engine& engine, http::Site& site, Delivery& delivery,
              Start& start, DeliveryCounters& delivery_counters, ConnectionCounters& counters,
              uint32_t admin_listener_first);
  ~Connections() override;

  void On(const EngineEvent& event, int64_t now_ns);
  // Sends the replies that have gathered since the last call, in one batch.
  void SendReplies(int64_t now_ns);
  void AdvanceTimers(int64_t now_ns);
  int64_t next_timer_ns() const { return timers_.next_ns(); }
  bool HasWork() const { return !replying_.empty(); }
  // Streams of lines that wait for room on the ring try again; nothing wakes the shard for that.
  void RetryRoom(int64_t now_ns);
  bool waits_for_room() const { return !waiting_for_room_.empty(); }
  // Replies to publishes whose acks have come.
  void TellAcks(int64_t now_ns);
  bool HasAnsweredAcks() const;
  const AckQueue& acks() const { return acks_; }
  // Goes on with the page that was asked for first.
  void GoOnPage(int64_t now_ns);
  bool waits_for_page() const { return !waiting_for_pages_.empty(); }
  bool HasPageWork();

  // Stopping: sessions are closed as soon as they are idle, and new ones at once.
  void StartClosing();
  // Ends up to `readers_max` streams with a goodbye each.
  size_t EndStreams(size_t readers_max);
  size_t open() const { return open_; }
  // Sessions have been given up since it was asked last.
  bool TakeDropped() { return std::exchange(has_dropped_, false); }

  // ReaderEvents
  void OnDropped(ConnectionId connection, Disconnect reason) override;
  void OnEnded(ConnectionId connection) override;

 private:
  enum class State : uint8_t { kFree, kSession, kStream, kLinger };

  struct Connection {
    uint32_t generation = 0;
    State state : 2 = State::kFree;
    // kSession: index of its slot; kStream: the tick at which it ends, 0 for never; kLinger: bytes
    // discarded so far.
    uint32_t value : 30 = 0;
  };
  static_assert(sizeof(Connection) == 8, "a subscriber's memory is dear");
  Connection* Find(ConnectionId connection);
  void Accept(const EngineEvent& event, int64_t now_ns);
  void OnReceived(ConnectionId connection, std::span<const char> bytes, int64_t now_ns);
  void AfterSession(ConnectionId connection, int64_t now_ns);
  void AfterReply(SessionSlot* slot, int64_t now_ns);
  void HoldReplies(SessionSlot* slot, int64_t now_ns);
  void HoldForRoom(SessionSlot* slot);
  static bool HoldsWhatComes(const http::Session& session);
  void HoldBack(const SessionSlot& slot);
  void AwaitAck(SessionSlot* slot);
  void AwaitPage(SessionSlot* slot);
  bool IsPending(const http::PublishAck& ack, uint64_t sequence) const;
  int64_t DueNs(const SessionSlot& slot) const;
  void BeginStream(ConnectionId connection, int64_t now_ns);
  void BeginLinger(ConnectionId connection, int64_t now_ns);
  void OnTimer(uint32_t slot, int64_t now_ns);
  void OnStreamTimer(ConnectionId connection, Connection* record, int64_t now_ns);
  void SetStreamTimer(ConnectionId connection, int64_t heartbeat_ns);
  void Close(ConnectionId connection);
  void CountDisconnect(Disconnect reason);

  void ReleaseSession(Connection* record);
  void CloseIdlest();
  std::string Goodbye();
  uint32_t Spread(uint32_t from, uint32_t to);

  const Options& options_;
  Engine& engine_;
  http::Site& site_;
  Delivery& delivery_;
  Start& start_;
  DeliveryCounters& delivery_counters_;
  ConnectionCounters& counters_;
  const uint32_t admin_listener_first_;

  SlotArray<Connection> connections_;
  TimerWheel timers_;
  size_t open_ = 0;
  bool is_closing_ = false;
  bool has_dropped_ = false;
  uint64_t random_;

  SessionPool sessions_;
  std::vector<uint32_t> replying_;
  std::vector<ConnectionId> waiting_for_room_;
  AckQueue acks_;
  Fifo<ConnectionId> waiting_for_pages_;
  SendBatch replies_;
};

}  // namespace sluice
