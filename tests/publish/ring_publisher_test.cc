// Goal: a publish is acknowledged exactly when its event has a place on the ring; each refusal is
// told by its word, and a full ring is tried once more after this shard has drained its own share.
// Several events get neighbouring places or none; what is sent again is published once.
#include "publish/ring_publisher.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

class Host : public PublishHost {
 public:
  explicit Host(Ring& ring) : ring_(ring) {}
  void DrainOnce() override {
    ++drains;
    if (!can_drain) return;
    ring_.Drain(0, SIZE_MAX, [](Frame* frame) { return frame->Release(), true; });
  }
  bool is_closing() const override { return closing; }
  uint64_t SubscribersOfAll() const override { return 7; }
  int64_t NowNs() const override { return 1; }
  std::optional<Refusal> CannotAck(const http::PublishAck&) const override { return std::nullopt; }
  http::AckAnswer AskAck(uint64_t sequence, const http::PublishAck&) const override {
    if (sequence > matched_through) return {};
    const bool knows = sequence >= knows_from;
    return {.state = http::AckAnswer::State::kHad,
            .matched = knows ? std::optional(sequence * 10) : std::nullopt};
  }
  uint64_t matched_through = 0;
  uint64_t knows_from = 0;

  int drains = 0;
  bool can_drain = true;
  bool closing = false;

 private:
  Ring& ring_;
};

class RingPublisherTest : public testing::Test {
 protected:
  http::PublishResult Publish(const std::string& data = "1") {
    const Event event{.data = data};
    return publisher_.Publish({&event, 1}, {});
  }

  Ring ring_{2, 1 << 20, 1};
  const Epoch epoch_{0xabc};
  Host host_{ring_};
  RingPublisher publisher_{ring_, epoch_, 1000, host_};
};

TEST_F(RingPublisherTest, TellsTheIdAndTheSubscribers) {
  EXPECT_EQ(Publish().first_sequence, 1u);
  const http::PublishResult second = Publish();
  EXPECT_FALSE(second.refusal);
  EXPECT_EQ(second.first_sequence, 2u);
  EXPECT_EQ(second.subscribers, 7u);
  EXPECT_EQ(host_.drains, 0);
}

TEST_F(RingPublisherTest, DrainsOnceAndTriesAgainWhenTheRingIsFull) {
  Publish();
  Publish();
  EXPECT_EQ(Publish().first_sequence, 3u);
  EXPECT_EQ(host_.drains, 1);
}

TEST_F(RingPublisherTest, RefusesWhenTheRingStaysFull) {
  host_.can_drain = false;
  Publish();
  Publish();
  EXPECT_EQ(Publish().refusal, Refusal::kRingFull);
  EXPECT_EQ(host_.drains, 1);
  EXPECT_EQ(ring_.newest_sequence(), 2u);  // it took no place
}

TEST_F(RingPublisherTest, RefusesAFrameOverTheBound) {
  EXPECT_EQ(Publish(std::string(1000, 'x')).refusal, Refusal::kFrameTooLarge);
  EXPECT_EQ(Publish(std::string(300, '\n')).refusal, Refusal::kFrameTooLarge);
  EXPECT_EQ(ring_.newest_sequence(), 0u);
}

TEST_F(RingPublisherTest, RefusesWhileClosing) {
  host_.closing = true;
  EXPECT_EQ(Publish().refusal, Refusal::kDraining);
}

using By = http::PublishOnce::By;

class BatchTest : public testing::Test {
 protected:
  http::PublishResult Publish(const std::vector<Event>& events, http::PublishOnce once = {}) {
    return publisher_.Publish(events, once);
  }
  // The wire bytes of all that is on the ring, taken off it.
  std::string Drain() {
    std::string bytes;
    ring_.Drain(0, SIZE_MAX, [&](Frame* frame) {
      bytes.append(frame->bytes());
      frame->Release();
      return true;
    });
    return bytes;
  }

