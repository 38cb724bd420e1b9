// Goal: a question has an answer of every shard that is there, whoever leaves or closes it, and
// nobody who asks or sleeps is forgotten. Method: step by step, then threads that ask, answer and
// leave at will; the sanitizers look at the rest.
#include "shard/topic_board.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice {
namespace {

void AnswerNext(TopicBoard* board, uint32_t shard) {
  const auto question = board->Next(shard);
  if (question == nullptr) return;
  board->Answer(shard, question.get(), {{question->from, shard + 1}});
}

TEST(TopicBoard, HasAnAnswerOfEachShard) {
  Ring ring(16, 1 << 16, 3);
  TopicBoard board(ring, 3, 0);
  EXPECT_FALSE(board.HasQuestion(0));
  const auto question = board.Ask(1, "a", "", 10);
  for (const uint32_t shard : {0u, 1u, 2u}) {
    EXPECT_TRUE(board.HasQuestion(shard));
    EXPECT_FALSE(question->is_answered());
    AnswerNext(&board, shard);
    EXPECT_FALSE(board.HasQuestion(shard));
  }
  EXPECT_TRUE(question->is_answered());
  for (const uint32_t shard : {0u, 1u, 2u}) {
    ASSERT_EQ(question->answers[shard].size(), 1u);
    EXPECT_EQ(question->answers[shard][0].streams, shard + 1);
  }
}

TEST(TopicBoard, OneThatLeftIsNotWaitedFor) {
  Ring ring(16, 1 << 16, 2);
  TopicBoard board(ring, 2, 0);
  const auto first = board.Ask(0, "a", "", 1);
  AnswerNext(&board, 0);
  board.Leave(1);
  board.Leave(1);
  EXPECT_TRUE(first->is_answered());
  const auto second = board.Ask(0, "b", "", 1);
  AnswerNext(&board, 0);
  EXPECT_TRUE(second->is_answered());
}

TEST(TopicBoard, TakesSoManyAtOnceAndTheirPlacesAgain) {
  Ring ring(16, 1 << 16, 2);
  TopicBoard board(ring, 2, 0);
  std::vector<std::shared_ptr<TopicQuestion>> questions;
  for (size_t i = 0; i < TopicBoard::kQuestionsMax; ++i) {
    questions.push_back(board.Ask(0, std::to_string(i), "", 1));
    ASSERT_NE(questions.back(), nullptr);
  }
  EXPECT_EQ(board.Ask(1, "", "", 1), nullptr);
  board.Close(questions[3]);
  EXPECT_NE(board.Ask(1, "last", "", 1), nullptr);
  std::vector<std::string> asked;  // one after the other, without the one that was closed
  while (board.HasQuestion(1)) {
    const auto question = board.Next(1);
    if (question != nullptr) asked.push_back(question->from);
  }
  EXPECT_EQ(asked, (std::vector<std::string>{"0", "1", "2", "4", "5", "6", "7", "last"}));
}

TEST(TopicBoard, ThreadsAskAndAnswerAndLeave) {
  constexpr uint32_t kShards = 4;
  constexpr int kQuestions = 2'000;
  Ring ring(16, 1 << 16, kShards);
  TopicBoard board(ring, kShards, 0);
  std::vector<std::thread> shards;
  for (uint32_t shard = 0; shard < kShards; ++shard) {
    shards.emplace_back([&, shard] {
      // Each ends after a number of its own; the others go on without it.
      const int questions = kQuestions / static_cast<int>(shard + 1);
      std::shared_ptr<TopicQuestion> mine;
      for (int asked = 0; asked < questions;) {
        if (board.HasQuestion(shard)) AnswerNext(&board, shard);
        if (mine == nullptr) mine = board.Ask(shard, "x", "", 1);
        if (mine == nullptr || !mine->is_answered()) {
          std::this_thread::yield();
          continue;
        }
        ASSERT_EQ(mine->answers[shard].size(), 1u);
        for (uint32_t other = 0; other < kShards; ++other) {
          for (const SubscribedTopic& topic : mine->answers[other]) {
            ASSERT_EQ(topic.streams, other + 1);
          }
        }
        board.Close(std::exchange(mine, nullptr));
        ++asked;
      }
      board.Leave(shard);
    });
  }
  for (std::thread& shard : shards) shard.join();
}

}  // namespace
}  // namespace sluice
