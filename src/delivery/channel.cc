#include "delivery/channel.h"

#include <algorithm>

#include "base/check.h"
#include "base/clock.h"
#include "event/aside.h"

namespace sluice {

Channel::Channel(const ChannelLimits& limits, Engine& engine, DeliveryCounters& counters,
                 ReaderEvents& events)
    : limits_(limits),
      // One send gives a reader all that it may have to wait for, so that a round is one visit
      // each.
      unswept_bytes_max_(std::min<uint64_t>(limits.send_bytes_max, limits.log_bytes_max / 4)),
      engine_(engine),
      counters_(counters),
      events_(events),
      log_(limits.segment_bytes),
      batch_(limits.sends_max) {
  CountHeld();
}

// --- Readers come and go
// ---------------------------------------------------------------------------

uint32_t Channel::Place(ConnectionId connection) const {
  if (!places_.Has(connection.slot) || places_[connection.slot] == 0) return kNowhere;
  const uint32_t place = places_[connection.slot] - 1;
  const bool is_same = (place & kBlockedBit) != 0
                           ? blocked_[place & ~kBlockedBit].connection == connection
                           : flowing_[place].connection == connection;
  return is_same ? place : kNowhere;
}

Channel::BlockedReader* Channel::FindBlocked(ConnectionId connection) {
  const uint32_t place = Place(connection);
  if (place == kNowhere || (place & kBlockedBit) == 0) return nullptr;
  return &blocked_[place & ~kBlockedBit];
}

void Channel::Attach(ConnectionId connection, std::string_view opening) {
  const uint32_t index = NewBlocked(log_.Attach(), connection);
  BlockedReader& reader = blocked_[index];
  reader.aside.assign(opening);
  reader.aside_at = log_.tail_offset();
  MakeReady(index);
  counters_.subscribed.Add();
  counters_.subscribers.Set(readers());
}

bool Channel::Detach(ConnectionId connection) {
  const uint32_t place = Place(connection);
  if (place == kNowhere) return false;
  if ((place & kBlockedBit) != 0) {
    const uint32_t index = place & ~kBlockedBit;
    log_.Detach(blocked_[index].cursor);
    FreeBlocked(index);
  } else {
    log_.Detach(flowing_[place].cursor);
    RemoveFlowing(place);
  }
  places_[connection.slot] = 0;
  counters_.subscribers.Set(readers());
  return true;
}

void Channel::End(ConnectionId connection, std::string_view goodbye) {
  SLUICE_CHECK(!goodbye.empty());
  const uint32_t place = Place(connection);
  if (place == kNowhere) return;
  const uint32_t index = (place & kBlockedBit) != 0 ? (place & ~kBlockedBit) : Block(place);
  BlockedReader& reader = blocked_[index];
  if (reader.is_ending) return;
  reader.is_ending = true;
  const bool has_aside = reader.has_aside();
  reader.aside.append(goodbye);
  // An aside not yet sent keeps its place: what is in the log after it is then not delivered, which
  // only meets a reader that has not had its head.
  if (!has_aside) reader.aside_at = log_.tail_offset();
  if (!reader.is_waiting) MakeReady(index);
}

size_t Channel::EndSome(size_t readers_max, std::string_view goodbye) {
  size_t ended = 0;
  for (; ended < readers_max && !flowing_.empty(); ++ended)
    End(flowing_.back().connection, goodbye);
  for (size_t i = 0; ended < readers_max && i < blocked_.size(); ++i) {
    if (!blocked_[i].is_used || blocked_[i].is_ending) continue;
    End(blocked_[i].connection, goodbye);
    ++ended;
  }
  return ended;
}

void Channel::AddFlowing(const Cursor& cursor, ConnectionId connection) {
  places_.At(connection.slot) = static_cast<uint32_t>(flowing_.size()) + 1;
  flowing_.push_back({cursor, connection, now_ms_});
  // It stands after the others on this round's way.
  if (remaining_ != 0) ++remaining_;
}

void Channel::RemoveFlowing(uint32_t index) {
  const uint32_t last = static_cast<uint32_t>(flowing_.size()) - 1;
  if (index != last) {
    flowing_[index] = flowing_[last];
    places_[flowing_[index].connection.slot] = index + 1;
    // The sweep may have passed this place already.
    if (!log_.IsAtTail(flowing_[index].cursor)) RestartRound();
  }
  flowing_.pop_back();
  if (position_ >= flowing_.size()) position_ = 0;
  remaining_ = std::min<uint32_t>(remaining_, static_cast<uint32_t>(flowing_.size()));
}

uint32_t Channel::NewBlocked(const Cursor& cursor, ConnectionId connection) {
  if (blocked_free_.empty()) {
    blocked_free_.push_back(static_cast<uint32_t>(blocked_.size()));
    blocked_.emplace_back();
  }
  const uint32_t index = blocked_free_.back();
  blocked_free_.pop_back();
  BlockedReader& reader = blocked_[index];
  reader.cursor = cursor;
  reader.connection = connection;
  reader.is_used = true;
  reader.aside_at = log_.Offset(cursor);
  ++blocked_count_;
  places_.At(connection.slot) = (index | kBlockedBit) + 1;
  return index;
}

// Takes a flowing reader out of the array, without sending to it yet.
uint32_t Channel::Block(uint32_t flowing_index) {
  const Reader reader = flowing_[flowing_index];
  RemoveFlowing(flowing_index);
  return NewBlocked(reader.cursor, reader.connection);
}

void Channel::FreeBlocked(uint32_t index) {
  BlockedReader& reader = blocked_[index];
  // Its place on ready_, if it has one, is passed over: see SendReady.
  if (reader.is_waiting) counters_.blocked_readers.Subtract();
  reader.is_waiting = reader.is_ending = reader.is_used = false;
  reader.aside.clear();
  reader.aside_sent = 0;
  if (reader.aside.capacity() > 1024) reader.aside.shrink_to_fit();
  --blocked_count_;
  if (!reader.is_ready) blocked_free_.push_back(index);
}

void Channel::Unblock(uint32_t index) {
  const Cursor cursor = blocked_[index].cursor;
  const ConnectionId connection = blocked_[index].connection;
  FreeBlocked(index);
  AddFlowing(cursor, connection);
}

void Channel::MakeReady(uint32_t index) {
  if (blocked_[index].is_ready) return;
  blocked_[index].is_ready = true;
  ready_.push_back(index);
}

void Channel::OnWritable(ConnectionId connection) {
  BlockedReader* reader = FindBlocked(connection);
  if (reader == nullptr || !reader->is_waiting) return;
  reader->is_waiting = false;
  counters_.blocked_readers.Subtract();
  MakeReady(static_cast<uint32_t>(reader - blocked_.data()));
}

// --- Appending and the rounds
// ------------------------------------------------------------------------

bool Channel::CanAppend() {
  if (flowing_.empty()) swept_offset_ = log_.tail_offset();
  if (log_.tail_offset() - swept_offset_ >= unswept_bytes_max_) return false;
  return log_.bytes_held() < limits_.log_bytes_max || CutFurthestBehind();
}

bool Channel::Append(Frame* frame) {
  const int64_t published_ns = frame->published_ns();
  log_.Append(frame);
  counters_.events.Add();
  if (!flowing_.empty()) {
    if (!is_round_open_ || rounds_.empty()) {
      rounds_.Push({visits_, 0, 0});
      is_round_open_ = true;
    }
    Round& round = rounds_.back();
    round.end_offset = log_.tail_offset();
    ++round.events;
    rounds_published_ns_.Push(published_ns);
    remaining_ = static_cast<uint32_t>(flowing_.size());
  }
  CountHeld();
  return CanAppend();
}

void Channel::CountHeld() {
  counters_.log_bytes.Set(log_.bytes_held());
  counters_.log_bytes_highest.Raise(log_.bytes_held());
}

// Somebody may have been passed over, or not been given all: everybody is visited once more.
void Channel::RestartRound() {
  remaining_ = static_cast<uint32_t>(flowing_.size());
  for (size_t i = 0; i < rounds_.size(); ++i) rounds_[i].visits = visits_;
}

void Channel::FinishRounds(int64_t now_ns) {
  while (!rounds_.empty() &&
         (remaining_ == 0 || visits_ - rounds_.front().visits >= flowing_.size())) {
    swept_offset_ = rounds_.front().end_offset;
    for (uint32_t i = 0; i < rounds_.front().events; ++i) {
      counters_.fanout_ns.Record(now_ns - rounds_published_ns_.front());
      rounds_published_ns_.Pop();
    }
    rounds_.Pop();
  }
}

// --- Sending
// -------------------------------------------------------------------------------------------

bool Channel::Sweep(int64_t now_ns) {
  now_ms_ = static_cast<uint32_t>(now_ns / kNsPerMs);
  if (!ready_.empty()) SendReady(now_ns);
  if (!heartbeats_.empty()) SendHeartbeats(now_ns);
  if (remaining_ != 0) SendRound(now_ns);
  FinishRounds(engine_.Now());
  return HasWork();
}

void Channel::SendRound(int64_t now_ns) {
  GatherRound();
  is_round_open_ = false;
  const std::span<const SendRequest> requests = batch_.Send(engine_);
  if (!requests.empty()) now_ns = engine_.Now();
  uint32_t first = 0;
  for (const Run& run : runs_) {
    SettleRun(run, first, requests, now_ns);
    first += run.count;
  }
  batch_.Clear();
  SettleFailures(now_ns);
}

// Offers the next readers of the round what they have not had.
void Channel::GatherRound() {
  runs_.clear();
  visited_.clear();
  const uint32_t size = static_cast<uint32_t>(flowing_.size());
  while (remaining_ != 0 && !batch_.full()) {
    const Reader& reader = flowing_[position_];
    if (!log_.IsAtTail(reader.cursor)) {
      if (!runs_.empty() && runs_.back().from.segment == reader.cursor.segment &&
          runs_.back().from.offset == reader.cursor.offset) {
        batch_.AddSame(reader.connection);
        ++runs_.back().count;
      } else {
        iovec* iovecs = batch_.Space();
        uint32_t count = log_.Gather(reader.cursor, UINT64_MAX, limits_.send_bytes_max, iovecs,
                                     SendBatch::kIovecsMax);
        Frame* const large = LargeOffered(reader.cursor, iovecs[0]);
        if (!batch_.Takes(large)) break;
        if (large != nullptr) count = 1;
        size_t bytes = 0;
        for (uint32_t i = 0; i < count; ++i) bytes += iovecs[i].iov_len;
        runs_.push_back({reader.cursor, bytes, 1});
        batch_.Add(reader.connection, count, large);
      }
      visited_.push_back(position_);
    }
    if (++position_ == size) position_ = 0;
    --remaining_;
    ++visits_;
  }
}

// The frame whose bytes should go by themselves, without being copied; else null.
Frame* Channel::LargeOffered(const Cursor& cursor, const iovec& first) const {
  return first.iov_len < engine_.large_bytes_min() ? nullptr : log_.LargeAt(cursor);
}

void Channel::SettleRun(const Run& run, uint32_t first, std::span<const SendRequest> requests,
                        int64_t now_ns) {
  uint64_t full = 0;
  for (uint32_t i = first; i < first + run.count; ++i) {
    const int32_t result = requests[i].result;
    if (result >= 0 && static_cast<size_t>(result) == run.bytes) {
      ++full;
    } else {
      failures_.push_back({visited_[i], result, run.bytes});
    }
  }
  if (full == 0) return;
  // Before the cursors move: the segments they leave may be freed.
  RecordDeliveries(run.from, run.bytes, full, now_ns);
  counters_.sends.Add(full);
  counters_.bytes_out.Add(full * run.bytes);
  Cursor to;
  for (uint32_t i = first; i < first + run.count; ++i) {
    if (requests[i].result < 0 || static_cast<size_t>(requests[i].result) != run.bytes) continue;
    Reader& reader = flowing_[visited_[i]];
    if (to.segment == nullptr) {
      log_.Advance(&reader.cursor, run.bytes);
      to = reader.cursor;
    } else {
      log_.Follow(&reader.cursor, to);
    }
    reader.sent_ms = now_ms_;
  }
  if (!log_.IsAtTail(to)) RestartRound();  // more than one send may carry
}

// Readers whose socket took less than offered leave the array. From the highest index down, so that
// taking one out does not move another that is still to be taken out.
void Channel::SettleFailures(int64_t now_ns) {
  std::sort(failures_.begin(), failures_.end(),
            [](const Failure& a, const Failure& b) { return a.index > b.index; });
  for (const Failure& failure : failures_) {
    AfterBlockedSend(Block(failure.index), failure.offered, failure.result, now_ns);
  }
  failures_.clear();
}

// Each event between the cursor and `bytes` after it, to so many readers. One frame of a long run
// costs one histogram step, shared by all readers that stood at the same place.
void Channel::RecordDeliveries(const Cursor& from, size_t bytes, uint64_t readers, int64_t now_ns) {
  uint64_t finished = 0;
  const Segment* segment = from.segment;
  uint64_t end = uint64_t{from.offset} + bytes;
  for (uint32_t mark = from.mark; segment != nullptr; segment = segment->next, mark = 0) {
    for (; mark < segment->marks.size() && segment->marks[mark].end <= end; ++mark, ++finished) {
      counters_.delivery_ns.Record(now_ns - segment->marks[mark].published_ns, readers);
    }
    if (end <= segment->bytes) break;
    end -= segment->bytes;
  }
  counters_.deliveries.Add(finished * readers);
}

int64_t Channel::HeartbeatDue(ConnectionId connection, int64_t now_ns) {
  const uint32_t place = Place(connection);
  if (place == kNowhere || (place & kBlockedBit) != 0) return now_ns + limits_.heartbeat_ns;
  const Reader& reader = flowing_[place];
  const uint32_t silent_ms = static_cast<uint32_t>(now_ns / kNsPerMs) - reader.sent_ms;
  // A little early by slot, so that readers who had the same event do not all fall due at once.
  const int64_t early_ns = limits_.heartbeat_ns / 8 * (connection.slot % 64) / 64;
  const int64_t left_ns = limits_.heartbeat_ns - early_ns - int64_t{silent_ms} * kNsPerMs;
  if (left_ns > 0) return now_ns + left_ns;
  // One that has events to come needs no heartbeat.
  if (log_.IsAtTail(reader.cursor)) heartbeats_.push_back(connection);
  return now_ns + limits_.heartbeat_ns;
}

void Channel::SendHeartbeats(int64_t now_ns) {
  size_t next = 0;
  visited_.clear();
  for (; next < heartbeats_.size() && !batch_.full(); ++next) {
    const uint32_t place = Place(heartbeats_[next]);
    if (place == kNowhere || (place & kBlockedBit) != 0) continue;
    if (!log_.IsAtTail(flowing_[place].cursor)) continue;
    if (batch_.empty()) {
      batch_.Space()[0] = {const_cast<char*>(kHeartbeat.data()), kHeartbeat.size()};
      batch_.Add(heartbeats_[next], 1);
    } else {
      batch_.AddSame(heartbeats_[next]);
    }
  }
  heartbeats_.erase(heartbeats_.begin(), heartbeats_.begin() + static_cast<ptrdiff_t>(next));
  for (const SendRequest& request : batch_.Send(engine_)) {
    const uint32_t place = Place(request.connection);
    if (request.result == static_cast<int32_t>(kHeartbeat.size())) {
      flowing_[place].sent_ms = now_ms_;
      counters_.heartbeats.Add();
      counters_.bytes_out.Add(kHeartbeat.size());
      continue;
    }
    // What is left of it is an aside like any other.
    const uint32_t index = Block(place);
    blocked_[index].aside.assign(kHeartbeat);
    AfterBlockedSend(index, kHeartbeat.size(), request.result, now_ns);
  }
  batch_.Clear();
}

}  // namespace sluice
