#include "shard/topic_board.h"

#include <algorithm>
#include <utility>

namespace sluice {

TopicBoard::TopicBoard(Ring& ring, uint32_t shards, int64_t began_ns)
    : ring_(ring), began_ns_(began_ns), shards_(shards) {}

std::shared_ptr<TopicQuestion> TopicBoard::Ask(uint32_t asker, std::string from, std::string prefix,
                                               size_t count) {
  auto question = std::make_shared<TopicQuestion>();
  question->from = std::move(from);
  question->prefix = std::move(prefix);
  question->count = count;
  question->asker = asker;
  question->answers.resize(shards_.size());
  {
    const std::lock_guard lock(mutex_);
    if (open_.size() == kQuestionsMax) return nullptr;
    const auto there = std::count_if(shards_.begin(), shards_.end(),
                                     [](const Shard& shard) { return !shard.has_left; });
    question->lacking.store(static_cast<uint32_t>(there), std::memory_order_relaxed);
    question->number = asked_.load(std::memory_order_relaxed) + 1;
    open_.push_back(question);
    asked_.store(question->number, std::memory_order_seq_cst);
  }
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    if (i != asker) ring_.Rouse(i);
  }
  return question;
}

void TopicBoard::Close(const std::shared_ptr<TopicQuestion>& question) {
  const std::lock_guard lock(mutex_);
  std::erase(open_, question);
}

std::shared_ptr<TopicQuestion> TopicBoard::Next(uint32_t shard) {
  const std::lock_guard lock(mutex_);
  uint64_t& seen = shards_[shard].seen;
  for (const auto& question : open_) {
    if (question->number <= seen) continue;
    seen = question->number;
    return question;
  }
  // Relaxed: it is stored under the lock.
  seen = asked_.load(std::memory_order_relaxed);
  return nullptr;
}

void TopicBoard::Answer(uint32_t shard, TopicQuestion* question,
                        std::vector<SubscribedTopic> topics) {
  question->answers[shard] = std::move(topics);
  CountAnswer(question);
}

// The last one wakes the shard that asked, if it sleeps: it looks once more before it does.
void TopicBoard::CountAnswer(TopicQuestion* question) {
  if (question->lacking.fetch_sub(1, std::memory_order_seq_cst) == 1) {
    ring_.Rouse(question->asker);
  }
}

void TopicBoard::Leave(uint32_t shard) {
  const std::lock_guard lock(mutex_);
  Shard& self = shards_[shard];
  if (std::exchange(self.has_left, true)) return;
  for (const auto& question : open_) {
    if (question->number > self.seen) CountAnswer(question.get());
  }
  self.seen = asked_.load(std::memory_order_relaxed);
}

}  // namespace sluice
