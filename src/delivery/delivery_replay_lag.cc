// Replaying readers past their bounds, and the accounts of all of them: what is owed to each from
// when it came, and what of that it has had, or lost.
#include <algorithm>

#include "base/check.h"
#include "delivery/delivery.h"

namespace sluice {

// --- What is owed
// ----------------------------------------------------------------------------------

// From the next event on it is a subscriber of its channel, as those who read the log.
void Delivery::Owe(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  if (reader.after > newest_) return replays_.unowed.push_back(index);
  if (event_.held != nullptr) AppendNow(reader.channel, reader.subscription);
  OweFrom(&reader, newest_);
}

// Before the event is matched: it is the first that some of those who are ahead have not had.
void Delivery::OweLate(uint64_t sequence) {
  std::erase_if(replays_.unowed, [&](uint32_t index) {
    ReplayingReader& reader = replays_.readers[index];
    if (!reader.is_used || reader.is_owed) return true;
    if (reader.after >= sequence) return false;
    OweFrom(&reader, sequence - 1);
    return true;
  });
}

void Delivery::OweFrom(ReplayingReader* reader, uint64_t joined) {
  const Owed::Total& total = owed_.Begin(reader->channel);
  reader->joined = joined;
  reader->had_events = total.events;
  reader->had_bytes = total.bytes;
  reader->is_early = false;
  reader->is_owed = true;
}

// The events that it has finished since `first_mark`, of its chunk.
void Delivery::CountReplayed(ReplayingReader* reader, uint32_t first_mark) {
  uint32_t begin = first_mark == 0 ? 0 : reader->chunk->marks[first_mark - 1].end;
  for (uint32_t i = first_mark; i < reader->mark; ++i) {
    const ChunkMark& mark = reader->chunk->marks[i];
    CountReplayed(reader, mark.sequence, mark.end - begin);
    begin = mark.end;
  }
}

void Delivery::CountReplayed(ReplayingReader* reader, uint64_t sequence, uint64_t bytes) {
  const bool was_owed = (reader->is_owed || reader->is_conflating) && sequence > reader->joined;
  if (was_owed) {
    ++reader->had_events;
    reader->had_bytes += bytes;
  }
  if (ledger_ == nullptr) return;
  if (!was_owed) return ledger_->AddReplayed(sequence, 1);
  ledger_->AddHanded(sequence, 1, engine_.Now());
  if (reader->is_conflating) ledger_->TakeBackLost(sequence, Loss::kConflated);
}

// It has passed from `after` to `through` by this chunk: what was owed to it there and is not in
// the chunk is gone.
void Delivery::CountPassed(ReplayingReader* reader, const Chunk& chunk, uint64_t after,
                           uint64_t through) {
  after = std::max(after, reader->joined);
  if (!reader->is_owed || reader->is_values || chunk.evicted <= after) return;
  const Owed::Total& total = owed_.TotalOf(reader->channel);
  owed_.ForEach(reader->channel, after, through, [&](uint64_t sequence) {
    const auto at = std::lower_bound(
        chunk.marks.begin(), chunk.marks.end(), sequence,
        [](const ChunkMark& mark, uint64_t wanted) { return mark.sequence < wanted; });
    if (at != chunk.marks.end() && at->sequence == sequence) return;
    ledger_->AddLost(sequence, Loss::kEvicted, 1);
    // Of how many bytes it was nobody knows any more.
    if (total.events > reader->had_events && total.bytes > reader->had_bytes) {
      const uint64_t events = total.events - reader->had_events;
      reader->had_bytes += (total.bytes - reader->had_bytes) / events;
    }
    ++reader->had_events;
  });
}

// The rest of an event whose chunk was let go has been sent.
void Delivery::CountRest(ReplayingReader* reader) {
  const uint64_t sequence = std::exchange(reader->rest_of, 0);
  counters_.deliveries.Add();
  counters_.replayed.Add();
  CountReplayed(reader, sequence, reader->rest_whole_bytes);
}

// Of a reader that goes: what it was still to get.
void Delivery::CountLost(ReplayingReader* reader, Disconnect reason) {
  if (!reader->is_owed) return;
  // It may have had from the history what its channel is only now to be matched with.
  if (event_.held != nullptr) AppendNow(reader->channel, reader->subscription);
  const uint64_t had = reader->had_through();
  if (reader->chunk != nullptr) CountPassed(reader, *reader->chunk, reader->after, had);
  owed_.ForEach(reader->channel, std::max(had, reader->joined), UINT64_MAX,
                [&](uint64_t sequence) { ledger_->AddLost(sequence, LossBy(reason), 1); });
}

// --- Past a bound
// ----------------------------------------------------------------------------------

void Delivery::CheckReplays(int64_t now_ns) {
  uint64_t held = 0;
  for (uint32_t i = 0; i < replays_.readers.size(); ++i) {
    ReplayingReader& reader = replays_.readers[i];
    if (!reader.is_used) continue;
    if (reader.is_slow && IsPastBound(reader, now_ns)) {
      reader.is_behind = true;
      if (reader.chunk != nullptr) LetGo(&reader);
    }
    if (!reader.is_waiting) continue;
    if (now_ns - reader.waiting_since_ns > StopAgeNs(reader)) {
      GiveUpReplay(i, reader.is_ending ? Disconnect::kAsideTimeout : Disconnect::kLagAge);
      continue;
    }
    if (reader.chunk == nullptr || reader.is_values) continue;
    held += reader.chunk_bytes() / static_cast<uint64_t>(reader.chunk.use_count());
    if (held > limits_.replay_held_bytes_max) LetGo(&reader);
  }
}

// What comes after the event that it is in is read again.
void Delivery::LetGo(ReplayingReader* reader) {
  const std::shared_ptr<const Chunk> chunk = reader->chunk;
  const uint64_t after = reader->after;
  reader->LetGo();
  CountPassed(reader, *chunk, after, reader->after);
}

void Delivery::GiveUpReplay(uint32_t index, Disconnect reason) {
  const ReplayingReader& reader = replays_.readers[index];
  const ConnectionId connection = reader.connection;
  const bool has_channel = reader.is_owed || reader.is_conflating;
  if (has_channel) counters_.lag[channels_[reader.channel]->lag_policy].disconnects.Add();
  Detach(connection, reason);
  events_.OnDropped(connection, reason);
}

// One that takes nothing for so long is no slow reader.
int64_t Delivery::StopAgeNs(const ReplayingReader& reader) const {
  if (!reader.is_owed && !reader.is_conflating) return limits_.lag_age_max_ns;
  const LagPolicy& policy = lag_policies_[channels_[reader.channel]->lag_policy];
  return std::max(policy.age_max_ns, limits_.lag_age_max_ns);
}

// One that is to be disconnected for its lag is not: it pins nothing, and the history is its bound.
bool Delivery::IsPastBound(const ReplayingReader& reader, int64_t now_ns) const {
  if (!reader.is_owed || reader.is_behind || reader.is_ending || !reader.is_past_joined()) {
    return false;
  }
  const LagPolicy& policy = lag_policies_[channels_[reader.channel]->lag_policy];
  if (policy.action == LagAction::kDisconnect) return false;
  const Owed::Total& total = owed_.TotalOf(reader.channel);
  if (total.events <= reader.had_events) return false;
  if (total.events - reader.had_events > policy.events_max) return true;
  if (total.bytes > reader.had_bytes + policy.bytes_max) return true;
  const int64_t published_ns = reader.PublishedNs();
  return published_ns != 0 && now_ns - published_ns > policy.age_max_ns;
}

// It stands between events, and what it was told of is drained.
void Delivery::LeavePlace(ReplayingReader* reader) {
  if (reader->told > newest_) return;
  reader->is_behind = false;
  if (event_.held != nullptr) AppendNow(reader->channel, reader->subscription);
  const LagAction action = lag_policies_[channels_[reader->channel]->lag_policy].action;
  action == LagAction::kSkip ? SkipToNewest(reader) : EnterTable(reader);
}

// It is told what it misses, and goes on with the newest event, from the history.
void Delivery::SkipToNewest(ReplayingReader* reader) {
  const Owed::Total& total = owed_.TotalOf(reader->channel);
  const uint64_t last = total.before_newest;
  if (total.events < reader->had_events + 2 || last <= reader->after) return;
  AppendGap(&reader->aside,
            {.reason = GapReason::kSkipped,
             .after = epoch_->Id(reader->after),
             .first = reader->after + 1,
             .last = last,
             .resume = last},
            *epoch_);
  counters_.gaps[static_cast<size_t>(GapReason::kSkipped)].Add();
  owed_.ForEach(reader->channel, reader->after, last,
                [&](uint64_t sequence) { ledger_->AddLost(sequence, Loss::kSkipped, 1); });
  LagCounters& counters = counters_.lag[channels_[reader->channel]->lag_policy];
  counters.skips.Add();
  counters.skipped_events.Add(total.events - 1 - reader->had_events);
  reader->had_events = total.events - 1;
  reader->had_bytes = total.bytes - total.newest_bytes;
  reader->after = last;
}

// The channel's table has what comes from now on. It is a reader of that from now on, and one of
// the channel's: what it gets before that was lost to it as conflated, and is taken back.
void Delivery::EnterTable(ReplayingReader* reader) {
  Channel& channel = *channels_[reader->channel];
  channel.CountBlocked(1);
  EnterTable(reader->channel);
  reader->table_after = newest_;
  reader->table_index = channel.log().tail_index();
  reader->table_owed = owed_.TotalOf(reader->channel).events - reader->had_events;
  reader->had_events = 0;
  owed_.ForEach(reader->channel, reader->after, UINT64_MAX,
                [&](uint64_t sequence) { ledger_->AddLost(sequence, Loss::kConflated, 1); });
  owed_.RemoveReader(reader->channel, true);
  reader->is_owed = false;
  reader->is_conflating = true;
}

void Delivery::LeaveTable(uint32_t channel) {
  conflations_[channel]->Leave();
  channels_[channel]->CountBlocked(-1);
  AfterLeave(channel);
}

// It has what was before the table.
void Delivery::GoOnInTable(uint32_t index) {
  ReplayingReader& reader = replays_.readers[index];
  const ConnectionId connection = reader.connection;
  const uint32_t number = reader.channel;
  Channel& channel = *channels_[number];
  auto left = std::make_unique<LeftPlace>();
  left->is_conflating = true;
  left->after = reader.table_after;
  left->told = reader.told;
  left->next_index = reader.table_index;
  if (reader.table_owed > reader.had_events) {
    counters_.lag[channel.lag_policy].conflated_events.Add(reader.table_owed - reader.had_events);
  }
  // It stays a reader of the table, and of the channel.
  reader.is_conflating = false;
  channel.CountBlocked(-1);
  FreeReplay(index);
  const uint32_t blocked = NewBlocked(number, channel.log().Tail(), connection);
  blocked_[blocked].cursor = Cursor();
  blocked_[blocked].left = std::move(left);
  GoOnConflating(blocked);
}

}  // namespace sluice
