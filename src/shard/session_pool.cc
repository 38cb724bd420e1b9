#include "shard/session_pool.h"

namespace sluice {

uint32_t SessionPool::Take(ConnectionId connection) {
  if (free_.empty() && empty_.empty()) {
    empty_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  std::vector<uint32_t>& from = free_.empty() ? empty_ : free_;
  const uint32_t index = from.back();
  from.pop_back();
  if (slots_[index] == nullptr) slots_[index] = std::make_unique<SessionSlot>(site_);
  SessionSlot& slot = *slots_[index];
  slot.connection = connection;
  slot.is_replying = slot.is_waiting = slot.sums_up = slot.is_held = slot.has_page = false;
  slot.awaited = 0;
  slot.before = slot.after = 0;
  ++used_;
  Touch(index);
  return index;
}

void SessionPool::Release(uint32_t index) {
  SessionSlot& slot = *slots_[index];
  Unlink(index);
  slot.is_replying = slot.is_held = false;
  slot.session.LetGo();
  slot.connection = {};
  free_.push_back(index);
  --used_;
}

// The first ones stay: they were made together, and lie side by side.
bool SessionPool::DropSpare() {
  if (free_.size() <= kSpareMax) return false;
  const size_t dropped = std::erase_if(free_, [&](uint32_t index) {
    if (index < kSpareMax) return false;
    slots_[index] = nullptr;
    empty_.push_back(index);
    return true;
  });
  return dropped != 0;
}

std::vector<ConnectionId> SessionPool::IdlestFirst() const {
  std::vector<ConnectionId> connections;
  for (uint32_t at = idlest_; at != 0; at = slots_[at - 1]->after) {
    connections.push_back(slots_[at - 1]->connection);
  }
  return connections;
}

void SessionPool::Unlink(uint32_t index) {
  SessionSlot& slot = *slots_[index];
  const bool is_linked = slot.before != 0 || slot.after != 0 || idlest_ == index + 1;
  if (!is_linked) return;
  (slot.before != 0 ? slots_[slot.before - 1]->after : idlest_) = slot.after;
  (slot.after != 0 ? slots_[slot.after - 1]->before : latest_) = slot.before;
  slot.before = slot.after = 0;
}

void SessionPool::Touch(uint32_t index) {
  if (latest_ == index + 1) return;
  Unlink(index);
  SessionSlot& slot = *slots_[index];
  slot.before = latest_;
  (latest_ != 0 ? slots_[latest_ - 1]->after : idlest_) = index + 1;
  latest_ = index + 1;
}

}  // namespace sluice
