// The channel's blocked readers: what each is to have next, and when one is given up for its lag.
#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "delivery/channel.h"

namespace sluice {
namespace {

Disconnect ReasonOf(int error) {
  return error == ETIMEDOUT ? Disconnect::kPeerTimedOut : Disconnect::kPeerReset;
}

}  // namespace

void Channel::SendReady(int64_t now_ns) {
  const size_t count = std::min<size_t>(ready_.size(), limits_.sends_max);
  // More than one batch only where large frames go by themselves. Who becomes ready meanwhile
  // stands behind `count`.
  for (size_t next = 0; next < count;) {
    next = GatherReady(next, count, now_ns);
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
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<ptrdiff_t>(count));
}

// Puts readers of ready_ from `next` on into the batch, as many as may go together. Returns the
// first that is left, `count` if none is.
size_t Channel::GatherReady(size_t next, size_t count, int64_t now_ns) {
  visited_.clear();
  for (; next < count; ++next) {
    const uint32_t index = ready_[next];
    BlockedReader& reader = blocked_[index];
    if (!reader.is_used) {
      reader.is_ready = false;
      blocked_free_.push_back(index);
      continue;
    }
    Frame* large = nullptr;
    const uint32_t iovecs = GatherBlocked(reader, batch_.Space(), &large);
    if (iovecs != 0 && !batch_.Takes(large)) break;
    reader.is_ready = false;
    if (iovecs == 0) {  // nothing is left to send
      AfterBlockedSend(index, 0, 0, now_ns);
      continue;
    }
    batch_.Add(reader.connection, iovecs, large);
    visited_.push_back(index);
  }
  return next;
}

// What the reader is to have next: the log up to its aside, the aside, or the log up to the tail;
// or the bytes of one large frame, if they should go by themselves.
uint32_t Channel::GatherBlocked(const BlockedReader& reader, iovec* iovecs, Frame** large) const {
  constexpr uint32_t kMax = SendBatch::kIovecsMax;
  if (!reader.has_aside()) {
    if (reader.is_ending) return 0;
    const uint32_t pieces =
        log_.Gather(reader.cursor, UINT64_MAX, limits_.send_bytes_max, iovecs, kMax);
    if (pieces != 0) *large = LargeOffered(reader.cursor, iovecs[0]);
    return *large != nullptr ? 1 : pieces;
  }
  uint64_t offset = log_.Offset(reader.cursor);
  uint32_t count = 0;
  if (offset < reader.aside_at) {
    count = log_.Gather(reader.cursor, reader.aside_at, limits_.send_bytes_max, iovecs, kMax - 1);
    *large = LargeOffered(reader.cursor, iovecs[0]);
    if (*large != nullptr) return 1;
    for (uint32_t i = 0; i < count; ++i) offset += iovecs[i].iov_len;
    if (offset < reader.aside_at) return count;
  }
  iovecs[count++] = {const_cast<char*>(reader.aside.data()) + reader.aside_sent,
                     reader.aside.size() - reader.aside_sent};
  return count;
}

void Channel::ConsumeBlocked(BlockedReader* reader, size_t bytes, int64_t now_ns) {
  counters_.sends.Add();
  counters_.bytes_out.Add(bytes);
  size_t from_log = bytes;
  if (reader->has_aside()) {
    from_log = std::min<size_t>(bytes, reader->aside_at - log_.Offset(reader->cursor));
    reader->aside_sent += bytes - from_log;
  }
  if (from_log != 0) {
    RecordDeliveries(reader->cursor, from_log, 1, now_ns);
    log_.Advance(&reader->cursor, from_log);
  }
}

void Channel::AfterBlockedSend(uint32_t index, size_t offered, int32_t result, int64_t now_ns) {
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
  if (reader.has_aside()) {
    MakeReady(index);
  } else if (reader.is_ending) {
    const ConnectionId connection = reader.connection;
    Detach(connection);
    events_.OnEnded(connection);
  } else if (log_.IsAtTail(reader.cursor)) {
    Unblock(index);
  } else {
    MakeReady(index);
  }
}

void Channel::DropBlocked(uint32_t index, Disconnect reason) {
  const ConnectionId connection = blocked_[index].connection;
  Detach(connection);
  events_.OnDropped(connection, reason);
}

void Channel::CheckLag(int64_t now_ns) {
  constexpr int64_t kEveryNs = 100 * kNsPerMs;
  const uint64_t bytes_step = log_.tail_offset() - lag_checked_offset_;
  const uint64_t events_step = log_.tail_index() - lag_checked_index_;
  if (bytes_step < limits_.lag_bytes_max / 16 && events_step < limits_.lag_events_max / 16 &&
      now_ns - lag_checked_ns_ < kEveryNs) {
    return;
  }
  lag_checked_offset_ = log_.tail_offset();
  lag_checked_index_ = log_.tail_index();
  lag_checked_ns_ = now_ns;
  uint64_t furthest = 0;
  for (uint32_t i = 0; blocked_count_ != 0 && i < blocked_.size(); ++i) {
    const BlockedReader& reader = blocked_[i];
    if (!reader.is_used) continue;
    const uint64_t lag_bytes = log_.tail_offset() - log_.Offset(reader.cursor);
    const bool has_late_aside = reader.is_waiting && (lag_bytes == 0 || reader.is_ending) &&
                                now_ns - reader.waiting_since_ns > limits_.lag_age_max_ns;
    if (has_late_aside) {
      DropBlocked(i, Disconnect::kAsideTimeout);
      continue;
    }
    if (lag_bytes == 0) continue;
    if (lag_bytes > limits_.lag_bytes_max) {
      DropBlocked(i, Disconnect::kLagBytes);
    } else if (log_.tail_index() - log_.Index(reader.cursor) > limits_.lag_events_max) {
      DropBlocked(i, Disconnect::kLagEvents);
    } else if (now_ns - log_.PublishedNs(reader.cursor) > limits_.lag_age_max_ns) {
      DropBlocked(i, Disconnect::kLagAge);
    } else {
      furthest = std::max(furthest, lag_bytes);
    }
  }
  if (!flowing_.empty()) furthest = std::max(furthest, log_.tail_offset() - swept_offset_);
  counters_.furthest_lag_bytes.Set(remaining_ == 0 && blocked_count_ == 0 ? 0 : furthest);
  CountHeld();
}

// The log is full: the blocked readers in its oldest segment go, until there is room or the oldest
// segment is held by flowing readers alone, who will have left it when the round is over.
bool Channel::CutFurthestBehind() {
  while (log_.bytes_held() >= limits_.log_bytes_max) {
    const Segment* head = log_.head();
    bool is_cut = false;
    for (uint32_t i = 0; i < blocked_.size(); ++i) {
      if (!blocked_[i].is_used || blocked_[i].cursor.segment != head) continue;
      DropBlocked(i, Disconnect::kLogBudget);
      is_cut = true;
      if (log_.head() != head) break;
    }
    if (!is_cut) return false;
  }
  return true;
}

}  // namespace sluice
