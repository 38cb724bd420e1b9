// Readers past their bounds: given up, or moved from their place in the log to a newer one, as the
// policy of their channel says.
#include <algorithm>

#include "base/check.h"
#include "delivery/delivery.h"

namespace sluice {

// It takes nothing at all: that is no slow reader, whatever its policy.
bool Delivery::IsStopped(const BlockedReader& reader, int64_t now_ns) const {
  if (!reader.is_waiting) return false;
  const Channel& channel = *channels_[reader.channel];
  const LagPolicy& policy = lag_policies_[channel.lag_policy];
  const int64_t age_max_ns = std::max(policy.age_max_ns, limits_.lag_age_max_ns);
  if (now_ns - reader.waiting_since_ns <= age_max_ns) return false;
  // Of those that are to be disconnected the bounds of the log decide, while they are in it.
  return policy.action != LagAction::kDisconnect || reader.is_ending ||
         channel.log().IsAtTail(reader.cursor);
}

std::optional<Disconnect> Delivery::BoundPassed(const BlockedReader& reader, int64_t now_ns) const {
  const Channel& channel = *channels_[reader.channel];
  const Log& log = channel.log();
  const LagPolicy& policy = lag_policies_[channel.lag_policy];
  if (log.tail_offset() - log.Offset(reader.cursor) > policy.bytes_max) {
    return Disconnect::kLagBytes;
  }
  if (log.tail_index() - log.Index(reader.cursor) > policy.events_max) {
    return Disconnect::kLagEvents;
  }
  if (now_ns - log.PublishedNs(reader.cursor) > policy.age_max_ns) return Disconnect::kLagAge;
  return std::nullopt;
}

void Delivery::FallBehind(uint32_t index, Disconnect reason) {
  const BlockedReader& reader = blocked_[index];
  const LagAction action = lag_policies_[channels_[reader.channel]->lag_policy].action;
  // One that is ending gets what was there when its end was asked for, or nothing.
  if (action == LagAction::kDisconnect || reader.is_ending) return GiveUp(index, reason);
  action == LagAction::kSkip ? SkipToNewest(index) : Conflate(index);
}

void Delivery::GiveUp(uint32_t index, Disconnect reason) {
  counters_.lag[channels_[blocked_[index].channel]->lag_policy].disconnects.Add();
  DropBlocked(index, reason);
}

// What would be let go of with the reader, about.
uint64_t Delivery::HeldBy(const BlockedReader& reader) const {
  const Channel& channel = *channels_[reader.channel];
  const Log& log = channel.log();
  const uint64_t of_frame = reader.has_frame() ? reader.left->rest().size() : 0;
  if (reader.is_conflating()) {
    return of_frame + conflations_[reader.channel]->table().bytes();
  }
  const bool may_skip = lag_policies_[channel.lag_policy].action != LagAction::kDisconnect;
  if (may_skip && FirstMissing(reader) + 1 >= log.tail_index()) return of_frame;
  return of_frame + log.tail_offset() - log.Offset(reader.cursor);
}

// The index in the log of the first frame that it does not get if it leaves its place now.
uint64_t Delivery::FirstMissing(const BlockedReader& reader) const {
  const Log& log = channels_[reader.channel]->log();
  return log.Index(reader.cursor) + (log.IsAtFrameStart(reader.cursor) ? 0 : 1);
}

// Behind the frame that it is in it is told what it misses, and goes on with the newest event.
void Delivery::SkipToNewest(uint32_t index) {
  BlockedReader& reader = blocked_[index];
  Channel& channel = *channels_[reader.channel];
  Log& log = channel.log();
  const uint64_t first = FirstMissing(reader);
  if (first + 1 >= log.tail_index()) return;  // it is there already
  const uint64_t newest = log.tail_index() - 1;
  const auto sequence_at = [&](uint64_t at) {
    return log.SequenceAt(reader.cursor, at, channel.appended_sequence());
  };
  const uint64_t first_sequence = sequence_at(first);
  const uint64_t last_sequence = sequence_at(newest - 1);
  if (reader.left == nullptr) reader.left = std::make_unique<LeftPlace>();
  if (!log.IsAtFrameStart(reader.cursor)) LeaveFrame(&reader);
  TellSkip(&reader, first_sequence, last_sequence, last_sequence);
  CountLost(reader.cursor, first, newest, Loss::kSkipped);
  const Cursor left = std::exchange(reader.cursor, log.AttachNewest());
  log.Detach(left);
  reader.aside_at = log.Offset(reader.cursor);
  LagCounters& counters = counters_.lag[channel.lag_policy];
  counters.skips.Add();
  counters.skipped_events.Add(newest - first);
}

// In the aside, which goes before what is at the reader's new place. A gap that it has not begun to
// take grows instead of being told twice: so a reader that takes nothing holds two at most.
void Delivery::TellSkip(BlockedReader* reader, uint64_t first, uint64_t last, uint64_t resume) {
  LeftPlace& left = *reader->left;
  if (!reader->has_aside()) {
    reader->aside.clear();
    reader->aside_sent = 0;
    left.gap_at = LeftPlace::kNone;
  }
  if (left.gap_at != LeftPlace::kNone && reader->aside_sent <= left.gap_at) {
    reader->aside.resize(left.gap_at);
    first = left.gap_first;
  } else {
    counters_.gaps[static_cast<size_t>(GapReason::kSkipped)].Add();
  }
  left.gap_at = reader->aside.size();
  left.gap_first = first;
  AppendGap(&reader->aside,
            {.reason = GapReason::kSkipped,
             .after = epoch_->Id(first - 1),
             .first = first,
             .last = last,
             .resume = resume},
            *epoch_);
}

// --- The frame that a reader was in the middle of when it left its place
// ---------------------------

void Delivery::LeaveFrame(BlockedReader* reader) {
  const Log& log = channels_[reader->channel]->log();
  LeftPlace& left = *reader->left;
  SLUICE_DCHECK(!left.has_frame && !reader->has_aside());
  left.has_frame = true;
  left.published_ns = log.PublishedNs(reader->cursor);
  left.sequence = log.SequenceAt(reader->cursor, log.Index(reader->cursor),
                                 channels_[reader->channel]->appended_sequence());
  left.is_of_table = false;
  left.held = log.HeldAt(reader->cursor);
  if (left.held != nullptr) {
    ++left.held->holders;
    left.sent = reader->cursor.offset;
  } else {
    left.copy = log.RestOfFrame(reader->cursor);
    left.sent = 0;
  }
}

// With the aside behind it, if there is one.
uint32_t Delivery::GatherFrame(const BlockedReader& reader, iovec* iovecs, Frame** large) const {
  const std::string_view rest = reader.left->rest();
  const size_t size = std::min<size_t>(rest.size(), limits_.send_bytes_max);
  iovecs[0] = {const_cast<char*>(rest.data()), size};
  if (reader.left->held != nullptr && size >= engine_.large_bytes_min()) {
    *large = reader.left->held->frame;
    return 1;
  }
  if (size < rest.size() || !reader.has_aside()) return 1;
  iovecs[1] = {const_cast<char*>(reader.aside.data()) + reader.aside_sent,
               reader.aside.size() - reader.aside_sent};
  return 2;
}

// Returns how many of the bytes were the frame's.
size_t Delivery::ConsumeFrame(BlockedReader* reader, size_t bytes, int64_t now_ns) {
  LeftPlace& left = *reader->left;
  const size_t rest = left.rest().size();
  const size_t taken = std::min(bytes, rest);
  left.sent += taken;
  if (taken < rest) return taken;
  CountHanded(left, now_ns);
  DropFrame(&left);
  return taken;
}

void Delivery::CountHanded(const LeftPlace& left, int64_t now_ns) {
  counters_.delivery_ns.Record(now_ns - left.published_ns, 1);
  counters_.deliveries.Add();
  if (ledger_ == nullptr) return;
  ledger_->AddHanded(left.sequence, 1, now_ns);
  if (left.is_of_table) ledger_->TakeBackLost(left.sequence, Loss::kConflated);
}

void Delivery::CountLost(const LeftPlace& left, Disconnect reason) {
  if (ledger_ == nullptr || left.is_of_table) return;
  ledger_->AddLost(left.sequence, LossBy(reason), 1);
}

void Delivery::DropFrame(LeftPlace* left) {
  if (left->held != nullptr) memory_.Release(left->held);
  left->held = nullptr;
  left->copy = std::string();
  left->has_frame = false;
}

}  // namespace sluice
