#include "history/store.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/clock.h"

namespace sluice {
namespace {

struct Large {
  char* bytes;
  uint64_t size;
};

// From the base of a block; 48 bits of microseconds are four years to each side.
uint64_t EndAndTime(uint32_t end, int64_t time_us) {
  constexpr int64_t kMax = (int64_t{1} << 47) - 1;
  return (static_cast<uint64_t>(std::clamp(time_us, -kMax, kMax)) << 16) | end;
}

}  // namespace

std::string_view Store::Block::bytes_of(uint32_t i) const {
  const uint32_t from = begin(i);
  if ((record(i).topics & Record::kIsLarge) == 0) return {data + from, record(i).end() - from};
  Large large;
  std::memcpy(&large, data + from, sizeof large);
  return {large.bytes, large.size};
}

Store::Store(const StoreLimits& limits, uint32_t remembered_topics_max)
    : limits_(limits), topics_(remembered_topics_max) {}

Store::~Store() {
  while (events() != 0) DropOldest();
  std::free(spare_);
}

uint32_t Store::PutTopics(const Frame& frame, size_t bytes, bool is_new) {
  const uint32_t ordinal = static_cast<uint32_t>(end_);
  if (frame.topic_count() == 0) {
    topics_.Push(TopicTable::kNoTopic, ordinal, bytes);
    if (is_new) topics_.CountPublish(TopicTable::kNoTopic, frame.published_ns());
    charged_bytes_ += kTopicCharge;
    return TopicTable::kNoTopic;
  }
  const bool is_many = frame.topic_count() > 1;
  const uint32_t set = topic_sets_popped_ + static_cast<uint32_t>(topic_sets_.size());
  if (is_many) topic_sets_.Push(static_cast<uint32_t>(frame.topic_count()));
  uint32_t index = 0;
  frame.ForEachTopic([&](const FrameTopic& topic) {
    index = topics_.FindOrAdd(topic.hash, topic.name);
    if (topics_.Push(index, ordinal, bytes)) charged_bytes_ += kHeldTopicCharge + topic.name.size();
    charged_bytes_ += kTopicCharge;
    if (is_new) topics_.CountPublish(index, frame.published_ns());
    if (is_many) topic_sets_.Push(index);
  });
  return is_many ? Record::kManyTopics | (set & Record::kIndexMask) : index;
}

Store::Block* Store::RoomFor(size_t bytes, uint64_t sequence, int64_t time_us) {
  if (blocks_first_ < blocks_.size()) {
    Block* tail = blocks_.back().block;
    const size_t room = sizeof tail->data - tail->bytes - tail->count * sizeof(Record);
    const bool reaches = sequence - tail->base_sequence <= std::numeric_limits<uint32_t>::max();
    if (reaches && room >= bytes + sizeof(Record)) return tail;
  }
  Block* block = spare_ != nullptr ? spare_ : static_cast<Block*>(std::malloc(sizeof(Block)));
  SLUICE_CHECK(block != nullptr);
  spare_ = nullptr;
  block->base_sequence = sequence;
  block->base_time_us = time_us;
  block->count = block->bytes = 0;
  blocks_.push_back({end_, sequence, block});
  return block;
}

void Store::Append(const Frame& frame, bool is_new) {
  SLUICE_DCHECK(events() == 0 || frame.sequence() > Find(end_ - 1).sequence());
  SLUICE_CHECK(events() < Record::kIndexMask);
  std::string_view bytes = frame.replay_bytes();
  const int64_t time_us = frame.published_ns() / kNsPerUs;
  uint32_t topics = PutTopics(frame, bytes.size(), is_new);
  if (!frame.publisher_id().empty()) topics |= Record::kHasId;
  if (!frame.key().empty()) topics |= Record::kHasKey;
  charged_bytes_ +=
      bytes.size() + kEventCharge + (frame.publisher_id().empty() ? 0 : kPublisherIdCharge) +
      (frame.key().empty() ? 0 : kKeyCharge * std::max<size_t>(1, frame.topic_count()));
  Large large;
  if (bytes.size() >= kLargeBytesMin) {
    large = {static_cast<char*>(std::malloc(bytes.size())), bytes.size()};
    SLUICE_CHECK(large.bytes != nullptr);
    std::memcpy(large.bytes, bytes.data(), bytes.size());
    large_bytes_ += bytes.size();
    bytes = {reinterpret_cast<const char*>(&large), sizeof large};
    topics |= Record::kIsLarge;
  }
  Block* block = RoomFor(bytes.size(), frame.sequence(), time_us);
  std::memcpy(block->data + block->bytes, bytes.data(), bytes.size());
  block->bytes += static_cast<uint32_t>(bytes.size());
  block->record(block->count) = {EndAndTime(block->bytes, time_us - block->base_time_us),
                                 static_cast<uint32_t>(frame.sequence() - block->base_sequence),
                                 topics};
  ++block->count;
  ++end_;
}

bool Store::IsTooOld(int64_t now_ns) const {
  if (events() == 0 || limits_.age_max_ns == INT64_MAX) return false;
  return now_ns - Find(first_).published_ns() > limits_.age_max_ns;
}

void Store::DropOldest() {
  const Place oldest = Find(first_);
  const Record& record = oldest.record();
  const uint64_t sequence = oldest.sequence();
  const size_t size = oldest.bytes().size();
  uint64_t topics = 0;
  ForEachTopic(record, [&](uint32_t topic) {
    const size_t name_size = topics_[topic].name_size;
    const bool is_last = topics_.Pop(topic, sequence, size);
    if (is_last && topic != TopicTable::kNoTopic) charged_bytes_ -= kHeldTopicCharge + name_size;
    ++topics;
    return true;
  });
  if ((record.topics & Record::kManyTopics) != 0) {
    for (uint64_t i = 0; i <= topics; ++i) topic_sets_.Pop();
    topic_sets_popped_ += static_cast<uint32_t>(topics) + 1;
  }
  charged_bytes_ -= size + kEventCharge + topics * kTopicCharge +
                    ((record.topics & Record::kHasId) == 0 ? 0 : kPublisherIdCharge) +
                    ((record.topics & Record::kHasKey) == 0 ? 0 : kKeyCharge * topics);
  if ((record.topics & Record::kIsLarge) != 0) {
    large_bytes_ -= size;
    std::free(const_cast<char*>(oldest.bytes().data()));
  }
  evicted_ = sequence;
  ++first_;
  const BlockPlace& head = blocks_[blocks_first_];
  if (first_ - head.base_ordinal == head.block->count) DropFirstBlock();
}

void Store::DropFirstBlock() {
  std::free(spare_);
  spare_ = blocks_[blocks_first_].block;
  // The emptied front is given up when it is the larger part: an element is moved once.
  if (++blocks_first_ * 2 > blocks_.size()) {
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<ptrdiff_t>(blocks_first_));
    blocks_first_ = 0;
  }
}