  Ring ring_{4, 4'096, 1};
  const Epoch epoch_{0xabc};
  Host host_{ring_};
  IdempotencyTable table_{1'000'000, 100};
  RingPublisher publisher_{ring_, epoch_, 1'000, host_, &table_};
};

TEST_F(BatchTest, GivesNeighbouringPlaces) {
  const http::PublishResult result =
      Publish({{.data = "1"}, {.data = "2", .id = "mine"}, {.data = "3"}});
  EXPECT_FALSE(result.refusal);
  EXPECT_EQ(result.first_sequence, 1u);
  EXPECT_EQ(result.subscribers, 7u);
  EXPECT_EQ(Drain(),
            "data: 1\nid: 000000000abc-1\n\ndata: 2\nid: mine\n\ndata: 3\nid: "
            "000000000abc-3\n\n");
}

TEST_F(BatchTest, TakesAsManyAsTheRingHasAndNoMore) {
  const Event event{.data = "1"};
  EXPECT_FALSE(Publish({event, event, event, event}).refusal);
  EXPECT_EQ(Publish({event, event, event, event, event}).refusal, Refusal::kBatchTooLarge);
  const std::string large(900, 'x');
  const Event wide{.data = large};
  Drain();
  EXPECT_FALSE(Publish({wide, wide, wide}).refusal);
  EXPECT_EQ(ring_.newest_sequence(), 7u);
}

TEST_F(BatchTest, TellsABatchOfTooManyBytes) {
  Ring small(4, 2'048, 1);
  RingPublisher publisher(small, epoch_, 1'000, host_, &table_);
  const std::string large(900, 'x');
  const std::vector<Event> events(3, Event{.data = large});
  EXPECT_EQ(publisher.Publish(events, {}).refusal, Refusal::kBatchTooLarge);
  EXPECT_FALSE(publisher.Publish(std::span(events).first(2), {}).refusal);
}

TEST_F(BatchTest, PublishesAllOrNothing) {
  host_.can_drain = false;
  const Event event{.data = "1"};
  EXPECT_FALSE(Publish({event, event}).refusal);
  EXPECT_EQ(Publish({event, event, event}).refusal, Refusal::kRingFull);
  EXPECT_EQ(ring_.newest_sequence(), 2u);
  const std::string large(1'000, 'x');
  const http::PublishResult result = Publish({event, {.data = large}});
  EXPECT_EQ(result.refusal, Refusal::kFrameTooLarge);
  EXPECT_EQ(result.refused_event, 1u);
  EXPECT_EQ(ring_.newest_sequence(), 2u);
  EXPECT_FALSE(Publish({event, event}).refusal) << "the refused ones took no place";
}

TEST_F(BatchTest, PublishesAKeyOnceAndGivesTheFirstAnswerAgain) {
  const std::vector<Event> events = {{.data = "1"}, {.data = "2"}};
  const http::PublishOnce once{By::kKey, "k"};
  const http::PublishResult first = Publish(events, once);
  EXPECT_EQ(first.replays, 0u);
  Publish({{.data = "between"}});
  const http::PublishResult again = Publish(events, once);
  EXPECT_FALSE(again.refusal);
  EXPECT_EQ(again.replays, 2u);
  EXPECT_EQ(again.first_sequence, first.first_sequence);
  EXPECT_EQ(again.subscribers, first.subscribers);
  EXPECT_EQ(ring_.newest_sequence(), 3u);
  EXPECT_EQ(Publish({{.data = "1"}}, once).refusal, Refusal::kIdempotencyKeyReused);
  EXPECT_FALSE(Publish({{.data = "1"}}, {By::kKey, "other"}).refusal);
}

TEST_F(BatchTest, ARefusedPublishDoesNotUseItsKeyUp) {
  host_.can_drain = false;
  const Event event{.data = "1", .id = "mine"};
  Publish({{.data = "1"}, {.data = "1"}, {.data = "1"}, {.data = "1"}});
  for (const By by : {By::kKey, By::kEventIds}) {
    EXPECT_EQ(Publish({event}, {by, "k"}).refusal, Refusal::kRingFull);
  }
  EXPECT_EQ(table_.counts().keys, 0u);
  Drain();
  EXPECT_EQ(Publish({event}, {By::kKey, "k"}).replays, 0u);
  EXPECT_EQ(Publish({event}, {By::kEventIds, ""}).replays, 0u);
  EXPECT_EQ(ring_.newest_sequence(), 6u);
}

TEST_F(BatchTest, PublishesAnIdOnce) {
  const Event event{.data = "1", .id = "mine"};
  EXPECT_EQ(Publish({event}, {By::kEventIds, ""}).replays, 0u);
  EXPECT_EQ(Publish({event}, {By::kEventIds, ""}).replays, 1u);
  EXPECT_EQ(Publish({event}).replays, 0u) << "not asked for";
  EXPECT_EQ(ring_.newest_sequence(), 2u);
  const http::PublishResult other =
      Publish({{.data = "0", .id = "x"}, {.data = "2", .id = "mine"}}, {By::kEventIds, ""});
  EXPECT_EQ(other.refusal, Refusal::kIdempotencyKeyReused);
  EXPECT_EQ(other.refused_event, 1u);
  EXPECT_EQ(table_.counts().keys, 1u) << "x did not happen";
}

TEST_F(BatchTest, LeavesRepeatsOutOfABatchById) {
  Publish({{.data = "b", .id = "b"}}, {By::kEventIds, ""});
  Drain();
  const std::vector<Event> events = {{.data = "a", .id = "a"},
                                     {.data = "b", .id = "b"},
                                     {.data = "c", .id = "c"},
                                     {.data = "a", .id = "a"}};
  const http::PublishResult result = Publish(events, {By::kEventIds, ""});
  EXPECT_FALSE(result.refusal);
  EXPECT_EQ(result.replays, 2u);
  EXPECT_EQ(Drain(), "data: a\nid: a\n\ndata: c\nid: c\n\n");
  EXPECT_EQ(Publish(events, {By::kEventIds, ""}).replays, 4u);
  EXPECT_EQ(Drain(), "");
}

TEST_F(BatchTest, ARepeatWaitsForTheFirstOnesPlaces) {
  const std::vector<Event> events = {{.data = "a", .id = "a"}, {.data = "b", .id = "b"}};
  EXPECT_TRUE(Publish(events, {By::kEventIds, ""}).sequences.empty());
  Drain();
  const http::PublishResult repeat =
      Publish({events[1], {.data = "c", .id = "c"}, events[0]}, {By::kEventIds, ""});
  EXPECT_EQ(std::vector<uint64_t>(repeat.sequences.begin(), repeat.sequences.end()),
            (std::vector<uint64_t>{2, 3, 1}));
  EXPECT_EQ(Publish({events}, {By::kKey, "k"}).first_sequence, 4u);
  EXPECT_EQ(Publish({events}, {By::kKey, "k"}).first_sequence, 4u);
}

TEST_F(BatchTest, WhatWasMatchedIsToldAgainWithTheFirstAnswer) {
  using State = http::AckAnswer::State;
  const http::PublishAck ack{.matched = true};
  const std::vector<Event> events = {{.data = "a"}, {.data = "b"}};
  Publish(events, {By::kKey, "k"});
  Publish({{.data = "c", .id = "c"}}, {By::kEventIds, ""});
  EXPECT_EQ(publisher_.AskAck(2, ack, By::kKey).state, State::kPending);
  host_.matched_through = 3;
  EXPECT_EQ(publisher_.AskAck(2, ack, By::kKey).matched, 20u);
  EXPECT_EQ(publisher_.AskAck(3, ack, By::kEventIds).matched, 30u);
  host_.knows_from = 100;  // the ledger has forgotten them
  EXPECT_EQ(publisher_.AskAck(2, ack, By::kKey).matched, 20u);
  EXPECT_EQ(publisher_.AskAck(3, ack, By::kEventIds).matched, 30u);
  EXPECT_EQ(publisher_.AskAck(1, ack, By::kKey).state, State::kHad);
  EXPECT_EQ(publisher_.AskAck(1, ack, By::kKey).matched, std::nullopt) << "nobody asked in time";
}

TEST_F(BatchTest, OfManyAtOnceOneIsThePublishAndTheOthersItsRepeats) {
  constexpr int kThreads = 4;
  constexpr int kKeys = 500;
  Ring ring(1'024, 1 << 20, 1);
  IdempotencyTable table(1'000'000, 1'000);
  std::array<std::vector<uint64_t>, kThreads> sequences;
  std::vector<std::thread> threads;
  for (auto& own : sequences) {
    threads.emplace_back([&] {
      Host host(ring);
      host.can_drain = false;  // the ring has one consumer
      RingPublisher publisher(ring, epoch_, 1'000, host, &table);
      for (int i = 0; i < kKeys; ++i) {
        const std::string key = std::to_string(i);
        const Event event{.data = key};
        own.push_back(publisher.Publish({&event, 1}, {By::kKey, key}).first_sequence);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ring.newest_sequence(), static_cast<uint64_t>(kKeys));
  for (const auto& own : sequences) EXPECT_EQ(own, sequences[0]);
}

}  // namespace
}  // namespace sluice
