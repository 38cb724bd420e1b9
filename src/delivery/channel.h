// A channel: a log of frames and its live readers, each a cursor that the sweep moves along the
// log.
//
// A reader is either flowing or blocked. Flowing readers stand, at a frame's start, in one dense
// array; the sweep goes round it, gives each all that it has not had in one send, and stops after
// as many sends as a turn of the loop may make. A reader whose socket takes less than offered
// becomes blocked: it leaves the array, waits for its socket, and comes back once it is at the
// tail. Only blocked readers are ever checked for lag, and they delay nobody.
//
// Thread: its shard's.
// Owner:  the connection belongs to the shard. A reader that the channel gives up is reported to
//         ReaderEvents and forgotten before the call.
// Bounds: ChannelLimits. A blocked reader past a lag bound is given up; when the log is full the
//         blocked readers furthest behind are given up; while flowing readers have yet to be sent
//         `unswept_bytes_max`, CanAppend is false and the ring fills up (which refuses publishes).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/block_vector.h"
#include "base/fifo.h"
#include "base/reason.h"
#include "base/slot_array.h"
#include "delivery/counters.h"
#include "log/log.h"
#include "transport/send_batch.h"

namespace sluice {

struct ChannelLimits {
  uint64_t lag_bytes_max;
  uint64_t lag_events_max;
  int64_t lag_age_max_ns;
  uint64_t log_bytes_max;
  uint32_t segment_bytes;
  uint32_t sends_max;       // of one Sweep
  uint32_t send_bytes_max;  // offered to one reader in one send
  int64_t heartbeat_ns;     // 0: never
};

class ReaderEvents {
 public:
  virtual ~ReaderEvents() = default;
  // The channel gave the reader up: it fell behind a bound, or its connection is dead.
  virtual void OnDropped(ConnectionId connection, Disconnect reason) = 0;
  // The reader has had its goodbye, whole.
  virtual void OnEnded(ConnectionId connection) = 0;
};

class Channel {
 public:
  Channel(const ChannelLimits& limits, Engine& engine, DeliveryCounters& counters,
          ReaderEvents& events);

  // The connection reads from the tail on; `opening` (the response head and greeting) goes first.
  void Attach(ConnectionId connection, std::string_view opening);
  // The connection is gone. False if it is no reader here.
  bool Detach(ConnectionId connection);
  // The reader gets what is in the log now, then `goodbye`, and is then reported as ended.
  void End(ConnectionId connection, std::string_view goodbye);
  // Ends up to `readers_max` readers that are not ending yet, whichever; returns how many.
  size_t EndSome(size_t readers_max, std::string_view goodbye);
  void OnWritable(ConnectionId connection);
  // Asked at the reader's heartbeat time: sends one if it had no bytes for the interval. Returns
  // when to ask again.
  int64_t HeartbeatDue(ConnectionId connection, int64_t now_ns);

  bool CanAppend();
  // Takes over one reference. Returns CanAppend.
  bool Append(Frame* frame);

  // Sends to at most sends_max readers: blocked ones that have become writable, new ones, then the
  // next of the round. True if there is more to send.
  bool Sweep(int64_t now_ns);
  bool HasWork() const { return !ready_.empty() || remaining_ != 0 || !heartbeats_.empty(); }
  // Gives up the blocked readers that are past a bound. Cheap to call every turn.
  void CheckLag(int64_t now_ns);

  size_t readers() const { return flowing_.size() + blocked_count_; }
  size_t blocked() const { return blocked_count_; }

 private:
  struct Reader {
    Cursor cursor;
    ConnectionId connection;
    uint32_t sent_ms;  // when it last had bytes (wraps; only differences count)
  };
  static_assert(sizeof(Reader) <= 32, "a subscriber's memory is dear");

  // A reader that waits for its socket, or has bytes outside the log (an aside) to be sent.
  struct BlockedReader {
    Cursor cursor;
    ConnectionId connection;
    std::string aside;
    size_t aside_sent = 0;
    uint64_t aside_at = 0;  // the aside goes when the cursor is at this offset of the log
    int64_t waiting_since_ns = 0;
    bool is_ready = false;    // on ready_
    bool is_waiting = false;  // for its socket
    bool is_ending = false;
    bool is_used = false;

