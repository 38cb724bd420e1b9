// Goal: whatever the network does, a reader's stream is exactly the events that its subscription
// wants (Subscription::Wants over the one order), each once, from the place its opening names to
// where it ends; and a reader that reads always gets all. Memory goes back to nothing.
// Method: one Delivery on a simulated engine and a queue for the ring; one seed draws the limits
// (tiny, so that events are half appended most of the time) and every step: joining, leaving,
// publishing, reading fast or not at all, time. A failure prints the seed that repeats it.
#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <set>

#include "delivery/delivery_rig.h"

namespace sluice {
namespace {

using test::DeliveryRig;

struct Published {
  std::vector<std::string> topics;
  std::string bytes;
};

class Simulation {
 public:
  Simulation(uint64_t seed, bool with_faults)
      : random_(seed), rig_(Limits(), seed, with_faults ? Faults(seed) : SimulatedFaults{}) {}

  void Run(int steps) {
    for (int step = 0; step < steps && !testing::Test::HasFatalFailure(); ++step) Step();
  }

  void SettleAndCheck() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (!rig_.peer(i).is_gone) rig_.engine().PeerBuffer(rig_.peer(i).peer, 64 * 1024);
      is_reading_[i] = true;
    }
    for (int turn = 0; turn < 3000; ++turn) {
      // An accept that failed is tried again after a while.
      if (turn == 1500) rig_.engine().Advance(2 * kNsPerSecond);
      Turn();
      ReadAll();
    }
    ASSERT_TRUE(ring_.empty());
    EXPECT_FALSE(rig_.delivery().HasWork());
    std::set<std::string> live;
    size_t readers = 0;
    for (size_t i = 0; i < rig_.peers(); ++i) {
      const auto& peer = rig_.peer(i);
      if (peer.is_gone || peer.dropped || !peer.begins_after || peer.is_ended) continue;
      if (rig_.engine().PeerAtEnd(peer.peer)) continue;
      ++readers;
      live.insert(peer.subscription.text());
      const Model& model = models_[i];
      EXPECT_EQ(NextWanted(i, model.next), published_.size()) << i;
      EXPECT_EQ(model.rest, "") << i;
    }
    EXPECT_EQ(rig_.delivery().readers(), readers);
    EXPECT_EQ(rig_.delivery().channels(), live.size());
    rig_.engine().Advance(kNsPerSecond);
    rig_.Turn();
    // All read all: nothing is held but blocks that busy channels keep.
    EXPECT_LE(rig_.counters().log_bytes.value(),
              readers * (Log::kIdleBytesAReader + sizeof(Segment)));
  }

