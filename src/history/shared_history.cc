#include "history/shared_history.h"

#include <algorithm>

namespace sluice {

SharedHistory::SharedHistory(const HistoryLimits& limits, const Epoch& epoch, Ring& ring,
                             uint32_t consumer)
    : ring_(ring), consumer_(consumer), history_(limits, epoch) {}

std::shared_lock<std::shared_mutex> SharedHistory::LockToRead() {
  const std::lock_guard<std::mutex> through_the_door(door_);
  return std::shared_lock<std::shared_mutex>(lock_);
}

std::unique_lock<std::shared_mutex> SharedHistory::LockToWrite() {
  const std::lock_guard<std::mutex> in_the_door(door_);
  return std::unique_lock<std::shared_mutex>(lock_);
}

// With the lock held. The ring's cursor has one user at a time by it.
size_t SharedHistory::DrainSome() {
  return ring_.Drain(consumer_, kLockEvents, [this](Frame* frame) {
    history_.Append(*frame);
    frame->Release();
    return true;
  });
}

void SharedHistory::CatchUp(int64_t now_ns) {
  bool has_more = true;
  for (size_t events = 0; events < kTurnEvents && has_more; events += kLockEvents) {
    std::unique_lock<std::shared_mutex> lock(lock_, std::try_to_lock);
    if (!lock.owns_lock()) {
      const uint64_t drained = ring_.drained_sequence(consumer_);
      if (ring_.newest_sequence() < drained + kBehindMax) return;
      lock = LockToWrite();
    }
    has_more = DrainSome() == kLockEvents;
    has_more |= history_.Expire(now_ns, kLockEvents);
  }
}

void SharedHistory::Require(uint64_t through) {
  while (IsBehind(through)) {
    const auto lock = LockToWrite();
    DrainSome();
  }
}

void SharedHistory::RequireAll() {
  for (bool has_more = true; has_more;) {
    const auto lock = LockToWrite();
    has_more = DrainSome() == kLockEvents;
  }
}

void SharedHistory::Read(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) {
  const auto lock = LockToRead();
  history_.Read(reading, after, through, chunk);
}

void SharedHistory::ReadNewest(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) {
  const auto lock = LockToRead();
  history_.ReadNewest(reading, after, through, chunk);
}

size_t SharedHistory::ReadValues(std::span<const ValueRef> values, Chunk* chunk) {
  const auto lock = LockToRead();
  return history_.ReadValues(values, chunk);
}

bool SharedHistory::PutTopicsInOrder(TopicOrderStep* step) {
  const auto lock = LockToWrite();
  return history_.PutTopicsInOrder(step);
}

void SharedHistory::ReadTopics(std::string_view from, std::string_view prefix, size_t count,
                               int64_t now_ns, std::vector<TopicFacts>* topics) {
  const auto lock = LockToRead();
  history_.ReadTopics(from, prefix, count, now_ns, topics);
}

void SharedHistory::Resolve(const StreamStart& asked, Reading& reading, uint64_t through,
                            Start* start) {
  const uint64_t newest = ring_.newest_sequence();
  const auto lock = LockToRead();
  history_.Resolve(asked, reading, through, newest, start);
  // A reader may not be sent, from a reading that is still kept, what stands before the place that
  // it is told.
  if (start->gap.has_value()) start->after = std::max(start->after, start->gap->resume);
  start->opens_at = start->after;
  if (!start->values.empty()) {
    start->opens_at = std::min(start->after, start->values.front().sequence - 1);
  } else if (start->told > start->after) {
    const uint64_t oldest = history_.oldest();
    const uint64_t before_held = oldest == 0 ? start->told : oldest - 1;
    start->after = start->opens_at = std::max(start->after, std::min(start->told, before_held));
  }
}

}  // namespace sluice
