#include "history/values.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "event/topic.h"

namespace sluice {
namespace {

std::unique_ptr<char[]> Copy(std::string_view text) {
  std::unique_ptr<char[]> bytes(new char[text.size()]);
  if (!text.empty()) std::memcpy(bytes.get(), text.data(), text.size());
  return bytes;
}

uint32_t TakeUnused(std::vector<uint32_t>* unused, uint32_t* size) {
  if (unused->empty()) return (*size)++;
  const uint32_t taken = unused->back();
  unused->pop_back();
  return taken;
}

uint64_t ValueHash(uint64_t topic_hash, std::string_view key) {
  return std::rotl(topic_hash, 1) ^ TopicHash(key);
}

}  // namespace

Values::Values(uint64_t bytes_max, size_t stores) : bytes_max_(bytes_max), keyed_(stores) {}

uint32_t Values::FindTopic(uint64_t hash, std::string_view name) const {
  return topics_index_.Find(hash, [&](uint32_t topic) { return topics_[topic].name() == name; });
}

uint32_t Values::FindOrAddTopic(uint64_t hash, std::string_view name) {
  uint32_t topic = FindTopic(hash, name);
  if (topic != Value::kNone) return topic;
  topic = TakeUnused(&topics_unused_, &topics_size_);
  ValueTopic& added = topics_.At(topic);
  added.hash = hash;
  added.name_bytes = Copy(name);
  added.name_size = static_cast<uint16_t>(name.size());
  names_bytes_ += name.size();
  topics_index_.Insert(hash, topic);
  return topic;
}

uint32_t Values::FindOrAddValue(uint32_t topic, std::string_view key) {
  const uint64_t hash = ValueHash(topics_[topic].hash, key);
  uint32_t value = index_.Find(
      hash, [&](uint32_t at) { return values_[at].topic == topic && values_[at].key() == key; });
  if (value != Value::kNone) return value;
  value = TakeUnused(&values_unused_, &values_size_);
  Value& added = values_.At(value);
  added.key_bytes = Copy(key);
  added.key_size = static_cast<uint16_t>(key.size());
  names_bytes_ += key.size();
  added.topic = topic;
  uint32_t& first = topics_[topic].first;
  added.next_of_topic = first;
  if (first != Value::kNone) values_[first].previous_of_topic = value;
  first = value;
  index_.Insert(hash, value);
  return value;
}

void Values::Add(const Frame& frame, uint16_t store, uint64_t ordinal) {
  const auto add = [&](uint64_t hash, std::string_view name) {
    const uint32_t index = FindOrAddValue(FindOrAddTopic(hash, name), frame.key());
    Value& value = values_[index];
    if (value.taken_over) GiveBack(index);
    value.sequence = frame.sequence();
    value.ordinal = ordinal;
    value.published_ns = frame.published_ns();
    value.store = store;
    keyed_[store].Push({frame.sequence(), index});
  };
  if (frame.topic_count() == 0) add(TopicHash({}), {});
  frame.ForEachTopic([&](const FrameTopic& topic) { add(topic.hash, topic.name); });
}

void Values::Evict(uint16_t store, uint64_t sequence, std::string_view bytes) {
  Fifo<Keyed>& keyed = keyed_[store];
  while (!keyed.empty() && keyed.front().sequence == sequence) {
    const uint32_t value = keyed.front().value;
    keyed.Pop();
    // Else a newer event has taken the value, or the index.
    if (values_[value].sequence == sequence && !values_[value].taken_over) TakeOver(value, bytes);
  }
  while (taken_over_bytes_ > bytes_max_) {
    const uint32_t oldest = oldest_;
    GiveBack(oldest);
    Drop(oldest);
  }
}

bool Values::IsReplaced(uint16_t store, uint64_t sequence, size_t* hint) const {
  const Fifo<Keyed>& keyed = keyed_[store];
  // In steps that double, then between the last two.
  size_t low = *hint;
  size_t step = 1;
  for (; low + step < keyed.size() && keyed[low + step].sequence < sequence; step *= 2) low += step;
  size_t at = low;
  for (size_t count = std::min(step + 1, keyed.size() - std::min(low, keyed.size())); count != 0;) {
    const size_t half = count / 2;
    const bool is_before = keyed[at + half].sequence < sequence;
    at = is_before ? at + half + 1 : at;
    count = is_before ? count - half - 1 : half;
  }
  *hint = at;
  for (; at < keyed.size() && keyed[at].sequence == sequence; ++at) {
    if (values_[keyed[at].value].sequence == sequence) return false;
  }
  return at != *hint;
}

void Values::TakeOver(uint32_t index, std::string_view bytes) {
  Value& value = values_[index];
  value.taken_over = Copy(bytes);
  value.taken_over_size = static_cast<uint32_t>(bytes.size());
  taken_over_bytes_ += Charge(value);
  value.older = newest_;
  (newest_ == Value::kNone ? oldest_ : values_[newest_].newer) = index;
  newest_ = index;
}

void Values::GiveBack(uint32_t index) {
  Value& value = values_[index];
  taken_over_bytes_ -= Charge(value);
  value.taken_over.reset();
  value.taken_over_size = 0;
  (value.newer == Value::kNone ? newest_ : values_[value.newer].older) = value.older;
  (value.older == Value::kNone ? oldest_ : values_[value.older].newer) = value.newer;
  value.newer = value.older = Value::kNone;
}

void Values::Drop(uint32_t index) {
  Value& value = values_[index];
  const uint32_t topic = value.topic;
  ValueTopic& of = topics_[topic];
  index_.Erase(ValueHash(of.hash, value.key()), index);
  (value.previous_of_topic == Value::kNone ? of.first
                                           : values_[value.previous_of_topic].next_of_topic) =
      value.next_of_topic;
  if (value.next_of_topic != Value::kNone) {
    values_[value.next_of_topic].previous_of_topic = value.previous_of_topic;
  }
  names_bytes_ -= value.key_size;
  value = Value();
  values_unused_.push_back(index);
  if (of.first != Value::kNone) return;
  topics_index_.Erase(of.hash, topic);
  names_bytes_ -= of.name_size;
  of = ValueTopic();
  topics_unused_.push_back(topic);
}

uint64_t Values::bytes_held() const {
  uint64_t bytes = values_.bytes_held() + topics_.bytes_held() + index_.bytes_held() +
                   topics_index_.bytes_held() + names_bytes_;
  bytes += (values_unused_.capacity() + topics_unused_.capacity()) * sizeof(uint32_t);
  for (const Fifo<Keyed>& keyed : keyed_) bytes += keyed.bytes_held();
  // Charges hold entries and keys, which are counted above: what remains are the bytes.
  for (uint32_t value = oldest_; value != Value::kNone; value = values_[value].newer) {
    bytes += values_[value].taken_over_size;
  }
  return bytes;
}

}  // namespace sluice
