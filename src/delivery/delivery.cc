#include "delivery/delivery.h"

#include <algorithm>

#include "base/check.h"
#include "event/topic.h"

namespace sluice {

namespace {

std::vector<LagPolicy> PoliciesOf(const DeliveryLimits& limits) {
  std::vector<LagPolicy> policies = limits.lag_policies;
  policies.push_back({.action = limits.lag_action,
                      .bytes_max = limits.lag_bytes_max,
                      .events_max = limits.lag_events_max,
                      .age_max_ns = limits.lag_age_max_ns});
  return policies;
}

}  // namespace

Delivery::Delivery(const DeliveryLimits& limits, Engine& engine, DeliveryCounters& counters,
                   ReaderEvents& events, const ReplaySource& source, LedgerPart* ledger)
    : limits_(limits),
      lag_policies_(PoliciesOf(limits)),
      lag_bytes_min_(limits.lag_bytes_max),
      lag_events_min_(limits.lag_events_max),
      // One send gives a reader all that it may have to wait for, so that a round is one visit
      // each.
      unswept_bytes_max_(std::min<uint64_t>(limits.send_bytes_max, limits.log_bytes_max / 4)),
      engine_(engine),
      counters_(counters),
      events_(events),
      memory_(limits.segment_bytes),
      batch_(limits.sends_max),
      appends_left_(limits.appends_max),
      fanout_(counters.fanout_ns),
      epoch_(source.epoch),
      newest_(source.drained),
      ledger_(ledger) {
  SLUICE_CHECK(lag_policies_.size() <= kLagPoliciesMax + 1);
  counters_.lag = std::vector<LagCounters>(lag_policies_.size());
  for (const LagPolicy& policy : lag_policies_) {
    lag_bytes_min_ = std::min(lag_bytes_min_, policy.bytes_max);
    lag_events_min_ = std::min(lag_events_min_, policy.events_max);
    // Who skips is told so with ids.
    SLUICE_CHECK(policy.action == LagAction::kDisconnect || epoch_ != nullptr);
  }
  if (source.history == nullptr) return;
  replays_.chunks = std::make_unique<ChunkCache>(*source.history, limits.replay_held_bytes_max);
}

Delivery::~Delivery() {
  for (BlockedReader& reader : blocked_) {
    if (reader.left != nullptr) DropFrame(reader.left.get());
  }
  if (event_.held != nullptr) memory_.Release(event_.held);
}

// --- Channels
// --------------------------------------------------------------------------------------

uint32_t Delivery::FindOrMake(const Subscription& subscription) {
  const std::string& text = subscription.text();
  const uint64_t hash = TopicHash(text);
  uint32_t number = by_text_.Find(hash, [&](uint32_t n) { return channels_[n]->text() == text; });
  if (number != kNone) return number;
  if (numbers_free_.empty()) {
    numbers_free_.push_back(static_cast<uint32_t>(channels_.size()));
    channels_.emplace_back();
  }
  number = numbers_free_.back();
  numbers_free_.pop_back();
  channels_[number] = std::make_unique<Channel>(memory_, text);
  channels_[number]->lag_policy =
      static_cast<uint8_t>(FindLagPolicy(limits_.lag_policies, subscription));
  by_text_.Insert(hash, number);
  if (subscription.asks_for_everything()) {
    everything_ = number;
  } else if (subscription.patterns().empty()) {
    topicless_ = number;
  } else {
    topics_.Add(number, subscription.patterns());
  }
  counters_.channels.Set(++channel_count_);
  return number;
}

void Delivery::RemoveChannel(uint32_t number) {
  const Channel& channel = *channels_[number];
  by_text_.Erase(TopicHash(channel.text()), number);
  if (number == everything_) {
    everything_ = kNone;
  } else if (number == topicless_) {
    topicless_ = kNone;
  } else {
    topics_.Remove(number);
  }
  channels_[number].reset();
  if (number < conflations_.size()) conflations_[number].reset();
  // What is matched names channels by number.
  (event_.held != nullptr ? numbers_left_ : numbers_free_).push_back(number);
  counters_.channels.Set(--channel_count_);
}

// A reader has left the channel.
void Delivery::AfterLeave(uint32_t number) {
  Channel& channel = *channels_[number];
  if (channel.readers() != 0) {
    if (Conflates(channel)) TrimBacklog(number);
    channel.RestIfIdle();
  } else if (!channel.is_emptied) {
    channel.is_emptied = true;
    emptied_.push_back(number);
  }
}

// Not at once: who is in the middle of a channel's readers still holds on to it.
void Delivery::RemoveEmptied() {
  for (const uint32_t number : emptied_) {
    Channel& channel = *channels_[number];
    channel.is_emptied = false;
    if (channel.readers() != 0 || owed_.Has(number)) {  // somebody came, or will
      if (Conflates(channel)) TrimBacklog(number);
      channel.RestIfIdle();
      continue;
    }
    channel.FinishRounds(&fanout_, engine_.Now());
    if (channel.is_stalled) std::erase(stalled_, number);
    RemoveChannel(number);
  }
  emptied_.clear();
}

void Delivery::Enqueue(uint32_t number) {
  Channel& channel = *channels_[number];
  if (channel.is_queued) return;
  channel.is_queued = true;
  queue_.Push(number);
}

// --- Appending
// -------------------------------------------------------------------------------------

bool Delivery::Append(Frame* frame) {
  SLUICE_DCHECK(event_.held == nullptr);
  counters_.events.Add();
  newest_ = frame->sequence();
  newest_published_ns_ = frame->published_ns();
  if (ledger_ != nullptr) ledger_->Begin(newest_, frame->published_ns());
  if (!replays_.unowed.empty()) OweLate(newest_);
  appended_bytes_ += frame->bytes().size();
  ++appended_events_;
  matched_.clear();
  Match(*frame);
  event_ = {memory_.Hold(frame), frame->sequence(), fanout_.BeginEvent(frame->published_ns()), 0};
  return ContinueAppend();
}

void Delivery::Match(const Frame& frame) {
  if (frame.topic_count() != 0) {
    topics_.Match(frame, &matched_);
  } else if (topicless_ != kNone) {
    matched_.push_back(topicless_);
  }
  if (everything_ != kNone) matched_.push_back(everything_);
}

bool Delivery::ContinueAppend() {
  if (event_.held != nullptr) {
    while (event_.next < matched_.size()) {
      if (appends_left_ == 0 || !HasRoom()) return false;
      AppendTo(matched_[event_.next++]);
    }
    fanout_.EndEvent(event_.fanout, engine_.Now());
    memory_.Release(event_.held);
    event_.held = nullptr;
    numbers_free_.insert(numbers_free_.end(), numbers_left_.begin(), numbers_left_.end());
    numbers_left_.clear();
    CountHeld();
  }
  std::erase_if(stalled_, [&](uint32_t number) {
    Channel& channel = *channels_[number];
    channel.is_stalled = channel.unswept_bytes() >= unswept_bytes_max_;
    return !channel.is_stalled;
  });
  return stalled_.empty() && appends_left_ != 0 && HasRoom();
}

void Delivery::AppendTo(uint32_t number) {
  Channel* channel = channels_[number].get();
  // Gone since it was matched, or matched by several of its patterns.
  if (channel == nullptr || channel->appended_sequence() == event_.sequence) return;
  channel->set_appended_sequence(event_.sequence);
  const uint32_t replaying = owed_.empty() ? 0 : owed_.Append(number, *event_.held->frame, ledger_);
  if (ledger_ != nullptr) {
    ledger_->AddMatched(event_.sequence, static_cast<uint32_t>(channel->readers()) + replaying);
    if (const uint32_t conflating = Conflating(number); conflating != 0) {
      ledger_->AddLost(event_.sequence, Loss::kConflated, conflating);
    }
  }
  if (channel->readers() == 0) return;
  --appends_left_;
  counters_.appends.Add();
  const bool is_for_flowing = channel->Append(event_.held, event_.fanout, &fanout_);
  if (Conflates(*channel)) {
    ConflationOf(number).Append(event_.held, channel->log().tail_index() - 1);
    TrimBacklog(number);
  }
  if (!is_for_flowing) return;
  Enqueue(number);
  if (!channel->is_stalled && channel->unswept_bytes() >= unswept_bytes_max_) {
    channel->is_stalled = true;
    stalled_.push_back(number);
  }
}

// The event that is half appended, if it is for this channel: a reader that comes begins after it,
// so the channel's others get it now.
void Delivery::AppendNow(uint32_t number, const Subscription& subscription) {
  Channel& channel = *channels_[number];
  if (channel.appended_sequence() == event_.sequence) return;
  std::vector<std::string_view> topics;
  event_.held->frame->ForEachTopic([&](const FrameTopic& topic) { topics.push_back(topic.name); });
  if (!subscription.Wants(topics)) return;
  if (appends_left_ == 0) appends_left_ = 1;
  AppendTo(number);
}

// Room for one more append. With nothing on its way to a flowing reader, waiting would not help.
bool Delivery::HasRoom() {
  return memory_.bytes_held() < limits_.log_bytes_max || CutFurthestBehind() || queue_.empty();
}

void Delivery::CountHeld() {
  counters_.log_bytes.Set(memory_.bytes_held());
  counters_.log_bytes_highest.Raise(memory_.bytes_held());
}

// --- Readers come and go
// ---------------------------------------------------------------------------

Delivery::Place Delivery::PlaceOf(ConnectionId connection) const {
  if (!places_.Has(connection.slot)) return {};
  const Place place = places_[connection.slot];
  if (!place.is_reader()) return {};
  const ConnectionId there = place.is_blocked() ? blocked_[place.index()].connection
                             : place.is_replaying()
                                 ? replays_.readers[place.index()].connection
                                 : channels_[place.channel]->reader(place.index()).connection;
  return there == connection ? place : Place{};
}

void Delivery::Attach(ConnectionId connection, const Subscription& subscription,
                      std::string_view opening) {
  const uint32_t number = FindOrMake(subscription);
  if (event_.held != nullptr) AppendNow(number, subscription);
  Log& log = channels_[number]->log();
  const uint32_t index = NewBlocked(number, log.Attach(), connection);
  BlockedReader& reader = blocked_[index];
  reader.aside.assign(opening);
  MakeReady(index);
  topics_.CountStreams(number, 1);
  counters_.subscribed.Add();
  counters_.subscribers.Set(++readers_);
}

bool Delivery::Detach(ConnectionId connection, Disconnect reason) {
  const Place place = PlaceOf(connection);
  if (!place.is_reader()) return false;
  if (place.is_replaying()) {
    CountLost(&replays_.readers[place.index()], reason);
    topics_.CountStreams(replays_.readers[place.index()].channel, -1);
    FreeReplay(place.index());
    places_[connection.slot] = {};
    counters_.subscribers.Set(--readers_);
    return true;
  }
  Channel& channel = *channels_[place.channel];
  const Cursor& cursor =
      place.is_blocked() ? blocked_[place.index()].cursor : channel.reader(place.index()).cursor;
  // What a conflating reader was still to get is counted as conflated.
  if (cursor.segment != nullptr && !channel.log().IsAtTail(cursor)) {
    CountLost(cursor, channel.log().Index(cursor), UINT64_MAX, LossBy(reason));
  }
  if (place.is_blocked()) {
    BlockedReader& reader = blocked_[place.index()];
    if (reader.has_frame()) CountLost(*reader.left, reason);
    LeaveChannel(&reader);
    FreeBlocked(place.index());
  } else {
    channel.log().Detach(cursor);
    RemoveFlowing(place.channel, place.index());
  }
  places_[connection.slot] = {};
  topics_.CountStreams(place.channel, -1);
  counters_.subscribers.Set(--readers_);
  AfterLeave(place.channel);
  return true;
}

void Delivery::End(ConnectionId connection, std::string_view goodbye, Disconnect reason) {
  SLUICE_CHECK(!goodbye.empty());
  const Place place = PlaceOf(connection);
  if (!place.is_reader()) return;
  if (place.is_replaying()) return EndReplay(place.index(), goodbye, reason);
  EndBlocked(place.is_blocked() ? place.index() : Block(place.channel, place.index()), goodbye,
             reason);
}

void Delivery::EndBlocked(uint32_t index, std::string_view goodbye, Disconnect reason) {
  BlockedReader& reader = blocked_[index];
  if (reader.is_ending) return;
  reader.is_ending = true;
  reader.ending_reason = reason;
  ++ending_count_;
  const bool has_aside = reader.has_aside();
  reader.aside.append(goodbye);
  // An aside not yet sent keeps its place: what is in the log after it is then not delivered, which
  // only meets a reader that has not had its head.
  if (!has_aside) reader.aside_at = channels_[reader.channel]->log().tail_offset();
  if (!reader.is_waiting) MakeReady(index);
}

size_t Delivery::EndSome(size_t readers_max, std::string_view goodbye) {
  size_t ended = 0;
  // Once round the channels, from where the last call found somebody.
  for (size_t i = 0; i < channels_.size() && readers_ != blocked_count_ + replays_.count; ++i) {
    if (ending_from_ >= channels_.size()) ending_from_ = 0;
    Channel* channel = channels_[ending_from_].get();
    while (channel != nullptr && channel->flowing() != 0) {
      if (ended == readers_max) return ended;
      End(channel->reader(channel->flowing() - 1).connection, goodbye);
      ++ended;
    }
    ++ending_from_;
  }
  for (uint32_t i = 0;
       ended < readers_max && ending_count_ != blocked_count_ && i < blocked_.size(); ++i) {
    if (!blocked_[i].is_used || blocked_[i].is_ending) continue;
    EndBlocked(i, goodbye, Disconnect::kDraining);
    ++ended;
  }
  for (size_t i = 0; ended < readers_max && replays_.ending_count != replays_.count &&
                     i < replays_.readers.size();
       ++i) {
    if (replays_.ending_from >= replays_.readers.size()) replays_.ending_from = 0;
    const ReplayingReader& reader = replays_.readers[replays_.ending_from];
    if (reader.is_used && !reader.is_ending) {
      EndReplay(static_cast<uint32_t>(replays_.ending_from), goodbye, Disconnect::kDraining);
      ++ended;
    }
    ++replays_.ending_from;
  }
  return ended;
}

void Delivery::AddFlowing(uint32_t channel, const Cursor& cursor, ConnectionId connection) {
  const uint32_t index = channels_[channel]->AddFlowing(cursor, connection, now_ms_);
  places_.At(connection.slot) = {channel, index + 1};
}

void Delivery::RemoveFlowing(uint32_t channel, uint32_t index) {
  Channel& of = *channels_[channel];
  const bool is_restarted = of.RemoveFlowing(index);
  if (index < of.flowing()) places_[of.reader(index).connection.slot].at = index + 1;
  if (is_restarted) Enqueue(channel);
}

// Takes a flowing reader out of the array, without sending to it yet.
uint32_t Delivery::Block(uint32_t channel, uint32_t index) {
  const Reader reader = channels_[channel]->reader(index);
  RemoveFlowing(channel, index);
  return NewBlocked(channel, reader.cursor, reader.connection);
}

uint32_t Delivery::NewBlocked(uint32_t channel, const Cursor& cursor, ConnectionId connection) {
  if (blocked_free_.empty()) {
    blocked_free_.push_back(static_cast<uint32_t>(blocked_.size()));
    blocked_.emplace_back();
  }
  const uint32_t index = blocked_free_.back();
  blocked_free_.pop_back();
  BlockedReader& reader = blocked_[index];
  reader.cursor = cursor;
  reader.connection = connection;
  reader.channel = channel;
  reader.is_used = true;
  reader.aside_at = channels_[channel]->log().Offset(cursor);
  ++blocked_count_;
  channels_[channel]->CountBlocked(1);
  places_.At(connection.slot) = {channel, (index | kBlockedBit) + 1};
  return index;
}

void Delivery::FreeBlocked(uint32_t index) {
  BlockedReader& reader = blocked_[index];
  // Its place on ready_, if it has one, is passed over: see SendReady.
  if (reader.is_waiting) counters_.blocked_readers.Subtract();
  if (reader.is_ending) --ending_count_;
  reader.is_waiting = reader.is_ending = reader.is_used = false;
  reader.aside = std::string();
  reader.aside_sent = 0;
  if (reader.left != nullptr) DropFrame(reader.left.get());
  reader.left.reset();
  --blocked_count_;
  channels_[reader.channel]->CountBlocked(-1);
  if (!reader.is_ready) blocked_free_.push_back(index);
}

void Delivery::Unblock(uint32_t index) {
  const BlockedReader& reader = blocked_[index];
  const Cursor cursor = reader.cursor;
  const ConnectionId connection = reader.connection;
  const uint32_t channel = reader.channel;
  FreeBlocked(index);
  AddFlowing(channel, cursor, connection);
  if (Conflates(*channels_[channel])) TrimBacklog(channel);
  channels_[channel]->RestIfIdle();
}

void Delivery::MakeReady(uint32_t index) {
  if (blocked_[index].is_ready) return;
  blocked_[index].is_ready = true;
  ready_.Push(index);
}

void Delivery::OnWritable(ConnectionId connection) {
  const Place place = PlaceOf(connection);
  if (place.is_replaying()) return OnReplayWritable(place.index());
  if (!place.is_reader() || !place.is_blocked()) return;
  BlockedReader& reader = blocked_[place.index()];
  if (!reader.is_waiting) return;
  reader.is_waiting = false;
  counters_.blocked_readers.Subtract();
  MakeReady(place.index());
}

}  // namespace sluice
