// Goal: one producer and one consumer see the same bytes in the same order, within the bound, with
// chunks so small that every edge is met at once.
#include "journal/record_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>

namespace sluice {
namespace {

bool Put(RecordQueue& queue, const std::string& text) {
  char* to = queue.Reserve(text.size());
  if (to == nullptr) return false;
  std::memcpy(to, text.data(), text.size());
  queue.Publish(text.size());
  return true;
}

TEST(RecordQueue, GivesWhatWasPublishedAndNothingElse) {
  RecordQueue queue(100, 16);
  EXPECT_TRUE(queue.Front().empty());
  ASSERT_TRUE(Put(queue, "abc"));
  ASSERT_NE(queue.Reserve(3), nullptr);  // never published
  ASSERT_TRUE(Put(queue, "de"));
  EXPECT_EQ(queue.Front(), "abcde");
  queue.Pop(3);
  EXPECT_EQ(queue.Front(), "de");
  queue.Pop(2);
  EXPECT_TRUE(queue.Front().empty());
  EXPECT_EQ(queue.bytes(), 0u);
}

TEST(RecordQueue, RefusesWhatIsPastItsBoundAndTakesAgainWhenPopped) {
  RecordQueue queue(10, 4);
  ASSERT_TRUE(Put(queue, "abcd"));
  ASSERT_TRUE(Put(queue, "efgh"));
  EXPECT_FALSE(Put(queue, "ijk"));
  ASSERT_TRUE(Put(queue, "ij"));
  EXPECT_EQ(queue.bytes(), 10u);
  EXPECT_EQ(queue.Front(), "abcd");
  queue.Pop(4);
  EXPECT_TRUE(Put(queue, "klmn"));
}

TEST(RecordQueue, TakesARecordLargerThanAChunkInOnePiece) {
  RecordQueue queue(1000, 8);
  const std::string large(100, 'x');
  ASSERT_TRUE(Put(queue, "a"));
  ASSERT_TRUE(Put(queue, large));
  ASSERT_TRUE(Put(queue, "b"));
  EXPECT_EQ(queue.Front(), "a");
  queue.Pop(1);
  EXPECT_EQ(queue.Front(), large);
  queue.Pop(large.size());
  EXPECT_EQ(queue.Front(), "b");
}

// Values prove themselves: each is its number, in a length that its number decides.
TEST(RecordQueue, KeepsOrderAndBytesBetweenTwoThreads) {
  constexpr uint64_t kRecords = 200'000;
  RecordQueue queue(256, 64);
  std::thread producer([&] {
    for (uint64_t n = 0; n < kRecords;) {
      const size_t size = sizeof n + n % 80;
      char* to = queue.Reserve(size);
      if (to == nullptr) {
        std::this_thread::yield();
        continue;
      }
      std::memcpy(to, &n, sizeof n);
      std::memset(to + sizeof n, static_cast<int>(n & 127), size - sizeof n);
      queue.Publish(size);
      ++n;
    }
  });
  uint64_t expected = 0;
  bool is_right = true;
  while (expected < kRecords) {
    const std::string_view front = queue.Front();
    if (front.empty()) std::this_thread::yield();
    for (size_t at = 0; at < front.size();) {
      uint64_t n;
      std::memcpy(&n, front.data() + at, sizeof n);
      const size_t size = sizeof n + expected % 80;
      is_right = is_right && n == expected && at + size <= front.size() &&
                 front.substr(at + sizeof n, size - sizeof n) ==
                     std::string(size - sizeof n, static_cast<char>(n & 127));
      at += size;
      ++expected;
    }
    queue.Pop(front.size());  // also what is wrong: the producer must end
  }
  EXPECT_TRUE(is_right) << "at " << expected;
  producer.join();
  EXPECT_EQ(queue.bytes(), 0u);
}

}  // namespace
}  // namespace sluice
