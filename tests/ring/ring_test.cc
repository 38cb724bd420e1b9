// Goal: every consumer drains every pushed event, once, in one order; a full ring refuses and loses
// nothing; a sleeper is always woken.
// Method: values prove themselves (producer and number in the data); small rings meet each edge at
// once; the stress tests also run under ThreadSanitizer.
#include "ring/ring.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

Frame* MakeFrame(const std::string& data) {
  return Frame::Encode({.data = data, .type = ""}, Epoch(1), 1 << 20);
}

std::string DataOf(const Frame* frame) {
  const std::string_view bytes = frame->bytes();
  return std::string(bytes.substr(6, bytes.find('\n') - 6));
}

PushResult Push(Ring& ring, const std::string& data, uint64_t* sequence = nullptr) {
  Frame* frame = MakeFrame(data);
  uint64_t first = 0;
  const PushResult result = ring.TryPush({&frame, 1}, 5, &first);
  if (result != PushResult::kPushed) frame->Release();
  if (sequence != nullptr) *sequence = first;
  return result;
}

std::vector<std::string> DrainAll(Ring& ring, uint32_t consumer) {
  std::vector<std::string> drained;
  ring.Drain(consumer, SIZE_MAX, [&](Frame* frame) {
    drained.push_back(DataOf(frame));
    frame->Release();
    return true;
  });
  return drained;
}

TEST(Ring, GivesEachConsumerEveryEventInOrder) {
  Ring ring(8, 1 << 20, 2);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Push(ring, std::to_string(i)), PushResult::kPushed);
  const std::vector<std::string> all{"0", "1", "2", "3", "4"};
  EXPECT_EQ(DrainAll(ring, 0), all);
  EXPECT_EQ(ring.depth(), 5u);
  EXPECT_EQ(DrainAll(ring, 1), all);
  EXPECT_EQ(ring.depth(), 0u);
  EXPECT_TRUE(DrainAll(ring, 0).empty());
}

TEST(Ring, CountsSequencesFromOne) {
  Ring ring(2, 1 << 20, 1);
  EXPECT_EQ(ring.newest_sequence(), 0u);
  uint64_t sequence = 0;
  for (uint64_t i = 1; i <= 10; ++i) {
    ASSERT_EQ(Push(ring, "x", &sequence), PushResult::kPushed);
    EXPECT_EQ(sequence, i);
    EXPECT_EQ(ring.newest_sequence(), i);
    DrainAll(ring, 0);
    EXPECT_EQ(ring.drained_sequence(0), i);
  }
}

// As a start does that goes on after an earlier run: past 32 bits, in the middle of the slots.
TEST(Ring, CountsFromWhereItIsTold) {
  constexpr uint64_t kFirst = (uint64_t{7} << 32) - 3;
  Ring ring(4, 1 << 20, 2, kFirst);
  EXPECT_EQ(ring.newest_sequence(), kFirst - 1);
  EXPECT_EQ(ring.drained_sequence(1), kFirst - 1);
  EXPECT_EQ(ring.depth(), 0u);
  for (uint64_t n = 0; n < 10; ++n) {
    uint64_t sequence = 0;
    ASSERT_EQ(Push(ring, std::to_string(n), &sequence), PushResult::kPushed);
    EXPECT_EQ(sequence, kFirst + n);
    EXPECT_EQ(ring.newest_sequence(), kFirst + n);
    EXPECT_EQ(DrainAll(ring, 0), std::vector<std::string>{std::to_string(n)});
    EXPECT_EQ(DrainAll(ring, 1), std::vector<std::string>{std::to_string(n)});
  }
}

TEST(Ring, GivesOutNoSequenceFromItsEndOn) {
  constexpr uint64_t kFirst = uint64_t{3} << 32;
  Ring ring(8, 1 << 20, 1, kFirst);
  ring.RaiseEnd(kFirst + 3);
  Frame* frames[] = {MakeFrame("0"), MakeFrame("1"), MakeFrame("2"), MakeFrame("3")};
  uint64_t first = 0;
  EXPECT_EQ(ring.TryPush(frames, 5, &first), PushResult::kAtEnd);
  EXPECT_EQ(ring.TryPush({frames, 3}, 5, &first), PushResult::kPushed);
  EXPECT_EQ(ring.TryPush({frames + 3, 1}, 5, &first), PushResult::kAtEnd);
  ring.RaiseEnd(kFirst + 1);  // never lowered, so nothing
  EXPECT_EQ(DrainAll(ring, 0).size(), 3u);
  EXPECT_EQ(ring.TryPush({frames + 3, 1}, 5, &first), PushResult::kAtEnd);
  ring.RaiseEnd(kFirst + 4);
  EXPECT_EQ(ring.TryPush({frames + 3, 1}, 5, &first), PushResult::kPushed);
  EXPECT_EQ(first, kFirst + 3);
}