Store::Place Store::Find(uint64_t ordinal, uint32_t* block_hint) const {
  SLUICE_DCHECK(ordinal >= first_ && ordinal < end_);
  const size_t hint = *block_hint;
  if (hint >= blocks_first_ && hint < blocks_.size()) {
    const uint64_t index = ordinal - blocks_[hint].base_ordinal;
    if (index < blocks_[hint].block->count) {
      return {blocks_[hint].block, static_cast<uint32_t>(index)};
    }
  }
  const auto after = std::upper_bound(
      blocks_.begin() + static_cast<ptrdiff_t>(blocks_first_), blocks_.end(), ordinal,
      [](uint64_t wanted, const BlockPlace& place) { return wanted < place.base_ordinal; });
  const BlockPlace& found = *(after - 1);
  *block_hint = static_cast<uint32_t>(&found - blocks_.data());
  return {found.block, static_cast<uint32_t>(ordinal - found.base_ordinal)};
}

Store::Place Store::Find(uint64_t ordinal) const {
  uint32_t hint = static_cast<uint32_t>(ordinal == first_ ? blocks_first_ : blocks_.size() - 1);
  return Find(ordinal, &hint);
}

uint64_t Store::FirstAfter(uint64_t sequence) const {
  const auto after = std::upper_bound(
      blocks_.begin() + static_cast<ptrdiff_t>(blocks_first_), blocks_.end(), sequence,
      [](uint64_t wanted, const BlockPlace& place) { return wanted < place.base_sequence; });
  if (after == blocks_.begin() + static_cast<ptrdiff_t>(blocks_first_)) return first_;
  const BlockPlace& found = *(after - 1);
  uint32_t low = 0;
  for (uint32_t count = found.block->count; count != 0;) {
    const uint32_t half = count / 2;
    const bool is_before = found.block->sequence(low + half) <= sequence;
    low = is_before ? low + half + 1 : low;
    count = is_before ? count - half - 1 : half;
  }
  return std::max(first_, found.base_ordinal + low);
}

uint64_t Store::bytes_held() const {
  const uint64_t blocks = blocks_.size() - blocks_first_ + (spare_ == nullptr ? 0 : 1);
  return blocks * kBlockBytes + blocks_.capacity() * sizeof(BlockPlace) + large_bytes_ +
         topics_.bytes_held() + topic_sets_.bytes_held();
}

}  // namespace sluice
