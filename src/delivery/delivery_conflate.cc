// Readers that conflate: they have left their channel's log, and go through its table of newest
// events (see conflation.h) until they have all of it; then they go on at the log's tail.
#include <algorithm>

#include "base/check.h"
#include "delivery/delivery.h"

namespace sluice {

Conflation& Delivery::ConflationOf(uint32_t channel) {
  if (channel >= conflations_.size()) conflations_.resize(channels_.size());
  std::unique_ptr<Conflation>& conflation = conflations_[channel];
  if (conflation == nullptr) {
    conflation = std::make_unique<Conflation>(memory_, limits_.conflation,
                                              counters_.lag[channels_[channel]->lag_policy]);
  }
  return *conflation;
}

// What nobody in the log is to have any more.
void Delivery::TrimBacklog(uint32_t channel) {
  if (channel >= conflations_.size() || conflations_[channel] == nullptr) return;
  const Channel& of = *channels_[channel];
  Conflation& conflation = *conflations_[channel];
  // Those whose sends have just failed stand among the flowing ones until they are settled.
  const bool is_read =
      of.remaining() != 0 || of.blocked() > conflation.readers() || !failures_.empty();
  conflation.Trim(is_read ? of.log().head()->base_index : of.log().tail_index());
}

// One more of the channel's readers conflates.
void Delivery::EnterTable(uint32_t channel) {
  Conflation& conflation = ConflationOf(channel);
  const bool is_first = conflation.readers() == 0;
  conflation.Enter();
  if (is_first && !conflation.is_whole()) making_.Push(channel);
}

// A share of one table a turn.
void Delivery::MakeTables() {
  const uint32_t channel = making_.front();
  Conflation* const conflation = conflations_[channel].get();
  // Its readers may have gone, or the channel; another's has the number then, or has none.
  if (conflation != nullptr && !conflation->Make()) return;
  making_.Pop();
  if (conflation != nullptr) TrimBacklog(channel);
}

void Delivery::Conflate(uint32_t index) {
  BlockedReader& reader = blocked_[index];
  if (reader.is_conflating()) return;
  Log& log = channels_[reader.channel]->log();
  const uint64_t first = FirstMissing(reader);
  if (first >= log.tail_index()) return;  // it is in the newest event, or has it
  Conflation& conflation = ConflationOf(reader.channel);
  if (reader.left == nullptr) reader.left = std::make_unique<LeftPlace>();
  LeftPlace& left = *reader.left;
  if (!log.IsAtFrameStart(reader.cursor)) LeaveFrame(&reader);
  left.is_conflating = true;
  left.after = conflation.SequenceAt(first) - 1;
  left.next_index = first;
  EnterTable(reader.channel);
  CountLost(reader.cursor, first, UINT64_MAX, Loss::kConflated);
  log.Detach(reader.cursor);
  reader.cursor = Cursor();
  TrimBacklog(reader.channel);
}

// What the table dropped at its bounds, before the reader gets what is still in it.
void Delivery::TellDropped(BlockedReader* reader) {
  LeftPlace& left = *reader->left;
  if (reader->has_frame() || reader->has_aside() || reader->is_ending) return;
  if (!conflations_[reader->channel]->is_whole()) return;
  const ConflationTable& table = conflations_[reader->channel]->table();
  const uint64_t dropped = table.dropped();
  if (dropped <= std::max(left.after, left.told)) return;
  // Whoever is cut off behind the gap still gets what stands in the table before the last missing.
  const ConflatedEvent* next = table.Next(left.after);
  const uint64_t resume =
      next == nullptr ? dropped : std::min(dropped, next->held->frame->sequence() - 1);
  TellSkip(reader, left.after + 1, dropped, resume);
  left.told = dropped;
  // Nothing of the table stands before that: if more is dropped, the next gap begins behind it.
  left.after = std::max(left.after, resume);
}

uint32_t Delivery::GatherConflated(const BlockedReader& reader, iovec* iovecs,
                                   Frame** large) const {
  if (reader.has_aside()) {
    iovecs[0] = {const_cast<char*>(reader.aside.data()) + reader.aside_sent,
                 reader.aside.size() - reader.aside_sent};
    return 1;
  }
  if (reader.is_ending || !conflations_[reader.channel]->is_whole()) return 0;
  const ConflationTable& table = conflations_[reader.channel]->table();
  uint32_t count = 0;
  size_t room = limits_.send_bytes_max;
  uint64_t after = reader.left->after;
  while (room != 0) {
    const ConflatedEvent* next = table.Next(after);
    if (next == nullptr) break;
    Frame* const frame = next->held->frame;
    const std::string_view bytes = frame->bytes();
    after = frame->sequence();
    const bool is_large = bytes.size() >= engine_.large_bytes_min();
    if (count != 0 && (is_large || bytes.size() > room)) break;
    const size_t size = std::min(bytes.size(), room);
    iovecs[count++] = {const_cast<char*>(bytes.data()), size};
    if (is_large) *large = frame;
    if (is_large || count == SendBatch::kIovecsMax) break;
    room -= size;
  }
  return count;
}

// As they were gathered: nothing is appended during a sweep.
void Delivery::ConsumeConflated(BlockedReader* reader, size_t bytes, int64_t now_ns) {
  if (reader->has_aside()) {
    const size_t taken = std::min(bytes, reader->aside.size() - reader->aside_sent);
    reader->aside_sent += taken;
    bytes -= taken;
  }
  LeftPlace& left = *reader->left;
  const ConflationTable& table = conflations_[reader->channel]->table();
  LagCounters& counters = counters_.lag[channels_[reader->channel]->lag_policy];
  while (bytes != 0) {
    const ConflatedEvent* next = table.Next(left.after);
    SLUICE_DCHECK(next != nullptr);
    HeldFrame* const held = next->held;
    const Frame& frame = *held->frame;
    left.after = frame.sequence();
    counters.conflated_events.Add(next->index - left.next_index);
    left.next_index = next->index + 1;
    left.published_ns = frame.published_ns();
    left.sequence = frame.sequence();
    left.is_of_table = true;
    if (bytes < frame.bytes().size()) {
      left.has_frame = true;
      left.held = held;
      left.sent = bytes;
      ++held->holders;
      return;
    }
    bytes -= frame.bytes().size();
    CountHanded(left, now_ns);
  }
}

// With all of the table it is where the log's tail is.
void Delivery::GoOnConflating(uint32_t index) {
  BlockedReader& reader = blocked_[index];
  const Conflation& conflation = *conflations_[reader.channel];
  if (!conflation.is_whole()) return MakeReady(index);
  const LeftPlace& left = *reader.left;
  const uint64_t missed = conflation.table().dropped();
  if (conflation.table().Next(left.after) != nullptr || missed > std::max(left.after, left.told)) {
    return MakeReady(index);
  }
  Channel& channel = *channels_[reader.channel];
  counters_.lag[channel.lag_policy].conflated_events.Add(channel.log().tail_index() -
                                                         left.next_index);
  LeaveChannel(&reader);
  reader.left.reset();
  reader.cursor = channel.log().Attach();
  Unblock(index);
}

// The reader is not in the log, or the table, any more.
void Delivery::LeaveChannel(BlockedReader* reader) {
  Channel& channel = *channels_[reader->channel];
  if (!reader->is_conflating()) return channel.log().Detach(reader->cursor);
  conflations_[reader->channel]->Leave();
}

}  // namespace sluice