TEST(Ring, RefusesWhenTheSlowestConsumerIsAFullRingBehind) {
  Ring ring(2, 1 << 20, 2);
  ASSERT_EQ(Push(ring, "a"), PushResult::kPushed);
  ASSERT_EQ(Push(ring, "b"), PushResult::kPushed);
  EXPECT_EQ(Push(ring, "c"), PushResult::kFull);
  DrainAll(ring, 0);
  EXPECT_EQ(Push(ring, "c"), PushResult::kFull);
  EXPECT_EQ(DrainAll(ring, 1), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(Push(ring, "c"), PushResult::kPushed);
  EXPECT_EQ(DrainAll(ring, 0), std::vector<std::string>{"c"});
  EXPECT_EQ(DrainAll(ring, 1), std::vector<std::string>{"c"});
}

TEST(Ring, RefusesWhenItsBytesAreHeld) {
  const std::string data(1000, 'x');
  Ring ring(64, 4096, 1);
  int pushed = 0;
  while (Push(ring, data) == PushResult::kPushed) ++pushed;
  EXPECT_EQ(pushed, 3);
  DrainAll(ring, 0);
  EXPECT_EQ(Push(ring, data), PushResult::kPushed);
  EXPECT_EQ(Push(ring, std::string(5000, 'x')), PushResult::kTooLarge);
}

TEST(Ring, TakesAnArrayWholeOrNotAtAll) {
  Ring ring(4, 1 << 20, 1);
  ASSERT_EQ(Push(ring, "first"), PushResult::kPushed);
  std::vector<Frame*> four;
  for (int i = 0; i < 4; ++i) four.push_back(MakeFrame(std::to_string(i)));
  uint64_t first = 0;
  EXPECT_EQ(ring.TryPush(four, 5, &first), PushResult::kFull);
  EXPECT_EQ(DrainAll(ring, 0), std::vector<std::string>{"first"});
  EXPECT_EQ(ring.TryPush(four, 5, &first), PushResult::kPushed);
  EXPECT_EQ(first, 2u);
  EXPECT_EQ(DrainAll(ring, 0), (std::vector<std::string>{"0", "1", "2", "3"}));
  std::vector<Frame*> five;
  for (int i = 0; i < 5; ++i) five.push_back(MakeFrame("x"));
  EXPECT_EQ(ring.TryPush(five, 5, &first), PushResult::kTooLarge);
  for (Frame* frame : five) frame->Release();
}

TEST(Ring, StopsDrainingWhenTheConsumerSaysSo) {
  Ring ring(8, 1 << 20, 1);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Push(ring, std::to_string(i)), PushResult::kPushed);
  EXPECT_EQ(ring.Drain(0, 2, [](Frame* frame) { return frame->Release(), true; }), 2u);
  EXPECT_EQ(ring.Drain(0, 9, [](Frame* frame) { return frame->Release(), false; }), 1u);
  EXPECT_EQ(DrainAll(ring, 0), (std::vector<std::string>{"3", "4"}));
}

TEST(Ring, WakesASleeperOnceAndNobodyAwake) {
  Ring ring(8, 1 << 20, 2);
  int wakes[2] = {0, 0};
  ring.SetWaker(0, [&] { ++wakes[0]; });
  ring.SetWaker(1, [&] { ++wakes[1]; });
  EXPECT_TRUE(ring.PrepareSleep(0));
  ASSERT_EQ(Push(ring, "a"), PushResult::kPushed);
  ASSERT_EQ(Push(ring, "b"), PushResult::kPushed);
  EXPECT_EQ(wakes[0], 1);
  EXPECT_EQ(wakes[1], 0);
  EXPECT_FALSE(ring.PrepareSleep(1));
  DrainAll(ring, 0);
  EXPECT_TRUE(ring.PrepareSleep(0));
  ring.Awake(0);
  ASSERT_EQ(Push(ring, "c"), PushResult::kPushed);
  EXPECT_EQ(wakes[0], 1);
}

