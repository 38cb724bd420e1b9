// The history's topics by name, for GET /topics.
#include <algorithm>

#include "history/history.h"

namespace sluice {
namespace {

void Add(const Store& store, uint32_t topic, int64_t now_ns, TopicFacts* facts) {
  const HeldTopic& held = store.topics()[topic];
  facts->published += held.published;
  facts->recent += held.rate.EventsAt(now_ns);
  if (held.postings.empty()) return;
  facts->events += held.postings.size();
  facts->bytes += held.bytes;
  const Store::Place first = store.Find(store.Widen(held.postings[0]));
  const Store::Place last = store.Find(store.Widen(held.postings[held.postings.size() - 1]));
  if (facts->first == 0 || first.sequence() < facts->first) facts->first = first.sequence();
  if (last.sequence() <= facts->last) return;
  facts->last = last.sequence();
  facts->last_ns = last.published_ns();
}

}  // namespace

bool History::PutTopicsInOrder(TopicOrderStep* step) {
  Store& store = *stores_[step->store];
  if (step->next == 0) step->end = store.topics().size();
  if (!store.PutTopicsInOrder(&step->next, step->end)) return false;
  step->next = 0;
  return ++step->store == stores_.size();
}

void History::ReadTopics(std::string_view from, std::string_view prefix, size_t count,
                         int64_t now_ns, std::vector<TopicFacts>* topics) const {
  topics->clear();
  if (from.empty()) {
    TopicFacts facts;
    for (const auto& store : stores_) Add(*store, TopicTable::kNoTopic, now_ns, &facts);
    if (facts.published + facts.events != 0) topics->push_back(std::move(facts));
  }
  std::vector<NameOrder::Cursor> cursors;
  for (const auto& store : stores_) cursors.push_back(store->topics().Seek(from));
  const auto name_at = [&](size_t store) {
    return stores_[store]->topics()[cursors[store].number()].name();
  };
  while (topics->size() < count) {
    size_t least = stores_.size();
    for (size_t i = 0; i < stores_.size(); ++i) {
      if (!cursors[i].has_number()) continue;
      if (least == stores_.size() || name_at(i) < name_at(least)) least = i;
    }
    if (least == stores_.size() || !name_at(least).starts_with(prefix)) return;
    TopicFacts& facts = topics->emplace_back();
    facts.name = name_at(least);
    for (size_t i = least; i < stores_.size(); ++i) {
      if (!cursors[i].has_number() || name_at(i) != facts.name) continue;
      Add(*stores_[i], cursors[i].number(), now_ns, &facts);
      cursors[i].Next();
    }
  }
}

}  // namespace sluice
