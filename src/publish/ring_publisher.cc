#include "publish/ring_publisher.h"

namespace sluice {

http::PublishResult RingPublisher::Publish(const Event& event) {
  http::PublishResult result;
  if (host_.is_closing()) {
    result.refusal = Refusal::kDraining;
    return result;
  }
  Frame* frame = Frame::Encode(event, epoch_, frame_bytes_max_);
  if (frame == nullptr) {
    result.refusal = Refusal::kFrameTooLarge;
    return result;
  }
  uint64_t sequence = 0;
  const int64_t now_ns = host_.NowNs();
  PushResult pushed = ring_.TryPush({&frame, 1}, now_ns, &sequence);
  if (pushed == PushResult::kFull) {
    host_.DrainOnce();
    pushed = ring_.TryPush({&frame, 1}, now_ns, &sequence);
  }
  if (pushed != PushResult::kPushed) {
    frame->Release();
    result.refusal = pushed == PushResult::kFull ? Refusal::kRingFull : Refusal::kFrameTooLarge;
    return result;
  }
  result.id = epoch_.Id(sequence);
  result.subscribers = host_.SubscribersOfAll();
  return result;
}

}  // namespace sluice
