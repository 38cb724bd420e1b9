// Delivery: the channels and readers of one shard. An event is matched once, appended to the logs
// of the channels that want it, and the sweep moves each reader's cursor along its channel's log.
//
// A reader is either flowing or blocked. Flowing readers stand in their channel's array. Channels
// whose readers have something to come stand on one queue; the sweep takes them in turn, each for a
// share, and stops after as many sends as a turn of the loop may make. A reader whose socket takes
// less than offered becomes blocked: it leaves the array, waits for its socket, and comes back once
// it is at the tail. Only blocked readers are ever checked for lag, and they delay nobody.
//
// An event for very many channels is appended over several turns; a reader that comes meanwhile
// begins after it: what its channel is still to get is appended first.
//
// A reader that begins behind the tail replays from the history first (see replay.h); live readers
// go before those that replay.
//
// Thread: its shard's.
// Owner:  the connection belongs to the shard. A reader that is given up is reported to
//         ReaderEvents and forgotten before the call. A channel is made with its first reader and
//         goes, within a turn, with its last.
// Bounds: DeliveryLimits. A blocked reader past a lag bound is given up, or leaves its place in the
//         log for a newer one, as its channel's policy says (see lag_policy.h); when the logs are
//         full the blocked readers furthest behind do so; while flowing readers of some channel
//         have yet to be sent `unswept_bytes_max`, ContinueAppend is false and the ring fills up
//         (which refuses publishes).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fifo.h"
#include "base/reason.h"
#include "base/slot_array.h"
#include "delivery/channel.h"
#include "delivery/conflation.h"
#include "delivery/counters.h"
#include "delivery/lag_policy.h"
#include "delivery/ledger.h"
#include "delivery/left_place.h"
#include "delivery/owed.h"
#include "delivery/replay.h"
#include "delivery/subscribed_topic.h"
#include "delivery/topic_index.h"
#include "event/subscription.h"
#include "transport/send_batch.h"

namespace sluice {

struct DeliveryLimits {
  uint64_t lag_bytes_max;
  uint64_t lag_events_max;
  int64_t lag_age_max_ns;
  uint64_t log_bytes_max;  // of all logs
  uint32_t segment_bytes;
  uint32_t appends_max;     // to logs, of one turn
  uint32_t sends_max;       // of one Sweep
  uint32_t send_bytes_max;  // offered to one reader in one send
  int64_t heartbeat_ns;     // 0: never
  // Of one Sweep to all replaying readers, and of the chunks that are kept, and that waiting ones
  // have of their own.
  uint64_t replay_bytes_max = 1 << 20;
  // Of the shard's time for replaying readers while others are sent live events, in percent.
  uint32_t replay_share = 100;
  uint64_t replay_held_bytes_max = 16 << 20;
  // What happens to a reader past the lag bounds above, and where the topics have bounds and an
  // action of their own.
  LagAction lag_action = LagAction::kDisconnect;
  std::vector<LagPolicy> lag_policies = {};
  ConflationLimits conflation = {};  // a channel
};

// Where readers that begin behind the tail get what they have missed.
struct ReplaySource {
  SharedHistory* history = nullptr;  // null: they begin at the tail
  const Epoch* epoch = nullptr;      // of the ids in what they are told
  uint64_t drained = 0;              // what the shard has drained before its first event
};

class ReaderEvents {
 public:
  virtual ~ReaderEvents() = default;
  // The reader was given up: it fell behind a bound, or its connection is dead.
  virtual void OnDropped(ConnectionId connection, Disconnect reason) = 0;
  // The reader has had its goodbye, whole.
  virtual void OnEnded(ConnectionId connection) = 0;
};

class Delivery {
 public:
  Delivery(const DeliveryLimits& limits, Engine& engine, DeliveryCounters& counters,
           ReaderEvents& events, const ReplaySource& source = {}, LedgerPart* ledger = nullptr);
  ~Delivery();

  // The connection reads what is wanted of the events after the newest one that Append took;
  // `opening` (the response head and greeting) goes first.
  void Attach(ConnectionId connection, const Subscription& subscription, std::string_view opening);
  // Where a stream begins that is attached in this turn.
  Start FindStart(const StreamStart& asked, const Subscription& subscription);
  // The same from where `start` says on: values, then what the history has after its place, then
  // live. Its gap, if it has one, is in the opening.
  void Replay(ConnectionId connection, const Subscription& subscription, std::string_view opening,
              Start start);
  // The connection is gone. False if it is no reader here.
  bool Detach(ConnectionId connection, Disconnect reason = Disconnect::kPeerClosed);
  // The reader gets what is in the log now, then `goodbye`, and is then reported as ended.
  void End(ConnectionId connection, std::string_view goodbye,
           Disconnect reason = Disconnect::kDraining);
  // Ends up to `readers_max` readers that are not ending yet, whichever; returns how many.
  size_t EndSome(size_t readers_max, std::string_view goodbye);
  void OnWritable(ConnectionId connection);
  // Asked at the reader's heartbeat time: sends one if it had no bytes for the interval. Returns
  // when to ask again.
  int64_t HeartbeatDue(ConnectionId connection, int64_t now_ns);