// A consumer thread that sleeps on a condition variable, as a shard sleeps in its engine.
class SleepingConsumer {
 public:
  SleepingConsumer(Ring& ring, uint32_t consumer, uint64_t events)
      : ring_(ring), consumer_(consumer), events_(events) {
    ring.SetWaker(consumer, [this] {
      std::lock_guard lock(mutex_);
      is_woken_ = true;
      woken_.notify_one();
    });
  }
  void Start() {
    thread_ = std::thread([this] { Run(); });
  }
  const std::vector<std::string>& Join() {
    thread_.join();
    return drained_;
  }

 private:
  void Run() {
    while (drained_.size() < events_) {
      const size_t n = ring_.Drain(consumer_, 3, [&](Frame* frame) {
        drained_.push_back(DataOf(frame));
        frame->Release();
        return true;
      });
      if (n != 0 || !ring_.PrepareSleep(consumer_)) continue;
      std::unique_lock lock(mutex_);
      woken_.wait(lock, [this] { return is_woken_; });
      is_woken_ = false;
      ring_.Awake(consumer_);
    }
  }

  Ring& ring_;
  const uint32_t consumer_;
  const uint64_t events_;
  std::vector<std::string> drained_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable woken_;
  bool is_woken_ = false;
};

struct StressCase {
  uint32_t events_max;
  uint32_t producers;
  uint32_t consumers;
  uint32_t batch;
};

class RingStress : public testing::TestWithParam<StressCase> {};

TEST_P(RingStress, AllConsumersSeeEveryEventOnceInOneOrder) {
  const StressCase& shape = GetParam();
  constexpr uint32_t kEventsEach = 6000;
  Ring ring(shape.events_max, 1 << 20, shape.consumers);
  const uint64_t total = uint64_t{kEventsEach} * shape.producers;
  std::vector<std::unique_ptr<SleepingConsumer>> consumers;
  for (uint32_t i = 0; i < shape.consumers; ++i) {
    consumers.push_back(std::make_unique<SleepingConsumer>(ring, i, total));
  }
  for (auto& consumer : consumers) consumer->Start();

  std::vector<std::thread> producers;
  for (uint32_t p = 0; p < shape.producers; ++p) {
    producers.emplace_back([&, p] {
      for (uint32_t n = 0; n < kEventsEach; n += shape.batch) {
        std::vector<Frame*> frames;
        for (uint32_t i = 0; i < shape.batch; ++i) {
          frames.push_back(MakeFrame(std::to_string(p) + ":" + std::to_string(n + i)));
        }
        uint64_t first = 0;
        while (ring.TryPush(frames, 1, &first) == PushResult::kFull) std::this_thread::yield();
      }
    });
  }
  for (auto& producer : producers) producer.join();

  const std::vector<std::string>& order = consumers[0]->Join();
  ASSERT_EQ(order.size(), total);
  std::vector<uint32_t> next(shape.producers, 0);
  for (const std::string& value : order) {
    const size_t colon = value.find(':');
    const uint32_t producer = static_cast<uint32_t>(std::stoul(value));
    EXPECT_EQ(std::stoul(value.substr(colon + 1)), next[producer]++);
  }
  for (uint32_t i = 1; i < shape.consumers; ++i) EXPECT_EQ(consumers[i]->Join(), order);
}

INSTANTIATE_TEST_SUITE_P(Shapes, RingStress,
                         testing::Values(StressCase{2, 1, 1, 1}, StressCase{2, 3, 2, 2},
                                         StressCase{4, 4, 3, 1}, StressCase{64, 4, 4, 3},
                                         StressCase{1024, 2, 2, 8}),
                         [](const auto& tested) {
                           const StressCase& shape = tested.param;
                           return "Events" + std::to_string(shape.events_max) + "Producers" +
                                  std::to_string(shape.producers) + "Consumers" +
                                  std::to_string(shape.consumers) + "Batch" +
                                  std::to_string(shape.batch);
                         });

}  // namespace
}  // namespace sluice
