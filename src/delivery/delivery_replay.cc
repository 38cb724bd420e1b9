// Replaying readers: chunks of the history, sent within a budget of their own, up to the tail.
#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "base/clock.h"
#include "delivery/delivery.h"

namespace sluice {

Start Delivery::FindStart(const StreamStart& asked, const Subscription& subscription) {
  const bool asks_for_history = !asked.last_id.empty() || asked.from != StreamStart::From::kNow;
  if (asks_for_history && replays_.chunks != nullptr) {
    return replays_.chunks->Resolve(asked, subscription, newest_);
  }
  Start start;
  start.is_complete = true;
  start.after = start.opens_at = newest_;
  if (asked.last_id.empty()) return start;
  // Nobody knows which of the events since then it wanted.
  const auto id = Epoch::Parse(asked.last_id);
  const bool is_known = id.has_value() && epoch_ != nullptr && id->epoch == epoch_->value();
  if (is_known && id->sequence >= newest_) return start;
  start.gap = HistoryGap{.reason = is_known ? GapReason::kEvicted : GapReason::kUnknown,
                         .after = asked.last_id,
                         .first = is_known ? id->sequence + 1 : 0,
                         .last = newest_,
                         .resume = newest_};
  return start;
}

void Delivery::Replay(ConnectionId connection, const Subscription& subscription,
                      std::string_view opening, Start start) {
  const bool is_live = start.after == newest_ && start.values.empty();
  if (is_live || replays_.chunks == nullptr) return Attach(connection, subscription, opening);
  if (replays_.free.empty()) {
    replays_.free.push_back(static_cast<uint32_t>(replays_.readers.size()));
    replays_.readers.emplace_back();
  }
  const uint32_t index = replays_.free.back();
  replays_.free.pop_back();
  ReplayingReader& reader = replays_.readers[index];
  reader.connection = connection;
  reader.subscription = subscription;
  reader.after = start.after;
  reader.told = start.told;
  reader.gone = std::move(start.gone);
  reader.values = std::move(start.values);
  reader.aside.assign(opening);
  reader.is_used = true;
  reader.channel = FindOrMake(subscription);
  owed_.AddReader(reader.channel);
  reader.is_early = true;
  topics_.CountStreams(reader.channel, 1);
  Owe(index);
  places_.At(connection.slot) = {0, (index | kReplayBit) + 1};
  ListReplay(index);
  counters_.replays.Add();
  counters_.replaying.Set(++replays_.count);
  counters_.subscribed.Add();
  counters_.subscribers.Set(++readers_);
}

void Delivery::FreeReplay(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  if (reader.is_waiting) counters_.blocked_readers.Subtract();
  if (reader.is_ending) --replays_.ending_count;
  const bool is_listed = reader.is_listed;
  const uint32_t channel = reader.channel;
  // One that conflates is a reader of its channel's.
  const bool is_replaying = reader.is_early || reader.is_owed;
  const bool was_last = is_replaying && !owed_.RemoveReader(channel, reader.is_owed);
  const bool was_conflating = reader.is_conflating;
  reader = ReplayingReader();
  reader.is_listed = is_listed;
  if (was_conflating) LeaveTable(channel);
  if (was_last && channels_[channel]->readers() == 0) AfterLeave(channel);
  counters_.replaying.Set(--replays_.count);
  if (!is_listed) replays_.free.push_back(index);
}

void Delivery::ListReplay(uint32_t index) {
  if (std::exchange(replays_.readers[index].is_listed, true)) return;
  replays_.ready.Push(index);
}

void Delivery::OnReplayWritable(uint32_t index) {
  if (!std::exchange(replays_.readers[index].is_waiting, false)) return;
  counters_.blocked_readers.Subtract();
  ListReplay(index);
}

void Delivery::EndReplay(uint32_t index, std::string_view goodbye, Disconnect reason) {
  ReplayingReader& reader = replays_.readers[index];
  if (reader.is_ending) return;
  // Behind the event that it is in, or behind an aside that is still to be sent.
  if (!reader.has_aside()) reader.aside_at = reader.FrameEnd();
  reader.is_ending = true;
  reader.ending_reason = reason;
  ++replays_.ending_count;
  reader.aside.append(goodbye);
  if (!reader.is_waiting) ListReplay(index);
}

// In batches, until the turn's share of bytes or sends is used up. Who took all it was offered goes
// on at once: so readers come to the tail one after the other, and not all of them late.
void Delivery::SendReplays(int64_t now_ns) {
  const int64_t begun_ns = engine_.Now();
  TakeAheadReplays();
  // Below 0 when the last one was offered more than was left.
  auto bytes_left = static_cast<int64_t>(limits_.replay_bytes_max);
  // Live readers that are still to be visited are not held up for long.
  if (!queue_.empty()) bytes_left = bytes_left / 4 + 1;
  uint32_t sends_left = limits_.sends_max;
  while (replays_.HasWork() && bytes_left > 0 && sends_left != 0) {
    sends_left -= SendReplayBatch(&bytes_left, sends_left, now_ns);
  }
  PauseReplays(begun_ns);
}

// Beside a live stream they leave the rest of the time free: not only for this shard's next event,
// also for the kernel and the peers, which have to work through all that is sent.
void Delivery::PauseReplays(int64_t begun_ns) {
  constexpr int64_t kLiveNs = kNsPerSecond;  // so long after an event more are expected
  if (limits_.replay_share >= 100 || !replays_.HasWork() || readers_ == replays_.count) return;
  const int64_t now_ns = engine_.Now();
  if (now_ns - newest_published_ns_ > kLiveNs) return;
  const int64_t rest_ns =
      (now_ns - begun_ns) * (100 - limits_.replay_share) / std::max(1u, limits_.replay_share);
  if (rest_ns > 0) replays_resume_ns_ = now_ns + rest_ns;
}

// Those that the shard has come up with since.
void Delivery::TakeAheadReplays() {
  std::erase_if(replays_.ahead, [&](uint32_t index) {
    ReplayingReader& reader = replays_.readers[index];
    if (reader.is_used && !reader.is_ending && reader.after > newest_) return false;
    reader.is_listed = true;
    replays_.ready.Push(index);
    return true;
  });
}

// Returns the sends it made, and at least one, so that there is an end.
uint32_t Delivery::SendReplayBatch(int64_t* bytes_left, uint32_t sends_left, int64_t now_ns) {
  GatherReplays(bytes_left, sends_left);
  const std::span<const SendRequest> requests = batch_.Send(engine_);
  for (size_t i = 0; i < requests.size(); ++i) {
    size_t offered = 0;
    for (uint32_t j = 0; j < requests[i].iovec_count; ++j) {
      offered += requests[i].iovecs[j].iov_len;
    }
    const int32_t result = requests[i].result;
    // What was offered and not taken is there for others.
    *bytes_left += static_cast<int64_t>(offered) - std::max(result, 0);
    AfterReplaySend(replayed_[i], offered, result, now_ns);
  }
  batch_.Clear();
  return std::max<uint32_t>(1, static_cast<uint32_t>(requests.size()));
}

// Active readers first, as many as the bytes are enough for; the others stay where they are.
void Delivery::GatherReplays(int64_t* bytes_left, uint32_t sends_left) {
  replayed_.clear();
  size_t taken = 0;
  const auto has_room = [&] {
    return *bytes_left > 0 && replayed_.size() < sends_left && !batch_.full();
  };
  for (; taken < replays_.active.size() && has_room(); ++taken) {
    const uint32_t index = replays_.active[taken];
    replays_.readers[index].is_listed = false;
    if (GatherReplay(index, bytes_left)) replayed_.push_back(index);
  }
  replays_.active.erase(replays_.active.begin(),
                        replays_.active.begin() + static_cast<ptrdiff_t>(taken));
  for (size_t left = replays_.ready.size(); left != 0 && has_room(); --left) {
    const uint32_t index = replays_.ready.front();
    replays_.ready.Pop();
    replays_.readers[index].is_listed = false;
    if (GatherReplay(index, bytes_left)) replayed_.push_back(index);
  }
}

// Puts into the batch what the reader is to have next. False if there is nothing.
bool Delivery::GatherReplay(uint32_t index, int64_t* bytes_left) {
  ReplayingReader& reader = replays_.readers[index];
  if (!reader.is_used) {
    replays_.free.push_back(index);
    return false;
  }
  // To leave its place, and to read what is the newest, takes time by the events that are passed.
  const bool has_passed_many = reader.is_behind || reader.is_conflating;
  if (!PrepareReplay(index)) {
    // A reading without a result took its time too.
    *bytes_left -= has_passed_many ? History::kChunkBytes : History::kChunkBytes / 4;
    return false;
  }
  if (has_passed_many) *bytes_left -= History::kChunkBytes / 4;
  iovec* const iovecs = batch_.Space();
  uint32_t count = 0;
  size_t bytes = 0;
  const auto add = [&](const char* data, size_t size) {
    if (size == 0) return;
    iovecs[count++] = {const_cast<char*>(data), size};
    bytes += size;
  };
  const auto add_chunk_to = [&](size_t from, size_t end) {
    add(reader.chunk->bytes.data() + from, std::min<size_t>(end - from, limits_.send_bytes_max));
  };
  if (reader.sent < reader.chunk_end()) add_chunk_to(reader.sent, reader.chunk_end());
  if (reader.has_aside() && reader.sent + bytes == reader.chunk_end()) {
    add(reader.aside.data() + reader.aside_sent, reader.aside.size() - reader.aside_sent);
    if (!reader.is_ending && reader.aside_at < reader.chunk_bytes()) {
      add_chunk_to(reader.aside_at, reader.chunk_bytes());
    }
  }
  batch_.Add(reader.connection, count);
  *bytes_left -= static_cast<int64_t>(bytes);
  return true;
}

// True if there is something to be sent. Else the reader waits for the shard, for its next turn, or
// is no replaying reader any more.
bool Delivery::PrepareReplay(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  if (reader.has_aside() || reader.sent < reader.chunk_end()) return true;
  SLUICE_DCHECK(!reader.is_ending);
  if (reader.chunk != nullptr) {
    CountPassed(&reader, *reader.chunk, reader.after, reader.chunk->last);
    if (!reader.is_values) reader.after = reader.chunk->last;
    reader.SetChunk(nullptr);
  }
  if (GoLive(index)) return false;
  if (reader.is_behind) LeavePlace(&reader);
  if (ReadNextChunk(&reader)) return true;
  // Nothing wanted in what was looked at. That was all, or a share of looking: others come first.
  if (!GoLive(index)) ListReplay(index);
  return false;
}

// How far the history is read for it: if events that the shard has not drained are gone already and
// it was told so, up to those.
uint64_t Delivery::ReplaysThrough(const ReplayingReader& reader) const {
  if (reader.is_conflating) return reader.table_after;
  return std::max(newest_, reader.told);
}

// True if it has all of the history that it is to get: it is attached, goes on in its channel's
// table, or waits for the shard.
bool Delivery::GoLive(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  if (!reader.values.empty() || reader.after < ReplaysThrough(reader)) return false;
  if (reader.is_conflating) {
    GoOnInTable(index);
  } else if (reader.after == newest_) {
    AttachReplayed(index);
  } else {
    reader.is_listed = true;
    replays_.ahead.push_back(index);
  }
  return true;
}

// True if there is something to be sent of it.
bool Delivery::ReadNextChunk(ReplayingReader* reader) {
  reader->is_values = !reader->values.empty();
  if (reader->is_values) {
    auto chunk = std::make_shared<Chunk>();
    const auto left = std::span(reader->values).subspan(reader->values_done);
    reader->values_done += replays_.chunks->ReadValues(left, chunk.get());
    if (reader->values_done == reader->values.size()) reader->values = {};
    if (chunk->bytes.empty()) return false;
    reader->SetChunk(std::move(chunk));
    return true;
  }
  ChunkCache& chunks = *replays_.chunks;
  const uint64_t through = ReplaysThrough(*reader);
  reader->SetChunk(reader->is_conflating
                       ? chunks.ReadNewest(reader->subscription, reader->after, through)
                       : chunks.Read(reader->subscription, reader->after, through, reader->told));
  counters_.readings.Set(replays_.chunks->misses());
  TellReplayGap(reader);
  if (!reader->chunk->bytes.empty() || reader->has_aside()) return true;
  CountPassed(reader, *reader->chunk, reader->after, reader->chunk->last);
  reader->after = reader->chunk->last;
  reader->SetChunk(nullptr);
  return false;
}

// Where events that it was still to get are gone: the history is shorter than the reader is slow.
void Delivery::TellReplayGap(ReplayingReader* reader) {
  const Chunk& chunk = *reader->chunk;
  // Not what it was told before, or what was gone before it began.
  uint64_t known = reader->told;
  uint64_t last = chunk.evicted;
  if (!reader->gone.empty()) {
    known = UINT64_MAX;
    last = 0;
    for (size_t i = 0; i < chunk.evicted_by.size(); ++i) {
      if (chunk.evicted_by[i] <= reader->gone[i]) continue;
      known = std::min(known, reader->gone[i]);
      last = std::max(last, chunk.evicted_by[i]);
    }
  }
  known = std::max(known, reader->after);
  if (last <= known) return;
  // Events of other classes, which are not gone, may stand before the last one missing.
  const uint64_t before_held = chunk.marks.empty() ? chunk.last : chunk.marks[0].sequence - 1;
  AppendGap(&reader->aside,
            {.reason = GapReason::kEvicted,
             .after = epoch_->Id(known),
             .first = known + 1,
             .last = last,
             .resume = std::min(last, before_held)},
            *epoch_);
  reader->told = std::max(reader->told, last);
  for (uint64_t& gone : reader->gone) gone = std::max(gone, last);
  counters_.gaps[static_cast<size_t>(GapReason::kEvicted)].Add();
}

void Delivery::ConsumeReplay(ReplayingReader* reader, size_t bytes) {
  counters_.sends.Add();
  counters_.bytes_out.Add(bytes);
  uint64_t finished = 0;
  const auto take_chunk = [&] {
    const size_t of_chunk = std::min(bytes, reader->chunk_end() - reader->sent);
    if (of_chunk == 0) return;
    const uint32_t first = reader->mark;
    finished += reader->Advance(of_chunk);
    CountReplayed(reader, first);
    bytes -= of_chunk;
  };
  take_chunk();
  if (reader->has_aside()) {
    const size_t of_aside = std::min(bytes, reader->aside.size() - reader->aside_sent);
    reader->aside_sent += of_aside;
    bytes -= of_aside;
    if (reader->rest_of != 0 && reader->aside_sent >= reader->rest_bytes) CountRest(reader);
    if (!reader->has_aside()) {
      reader->aside.clear();
      reader->aside_sent = 0;
      take_chunk();
    }
  }
  counters_.deliveries.Add(finished);
  counters_.replayed.Add(finished);
}

void Delivery::AfterReplaySend(uint32_t index, size_t offered, int32_t result, int64_t now_ns) {
  ReplayingReader& reader = replays_.readers[index];
  const ConnectionId connection = reader.connection;
  if (result < 0 && result != -EAGAIN) {
    Detach(connection, ReasonOf(-result));
    events_.OnDropped(connection, ReasonOf(-result));
    return;
  }
  if (result > 0) ConsumeReplay(&reader, static_cast<size_t>(result));
  if (result < 0 || static_cast<size_t>(result) < offered) {
    counters_.sends_short.Add();
    reader.is_slow |= reader.is_owed && reader.is_past_joined();
    // What is in the table by then may be newer than what was read: it is read again.
    if (reader.is_conflating && reader.chunk != nullptr) LetGo(&reader);
    reader.is_waiting = true;
    reader.waiting_since_ns = now_ns;
    counters_.blocked_readers.Add();
    engine_.WatchWritable(connection);
    return;
  }
  if (reader.is_ending && !reader.has_aside()) {
    Detach(connection, reader.ending_reason);
    events_.OnEnded(connection);
    return;
  }
  // What it has now may be all: nothing is drained before this turn is over.
  const bool is_done = reader.chunk != nullptr && !reader.has_aside() && reader.values.empty() &&
                       reader.sent == reader.chunk_bytes() && !reader.is_conflating &&
                       (reader.is_values ? reader.after : reader.chunk->last) == newest_ &&
                       reader.told <= newest_;
  if (is_done) return AttachReplayed(index);
  reader.is_listed = true;
  replays_.active.push_back(index);
}

// It has all that the shard has drained, and stands at an event's start.
void Delivery::AttachReplayed(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  const ConnectionId connection = reader.connection;
  const uint32_t number = reader.channel;
  if (reader.chunk != nullptr) {
    CountPassed(&reader, *reader.chunk, reader.after, reader.chunk->last);
  }
  // Matched as a replaying reader, which it is until now.
  if (event_.held != nullptr) AppendNow(number, Subscription(reader.subscription));
  FreeReplay(index);
  AddFlowing(number, channels_[number]->log().Attach(), connection);
}

}  // namespace sluice