  // The newest event that is appended to all channels that want it, and matched so.
  uint64_t matched_sequence() const { return event_.held == nullptr ? newest_ : newest_ - 1; }
  // Goes on with the event that is half appended, as far as this turn may. True if there is none
  // left over and room for another.
  bool ContinueAppend();
  // Takes over one reference; only after ContinueAppend or Append has said true. Returns
  // ContinueAppend.
  bool Append(Frame* frame);

  // Sends to at most sends_max readers: blocked ones that have become writable, new ones, then the
  // next of the round. True if there is more to do.
  bool Sweep(int64_t now_ns);
  bool HasWork() const {
    return !ready_.empty() || !queue_.empty() || !heartbeats_.empty() || event_.held != nullptr ||
           (replays_.HasWork() && replays_resume_ns_ == 0) || !making_.empty();
  }
  // When there will be work though nothing happens.
  int64_t work_due_ns() const {
    return replays_.HasWork() && replays_resume_ns_ != 0 ? replays_resume_ns_ : INT64_MAX;
  }
  // Gives up the blocked readers that are past a bound. Cheap to call every turn.
  void CheckLag(int64_t now_ns);

  // How many streams have just this name or pattern in their subscriptions, of the first `count`
  // that stand not before `from` and begin with `prefix`, in order; with no `from`, first of the
  // events without topics.
  void ReadTopics(std::string_view from, std::string_view prefix, size_t count,
                  std::vector<SubscribedTopic>* topics) const;

