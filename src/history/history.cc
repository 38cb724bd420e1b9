#include "history/history.h"

#include <algorithm>

#include "event/topic.h"

namespace sluice {
namespace {

constexpr size_t kKnownClasses = 4'096;  // a power of two

// The id line is the last of an event's bytes (see event/frame.h).
std::string_view IdOf(std::string_view bytes) {
  bytes.remove_suffix(2);
  return bytes.substr(bytes.rfind('\n') + 1 + std::string_view("id: ").size());
}

}  // namespace

History::History(const HistoryLimits& limits, const Epoch& epoch)
    : limits_(limits), epoch_(epoch), values_(limits.values_bytes_max, limits.policies.size() + 1) {
  for (const HistoryPolicy& policy : limits_.policies) {
    stores_.push_back(std::make_unique<Store>(policy.limits, limits_.remembered_topics_max));
  }
  stores_.push_back(std::make_unique<Store>(limits_.otherwise, limits_.remembered_topics_max));
  if (stores_.size() > 1) known_classes_.resize(kKnownClasses);
}

size_t History::ClassOf(const FrameTopic& topic) {
  KnownClass& known = known_classes_[topic.hash & (kKnownClasses - 1)];
  if (known.index == UINT32_MAX || known.hash != topic.hash) {
    known.hash = topic.hash;
    known.index = 0;
    for (const HistoryPolicy& policy : limits_.policies) {
      if (TopicMatches(policy.topics, topic.name)) break;
      ++known.index;
    }
  }
  return known.index;
}

size_t History::ClassOf(const Frame& frame) {
  size_t index = stores_.size() - 1;
  if (index == 0) return index;
  frame.ForEachTopic([&](const FrameTopic& topic) { index = std::min(index, ClassOf(topic)); });
  if (frame.topic_count() != 0) return index;
  // `**` is everything, what has no topic too.
  const auto policy = std::find_if(limits_.policies.begin(), limits_.policies.end(),
                                   [](const auto& at) { return at.topics == kAnyRest; });
  return static_cast<size_t>(policy - limits_.policies.begin());
}

void History::Append(const Frame& frame, bool is_new) {
  const size_t index = ClassOf(frame);
  Store& store = *stores_[index];
  const uint64_t ordinal = store.end();
  store.Append(frame, is_new);
  if (!frame.publisher_id().empty()) ids_.Add(frame.publisher_id(), frame.sequence());
  if (!frame.key().empty()) values_.Add(frame, static_cast<uint16_t>(index), ordinal);
  newest_ = frame.sequence();
  while (store.IsOver()) EvictOldest(index);
}

void History::EvictOldest(size_t index) {
  Store& store = *stores_[index];
  const Store::Place oldest = store.Find(store.first());
  const uint32_t flags = oldest.record().topics;
  if ((flags & Store::Record::kHasId) != 0) ids_.Evict(IdOf(oldest.bytes()), oldest.sequence());
  if ((flags & Store::Record::kHasKey) != 0) {
    values_.Evict(static_cast<uint16_t>(index), oldest.sequence(), oldest.bytes());
  }
  store.DropOldest();
}

bool History::Expire(int64_t now_ns, size_t events_max) {
  for (size_t index = 0; index < stores_.size(); ++index) {
    while (stores_[index]->IsTooOld(now_ns)) {
      if (events_max-- == 0) return true;
      EvictOldest(index);
    }
  }
  return false;
}

uint64_t History::oldest() const {
  uint64_t oldest = 0;
  for (const auto& store : stores_) {
    if (store->events() == 0) continue;
    const uint64_t sequence = store->Find(store->first()).sequence();
    if (oldest == 0 || sequence < oldest) oldest = sequence;
  }
  return oldest;
}

uint64_t History::events() const {
  uint64_t events = 0;
  for (const auto& store : stores_) events += store->events();
  return events;
}

uint64_t History::charged_bytes() const {
  uint64_t bytes = values_.taken_over_bytes();
  for (const auto& store : stores_) bytes += store->charged_bytes();
  return bytes;
}

uint64_t History::bytes_held() const {
  uint64_t bytes =
      known_classes_.capacity() * sizeof(KnownClass) + ids_.bytes_held() + values_.bytes_held();
  for (const auto& store : stores_) bytes += sizeof(Store) + store->bytes_held();
  return bytes;
}

}  // namespace sluice
