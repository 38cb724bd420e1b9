#include "order_log.h"

#include <algorithm>
#include <cstring>

namespace sluice::bench {

uint32_t OrderLog::Find(uint32_t publisher, uint32_t number) const {
  if (publisher >= places_.size() || number >= places_[publisher].size()) return kNoEvent;
  return places_[publisher][number];
}

uint32_t OrderLog::Append(const PayloadHead& head, uint32_t topic, std::string_view block) {
  if (segments_.empty() || segments_.back().capacity - segments_.back().used < block.size()) {
    const size_t capacity = std::max(kSegmentBytes, block.size());
    segments_.push_back({std::make_unique<char[]>(capacity), capacity, 0, size()});
    bytes_ += capacity;
  }
  Segment& segment = segments_.back();
  char* const bytes = segment.bytes.get() + segment.used;
  std::memcpy(bytes, block.data(), block.size());
  segment.used += block.size();

  if (head.publisher >= places_.size()) places_.resize(head.publisher + 1);
  auto& places = places_[head.publisher];
  if (head.number >= places.size()) places.resize(head.number + 1, kNoEvent);
  places[head.number] = size();

  Event event;
  event.bytes = bytes;
  event.length = static_cast<uint32_t>(block.size());
  event.number = head.number;
  event.due_ns = head.due_ns;
  event.publisher = static_cast<uint16_t>(head.publisher);
  events_.push_back(event);
  const uint32_t place = size() - 1;
  (last_[topic] == kNoEvent ? first_[topic] : events_[last_[topic]].next) = place;
  last_[topic] = place;
  return place;
}

uint64_t OrderLog::OutOfOrder() const {
  uint64_t deliveries = 0;
  std::vector<uint32_t> newest(places_.size());  // by publisher: one past the highest number
  for (const uint32_t first : first_) {
    for (uint32_t i = first; i != kNoEvent; i = events_[i].next) newest[events_[i].publisher] = 0;
    for (uint32_t i = first; i != kNoEvent; i = events_[i].next) {
      uint32_t& past = newest[events_[i].publisher];
      if (events_[i].number < past) deliveries += events_[i].count;
      past = std::max(past, events_[i].number + 1);
    }
  }
  return deliveries;
}

uint64_t OrderLog::OutOfOrderIn(const OrderLog& other) const {
  uint64_t events = 0;
  for (uint32_t topic = 0; topic < first_.size(); ++topic) {
    uint32_t last = 0;
    for (uint32_t i = other.After(topic, kNoEvent); i != kNoEvent; i = other[i].next) {
      const uint32_t place = Find(other[i].publisher, other[i].number);
      if (place == kNoEvent) continue;
      if (place < last) ++events;
      last = std::max(last, place);
    }
  }
  return events;
}

void OrderLog::Evict() {
  const uint32_t end = EvictedEnd();
  for (uint32_t i = segments_.front().first; i < end; ++i) events_[i].bytes = nullptr;
  bytes_ -= segments_.front().capacity;
  segments_.pop_front();
}

}  // namespace sluice::bench