  // All end with a goodbye, after a whole event.
  void EndAndCheck() {
    for (int turn = 0; turn < 2000; ++turn) {
      const size_t some = 1 + Below(5);
      ASSERT_LE(rig_.delivery().EndSome(some, DeliveryRig::kGoodbye), some);
      Turn();
      ReadAll();
    }
    EXPECT_EQ(rig_.delivery().readers(), 0u);
    EXPECT_EQ(rig_.delivery().channels(), 0u);
    EXPECT_EQ(rig_.counters().blocked_readers.value(), 0u);
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (!rig_.peer(i).is_ended || rig_.peer(i).is_gone) continue;
      EXPECT_EQ(models_[i].rest, DeliveryRig::kGoodbye);
      ++goodbyes_;
    }
  }

  uint64_t received() const { return received_; }
  uint64_t goodbyes() const { return goodbyes_; }
  uint64_t joined_half() const { return joined_half_; }

 private:
  struct Model {
    bool is_open = false;
    size_t next = 0;   // index of published_: those before it have been received, or not wanted
    std::string rest;  // received and not yet a whole event
  };

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  DeliveryLimits Limits() {
    return {.lag_bytes_max = 32 * 1024,
            .lag_events_max = 200 + Below(1000),
            .lag_age_max_ns = (1 + Below(10)) * kNsPerSecond,
            .log_bytes_max = 32 * 1024 + Below(128 * 1024),
            .segment_bytes = 1024 + Below(4096),
            .appends_max = 1 + Below(Below(2) == 0 ? 4 : 40),
            .sends_max = 1 + Below(8),
            .send_bytes_max = 256 + Below(16 * 1024),
            .heartbeat_ns = kNsPerSecond};
  }
  static SimulatedFaults Faults(uint64_t seed) {
    return {.short_write = 100,
            .spurious_eagain = 100,
            .send_reset = seed % 2 == 0 ? 2u : 0u,
            .accept_failure = 20,
            .accept_abort = 20,
            .delay_ns_max = 5 * kNsPerMs};
  }

  std::string Name() {
    constexpr std::string_view kNames[] = {"all", "a",     "a/b",   "a/c",   "a/b/c",
                                           "d",   "d/e/f", "d/x/f", "quiet", "own"};
    const std::string name(kNames[Below(10)]);
    return name == "own" ? "own/" + std::to_string(Below(30)) : name;
  }
  std::string Pattern() {
    constexpr std::string_view kPatterns[] = {"a/*", "a/**", "d/*/f", "*", "*/*", "own/*", "**"};
    if (Below(2) == 0) return Name();
    return std::string(kPatterns[Below(Below(4) == 0 ? 7 : 6)]);
  }

  void Step() {
    switch (Below(12)) {
      case 0:
      case 1:
        if (living_ < 60) Join();
        break;
      case 2:
        if (rig_.peers() != 0) Behave(Below(static_cast<uint32_t>(rig_.peers())));
        break;
      case 3:
      case 4:
        if (ring_.size() < 16) Publish();
        break;
      case 5:
        ReadAll();
        if (Below(60) == 0) {
          rig_.engine().Advance(kNsPerSecond / 2);
          Heartbeats();
        }
        break;
      default:
        Turn();
    }
  }

  void Join() {
    std::vector<std::string> patterns;
    for (uint32_t i = Below(4); i != 0; --i) patterns.push_back(Pattern());
    ++living_;
    rig_.Connect(patterns);
    models_.emplace_back();
    is_reading_.push_back(true);
  }

  void Behave(size_t number) {
    auto& peer = rig_.peer(number);
    if (peer.is_gone) return;
    switch (Below(12)) {
      case 0:
      case 1:
        --living_;
        rig_.Leave(number, Below(2) == 0);
        break;
      case 2:
      case 3:
        rig_.engine().PeerBuffer(peer.peer, 1 + Below(4096));
        break;
      default:
        is_reading_[number] = Below(3) != 0;
    }
  }

  void Publish() {
    Published event;
    for (uint32_t i = Below(4); i != 0; --i) {
      const std::string name = Name();
      if (std::find(event.topics.begin(), event.topics.end(), name) == event.topics.end()) {
        event.topics.push_back(name);
      }
    }
    const std::vector<std::string_view> topics(event.topics.begin(), event.topics.end());
    const std::string data(Below(Below(8) == 0 ? 6000 : 150), 'x');
    Frame* frame = Frame::Encode({.data = data, .topics = topics}, Epoch(1), 1 << 20);
    frame->Stamp(published_.size() + 1, rig_.engine().Now(), 1);
    event.bytes = frame->bytes();
    ring_.push_back(frame);
    published_.push_back(std::move(event));
  }

  void Turn() {
    const uint64_t half = rig_.delivery().HasWork() ? rig_.counters().subscribed.value() : 0;
    const bool is_half = is_half_;
    rig_.Handle();
    if (is_half && half != 0) joined_half_ += rig_.counters().subscribed.value() - half;
    bool may_append = rig_.delivery().ContinueAppend();
    for (uint32_t i = 1 + Below(8); may_append && i != 0 && !ring_.empty(); --i) {
      may_append = rig_.Append(ring_.front());
      ring_.pop_front();
    }
    is_half_ = !may_append;
    rig_.Sweep();
    rig_.engine().Advance(kNsPerMs / 4);
  }

  void Heartbeats() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      const auto& peer = rig_.peer(i);
      if (peer.begins_after && !peer.dropped) {
        rig_.delivery().HeartbeatDue(peer.connection, rig_.engine().Now());
      }
    }
  }

  size_t NextWanted(size_t number, size_t from) const {
    const Subscription& subscription = rig_.subscription(number);
    for (; from < published_.size(); ++from) {
      const auto& names = published_[from].topics;
      if (subscription.Wants(std::vector<std::string_view>(names.begin(), names.end()))) break;
    }
    return from;
  }

  void ReadAll() {
    for (size_t i = 0; i < rig_.peers(); ++i) {
      if (rig_.peer(i).is_gone || !is_reading_[i]) continue;
      models_[i].rest += rig_.Read(i);
      Check(i);
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  void Check(size_t number) {
    Model& model = models_[number];
    const auto take = [&](std::string_view expected) {
      const bool is_whole = model.rest.starts_with(expected);
      if (is_whole) model.rest.erase(0, expected.size());
      return is_whole;
    };
    if (!model.is_open) {
      if (model.rest.empty()) return;
      const uint64_t after = rig_.peer(number).begins_after.value();
      if (!take(DeliveryRig::Opening(after))) return;
      model.is_open = true;
      model.next = after;  // of sequence after + 1
    }
    while (!model.rest.empty()) {
      if (take(":\n")) continue;
      const size_t wanted = NextWanted(number, model.next);
      if (wanted < published_.size() && take(published_[wanted].bytes)) {
        model.next = wanted + 1;
        ++received_;
        continue;
      }
      // What is left is the beginning of something.
      const std::string_view expected =
          wanted < published_.size() ? published_[wanted].bytes : std::string_view();
      ASSERT_TRUE(expected.starts_with(model.rest) || model.rest == ":" ||
                  DeliveryRig::kGoodbye.starts_with(model.rest))
          << "reader " << number << " of " << rig_.subscription(number).text() << " after "
          << model.next << " got: " << model.rest.substr(0, 200)
          << "\nexpected: " << expected.substr(0, 200);
      return;
    }
  }

  std::mt19937_64 random_;
  DeliveryRig rig_;
  std::deque<Frame*> ring_;
  std::vector<Published> published_;
  std::vector<Model> models_;
  std::vector<bool> is_reading_;
  size_t living_ = 0;  // that have not left; some may have been dropped
  bool is_half_ = false;
  uint64_t received_ = 0;
  uint64_t goodbyes_ = 0;
  uint64_t joined_half_ = 0;
};

void RunSeeds(uint64_t first, uint64_t last, bool with_faults) {
  uint64_t received = 0;
  uint64_t goodbyes = 0;
  uint64_t joined_half = 0;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Simulation simulation(seed, with_faults);
    simulation.Run(4000);
    if (testing::Test::HasFailure()) return;
    simulation.SettleAndCheck();
    if (testing::Test::HasFailure()) return;
    simulation.EndAndCheck();
    if (testing::Test::HasFailure()) return;
    received += simulation.received();
    goodbyes += simulation.goodbyes();
    joined_half += simulation.joined_half();
  }
  EXPECT_GT(received, 10'000u);
  EXPECT_GT(goodbyes, 100u);
  EXPECT_GT(joined_half, 100u);  // readers came while an event was half appended
}

TEST(DeliverySimulation, ReadersGetWhatTheirSubscriptionsWantOnAQuietNetwork) {
  RunSeeds(1, 40, false);
}

TEST(DeliverySimulation, ReadersGetWhatTheirSubscriptionsWantUnderFaults) {
  RunSeeds(100, 199, true);
}

}  // namespace
}  // namespace sluice
