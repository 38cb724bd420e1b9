#include "shard/connections.h"

#include <cerrno>
#include <utility>

#include "base/check.h"
#include "event/aside.h"

namespace sluice {
namespace {

constexpr uint32_t kLingerBytesMax = 256 * 1024;
constexpr int64_t kLingerNs = 2 * kNsPerSecond;
constexpr uint32_t kTimersPerTurn = 4'096;
constexpr uint32_t kRepliesPerBatch = 256;

// Ends of streams are kept in 30 bits, which wrap: an age is less than half of what they reach, 397
// days.
constexpr int64_t kEndUnitNs = 64 * kNsPerMs;
constexpr uint32_t kValueMask = (1u << 30) - 1;

uint32_t EndUnit(int64_t ns) { return static_cast<uint32_t>(ns / kEndUnitNs) & kValueMask; }

int64_t NsUntil(uint32_t end_unit, int64_t now_ns) {
  const uint32_t left = (end_unit - EndUnit(now_ns)) << 2;
  return (static_cast<int32_t>(left) >> 2) * kEndUnitNs;
}

}  // namespace

Connections::Connections(const Options& options, Engine& engine, http::Site& site,
                         Delivery& delivery, Start& start, DeliveryCounters& delivery_counters,
                         ConnectionCounters& counters, uint32_t admin_listener_first)
    : options_(options),
      engine_(engine),
      site_(site),
      delivery_(delivery),
      start_(start),
      delivery_counters_(delivery_counters),
      counters_(counters),
      admin_listener_first_(admin_listener_first),
      timers_(engine.Now()),
      random_(static_cast<uint64_t>(engine.Now()) | 1),
      sessions_(site),
      replies_(kRepliesPerBatch) {}

Connections::~Connections() = default;

Connections::Connection* Connections::Find(ConnectionId connection) {
  if (!connections_.Has(connection.slot)) return nullptr;
  Connection& record = connections_[connection.slot];
  return record.state != State::kFree && record.generation == connection.generation ? &record
                                                                                    : nullptr;
}

void Connections::On(const EngineEvent& event, int64_t now_ns) {
  if (event.kind == EngineEventKind::kAccepted) return Accept(event, now_ns);
  Connection* record = Find(event.connection);
  if (record == nullptr) return;
  switch (event.kind) {
    case EngineEventKind::kReceived:
      OnReceived(event.connection, event.bytes, now_ns);
      break;
    case EngineEventKind::kReadEnd:
      if (record->state == State::kSession) {
        sessions_[record->value].session.ReceiveEnd(now_ns);
        AfterSession(event.connection, now_ns);
      } else if (record->state == State::kLinger) {
        Close(event.connection);
      }
      break;
    case EngineEventKind::kWritable:
      if (record->state == State::kStream) {
        delivery_.OnWritable(event.connection);
      } else if (record->state == State::kSession) {
        sessions_[record->value].is_waiting = false;
        AfterSession(event.connection, now_ns);
      }
      break;
    case EngineEventKind::kHangUp:
      if (record->state == State::kStream) {
        const Disconnect reason = event.error == 0           ? Disconnect::kPeerClosed
                                  : event.error == ETIMEDOUT ? Disconnect::kPeerTimedOut
                                                             : Disconnect::kPeerReset;
        delivery_.Detach(event.connection, reason);
        CountDisconnect(reason);
      }
      Close(event.connection);
      break;
    default:
      break;
  }
}

// --- Sessions ------------------------------------------------------------------------------------

void Connections::Accept(const EngineEvent& event, int64_t now_ns) {
  counters_.accepted.Add();
  // One that was on its way when accepting stopped: it would only hold up the end.
  if (is_closing_) return engine_.Close(event.connection);
  counters_.connections.Set(++open_);
  Connection& record = connections_.At(event.connection.slot);
  SLUICE_CHECK(record.state == State::kFree);
  record.generation = event.connection.generation;
  record.state = State::kSession;
  if (sessions_.used() >= options_.idle_connections_max) CloseIdlest();
  record.value = sessions_.Take(event.connection) & kValueMask;
  counters_.sessions.Set(sessions_.used());
  SessionSlot& slot = sessions_[record.value];
  slot.session.Begin({.is_loopback = event.peer.is_loopback(),
                      .is_admin_listener = event.listener >= admin_listener_first_},
                     now_ns);
  engine_.Read(event.connection, ReadMode::kReceive);
  timers_.Set(event.connection.slot, slot.session.deadline_ns());
}

void Connections::OnReceived(ConnectionId connection, std::span<const char> bytes, int64_t now_ns) {
  Connection* record = Find(connection);
  if (record->state == State::kSession) {
    sessions_.Touch(record->value);
    sessions_[record->value].session.Receive(bytes, now_ns);
    AfterSession(connection, now_ns);
  } else if (record->state == State::kLinger) {
    const uint64_t discarded = record->value + bytes.size();
    if (discarded > kLingerBytesMax) return Close(connection);
    record->value = static_cast<uint32_t>(discarded) & kValueMask;
  }
}

// The session has moved on: send what it says, then do what it asks for.
void Connections::AfterSession(ConnectionId connection, int64_t now_ns) {
  Connection* record = Find(connection);
  SessionSlot& slot = sessions_[record->value];
  if (is_closing_) slot.session.EndLines(now_ns);
  if (slot.session.next() == http::Next::kStream) return BeginStream(connection, now_ns);
  if (slot.session.next() == http::Next::kWaitsForRoom) HoldForRoom(&slot);
  if (slot.session.ack_wait() != nullptr) AwaitAck(&slot);
  if (slot.session.page() != nullptr) AwaitPage(&slot);
  if (!slot.session.output().empty()) {
    if (!slot.is_replying && !slot.is_waiting) {
      slot.is_replying = true;
      replying_.push_back(record->value);
    }
    // Its lines have ended: now it is a peer that does not take its replies, as any other.
    if (slot.sums_up && !slot.session.sums_up_replies()) HoldReplies(&slot, now_ns);
    timers_.Set(connection.slot, DueNs(slot));
    return;
  }
  AfterReply(&slot, now_ns);
}

int64_t Connections::DueNs(const SessionSlot& slot) const {
  return slot.is_waiting && !slot.sums_up ? slot.waits_until_ns : slot.session.deadline_ns();
}

// All output has been taken by the socket.
void Connections::AfterReply(SessionSlot* slot, int64_t now_ns) {
  const ConnectionId connection = slot->connection;
  slot->sums_up = false;
  if (slot->session.next() == http::Next::kPaused || slot->session.sums_up_replies()) {
    slot->session.Resume(now_ns);
    if (!slot->session.output().empty() || slot->session.next() != http::Next::kReceive) {
      return AfterSession(connection, now_ns);
    }
  }
  if (slot->session.next() == http::Next::kClose) return BeginLinger(connection, now_ns);
  if (slot->session.next() == http::Next::kWaitsForRoom) return timers_.Unset(connection.slot);
  if (is_closing_ && slot->session.is_idle()) return BeginLinger(connection, now_ns);
  if (!HoldsWhatComes(slot->session) || slot->session.takes_more()) {
    engine_.Read(connection, ReadMode::kReceive);
  }
  timers_.Set(connection.slot, slot->session.deadline_ns());
}

void Connections::SendReplies(int64_t now_ns) {
  for (size_t next = 0; next < replying_.size();) {
    std::vector<uint32_t> batch;
    for (; next < replying_.size() && !replies_.full(); ++next) {
      SessionSlot& slot = sessions_[replying_[next]];
      if (!slot.is_replying) continue;  // closed since
      slot.is_replying = false;
      const std::string_view output = slot.session.output();
      if (output.empty()) continue;
      replies_.Space()[0] = {const_cast<char*>(output.data()), output.size()};
      replies_.Add(slot.connection, 1);
      batch.push_back(replying_[next]);
    }
    const std::span<const SendRequest> requests = replies_.Send(engine_);
    for (size_t i = 0; i < requests.size(); ++i) {
      SessionSlot& slot = sessions_[batch[i]];
      const int32_t result = requests[i].result;
      if (result < 0 && result != -EAGAIN) {
        Close(slot.connection);
        continue;
      }
      counters_.reply_sends.Add();
      if (result > 0) slot.session.Consume(static_cast<size_t>(result));
      if (slot.session.output().empty()) {
        AfterReply(&slot, now_ns);
        continue;
      }
      slot.is_waiting = true;
      engine_.WatchWritable(slot.connection);
      HoldReplies(&slot, now_ns);
      timers_.Set(slot.connection.slot, DueNs(slot));
    }
    replies_.Clear();
  }
  replying_.clear();
  if (sessions_.DropSpare()) has_dropped_ = true;
}

// The socket takes no more now. A peer that does not take its replies is not read from either,
// unless they can be summed up.
void Connections::HoldReplies(SessionSlot* slot, int64_t now_ns) {
  slot->sums_up = slot->session.OnOutputHeld(now_ns);
  if (slot->session.next() == http::Next::kWaitsForRoom) HoldForRoom(slot);
  if (slot->sums_up) return;
  slot->waits_until_ns = now_ns + options_.request_timeout_ms * kNsPerMs;
  engine_.Read(slot->connection, ReadMode::kPaused);
}

void Connections::ReleaseSession(Connection* record) {
  sessions_.Release(record->value);
  counters_.sessions.Set(sessions_.used());
}

void Connections::CloseIdlest() {
  if (sessions_.used() == 0) return;
  counters_.idle_closed.Add();
  Close(sessions_.idlest());
}

// --- Streams -------------------------------------------------------------------------------------

void Connections::BeginStream(ConnectionId connection, int64_t now_ns) {
  Connection* record = Find(connection);
  engine_.Read(connection, ReadMode::kWatch);
  const http::Session& session = sessions_[record->value].session;
  delivery_.Replay(connection, session.stream_request().subscription, session.output(),
                   std::move(start_));
  ReleaseSession(record);
  record->state = State::kStream;
  record->value = 0;
  if (options_.stream_age_max_ms != 0) {
    const uint32_t age_ms = options_.stream_age_max_ms;
    const int64_t end_ns = now_ns + Spread(age_ms - age_ms / 5, age_ms) * kNsPerMs;
    // Not 0, and never later.
    record->value = ((EndUnit(end_ns) - 1) | 1) & kValueMask;
  }
  SetStreamTimer(connection, options_.heartbeat_ms == 0
                                 ? INT64_MAX
                                 : now_ns + options_.heartbeat_ms * kNsPerMs);
}

void Connections::SetStreamTimer(ConnectionId connection, int64_t heartbeat_ns) {
  const Connection& record = connections_[connection.slot];
  int64_t at_ns = heartbeat_ns;
  if (record.value != 0) {
    const int64_t now_ns = engine_.Now();
    at_ns = std::min(at_ns, now_ns + NsUntil(record.value, now_ns));
  }
  if (at_ns != INT64_MAX) timers_.Set(connection.slot, at_ns);
}

void Connections::OnStreamTimer(ConnectionId connection, Connection* record, int64_t now_ns) {
  if (record->value != 0 && NsUntil(record->value, now_ns) <= 0) {
    CountDisconnect(Disconnect::kStreamAge);
    record->value = 0;
    delivery_.End(connection, Goodbye(), Disconnect::kStreamAge);
    return;
  }
  SetStreamTimer(connection, options_.heartbeat_ms == 0
                                 ? INT64_MAX
                                 : delivery_.HeartbeatDue(connection, now_ns));
}

size_t Connections::EndStreams(size_t readers_max) {
  size_t ended = 0;
  // A goodbye each, for each carries its own `retry:`.
  while (ended < readers_max && delivery_.EndSome(1, Goodbye()) == 1) {
    CountDisconnect(Disconnect::kDraining);
    ++ended;
  }
  return ended;
}

void Connections::OnDropped(ConnectionId connection, Disconnect reason) {
  CountDisconnect(reason);
  Close(connection);
}

void Connections::OnEnded(ConnectionId connection) { BeginLinger(connection, engine_.Now()); }

void Connections::CountDisconnect(Disconnect reason) {
  delivery_counters_.disconnects[static_cast<size_t>(reason)].Add();
}

std::string Connections::Goodbye() {
  std::string goodbye;
  AppendGoodbye(&goodbye, Spread(options_.retry_ms_min, options_.retry_ms_max));
  return goodbye;
}

uint32_t Connections::Spread(uint32_t from, uint32_t to) {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return from + static_cast<uint32_t>(random_ % (uint64_t{to} - from + 1));
}

// --- Ends ----------------------------------------------------------------------------------------

// Our end is sent; what still comes is read and discarded, for closing a socket with bytes unread
// resets the connection and could take the reply or the last event from the peer (RFC 9112, 9.6).
void Connections::BeginLinger(ConnectionId connection, int64_t now_ns) {
  Connection* record = Find(connection);
  if (record->state == State::kSession) ReleaseSession(record);
  record->state = State::kLinger;
  record->value = 0;
  engine_.Shutdown(connection);
  engine_.Read(connection, ReadMode::kReceive);
  timers_.Set(connection.slot, now_ns + kLingerNs);
}

void Connections::Close(ConnectionId connection) {
  Connection* record = Find(connection);
  if (record == nullptr) return;
  if (record->state == State::kSession) ReleaseSession(record);
  record->state = State::kFree;
  timers_.Unset(connection.slot);
  counters_.connections.Set(--open_);
  engine_.Close(connection);
}

void Connections::AdvanceTimers(int64_t now_ns) {
  timers_.Advance(now_ns, kTimersPerTurn, [&](uint32_t slot) { OnTimer(slot, now_ns); });
}

void Connections::OnTimer(uint32_t slot, int64_t now_ns) {
  Connection& record = connections_[slot];
  const ConnectionId connection{slot, record.generation};
  switch (record.state) {
    case State::kFree:
      break;
    case State::kStream:
      OnStreamTimer(connection, &record, now_ns);
      break;
    case State::kLinger:
      Close(connection);
      break;
    case State::kSession: {
      SessionSlot& session = sessions_[record.value];
      const int64_t due_ns = DueNs(session);
      if (now_ns < due_ns) {  // beyond the wheel's reach, or moved on
        timers_.Set(slot, due_ns);
        break;
      }
      if (session.is_waiting && !session.sums_up) {  // a reply that it does not take
        Close(connection);
        break;
      }
      if (session.session.is_idle()) counters_.idle_closed.Add();
      session.session.OnDeadline(now_ns);
      AfterSession(connection, now_ns);
      break;
    }
  }
}

void Connections::StartClosing() {
  is_closing_ = true;
  for (const ConnectionId connection : sessions_.IdlestFirst()) {
    if (sessions_[Find(connection)->value].session.is_idle()) {
      BeginLinger(connection, engine_.Now());
    }
  }
  // The others end with their requests; streams of lines would not.
  for (const ConnectionId connection : sessions_.IdlestFirst()) {
    if (sessions_[Find(connection)->value].session.EndLines(engine_.Now())) {
      AfterSession(connection, engine_.Now());
    }
  }
}

}  // namespace sluice