    bool has_aside() const { return aside_sent < aside.size(); }
  };

  // Consecutive requests of a batch whose cursors stood at the same place.
  struct Run {
    Cursor from;
    size_t bytes;
    uint32_t count;
  };
  // Frames appended together: they have reached all flowing readers after so many more visits.
  struct Round {
    uint64_t visits;      // made before it
    uint64_t end_offset;  // of the log
    uint32_t events;
  };

  static constexpr uint32_t kBlockedBit = 1u << 31;
  static constexpr uint32_t kNowhere = UINT32_MAX;

  // Places: where the reader of a slot stands in flowing_ or blocked_.
  uint32_t Place(ConnectionId connection) const;
  BlockedReader* FindBlocked(ConnectionId connection);

  void AddFlowing(const Cursor& cursor, ConnectionId connection);
  void RemoveFlowing(uint32_t index);
  uint32_t Block(uint32_t flowing_index);
  uint32_t NewBlocked(const Cursor& cursor, ConnectionId connection);
  void FreeBlocked(uint32_t index);
  void MakeReady(uint32_t index);
  void Unblock(uint32_t index);

  void SendReady(int64_t now_ns);
  size_t GatherReady(size_t next, size_t count, int64_t now_ns);
  uint32_t GatherBlocked(const BlockedReader& reader, iovec* iovecs, Frame** large) const;
  Frame* LargeOffered(const Cursor& cursor, const iovec& first) const;
  void ConsumeBlocked(BlockedReader* reader, size_t bytes, int64_t now_ns);
  void AfterBlockedSend(uint32_t index, size_t offered, int32_t result, int64_t now_ns);
  void SendHeartbeats(int64_t now_ns);
  void SendRound(int64_t now_ns);
  void GatherRound();
  void SettleRun(const Run& run, uint32_t first, std::span<const SendRequest> requests,
                 int64_t now_ns);
  void SettleFailures(int64_t now_ns);
  void RecordDeliveries(const Cursor& from, size_t bytes, uint64_t readers, int64_t now_ns);

  void RestartRound();
  void FinishRounds(int64_t now_ns);
  void DropBlocked(uint32_t index, Disconnect reason);
  bool CutFurthestBehind();
  void CountHeld();

  const ChannelLimits limits_;
  const uint64_t unswept_bytes_max_;
  Engine& engine_;
  DeliveryCounters& counters_;
  ReaderEvents& events_;
  Log log_;
  SendBatch batch_;

  BlockVector<Reader> flowing_;
  uint32_t position_ = 0;   // of the sweep in flowing_
  uint32_t remaining_ = 0;  // visits until everybody has had all that is in the log
  uint64_t visits_ = 0;     // ever
  uint32_t now_ms_ = 0;

  Fifo<Round> rounds_;                 // not yet with everybody
  Fifo<int64_t> rounds_published_ns_;  // of each event in them
  uint64_t swept_offset_ = 0;          // every flowing reader is at least here
  bool is_round_open_ = false;         // appends since the last visit join the last round

  std::vector<BlockedReader> blocked_;
  std::vector<uint32_t> blocked_free_;
  size_t blocked_count_ = 0;
  std::vector<uint32_t> ready_;
  std::vector<ConnectionId> heartbeats_;
  uint64_t lag_checked_offset_ = 0;
  uint64_t lag_checked_index_ = 0;
  int64_t lag_checked_ns_ = 0;

  SlotArray<uint32_t> places_;  // by slot, plus one (0: no reader)
  // Scratch of one Sweep.
  std::vector<Run> runs_;
  std::vector<uint32_t> visited_;  // flowing index of each request
  struct Failure {
    uint32_t index;
    int32_t result;
    size_t offered;
  };
  std::vector<Failure> failures_;
};

}  // namespace sluice