  size_t readers() const { return readers_; }
  size_t blocked() const { return blocked_count_; }
  size_t replaying() const { return replays_.count; }
  size_t channels() const { return channel_count_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kBlockedBit = 1u << 31;
  static constexpr uint32_t kReplayBit = 1u << 30;

  // Where the reader of a slot stands.
  struct Place {
    uint32_t channel = 0;
    // Plus one, 0: no reader; in the channel's array, in blocked_, or in replays_ (of no channel).
    uint32_t at = 0;

    bool is_reader() const { return at != 0; }
    bool is_blocked() const { return (at & kBlockedBit) != 0; }
    bool is_replaying() const { return (at & kReplayBit) != 0; }
    bool is_flowing() const { return is_reader() && (at & (kBlockedBit | kReplayBit)) == 0; }
    uint32_t index() const { return (at & ~(kBlockedBit | kReplayBit)) - 1; }
  };

  // A reader that waits for its socket, or has bytes outside the log (an aside) to be sent.
  struct BlockedReader {
    Cursor cursor;
    ConnectionId connection;
    uint32_t channel = 0;
    bool is_ready = false;    // on ready_
    bool is_waiting = false;  // for its socket
    bool is_ending = false;
    bool is_used = false;
    Disconnect ending_reason = Disconnect::kDraining;
    std::string aside;
    size_t aside_sent = 0;
    uint64_t aside_at = 0;  // the aside goes when the cursor is at this offset of the log
    int64_t waiting_since_ns = 0;
    std::unique_ptr<LeftPlace> left;  // null: it has its place in the log

    bool has_aside() const { return aside_sent < aside.size(); }
    // That it left in the middle.
    bool has_frame() const { return left != nullptr && left->has_frame; }
    // It has no cursor then.
    bool is_conflating() const { return left != nullptr && left->is_conflating; }
  };

  // Consecutive requests of a batch whose cursors stood at the same place.
  struct Run {
    Cursor from;
    size_t bytes;
    uint32_t count;
    uint32_t channel;
  };
  struct Failure {
    uint32_t channel;
    uint32_t index;
    int32_t result;
    size_t offered;
  };
  // The event that is being appended.
  struct Appending {
    HeldFrame* held = nullptr;  // null: none
    uint64_t sequence = 0;
    uint64_t fanout = 0;
    size_t next = 0;  // of matched_
  };

  // Channels.
  uint32_t FindOrMake(const Subscription& subscription);
  void Match(const Frame& frame);
  uint64_t StreamsOf(uint32_t number) const;
  void AppendTo(uint32_t number);
  void AppendNow(uint32_t number, const Subscription& subscription);
  bool HasRoom();
  void Enqueue(uint32_t number);
  void AfterLeave(uint32_t number);
  void RemoveEmptied();
  void RemoveChannel(uint32_t number);

  // Readers.
  Place PlaceOf(ConnectionId connection) const;
  void AddFlowing(uint32_t channel, const Cursor& cursor, ConnectionId connection);
  void RemoveFlowing(uint32_t channel, uint32_t index);
  uint32_t Block(uint32_t channel, uint32_t index);
  uint32_t NewBlocked(uint32_t channel, const Cursor& cursor, ConnectionId connection);
  void FreeBlocked(uint32_t index);
  void MakeReady(uint32_t index);
  void Unblock(uint32_t index);
  void EndBlocked(uint32_t index, std::string_view goodbye, Disconnect reason);

  // Replaying readers.
  void SendReplays(int64_t now_ns);
  void PauseReplays(int64_t begun_ns);
  uint32_t SendReplayBatch(int64_t* bytes_left, uint32_t sends_left, int64_t now_ns);
  void GatherReplays(int64_t* bytes_left, uint32_t sends_left);
  bool GatherReplay(uint32_t index, int64_t* bytes_left);
  bool PrepareReplay(uint32_t index);
  uint64_t ReplaysThrough(const ReplayingReader& reader) const;
  bool GoLive(uint32_t index);
  bool ReadNextChunk(ReplayingReader* reader);
  void TellReplayGap(ReplayingReader* reader);
  void AfterReplaySend(uint32_t index, size_t offered, int32_t result, int64_t now_ns);
  void ConsumeReplay(ReplayingReader* reader, size_t bytes);
  void ListReplay(uint32_t index);
  void TakeAheadReplays();
  void AttachReplayed(uint32_t index);
  void FreeReplay(uint32_t index);
  void EndReplay(uint32_t index, std::string_view goodbye, Disconnect reason);
  void Owe(uint32_t index);
  void OweLate(uint64_t sequence);
  void OweFrom(ReplayingReader* reader, uint64_t joined);
  void CountReplayed(ReplayingReader* reader, uint32_t first_mark);
  void CountReplayed(ReplayingReader* reader, uint64_t sequence, uint64_t bytes);
  void CountPassed(ReplayingReader* reader, const Chunk& chunk, uint64_t after, uint64_t through);
  void CountRest(ReplayingReader* reader);
  void CountLost(ReplayingReader* reader, Disconnect reason);
  void OnReplayWritable(uint32_t index);

  // Those past their bounds.
  void CheckReplays(int64_t now_ns);
  void LetGo(ReplayingReader* reader);
  int64_t StopAgeNs(const ReplayingReader& reader) const;
  bool IsPastBound(const ReplayingReader& reader, int64_t now_ns) const;
  void LeavePlace(ReplayingReader* reader);
  void SkipToNewest(ReplayingReader* reader);
  void EnterTable(ReplayingReader* reader);
  void GoOnInTable(uint32_t index);
  void LeaveTable(uint32_t channel);
  void GiveUpReplay(uint32_t index, Disconnect reason);

  void SendReady(int64_t now_ns);
  size_t GatherReady(size_t left, int64_t now_ns);
  uint32_t GatherBlocked(const BlockedReader& reader, iovec* iovecs, Frame** large);
  uint32_t GatherFrame(const BlockedReader& reader, iovec* iovecs, Frame** large) const;
  Frame* LargeOffered(const Log& log, const Cursor& cursor, const iovec& first) const;
  void ConsumeBlocked(BlockedReader* reader, size_t bytes, int64_t now_ns);
  void AfterBlockedSend(uint32_t index, size_t offered, int32_t result, int64_t now_ns);
  void SendHeartbeats(int64_t now_ns);
  void SendRound(int64_t now_ns);
  void GatherRound();
  bool GatherChannel(uint32_t number, uint32_t requests_max);
  void SettleRun(const Run& run, uint32_t first, std::span<const SendRequest> requests,
                 int64_t now_ns);
  void SettleFailures(int64_t now_ns);
  void SettleSwept(int64_t now_ns);
  void CountLost(const Cursor& cursor, uint64_t from, uint64_t end, Loss loss);
  void CountLost(const LeftPlace& left, Disconnect reason);
  void CountHanded(const LeftPlace& left, int64_t now_ns);
  void RecordDeliveries(const Cursor& from, size_t bytes, uint64_t readers, int64_t now_ns);

  // Readers past their bounds.
  void CheckBlocked(uint32_t index, uint64_t* furthest, int64_t now_ns);
  bool IsStopped(const BlockedReader& reader, int64_t now_ns) const;
  std::optional<Disconnect> BoundPassed(const BlockedReader& reader, int64_t now_ns) const;
  void FallBehind(uint32_t index, Disconnect reason);
  void GiveUp(uint32_t index, Disconnect reason);
  uint64_t FirstMissing(const BlockedReader& reader) const;
  void SkipToNewest(uint32_t index);
  void TellSkip(BlockedReader* reader, uint64_t first, uint64_t last, uint64_t resume);
  void LeaveFrame(BlockedReader* reader);
  size_t ConsumeFrame(BlockedReader* reader, size_t bytes, int64_t now_ns);
  void DropFrame(LeftPlace* left);
  uint64_t HeldBy(const BlockedReader& reader) const;

  // Readers that conflate.
  bool Conflates(const Channel& channel) const {
    return lag_policies_[channel.lag_policy].action == LagAction::kConflate;
  }
  Conflation& ConflationOf(uint32_t channel);
  // How many readers of the channel do so now.
  uint32_t Conflating(uint32_t channel) const {
    if (channel >= conflations_.size() || conflations_[channel] == nullptr) return 0;
    return static_cast<uint32_t>(conflations_[channel]->readers());
  }
  void EnterTable(uint32_t channel);
  void MakeTables();
  void TrimBacklog(uint32_t channel);
  void Conflate(uint32_t index);
  void TellDropped(BlockedReader* reader);
  uint32_t GatherConflated(const BlockedReader& reader, iovec* iovecs, Frame** large) const;
  void ConsumeConflated(BlockedReader* reader, size_t bytes, int64_t now_ns);
  void GoOnConflating(uint32_t index);
  void LeaveChannel(BlockedReader* reader);
  static Disconnect ReasonOf(int error);
  void DropBlocked(uint32_t index, Disconnect reason);
  bool CutFurthestBehind();
  void CountHeld();

  const DeliveryLimits limits_;
  const std::vector<LagPolicy> lag_policies_;  // the last is the default
  uint64_t lag_bytes_min_;                     // of their bounds
  uint64_t lag_events_min_;
  const uint64_t unswept_bytes_max_;
  Engine& engine_;
  DeliveryCounters& counters_;
  ReaderEvents& events_;
  LogMemory memory_;
  SendBatch batch_;
  uint32_t now_ms_ = 0;

  // Channels by number; a number is used again when no event is half appended.
  std::vector<std::unique_ptr<Channel>> channels_;
  std::vector<uint32_t> numbers_free_;
  std::vector<uint32_t> numbers_left_;  // while an event is half appended
  size_t channel_count_ = 0;
  std::vector<std::unique_ptr<Conflation>> conflations_;  // the same; where there is a need
  Fifo<uint32_t> making_;  // channels whose tables are not whole, and some that have none any more
  HashIndex by_text_;
  TopicIndex topics_;
  uint32_t topicless_ = kNone;   // the channel of events without topics
  uint32_t everything_ = kNone;  // the channel of `**`
  std::vector<uint32_t> emptied_;

  Appending event_;
  std::vector<uint32_t> matched_;  // some perhaps twice
  uint32_t appends_left_;          // of this turn
  uint64_t appended_bytes_ = 0;    // of events, however many channels want each
  uint64_t appended_events_ = 0;
  Fanout fanout_;

  Fifo<uint32_t> queue_;  // channels with readers to be visited
  std::vector<uint32_t> stalled_;
  size_t ending_from_ = 0;  // channels before it had no flowing reader when last ended

  size_t readers_ = 0;
  std::vector<BlockedReader> blocked_;
  std::vector<uint32_t> blocked_free_;
  size_t blocked_count_ = 0;
  size_t ending_count_ = 0;
  Fifo<uint32_t> ready_;
  Fifo<ConnectionId> heartbeats_;
  const Epoch* const epoch_;
  uint64_t newest_;  // the sequence of the newest event taken from the ring
  int64_t newest_published_ns_ = INT64_MIN / 2;
  Replays replays_;
  int64_t replays_resume_ns_ = 0;  // 0: they are not paused
  LedgerPart* const ledger_;  // null: no accounts are kept
  Owed owed_;
  uint64_t lag_checked_bytes_ = 0;
  uint64_t lag_checked_events_ = 0;
  int64_t lag_checked_ns_ = 0;

  SlotArray<Place> places_;  // by slot
  // Scratch of one Sweep.
  std::vector<Run> runs_;
  std::vector<uint32_t> visited_;   // index of each request's reader
  std::vector<uint32_t> replayed_;  // index of each request's reader
  std::vector<Failure> failures_;
  std::vector<uint32_t> swept_;                         // channels
  std::vector<std::pair<uint64_t, uint32_t>> lagging_;  // bytes, index in blocked_
};

}  // namespace sluice
