#include "journal/progress.h"

#include <algorithm>
#include <utility>

#include "base/clock.h"

namespace sluice {
namespace {

constexpr size_t kNoticesMax = 64;

}  // namespace

JournalProgress::JournalProgress(uint64_t start, uint64_t ceiling, int64_t behind_ns,
                                 int64_t stalled_ns)
    : behind_ns_(behind_ns),
      stalled_ns_(stalled_ns),
      offered_(start - 1),
      written_(start - 1),
      durable_(start - 1),
      ceiling_(ceiling) {}

bool JournalProgress::IsLost(uint64_t sequence) const {
  // Offered first: an event that is the first whole one again is offered after the losing ended.
  const uint64_t offered_to = offered();
  if (sequence <= offered_to && sequence >= losing_from()) return true;
  // Acquire, pairs with WholeFrom: a hole that was closed before the look is counted.
  const uint64_t count = holes_count_.load(std::memory_order_acquire);
  if (count == 0) return false;
  const std::lock_guard lock(mutex_);
  if (sequence <= forgotten_through_) return true;
  return std::any_of(holes_.begin(), holes_.end(), [&](const Hole& hole) {
    return hole.first <= sequence && sequence <= hole.last;
  });
}

JournalAnswer JournalProgress::Ask(uint64_t sequence, JournalLevel level, int64_t now_ns) const {
  const bool is_there = sequence <= (level == JournalLevel::kSynced ? durable() : written());
  // After the place, which passes a hole only once the hole is known (see WholeFrom).
  if (IsLost(sequence)) return JournalAnswer::kLost;
  if (is_there) return JournalAnswer::kKept;
  return Health(now_ns) == JournalHealth::kFailed ? JournalAnswer::kLost : JournalAnswer::kPending;
}

JournalHealth JournalProgress::Health(int64_t now_ns) const {
  const bool is_half_full = is_half_full_.load(std::memory_order_relaxed);
  // With room again the next event is kept, though none has come yet.
  const bool is_losing = losing_from() != UINT64_MAX && is_half_full;
  if (!store_works() || is_losing) return JournalHealth::kFailed;
  const int64_t busy_since_ns = busy_since_ns_.load(std::memory_order_acquire);
  const int64_t waited_ns = busy_since_ns == 0 ? 0 : now_ns - busy_since_ns;
  if (waited_ns >= stalled_ns_) return JournalHealth::kFailed;
  return waited_ns >= behind_ns_ || is_half_full ? JournalHealth::kBehind : JournalHealth::kOk;
}

std::string JournalProgress::Describe(int64_t now_ns) const {
  const JournalHealth health = Health(now_ns);
  if (health == JournalHealth::kOk) return "ok";
  const int64_t busy_since_ns = busy_since_ns_.load(std::memory_order_acquire);
  const int64_t waited_ns = busy_since_ns == 0 ? 0 : now_ns - busy_since_ns;
  const std::string waited =
      "the disk has not answered for " + std::to_string(waited_ns / kNsPerMs) + " ms";
  if (health == JournalHealth::kBehind) {
    return "behind: " + (waited_ns >= behind_ns_ ? waited : "the queue is half full");
  }
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) return "failed: " + failure_;
  if (waited_ns >= stalled_ns_) return "failed: " + waited;
  return "failed: the queue is full, events from " + std::to_string(losing_from()) +
         " on are not kept";
}

std::vector<std::string> JournalProgress::TakeNotices() {
  const std::lock_guard lock(mutex_);
  return std::exchange(notices_, {});
}

void JournalProgress::SetStoreFailed(const std::string& words) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_ != words && notices_.size() < kNoticesMax) {
      notices_.push_back("journal failed: " + words + "; trying again");
    }
    failure_ = words;
  }
  store_works_.store(false, std::memory_order_release);
}

void JournalProgress::SetStoreWorks() {
  if (store_works()) return;
  {
    const std::lock_guard lock(mutex_);
    failure_.clear();
    if (notices_.size() < kNoticesMax) notices_.push_back("journal works again");
  }
  store_works_.store(true, std::memory_order_release);
}

void JournalProgress::LoseFrom(uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  if (notices_.size() < kNoticesMax) {
    notices_.push_back("journal failed: the queue is full, events from sequence " +
                       std::to_string(sequence) + " on are not kept");
  }
  losing_from_.store(sequence, std::memory_order_release);
}

void JournalProgress::WholeFrom(uint64_t from, uint64_t to, uint64_t events) {
  const std::lock_guard lock(mutex_);
  const uint64_t count = holes_count_.load(std::memory_order_relaxed);
  Hole& hole = holes_[count % kHolesKept];
  forgotten_through_ = std::max(forgotten_through_, hole.last);
  hole = {from, to - 1};
  // Release, pairs with IsLost: the hole is known before anything after it can be written.
  holes_count_.store(count + 1, std::memory_order_release);
  losing_from_.store(UINT64_MAX, std::memory_order_release);
  if (notices_.size() < kNoticesMax) {
    notices_.push_back("journal is whole again from sequence " + std::to_string(to) + "; " +
                       std::to_string(events) + " events from " + std::to_string(from) +
                       " on are not in it");
  }
}

}  // namespace sluice
