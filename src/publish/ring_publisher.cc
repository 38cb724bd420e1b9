#include "publish/ring_publisher.h"

#include <utility>

namespace sluice {
namespace {

using Kind = IdempotencyTable::Kind;

// What a batch made the lists grow to beyond this is given back.
constexpr size_t kFramesKeptMax = 256;

http::PublishResult Refused(Refusal refusal, size_t event = 0) {
  http::PublishResult result;
  result.refusal = refusal;
  result.refused_event = event;
  return result;
}

}  // namespace

http::PublishResult RingPublisher::Publish(std::span<const Event> events,
                                           const http::PublishOnce& once) {
  if (host_.is_closing()) return Refused(Refusal::kDraining);
  if (events.size() > ring_.events_max()) return Refused(Refusal::kBatchTooLarge);
  http::PublishResult result = Encode(events);
  if (!result.refusal) {
    result = PushAsAsked(events, once);
    if (result.refusal == Refusal::kRingFull || result.refusal == Refusal::kJournalUnavailable) {
      host_.DrainOnce();
      result = PushAsAsked(events, once);
    }
  }
  ReleaseFrames();
  return result;
}

http::PublishResult RingPublisher::Encode(std::span<const Event> events) {
  for (size_t i = 0; i < events.size(); ++i) {
    Frame* frame = Frame::Encode(events[i], epoch_, frame_bytes_max_);
    if (frame == nullptr) return Refused(Refusal::kFrameTooLarge, i);
    frames_.push_back(frame);
  }
  return {};
}

void RingPublisher::ReleaseFrames() {
  for (Frame* frame : frames_) frame->Release();
  frames_.clear();
  events_.clear();
  fingerprints_.clear();
  if (frames_.capacity() <= kFramesKeptMax) return;
  frames_ = {};
  events_ = {};
  fingerprints_ = {};
}

http::PublishResult RingPublisher::PushAsAsked(std::span<const Event> events,
                                               const http::PublishOnce& once) {
  if (once.by == http::PublishOnce::By::kNothing || idempotency_ == nullptr) return PushAll();
  if (once.by == http::PublishOnce::By::kKey) {
    if (fingerprints_.empty()) fingerprints_.push_back(IdempotencyTable::Fingerprint(events));
    return PushOnceByKey(once.key);
  }
  if (fingerprints_.empty()) {
    for (size_t i = 0; i < events.size(); ++i) {
      fingerprints_.push_back(IdempotencyTable::Fingerprint(events.subspan(i, 1)));
      events_.push_back(i);
    }
  }
  return PushNewById(events);
}

http::PublishResult RingPublisher::PushAll() {
  http::PublishResult result;
  switch (ring_.TryPush(frames_, host_.NowNs(), &result.first_sequence)) {
    case PushResult::kPushed:
      frames_.clear();
      result.subscribers = host_.SubscribersOfAll();
      return result;
    case PushResult::kFull:
      return Refused(Refusal::kRingFull);
    case PushResult::kAtEnd:
      return Refused(Refusal::kJournalUnavailable);
    case PushResult::kTooLarge:
      break;
  }
  return Refused(frames_.size() > 1 ? Refusal::kBatchTooLarge : Refusal::kFrameTooLarge);
}

http::PublishResult RingPublisher::PushOnceByKey(std::string_view key) {
  const auto lock = idempotency_->Lock();
  const int64_t now_ns = host_.NowNs();
  const auto found = idempotency_->Find(Kind::kKey, key, fingerprints_.front(), now_ns);
  if (found && !found->is_same) return Refused(Refusal::kIdempotencyKeyReused);
  http::PublishResult result;
  if (found) {
    result.first_sequence = found->answer.first_sequence;
    result.subscribers = found->answer.subscribers;
    result.replays = frames_.size();
    return result;
  }
  result = PushAll();
  if (!result.refusal) {
    idempotency_->Add(Kind::kKey, key, fingerprints_.front(),
                      {result.first_sequence, result.subscribers}, now_ns);
  }
  return result;
}

// Repeats are left out, also those within one batch; what is new goes in together.
http::PublishResult RingPublisher::PushNewById(std::span<const Event> events) {
  const auto lock = idempotency_->Lock();
  const int64_t now_ns = host_.NowNs();
  const IdempotencyTable::Answer answer{0, host_.SubscribersOfAll()};
  http::PublishResult result;
  size_t kept = 0;
  for (size_t i = 0; i < frames_.size() && !result.refusal; ++i) {
    const size_t event = events_[i];
    const auto found =
        idempotency_->Find(Kind::kEventId, events[event].id, fingerprints_[event], now_ns);
    if (!found) {
      idempotency_->Add(Kind::kEventId, events[event].id, fingerprints_[event], answer, now_ns);
      std::swap(frames_[kept], frames_[i]);
      events_[kept++] = event;
    } else if (found->is_same) {
      result.subscribers = found->answer.subscribers;
    } else {
      result = Refused(Refusal::kIdempotencyKeyReused, event);
    }
  }
  const size_t added = kept;
  if (!result.refusal) {
    for (size_t i = kept; i < frames_.size(); ++i) frames_[i]->Release();
    frames_.resize(kept);
    events_.resize(kept);
    if (kept != 0) result = PushAll();
    result.replays = events.size() - kept;
  }
  if (result.refusal) idempotency_->RemoveNewest(added);
  return result;
}

}  // namespace sluice
