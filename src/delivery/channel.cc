#include "delivery/channel.h"

namespace sluice {

bool Channel::RemoveFlowing(uint32_t index) {
  const uint32_t last = flowing() - 1;
  bool is_restarted = false;
  if (index != last) {
    flowing_[index] = flowing_[last];
    is_restarted = !log_.IsAtTail(flowing_[index].cursor);
  }
  flowing_.pop_back();
  if (position_ >= flowing()) position_ = 0;
  remaining_ = std::min(remaining_, flowing());
  if (is_restarted) RestartRound();
  return is_restarted;
}

bool Channel::Append(HeldFrame* held, uint64_t event, Fanout* fanout) {
  const uint64_t offset = log_.tail_offset();
  log_.Append(held, readers());
  if (flowing_.empty()) return false;
  if (waits_head_ == Fanout::kNone) swept_offset_ = offset;
  fanout->Append(&waits_head_, &waits_tail_, {visits_, log_.tail_offset(), event, Fanout::kNone});
  remaining_ = flowing();
  return true;
}

void Channel::FinishRounds(Fanout* fanout, int64_t now_ns) {
  while (waits_head_ != Fanout::kNone) {
    const Fanout::Wait& wait = fanout->at(waits_head_);
    const uint64_t since = std::max(wait.visits, restart_visits_);
    if (remaining_ != 0 && visits_ - since < flowing()) return;
    swept_offset_ = wait.end_offset;
    fanout->PopFront(&waits_head_, now_ns);
  }
}

void Channel::RestIfIdle() {
  constexpr uint32_t kLooksMax = 16;
  if (flowing() > kLooksMax) return;
  for (uint32_t i = 0; i < flowing(); ++i) {
    if (!log_.IsAtTail(flowing_[i].cursor)) return;
  }
  RestAfterRound();
}

}  // namespace sluice
