#include "engine/simulated_engine.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/clock.h"

namespace sluice {
namespace {

constexpr uint32_t kConnectionsMax = 1u << 20;  // when the options say 0
constexpr int64_t kAcceptPauseNs = 100 * kNsPerMs;
constexpr int64_t kEagainNsMax = 5 * kNsPerMs;
constexpr int kAcceptsMax = 64;
constexpr int64_t kHoldNsMax = 50 * kNsPerMs;

}  // namespace

SimulatedEngine::SimulatedEngine(const EngineOptions& options, uint64_t seed,
                                 const SimulatedFaults& faults)
    : connections_max_(options.connections_max == 0 ? kConnectionsMax : options.connections_max),
      send_batch_max_(options.send_batch_max),
      held_bytes_max_(options.zero_copy_held_bytes_max),
      faults_(faults),
      random_(seed),
      now_ns_(kNsPerSecond) {
  if (options.zero_copy_bytes_min != 0) large_bytes_min_ = options.zero_copy_bytes_min;
}

SimulatedEngine::~SimulatedEngine() {
  for (const LatePiece& piece : late_pieces_) piece.frame->Release();
}

uint64_t SimulatedEngine::Draw(uint64_t below) { return random_() % below; }

bool SimulatedEngine::Chance(uint32_t per_mille) {
  // Without a fault nothing is drawn: switching one on does not change the others' course.
  return per_mille != 0 && Draw(1'000) < per_mille;
}

SimulatedEngine::Slot* SimulatedEngine::Find(ConnectionId connection) {
  bool is_it = connection.slot < slots_.size() &&
               slots_[connection.slot].generation == connection.generation &&
               slots_[connection.slot].peer != UINT32_MAX;
  SLUICE_CHECK(is_it || !faults_.is_strict);
  return is_it ? &slots_[connection.slot] : nullptr;
}

void SimulatedEngine::Touch(uint32_t slot) {
  if (slots_[slot].is_touched) return;
  slots_[slot].is_touched = true;
  touched_.push_back(slot);
}

// --- What the owner asks for --------------------------------------------------------------------

Status SimulatedEngine::Listen(int, uint32_t listener) {
  listeners_.push_back({listener, {}});
  return Status::Ok();
}

void SimulatedEngine::Read(ConnectionId connection, ReadMode mode) {
  if (Slot* slot = Find(connection)) {
    slot->mode = mode;
    Touch(connection.slot);
  }
}

void SimulatedEngine::WatchWritable(ConnectionId connection) {
  if (Slot* slot = Find(connection)) {
    slot->wants_writable = true;
    Touch(connection.slot);
  }
}

void SimulatedEngine::Shutdown(ConnectionId connection) {
  if (Slot* slot = Find(connection)) {
    slot->is_shut_down = true;
    peers_[slot->peer].engine_ended = true;
  }
}

void SimulatedEngine::Close(ConnectionId connection) {
  Slot* slot = Find(connection);
  if (slot == nullptr) return;
  PeerState& peer = peers_[slot->peer];
  // The kernel answers unread input with a reset, and that may overtake what was sent.
  if (!slot->received.empty() && Chance(faults_.lost_close)) {
    peer.read_bytes += peer.unread.size();
    peer.unread.clear();
  }
  peer.engine_ended = true;
  peer.connection = {};
  uint32_t next = slot->generation + 1;
  bool is_touched = slot->is_touched;
  *slot = Slot();
  slot->generation = next;
  slot->is_touched = is_touched;  // it stands on the list still
  free_slots_.push_back(connection.slot);
  --connections_;
}

void SimulatedEngine::Send(std::span<SendRequest> batch) { SendEach(batch, nullptr); }

void SimulatedEngine::SendLarge(std::span<SendRequest> batch, Frame* frame) {
  for (const SendRequest& request : batch) {
    for (const iovec& piece : std::span(request.iovecs, request.iovec_count)) {
      const char* begin = static_cast<const char*>(piece.iov_base);
      const std::string_view whole = frame->bytes();
      SLUICE_CHECK(begin >= whole.begin() && begin + piece.iov_len <= whole.end());
    }
  }
  const uint64_t held_bytes = counters_.zero_copy_held_bytes.value() + frame->footprint_bytes();
  const bool is_held = large_bytes_min_ != UINT32_MAX && held_bytes <= held_bytes_max_;
  SendEach(batch, is_held ? frame : nullptr);
}

void SimulatedEngine::SendEach(std::span<SendRequest> batch, Frame* large) {
  SLUICE_CHECK(batch.size() <= send_batch_max_);
  ++batches_;
  for (SendRequest& request : batch) {
    Slot* slot = Find(request.connection);
    if (slot == nullptr) {
      request.result = -EBADF;
      continue;
    }
    SLUICE_CHECK(slot->batch != batches_);  // at most one a connection
    slot->batch = batches_;
    request.result = SendOne(request.connection.slot, request, large);
  }
}

int32_t SimulatedEngine::SendOne(uint32_t index, const SendRequest& request, Frame* large) {
  Slot& slot = slots_[index];
  PeerState& peer = peers_[slot.peer];
  if (slot.has_reset) return -ECONNRESET;
  if (slot.is_shut_down) return -EPIPE;
  if (Chance(faults_.send_reset)) {
    PeerReset(slot.peer);
    return -ECONNRESET;
  }
  size_t offered = 0;
  for (uint32_t i = 0; i < request.iovec_count; ++i) offered += request.iovecs[i].iov_len;
  if (peer.is_gone) {
    // The first send to a socket that is gone succeeds, and brings the reset back.
    Arrive(slot.peer, Arrival::Kind::kReset, {});
    return static_cast<int32_t>(offered);
  }
  size_t room = peer.buffer_bytes - std::min<size_t>(peer.buffer_bytes, peer.unread.size());
  if (now_ns_ < slot.blocked_until_ns || (room == 0 && offered != 0)) return -EAGAIN;
  if (Chance(faults_.spurious_eagain)) {
    slot.blocked_until_ns = now_ns_ + 1 + static_cast<int64_t>(Draw(kEagainNsMax));
    return -EAGAIN;
  }
  size_t taken = std::min(offered, room);
  if (taken > 1 && Chance(faults_.short_write)) taken = 1 + Draw(taken - 1);
  size_t left = taken;
  for (uint32_t i = 0; i < request.iovec_count && left != 0; ++i) {
    size_t part = std::min(left, request.iovecs[i].iov_len);
    const char* data = static_cast<const char*>(request.iovecs[i].iov_base);
    left -= part;
    if (large == nullptr) {
      peer.unread.append(data, part);
      continue;
    }
    large->AddReference();
    const int64_t due_ns = now_ns_ + static_cast<int64_t>(Draw(kHoldNsMax));
    late_pieces_.push_back(
        {slot.peer, peer.read_bytes + peer.unread.size(), data, part, large, due_ns});
    counters_.zero_copy_sends.Add();
    counters_.zero_copy_held_bytes.Add(part);
    peer.unread.append(part, '\xdd');
  }
  return static_cast<int32_t>(taken);
}

void SimulatedEngine::CopyPiece(const LatePiece& piece) {
  PeerState& peer = peers_[piece.peer];
  const uint64_t from = std::max(piece.at, peer.read_bytes);
  const uint64_t to = std::min(piece.at + piece.bytes, peer.read_bytes + peer.unread.size());
  if (from >= to) return;
  std::memcpy(peer.unread.data() + (from - peer.read_bytes), piece.data + (from - piece.at),
              to - from);
}

void SimulatedEngine::GiveFramesBack() {
  std::erase_if(late_pieces_, [this](const LatePiece& piece) {
    if (piece.due_ns > now_ns_) return false;
    CopyPiece(piece);
    counters_.zero_copy_held_bytes.Subtract(piece.bytes);
    piece.frame->Release();
    return true;
  });
}

void SimulatedEngine::Wake() {
  std::lock_guard lock(wake_mutex_);
  is_woken_ = true;
  wake_condition_.notify_one();
}

// --- The turn -----------------------------------------------------------------------------------

size_t SimulatedEngine::Wait(int64_t deadline_ns, std::span<EngineEvent> events) {
  SLUICE_CHECK(!events.empty());
  // Who still looks at the bytes of the last turn sees rubbish, and the address sanitizer sees it.
  for (std::string& bytes : handed_out_) std::fill(bytes.begin(), bytes.end(), '\xdd');
  handed_out_.clear();
  for (;;) {
    GiveFramesBack();
    RingAlarms();
    if (accept_resume_ns_ != 0 && now_ns_ >= accept_resume_ns_) accept_resume_ns_ = 0;
    size_t count = TakeWake(events);
    count = Accept(events, count);
    count = Report(events, count);
    if (count != 0 || deadline_ns == 0 || now_ns_ >= deadline_ns) return count;
    Sleep(deadline_ns);
  }
}

// Moves the clock to the next thing that happens, or to the deadline.
void SimulatedEngine::Sleep(int64_t deadline_ns) {
  int64_t until_ns = deadline_ns;
  bool has_backlog = std::any_of(listeners_.begin(), listeners_.end(),
                                 [](const Listener& each) { return !each.backlog.empty(); });
  if (accept_resume_ns_ != 0 && has_backlog) until_ns = std::min(until_ns, accept_resume_ns_);
  if (!alarms_.empty()) until_ns = std::min(until_ns, alarms_.top().at_ns);
  if (until_ns == INT64_MAX) {
    std::unique_lock lock(wake_mutex_);
    wake_condition_.wait(lock, [this] { return is_woken_; });
    return;
  }
  now_ns_ = std::max(now_ns_, until_ns);
}

void SimulatedEngine::RingAlarms() {
  while (!alarms_.empty() && alarms_.top().at_ns <= now_ns_) {
    Touch(alarms_.top().slot);
    alarms_.pop();
  }
}

size_t SimulatedEngine::TakeWake(std::span<EngineEvent> events) {
  std::lock_guard lock(wake_mutex_);
  if (!is_woken_) return 0;
  is_woken_ = false;
  events[0] = {};
  events[0].kind = EngineEventKind::kWoken;
  return 1;
}

size_t SimulatedEngine::Accept(std::span<EngineEvent> events, size_t count) {
  for (Listener& listener : listeners_) {
    for (int i = 0; i < kAcceptsMax && count < events.size(); ++i) {
      if (!is_accepting_ || accept_resume_ns_ != 0 || connections_ == connections_max_ ||
          listener.backlog.empty()) {
        break;
      }
      if (AcceptOne(&listener, &events[count])) ++count;
    }
  }
  return count;
}

bool SimulatedEngine::AcceptOne(Listener* listener, EngineEvent* event) {
  *event = {};
  event->listener = listener->listener;
  if (Chance(faults_.accept_failure)) {
    constexpr int kErrors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    event->kind = EngineEventKind::kAcceptFailed;
    event->error = kErrors[Draw(std::size(kErrors))];
    accept_resume_ns_ = now_ns_ + kAcceptPauseNs;
    return true;
  }
  Peer number = listener->backlog.front();
  listener->backlog.pop_front();
  PeerState& peer = peers_[number];
  if (Chance(faults_.accept_abort)) {
    peer.engine_ended = true;
    peer.arrivals.clear();
    return false;
  }
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  slots_[index].peer = number;
  peer.connection = {index, slots_[index].generation};
  ++connections_;
  event->kind = EngineEventKind::kAccepted;
  event->connection = peer.connection;
  event->peer = peer.address;
  Touch(index);
  return true;
}

size_t SimulatedEngine::Report(std::span<EngineEvent> events, size_t count) {
  std::vector<uint32_t> turn;
  turn.swap(touched_);
  // No owner may rely on an order between connections.
  std::shuffle(turn.begin(), turn.end(), random_);
  for (uint32_t index : turn) {
    Slot& slot = slots_[index];
    slot.is_touched = false;
    if (slot.peer == UINT32_MAX) continue;
    TakeArrivals(index);
    if (HasReport(slot) && count < events.size()) ReportOne(index, &events[count++]);
    if (HasReport(slot)) Touch(index);
    const PeerState& peer = peers_[slot.peer];
    if (!peer.arrivals.empty()) alarms_.push({peer.arrivals.front().at_ns, index});
    if (slot.wants_writable && now_ns_ < slot.blocked_until_ns) {
      alarms_.push({slot.blocked_until_ns, index});
    }
  }
  return count;
}

void SimulatedEngine::TakeArrivals(uint32_t index) {
  Slot& slot = slots_[index];
  PeerState& peer = peers_[slot.peer];
  while (!peer.arrivals.empty() && peer.arrivals.front().at_ns <= now_ns_) {
    Arrival& arrival = peer.arrivals.front();
    if (arrival.kind == Arrival::Kind::kBytes) slot.received += arrival.bytes;
    if (arrival.kind == Arrival::Kind::kEnd) slot.has_end = true;
    if (arrival.kind == Arrival::Kind::kReset) slot.has_reset = true;
    peer.arrivals.pop_front();
  }
}

bool SimulatedEngine::IsWritable(const Slot& slot) const {
  const PeerState& peer = peers_[slot.peer];
  if (slot.has_reset || peer.is_gone) return true;
  // As the kernel does: not for the first byte of room, but for a third.
  return now_ns_ >= slot.blocked_until_ns && peer.unread.size() <= peer.buffer_bytes / 3 * 2;
}

bool SimulatedEngine::HasReport(const Slot& slot) const {
  if (slot.wants_writable && IsWritable(slot)) return true;
  if (slot.mode == ReadMode::kPaused) return false;
  if (slot.mode == ReadMode::kReceive && !slot.has_reset) {
    return !slot.received.empty() || (slot.has_end && !slot.told_read_end);
  }
  if (slot.told_hang_up) return false;
  return slot.has_reset || (slot.mode == ReadMode::kWatch && slot.has_end);
}

void SimulatedEngine::ReportOne(uint32_t index, EngineEvent* event) {
  Slot& slot = slots_[index];
  *event = {};
  event->connection = {index, slot.generation};
  if (slot.wants_writable && IsWritable(slot)) {
    slot.wants_writable = false;
    event->kind = EngineEventKind::kWritable;
  } else if (slot.has_reset || slot.mode == ReadMode::kWatch) {
    slot.told_hang_up = true;
    event->kind = EngineEventKind::kHangUp;
    event->error = slot.has_reset ? ECONNRESET : 0;
  } else if (slot.received.empty()) {
    slot.told_read_end = true;
    event->kind = EngineEventKind::kReadEnd;
  } else {
    size_t bytes = std::min(slot.received.size(), kReceiveBytesMax);
    handed_out_.push_back(slot.received.substr(0, bytes));
    slot.received.erase(0, bytes);
    peers_[slot.peer].in_flight_bytes -= bytes;
    event->kind = EngineEventKind::kReceived;
    event->bytes = {handed_out_.back().data(), bytes};
  }
}

// --- The peers ----------------------------------------------------------------------------------

SimulatedEngine::Peer SimulatedEngine::Connect(uint32_t listener, const PeerAddress& address) {
  Peer number = static_cast<Peer>(peers_.size());
  for (Listener& each : listeners_) {
    if (each.listener != listener) continue;
    PeerState& peer = peers_.emplace_back();
    peer.listener = listener;
    peer.address = address;
    each.backlog.push_back(number);
    return number;
  }
  SLUICE_CHECK(false && "nobody listens there");
  return UINT32_MAX;
}

void SimulatedEngine::Arrive(Peer number, Arrival::Kind kind, std::string_view bytes) {
  PeerState& peer = peers_[number];
  int64_t at_ns = now_ns_;
  if (faults_.delay_ns_max > 0) {
    at_ns += static_cast<int64_t>(Draw(static_cast<uint64_t>(faults_.delay_ns_max)));
  }
  if (!peer.arrivals.empty()) at_ns = std::max(at_ns, peer.arrivals.back().at_ns);
  peer.arrivals.push_back({at_ns, kind, std::string(bytes)});
  if (peer.connection.slot != UINT32_MAX) Touch(peer.connection.slot);
}

size_t SimulatedEngine::PeerWrite(Peer number, std::string_view bytes) {
  PeerState& peer = peers_[number];
  SLUICE_CHECK(!peer.has_ended);
  bytes = bytes.substr(0, kInFlightBytes - peer.in_flight_bytes);
  if (bytes.empty()) return 0;
  peer.in_flight_bytes += bytes.size();
  Arrive(number, Arrival::Kind::kBytes, bytes);
  return bytes.size();
}

std::string SimulatedEngine::PeerRead(Peer number, size_t bytes_max) {
  PeerState& peer = peers_[number];
  for (const LatePiece& piece : late_pieces_) {
    if (piece.peer == number) CopyPiece(piece);
  }
  std::string bytes = peer.unread.substr(0, bytes_max);
  peer.unread.erase(0, bytes.size());
  peer.read_bytes += bytes.size();
  if (!bytes.empty() && peer.connection.slot != UINT32_MAX) Touch(peer.connection.slot);
  return bytes;
}

bool SimulatedEngine::PeerAtEnd(Peer number) const {
  const PeerState& peer = peers_[number];
  return peer.engine_ended && peer.unread.empty();
}

void SimulatedEngine::PeerBuffer(Peer number, uint32_t bytes_max) {
  peers_[number].buffer_bytes = bytes_max;
  if (peers_[number].connection.slot != UINT32_MAX) Touch(peers_[number].connection.slot);
}

void SimulatedEngine::PeerShutdown(Peer number) {
  if (peers_[number].has_ended) return;
  peers_[number].has_ended = true;
  Arrive(number, Arrival::Kind::kEnd, {});
}

void SimulatedEngine::PeerReset(Peer number) {
  peers_[number].has_ended = true;
  peers_[number].is_gone = true;
  Arrive(number, Arrival::Kind::kReset, {});
}

void SimulatedEngine::PeerClose(Peer number) {
  PeerState& peer = peers_[number];
  // What it has not read is answered with a reset.
  if (!peer.unread.empty()) return PeerReset(number);
  PeerShutdown(number);
  peer.is_gone = true;
}

}  // namespace sluice
