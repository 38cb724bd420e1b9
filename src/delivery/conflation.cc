#include "delivery/conflation.h"

#include <algorithm>

#include "base/check.h"
#include "event/topic.h"

namespace sluice {

// --- The table
// -------------------------------------------------------------------------------------

ConflationTable::~ConflationTable() {
  for (const ConflatedEvent& event : slots_) {
    if (event.held != nullptr) Forget(event.held);
  }
}

// Events are of one value if their topics and key are the same: an event to more topics than
// another is also the newest of those.
uint32_t ConflationTable::Find(const Frame& frame, uint64_t hash) const {
  return of_value_.Find(hash, [&](uint32_t slot) {
    const Frame& other = *slots_[slot].held->frame;
    return other.key().size() == frame.key().size() &&
           other.key_and_topics() == frame.key_and_topics();
  });
}

void ConflationTable::Add(const ConflatedEvent& event) {
  const Frame& frame = *event.held->frame;
  ++event.held->holders;
  ++events_;
  bytes_ += frame.footprint_bytes();
  counters_.table_events.Add();
  counters_.table_bytes.Add(frame.footprint_bytes());
  uint32_t slot = HashIndex::kNone;
  uint64_t hash = 0;
  if (!frame.key().empty()) {
    hash = TopicHash(frame.key_and_topics());
    slot = Find(frame, hash);
  } else {
    keyless_.Push(frame.sequence());
  }
  if (slot != HashIndex::kNone) {
    Forget(slots_[slot].held);
  } else {
    if (slots_free_.empty()) {
      slots_free_.push_back(static_cast<uint32_t>(slots_.size()));
      slots_.push_back({nullptr, 0});
    }
    slot = slots_free_.back();
    slots_free_.pop_back();
    if (!frame.key().empty()) of_value_.Insert(hash, slot);
  }
  slots_[slot] = event;
  order_.Push({frame.sequence(), slot});
  KeepBounds();
  counters_.table_events_highest.Raise(counters_.table_events.value());
  counters_.table_bytes_highest.Raise(counters_.table_bytes.value());
}

void ConflationTable::Forget(HeldFrame* held) {
  const uint64_t bytes = held->frame->footprint_bytes();
  --events_;
  bytes_ -= bytes;
  counters_.table_events.Subtract();
  counters_.table_bytes.Subtract(bytes);
  memory_.Release(held);
}

bool ConflationTable::IsLive(const Place& place) const {
  const HeldFrame* held = slots_[place.slot].held;
  return held != nullptr && held->frame->sequence() == place.sequence;
}

size_t ConflationTable::PlaceAfter(uint64_t sequence) const {
  size_t from = 0;
  for (size_t count = order_.size(); count != 0;) {
    const size_t half = count / 2;
    if (order_[from + half].sequence > sequence) {
      count = half;
    } else {
      from += half + 1;
      count -= half + 1;
    }
  }
  return from;
}

const ConflatedEvent* ConflationTable::Next(uint64_t sequence) const {
  for (size_t i = PlaceAfter(sequence); i < order_.size(); ++i) {
    if (IsLive(order_[i])) return &slots_[order_[i].slot];
  }
  return nullptr;
}

void ConflationTable::KeepBounds() {
  while (events_ > limits_.events_max || bytes_ > limits_.bytes_max) DropOldest();
  while (!order_.empty() && !IsLive(order_.front())) order_.Pop();
  // Replaced ones cost a look each: there are never more than of the others, and some.
  if (order_.size() > 2 * events_ + 64) Compact();
}

// Those without a key first: they grow in number with the events, those with one only with the
// keys, and of a key the newest event is all that there is.
void ConflationTable::DropOldest() {
  Place place = order_.front();
  if (!keyless_.empty()) {
    place = order_[PlaceAfter(keyless_.front() - 1)];
    keyless_.Pop();
  } else {
    while (!IsLive(order_.front())) order_.Pop();
    place = order_.front();
    order_.Pop();
    const Frame& frame = *slots_[place.slot].held->frame;
    of_value_.Erase(TopicHash(frame.key_and_topics()), place.slot);
  }
  SLUICE_DCHECK(IsLive(place));
  dropped_ = std::max(dropped_, place.sequence);
  Forget(slots_[place.slot].held);
  slots_[place.slot].held = nullptr;
  slots_free_.push_back(place.slot);
}

void ConflationTable::Compact() {
  for (size_t left = order_.size(); left != 0; --left) {
    const Place place = order_.front();
    order_.Pop();
    if (IsLive(place)) order_.Push(place);
  }
}

// --- The backlog, and who comes from it
// ------------------------------------------------------------

void Conflation::Append(HeldFrame* held, uint64_t index) {
  if (backlog_.empty()) first_index_ = index;
  SLUICE_DCHECK(index == first_index_ + backlog_.size() - backlog_begin_);
  ++held->holders;
  backlog_.push_back(held);
  // By two, so that it comes to its end however fast events come.
  if (is_making_) {
    Make(2);
  } else if (table_ != nullptr) {
    table_->Add({held, index});
  }
}

void Conflation::Trim(uint64_t index) {
  if (is_making_) index = std::min(index, made_);
  for (; first_index_ < index && backlog_begin_ < backlog_.size(); ++backlog_begin_) {
    memory_.Release(backlog_[backlog_begin_]);
    ++first_index_;
  }
  if (backlog_begin_ == backlog_.size()) {
    backlog_begin_ = 0;
    backlog_.clear();
    // A channel that is quiet holds next to nothing.
    constexpr size_t kKept = 16;
    if (backlog_.capacity() > kKept) backlog_.shrink_to_fit();
  } else if (backlog_begin_ > backlog_.size() / 2) {
    backlog_.erase(backlog_.begin(), backlog_.begin() + static_cast<ptrdiff_t>(backlog_begin_));
    backlog_begin_ = 0;
  }
}

uint64_t Conflation::SequenceAt(uint64_t index) const {
  SLUICE_CHECK(index >= first_index_ && index - first_index_ < backlog_.size() - backlog_begin_);
  return backlog_[backlog_begin_ + (index - first_index_)]->frame->sequence();
}

void Conflation::Enter() {
  counters_.conflations.Add();
  counters_.conflating.Add();
  if (readers_++ != 0) return;
  table_ = std::make_unique<ConflationTable>(memory_, limits_, counters_);
  is_making_ = true;
  made_ = first_index_;
  Make();
}

bool Conflation::Make(size_t events_max) {
  if (!is_making_) return true;
  size_t at = backlog_begin_ + (made_ - first_index_);
  for (; at < backlog_.size() && events_max != 0; --events_max) {
    table_->Add({backlog_[at++], made_++});
  }
  is_making_ = at < backlog_.size();
  return !is_making_;
}

void Conflation::Leave() {
  counters_.conflating.Subtract();
  if (--readers_ != 0) return;
  table_.reset();
  is_making_ = false;
}

}  // namespace sluice
