#include "history/chunk_cache.h"

#include <cstring>
#include <iterator>

namespace sluice {

ChunkCache::ChunkCache(SharedHistory& history, uint64_t bytes_max)
    : history_(history), bytes_max_(bytes_max) {}

std::string ChunkCache::KeyOf(const Subscription& subscription, uint64_t after) {
  std::string key(sizeof after, '\0');
  std::memcpy(key.data(), &after, sizeof after);
  return key += subscription.text();
}

std::shared_ptr<const Chunk> ChunkCache::Read(const Subscription& subscription, uint64_t after,
                                              uint64_t through, uint64_t told) {
  std::string key = KeyOf(subscription, after);
  if (const auto found = chunk_of_.find(key); found != chunk_of_.end()) {
    if (told <= after || told <= found->second->chunk->evicted) {
      ++hits_;
      chunks_.splice(chunks_.begin(), chunks_, found->second);
      return found->second->chunk;
    }
    Drop(found->second);
  }
  ++misses_;
  history_.Require(through);
  auto chunk = std::make_shared<Chunk>();
  history_.Read(ReadingOf(subscription), after, through, chunk.get());
  // Nothing lies between: a reader that has all makes no entry.
  if (after < through) Keep(std::move(key), chunk);
  return chunk;
}

std::shared_ptr<const Chunk> ChunkCache::ReadNewest(const Subscription& subscription,
                                                    uint64_t after, uint64_t through) {
  ++misses_;
  history_.Require(through);
  auto chunk = std::make_shared<Chunk>();
  history_.ReadNewest(ReadingOf(subscription), after, through, chunk.get());
  return chunk;
}

void ChunkCache::Keep(std::string key, const std::shared_ptr<const Chunk>& chunk) {
  // What the list's and the table's entries take is about this, the key in both.
  constexpr uint64_t kEntryBytes = 256;
  const uint64_t bytes = sizeof(Chunk) + kEntryBytes + 2 * key.size() + chunk->bytes.capacity() +
                         chunk->marks.capacity() * sizeof(ChunkMark);
  chunks_.push_front({std::move(key), chunk, bytes});
  chunk_of_[chunks_.front().key] = chunks_.begin();
  bytes_held_ += bytes;
  while (bytes_held_ > bytes_max_) Drop(std::prev(chunks_.end()));
}

void ChunkCache::Drop(std::list<Entry>::iterator entry) {
  bytes_held_ -= entry->bytes;
  chunk_of_.erase(entry->key);
  chunks_.erase(entry);
}

Start ChunkCache::Resolve(const StreamStart& asked, const Subscription& subscription,
                          uint64_t through) {
  // A publisher's id is found only if its event is held by now; the reader may have it from a shard
  // that is ahead of this one.
  const bool is_publishers = !asked.last_id.empty() && !Epoch::Parse(asked.last_id).has_value();
  is_publishers ? history_.RequireAll() : history_.Require(through);
  Start start;
  Reading& reading = ReadingOf(subscription);
  while (!start.is_complete) history_.Resolve(asked, reading, through, &start);
  return start;
}

Reading& ChunkCache::ReadingOf(const Subscription& subscription) {
  const auto found = reading_of_.find(subscription.text());
  if (found != reading_of_.end()) {
    readings_.splice(readings_.begin(), readings_, found->second);
    return readings_.front();
  }
  readings_.emplace_front(subscription);
  reading_of_[subscription.text()] = readings_.begin();
  if (readings_.size() > kReadingsMax) {
    reading_of_.erase(readings_.back().subscription().text());
    readings_.pop_back();
  }
  return readings_.front();
}

}  // namespace sluice
