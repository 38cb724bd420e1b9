#include "history/topic_table.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace sluice {

TopicTable::TopicTable(uint32_t remembered_max) : remembered_max_(remembered_max) {
  topics_.At(kNoTopic);
  generations_.push_back(0);
}

uint32_t TopicTable::Find(uint64_t hash, std::string_view name) const {
  return index_.Find(hash, [&](uint32_t topic) { return topics_[topic].name() == name; });
}

uint32_t TopicTable::FindOrAdd(uint64_t hash, std::string_view name) {
  uint32_t topic = Find(hash, name);
  if (topic != HeldTopic::kNone) return topic;
  if (unused_.empty()) {
    topic = size();
    topics_.At(topic);
    generations_.push_back(0);
  } else {
    topic = unused_.back();
    unused_.pop_back();
    ++generations_[topic];
  }
  HeldTopic& added = topics_[topic];
  added.hash = hash;
  // It may have been here and be forgotten.
  added.evicted = forgotten_;
  added.name_bytes.reset(new char[name.size()]);
  std::memcpy(added.name_bytes.get(), name.data(), name.size());
  added.name_size = static_cast<uint16_t>(name.size());
  names_bytes_ += name.size();
  index_.Insert(hash, topic);
  ++unordered_;
  ++remembered_;  // until Push
  return topic;
}

bool TopicTable::Push(uint32_t topic, uint32_t ordinal, size_t bytes) {
  HeldTopic& held = topics_[topic];
  held.bytes += bytes;
  const bool is_first = held.postings.empty();
  postings_bytes_ -= held.postings.bytes_held();
  held.postings.Push(ordinal);
  postings_bytes_ += held.postings.bytes_held();
  if (is_first && topic != kNoTopic) {
    ++held_;
    --remembered_;
  }
  return is_first;
}

bool TopicTable::Pop(uint32_t topic, uint64_t sequence, size_t bytes) {
  HeldTopic& held = topics_[topic];
  held.bytes -= bytes;
  postings_bytes_ -= held.postings.bytes_held();
  held.postings.Pop();
  postings_bytes_ += held.postings.bytes_held();
  held.evicted = sequence;
  const bool is_last = held.postings.empty();
  if (topic == kNoTopic) return is_last;
  if (held.is_listed) Unlist(topic);
  ListNewest(topic);
  if (is_last) {
    --held_;
    ++remembered_;
    while (remembered_ > remembered_max_) ForgetOldest();
  }
  return is_last;
}

void TopicTable::Unlist(uint32_t topic) {
  HeldTopic& listed = topics_[topic];
  (listed.newer == HeldTopic::kNone ? newest_ : topics_[listed.newer].older) = listed.older;
  (listed.older == HeldTopic::kNone ? oldest_ : topics_[listed.older].newer) = listed.newer;
  listed.newer = listed.older = HeldTopic::kNone;
  listed.is_listed = false;
}

void TopicTable::ListNewest(uint32_t topic) {
  HeldTopic& listed = topics_[topic];
  listed.older = newest_;
  (newest_ == HeldTopic::kNone ? oldest_ : topics_[newest_].newer) = topic;
  newest_ = topic;
  listed.is_listed = true;
}

// Topics with events that stand before it in the list leave the list, but stay: what they lost is
// older than what is forgotten now.
void TopicTable::ForgetOldest() {
  SLUICE_DCHECK(oldest_ != HeldTopic::kNone);
  const uint32_t topic = oldest_;
  HeldTopic& oldest = topics_[topic];
  Unlist(topic);
  forgotten_ = std::max(forgotten_, oldest.evicted);
  if (!oldest.postings.empty()) return;
  if (oldest.is_ordered) {
    order_.Erase(topic, IsBefore{this, oldest.name()});
  } else {
    --unordered_;
  }
  index_.Erase(oldest.hash, topic);
  names_bytes_ -= oldest.name_size;
  postings_bytes_ -= oldest.postings.bytes_held();
  oldest = HeldTopic();
  unused_.push_back(topic);
  --remembered_;
}

bool TopicTable::PutInOrder(uint32_t* next, uint32_t end) {
  uint32_t ordered = 0;
  const uint32_t stop = std::min(end, *next + kOrderedMax * 64);
  for (; unordered_ != 0 && *next < stop && ordered < kOrderedMax; ++*next) {
    HeldTopic& topic = topics_[*next];
    if (topic.is_ordered || topic.name_bytes == nullptr) continue;
    order_.Insert(*next, IsBefore{this, topic.name()});
    topic.is_ordered = true;
    --unordered_;
    ++ordered;
  }
  return unordered_ == 0 || *next == end;
}

uint64_t TopicTable::bytes_held() const {
  return topics_.bytes_held() + (generations_.capacity() + unused_.capacity()) * sizeof(uint32_t) +
         index_.bytes_held() + order_.bytes_held() + names_bytes_ + postings_bytes_;
}

}  // namespace sluice
