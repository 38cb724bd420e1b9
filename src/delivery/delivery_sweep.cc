// The sweep: each flowing reader in its turn is offered what it has not had.
#include <algorithm>

#include "base/clock.h"
#include "delivery/delivery.h"
#include "event/aside.h"

namespace sluice {

bool Delivery::Sweep(int64_t now_ns) {
  now_ms_ = SentMs(now_ns);
  appends_left_ = limits_.appends_max;
  if (!emptied_.empty()) RemoveEmptied();
  if (!ready_.empty()) SendReady(now_ns);
  if (!heartbeats_.empty()) SendHeartbeats(now_ns);
  if (!queue_.empty()) SendRound(now_ns);
  if (replays_.HasWork() || !replays_.ahead.empty()) SendReplays(now_ns);
  return HasWork();
}

void Delivery::SendRound(int64_t now_ns) {
  GatherRound();
  const std::span<const SendRequest> requests = batch_.Send(engine_);
  if (!requests.empty()) now_ns = engine_.Now();
  uint32_t first = 0;
  for (const Run& run : runs_) {
    SettleRun(run, first, requests, now_ns);
    first += run.count;
  }
  batch_.Clear();
  SettleFailures(now_ns);
  SettleSwept(now_ns);
}

// Takes channels off the queue until the batch is full; of one with more readers than its share,
// the next readers are taken when the others have had theirs.
void Delivery::GatherRound() {
  runs_.clear();
  visited_.clear();
  swept_.clear();
  const uint32_t share =
      queue_.size() == 1 ? limits_.sends_max : std::max(1u, limits_.sends_max / 4);
  // A visit that finds nothing to send costs little, but not nothing.
  for (size_t left = size_t{limits_.sends_max} * 4; left != 0 && !queue_.empty() && !batch_.full();
       --left) {
    const uint32_t number = queue_.front();
    queue_.Pop();
    Channel* channel = channels_[number].get();
    if (channel == nullptr || !channel->is_queued) continue;
    channel->is_queued = false;
    const bool may_go_on = GatherChannel(number, share);
    swept_.push_back(number);
    if (channel->remaining() != 0) Enqueue(number);
    if (!may_go_on) break;
  }
}

// False if the next bytes may not join what is in the batch.
bool Delivery::GatherChannel(uint32_t number, uint32_t requests_max) {
  Channel& channel = *channels_[number];
  const Log& log = channel.log();
  const uint32_t size_max = batch_.size() + requests_max;
  while (channel.remaining() != 0 && batch_.size() < size_max && !batch_.full()) {
    const uint32_t index = channel.position();
    const Reader& reader = channel.reader(index);
    if (!log.IsAtTail(reader.cursor)) {
      if (!runs_.empty() && runs_.back().from.segment == reader.cursor.segment &&
          runs_.back().from.offset == reader.cursor.offset) {
        batch_.AddSame(reader.connection);
        ++runs_.back().count;
      } else {
        iovec* iovecs = batch_.Space();
        uint32_t count = log.Gather(reader.cursor, UINT64_MAX, limits_.send_bytes_max, iovecs,
                                    SendBatch::kIovecsMax);
        Frame* const large = LargeOffered(log, reader.cursor, iovecs[0]);
        if (!batch_.Takes(large)) return false;
        if (large != nullptr) count = 1;
        size_t bytes = 0;
        for (uint32_t i = 0; i < count; ++i) bytes += iovecs[i].iov_len;
        runs_.push_back({reader.cursor, bytes, 1, number});
        batch_.Add(reader.connection, count, large);
      }
      visited_.push_back(index);
    }
    channel.Visit();
  }
  return true;
}

// The frame whose bytes should go by themselves, without being copied; else null.
Frame* Delivery::LargeOffered(const Log& log, const Cursor& cursor, const iovec& first) const {
  return first.iov_len < engine_.large_bytes_min() ? nullptr : log.FrameAt(cursor);
}

void Delivery::SettleRun(const Run& run, uint32_t first, std::span<const SendRequest> requests,
                         int64_t now_ns) {
  uint64_t full = 0;
  for (uint32_t i = first; i < first + run.count; ++i) {
    const int32_t result = requests[i].result;
    if (result >= 0 && static_cast<size_t>(result) == run.bytes) {
      ++full;
    } else {
      failures_.push_back({run.channel, visited_[i], result, run.bytes});
    }
  }
  if (full == 0) return;
  // Before the cursors move: the segments they leave may be freed.
  RecordDeliveries(run.from, run.bytes, full, now_ns);
  counters_.sends.Add(full);
  counters_.bytes_out.Add(full * run.bytes);
  Channel& channel = *channels_[run.channel];
  Log& log = channel.log();
  Cursor to;
  for (uint32_t i = first; i < first + run.count; ++i) {
    if (requests[i].result < 0 || static_cast<size_t>(requests[i].result) != run.bytes) continue;
    Reader& reader = channel.reader(visited_[i]);
    if (to.segment == nullptr) {
      log.Advance(&reader.cursor, run.bytes);
      to = reader.cursor;
    } else {
      log.Follow(&reader.cursor, to);
    }
    reader.sent_ms = now_ms_ & kSentMask;
  }
  if (!log.IsAtTail(to)) channel.RestartRound();  // more than one send may carry
}

// Readers whose socket took less than offered leave their array. From the highest index down, so
// that taking one out does not move another that is still to be taken out.
void Delivery::SettleFailures(int64_t now_ns) {
  std::sort(failures_.begin(), failures_.end(), [](const Failure& a, const Failure& b) {
    return a.channel != b.channel ? a.channel < b.channel : a.index > b.index;
  });
  for (const Failure& failure : failures_) {
    AfterBlockedSend(Block(failure.channel, failure.index), failure.offered, failure.result,
                     now_ns);
  }
  failures_.clear();
}

void Delivery::SettleSwept(int64_t now_ns) {
  for (const uint32_t number : swept_) {
    Channel& channel = *channels_[number];
    channel.FinishRounds(&fanout_, now_ns);
    if (Conflates(channel)) TrimBacklog(number);
    if (channel.remaining() != 0) {
      Enqueue(number);
    } else {
      channel.RestAfterRound();
    }
  }
}

// Each event between the cursor and `bytes` after it, to so many readers. One frame of a long run
// costs one histogram step, shared by all readers that stood at the same place.
void Delivery::RecordDeliveries(const Cursor& from, size_t bytes, uint64_t readers,
                                int64_t now_ns) {
  uint64_t finished = 0;
  const Segment* segment = from.segment;
  uint64_t end = uint64_t{from.offset} + bytes;
  for (uint32_t mark = from.mark; segment != nullptr; segment = segment->next, mark = 0) {
    for (; mark < segment->mark_count && segment->mark(mark).end <= end; ++mark, ++finished) {
      const FrameMark& finished_mark = segment->mark(mark);
      counters_.delivery_ns.Record(now_ns - finished_mark.published_ns, readers);
      if (ledger_ == nullptr) continue;
      ledger_->AddHanded(ledger_->Widen(finished_mark.sequence_low), static_cast<uint32_t>(readers),
                         now_ns);
    }
    if (end <= segment->bytes) break;
    end -= segment->bytes;
  }
  counters_.deliveries.Add(finished * readers);
}

int64_t Delivery::HeartbeatDue(ConnectionId connection, int64_t now_ns) {
  const Place place = PlaceOf(connection);
  if (!place.is_flowing()) return now_ns + limits_.heartbeat_ns;
  Channel& channel = *channels_[place.channel];
  Reader& reader = channel.reader(place.index());
  const uint32_t silent_ms = (SentMs(now_ns) - reader.sent_ms) & kSentMask;
  // A little early by slot, so that readers who had the same event do not all fall due at once.
  const int64_t early_ns = limits_.heartbeat_ns / 8 * (connection.slot % 64) / 64;
  const int64_t left_ns = limits_.heartbeat_ns - early_ns - int64_t{silent_ms} * kNsPerMs;
  if (left_ns > 0) return now_ns + left_ns;
  // One that has events to come needs no heartbeat.
  if (channel.log().IsAtTail(reader.cursor) && !reader.is_heartbeat_due) {
    reader.is_heartbeat_due = true;
    heartbeats_.Push(connection);
  }
  return now_ns + limits_.heartbeat_ns;
}

void Delivery::SendHeartbeats(int64_t now_ns) {
  for (; !heartbeats_.empty() && !batch_.full(); heartbeats_.Pop()) {
    const ConnectionId connection = heartbeats_.front();
    const Place place = PlaceOf(connection);
    if (!place.is_flowing()) continue;
    Channel& channel = *channels_[place.channel];
    Reader& reader = channel.reader(place.index());
    // One that was blocked meanwhile may stand here twice: a batch has each peer once.
    if (!reader.is_heartbeat_due) continue;
    reader.is_heartbeat_due = false;
    if (!channel.log().IsAtTail(reader.cursor)) continue;
    if (batch_.empty()) {
      batch_.Space()[0] = {const_cast<char*>(kHeartbeat.data()), kHeartbeat.size()};
      batch_.Add(connection, 1);
    } else {
      batch_.AddSame(connection);
    }
  }
  for (const SendRequest& request : batch_.Send(engine_)) {
    const Place place = PlaceOf(request.connection);
    if (request.result == static_cast<int32_t>(kHeartbeat.size())) {
      channels_[place.channel]->reader(place.index()).sent_ms = now_ms_ & kSentMask;
      counters_.heartbeats.Add();
      counters_.bytes_out.Add(kHeartbeat.size());
      continue;
    }
    // What is left of it is an aside like any other.
    const uint32_t index = Block(place.channel, place.index());
    blocked_[index].aside.assign(kHeartbeat);
    AfterBlockedSend(index, kHeartbeat.size(), request.result, now_ns);
  }
  batch_.Clear();
}

}  // namespace sluice
