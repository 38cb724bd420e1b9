// Frames for the history's tests: made and stamped as the ring would.
//
// Thread: pure. Owner: a TestFrame holds the one reference.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event/frame.h"
#include "event/subscription.h"

namespace sluice {

struct ReleaseFrame {
  void operator()(Frame* frame) const { frame->Release(); }
};
using TestFrame = std::unique_ptr<Frame, ReleaseFrame>;

inline const Epoch& TestEpoch() {
  static const Epoch epoch(0xabc);
  return epoch;
}

struct TestEvent {
  std::string data = "x";
  std::vector<std::string> topics = {};
  std::string id = {};
  std::string key = {};
  int64_t published_ns = 0;
};

inline TestFrame MakeFrame(uint64_t sequence, const TestEvent& event) {
  const std::vector<std::string_view> topics(event.topics.begin(), event.topics.end());
  TestFrame frame(Frame::Encode(
      {.data = event.data, .topics = topics, .id = event.id, .key = event.key, .retry_ms = 700},
      TestEpoch(), 1 << 20));
  frame->Stamp(sequence, event.published_ns, 1);
  return frame;
}

inline Subscription Asking(std::vector<std::string> patterns) {
  return Subscription(std::move(patterns));
}

}  // namespace sluice
