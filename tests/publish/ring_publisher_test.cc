// Goal: a publish is acknowledged exactly when its event has a place on the ring; each refusal is
// told by its word, and a full ring is tried once more after this shard has drained its own share.
#include "publish/ring_publisher.h"

#include <gtest/gtest.h>

#include <string>

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

}  // namespace
}  // namespace sluice
