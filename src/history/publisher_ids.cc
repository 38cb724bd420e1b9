#include "history/publisher_ids.h"

#include "event/topic.h"

namespace sluice {

uint32_t PublisherIds::FindIndex(uint64_t hash) const {
  return index_.Find(hash, [&](uint32_t id) { return ids_[id].hash == hash; });
}

void PublisherIds::Add(std::string_view id, uint64_t sequence) {
  const uint64_t hash = TopicHash(id);
  uint32_t index = FindIndex(hash);
  if (index != HashIndex::kNone) {
    ids_[index].newest = sequence;
    return;
  }
  if (unused_.empty()) {
    index = static_cast<uint32_t>(ids_.size());
    ids_.push_back({hash, sequence, sequence});
  } else {
    index = unused_.back();
    unused_.pop_back();
    ids_[index] = {hash, sequence, sequence};
  }
  index_.Insert(hash, index);
}

void PublisherIds::Evict(std::string_view id, uint64_t sequence) {
  const uint64_t hash = TopicHash(id);
  const uint32_t index = FindIndex(hash);
  if (index == HashIndex::kNone || ids_[index].newest != sequence) return;
  index_.Erase(hash, index);
  unused_.push_back(index);
}

uint64_t PublisherIds::Find(std::string_view id) const {
  const uint32_t index = FindIndex(TopicHash(id));
  return index == HashIndex::kNone ? 0 : ids_[index].first;
}

}  // namespace sluice
