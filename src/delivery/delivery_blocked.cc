// The blocked readers: what each is to have next, and when one is given up for its lag.
#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "delivery/delivery.h"

namespace sluice {

// Of a send that failed.
Disconnect Delivery::ReasonOf(int error) {
  return error == ETIMEDOUT ? Disconnect::kPeerTimedOut : Disconnect::kPeerReset;
}

void Delivery::SendReady(int64_t now_ns) {
  // Who becomes ready meanwhile stands behind these. More than one batch only where large frames go
  // by themselves.
  for (size_t left = std::min<size_t>(ready_.size(), limits_.sends_max); left != 0;) {
    left = GatherReady(left, now_ns);
    const std::span<const SendRequest> requests = batch_.Send(engine_);
    for (size_t i = 0; i < requests.size(); ++i) {
      size_t offered = 0;
      for (uint32_t j = 0; j < requests[i].iovec_count; ++j) {
        offered += requests[i].iovecs[j].iov_len;
      }
      AfterBlockedSend(visited_[i], offered, requests[i].result, now_ns);
    }
    batch_.Clear();
  }
}

// Puts up to `left` readers from ready_ into the batch, as many as may go together. Returns how
// many are left.
size_t Delivery::GatherReady(size_t left, int64_t now_ns) {
  visited_.clear();
  for (; left != 0; --left) {
    const uint32_t index = ready_.front();
    BlockedReader& reader = blocked_[index];
    Frame* large = nullptr;
    uint32_t iovecs = 0;
    if (reader.is_used) {
      if (reader.is_conflating()) TellDropped(&reader);
      iovecs = GatherBlocked(reader, batch_.Space(), &large);
      if (iovecs != 0 && !batch_.Takes(large)) break;
    }
    ready_.Pop();
    reader.is_ready = false;
    if (!reader.is_used) {
      blocked_free_.push_back(index);
    } else if (iovecs == 0) {  // nothing is left to send
      AfterBlockedSend(index, 0, 0, now_ns);
    } else {
      batch_.Add(reader.connection, iovecs, large);
      visited_.push_back(index);
    }
  }
  return left;
}

// What the reader is to have next: the rest of a frame whose place it left, and its aside; the log
// up to its aside, the aside, or the log up to the tail; or the bytes of one large frame, if they
// should go by themselves.
uint32_t Delivery::GatherBlocked(const BlockedReader& reader, iovec* iovecs, Frame** large) {
  constexpr uint32_t kMax = SendBatch::kIovecsMax;
  const Log& log = channels_[reader.channel]->log();
  if (reader.has_frame()) return GatherFrame(reader, iovecs, large);
  if (reader.is_conflating()) return GatherConflated(reader, iovecs, large);
  if (!reader.has_aside()) {
    if (reader.is_ending) return 0;
    const uint32_t pieces =
        log.Gather(reader.cursor, UINT64_MAX, limits_.send_bytes_max, iovecs, kMax);
    if (pieces != 0) *large = LargeOffered(log, reader.cursor, iovecs[0]);
    return *large != nullptr ? 1 : pieces;
  }
  uint64_t offset = log.Offset(reader.cursor);
  uint32_t count = 0;
  if (offset < reader.aside_at) {
    count = log.Gather(reader.cursor, reader.aside_at, limits_.send_bytes_max, iovecs, kMax - 1);
    *large = LargeOffered(log, reader.cursor, iovecs[0]);
    if (*large != nullptr) return 1;
    for (uint32_t i = 0; i < count; ++i) offset += iovecs[i].iov_len;
    if (offset < reader.aside_at) return count;
  }
  iovecs[count++] = {const_cast<char*>(reader.aside.data()) + reader.aside_sent,
                     reader.aside.size() - reader.aside_sent};
  return count;
}

void Delivery::ConsumeBlocked(BlockedReader* reader, size_t bytes, int64_t now_ns) {
  counters_.sends.Add();
  counters_.bytes_out.Add(bytes);
  if (reader->has_frame()) bytes -= ConsumeFrame(reader, bytes, now_ns);
  if (reader->is_conflating()) return ConsumeConflated(reader, bytes, now_ns);
  Log& log = channels_[reader->channel]->log();
  size_t from_log = bytes;
  if (reader->has_aside()) {
    from_log = std::min<size_t>(bytes, reader->aside_at - log.Offset(reader->cursor));
    reader->aside_sent += bytes - from_log;
  }
  if (from_log != 0) {
    RecordDeliveries(reader->cursor, from_log, 1, now_ns);
    log.Advance(&reader->cursor, from_log);
  }
}

void Delivery::AfterBlockedSend(uint32_t index, size_t offered, int32_t result, int64_t now_ns) {
  BlockedReader& reader = blocked_[index];
  if (result < 0 && result != -EAGAIN) {
    DropBlocked(index, ReasonOf(-result));
    return;
  }
  if (result > 0) ConsumeBlocked(&reader, static_cast<size_t>(result), now_ns);
  if (result < 0 || static_cast<size_t>(result) < offered) {
    counters_.sends_short.Add();
    reader.is_waiting = true;
    reader.waiting_since_ns = now_ns;
    counters_.blocked_readers.Add();
    engine_.WatchWritable(reader.connection);
    return;
  }
  if (reader.has_aside() || reader.has_frame()) {
    MakeReady(index);
  } else if (reader.is_ending) {
    const ConnectionId connection = reader.connection;
    Detach(connection, reader.ending_reason);
    events_.OnEnded(connection);
  } else if (reader.is_conflating()) {
    GoOnConflating(index);
  } else if (channels_[reader.channel]->log().IsAtTail(reader.cursor)) {
    Unblock(index);
  } else {
    MakeReady(index);
  }
}

void Delivery::DropBlocked(uint32_t index, Disconnect reason) {
  const ConnectionId connection = blocked_[index].connection;
  Detach(connection, reason);
  events_.OnDropped(connection, reason);
}

// What the reader at this place of the log does not get: the frames from one index up to another.
// As long as its lag, which is bounded.
void Delivery::CountLost(const Cursor& cursor, uint64_t from, uint64_t end, Loss loss) {
  if (ledger_ == nullptr) return;
  for (const Segment* segment = cursor.segment; segment != nullptr; segment = segment->next) {
    const uint64_t base = segment->base_index;
    const uint64_t segment_end = std::min(end, base + segment->mark_count);
    for (uint64_t index = std::max(from, base); index < segment_end; ++index) {
      const FrameMark& mark = segment->mark(static_cast<uint32_t>(index - base));
      ledger_->AddLost(ledger_->Widen(mark.sequence_low), loss, 1);
    }
  }
}

// What was drained is the most by which any reader's lag can have grown, whatever the channels.
void Delivery::CheckLag(int64_t now_ns) {
  constexpr int64_t kEveryNs = 100 * kNsPerMs;
  const uint64_t bytes_step = appended_bytes_ - lag_checked_bytes_;
  const uint64_t events_step = appended_events_ - lag_checked_events_;
  if (bytes_step < lag_bytes_min_ / 16 && events_step < lag_events_min_ / 16 &&
      now_ns - lag_checked_ns_ < kEveryNs) {
    return;
  }
  lag_checked_bytes_ = appended_bytes_;
  lag_checked_events_ = appended_events_;
  lag_checked_ns_ = now_ns;
  uint64_t furthest = 0;
  for (uint32_t i = 0; blocked_count_ != 0 && i < blocked_.size(); ++i) {
    if (blocked_[i].is_used) CheckBlocked(i, &furthest, now_ns);
  }
  if (replays_.count != 0) CheckReplays(now_ns);
  // Of flowing readers, those who wait longest for their turn stand for all.
  if (!queue_.empty() && channels_[queue_.front()] != nullptr) {
    furthest = std::max(furthest, channels_[queue_.front()]->unswept_bytes());
  }
  for (const uint32_t number : stalled_) {
    furthest = std::max(furthest, channels_[number]->unswept_bytes());
  }
  counters_.furthest_lag_bytes.Set(furthest);
  CountHeld();
}

void Delivery::CheckBlocked(uint32_t index, uint64_t* furthest, int64_t now_ns) {
  const BlockedReader& reader = blocked_[index];
  const Log& log = channels_[reader.channel]->log();
  const uint64_t lag_bytes =
      reader.is_conflating() ? 0 : log.tail_offset() - log.Offset(reader.cursor);
  if (IsStopped(reader, now_ns)) {
    const bool is_in_aside =
        reader.is_ending || (reader.is_conflating() ? reader.has_aside() : lag_bytes == 0);
    return GiveUp(index, is_in_aside ? Disconnect::kAsideTimeout : Disconnect::kLagAge);
  }
  if (lag_bytes == 0) return;
  if (const auto reason = BoundPassed(reader, now_ns)) {
    FallBehind(index, *reason);
  } else {
    *furthest = std::max(*furthest, lag_bytes);
  }
}

// The logs are full: the blocked readers furthest behind go, or leave their place, until there is
// some room or nobody is left but flowing readers, who will have had all when the round is over. A
// little more than is needed now, so that not every event looks at all blocked readers.
bool Delivery::CutFurthestBehind() {
  const uint64_t enough = limits_.log_bytes_max - limits_.log_bytes_max / 16;
  lagging_.clear();
  for (uint32_t i = 0; i < blocked_.size(); ++i) {
    if (!blocked_[i].is_used) continue;
    const uint64_t bytes = HeldBy(blocked_[i]);
    if (bytes != 0) lagging_.push_back({bytes, i});
  }
  // Of replaying readers, those that conflate hold their channel's table.
  for (uint32_t i = 0; replays_.count != 0 && i < replays_.readers.size(); ++i) {
    const ReplayingReader& reader = replays_.readers[i];
    if (!reader.is_conflating) continue;
    lagging_.push_back({conflations_[reader.channel]->table().bytes(), i | kReplayBit});
  }
  std::sort(lagging_.begin(), lagging_.end(), std::greater<>());
  for (const auto& [bytes, index] : lagging_) {
    if (memory_.bytes_held() < enough) break;
    if ((index & kReplayBit) == 0) FallBehind(index, Disconnect::kLogBudget);
  }
  // That was not enough, if most of them only left their places: what these hold goes too.
  const bool is_full = memory_.bytes_held() >= limits_.log_bytes_max;
  for (const auto& [bytes, index] : lagging_) {
    if (!is_full || memory_.bytes_held() < enough) break;
    if ((index & kReplayBit) != 0) {
      const uint32_t replaying = index & ~kReplayBit;
      if (replays_.readers[replaying].is_conflating) {
        GiveUpReplay(replaying, Disconnect::kLogBudget);
      }
      continue;
    }
    if (!blocked_[index].is_used || HeldBy(blocked_[index]) == 0) continue;
    GiveUp(index, Disconnect::kLogBudget);
  }
  return memory_.bytes_held() < limits_.log_bytes_max;
}

}  // namespace sluice
