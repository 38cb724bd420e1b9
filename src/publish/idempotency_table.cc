#include "publish/idempotency_table.h"

#include <algorithm>
#include <bit>

#include "event/topic.h"

namespace sluice {
namespace {

// Old keys are removed a few at a time, so that the lock is held shortly after a quiet hour too.
constexpr int kExpiredAtOnce = 16;

}  // namespace

IdempotencyTable::IdempotencyTable(int64_t window_ns, size_t keys_max)
    : window_ns_(window_ns), keys_max_(keys_max) {}

size_t IdempotencyTable::Hash::operator()(std::string_view key) const { return TopicHash(key); }

const std::string& IdempotencyTable::Name(Kind kind, std::string_view key) {
  name_.assign(1, kind == Kind::kKey ? 'k' : 'i');
  return name_.append(key);
}

std::optional<IdempotencyTable::Found> IdempotencyTable::Find(Kind kind, std::string_view key,
                                                              uint64_t fingerprint,
                                                              int64_t now_ns) {
  Expire(now_ns);
  const auto at = by_key_.find(Name(kind, key));
  if (at == by_key_.end() || at->second->until_ns <= now_ns) return std::nullopt;
  return Found{at->second->fingerprint == fingerprint, at->second->answer};
}

void IdempotencyTable::Add(Kind kind, std::string_view key, uint64_t fingerprint,
                           const Answer& answer, int64_t now_ns) {
  const std::string& name = Name(kind, key);
  // One whose time is over and that is not removed yet: its entry goes with its turn.
  by_key_.erase(name);
  if (entries_.size() >= keys_max_) {
    if (entries_.front().until_ns > now_ns) ++evicted_total_;
    RemoveOldest();
  }
  entries_.push_back({name, fingerprint, answer, now_ns + window_ns_, nullptr});
  by_key_.emplace(entries_.back().key, &entries_.back());
}

void IdempotencyTable::SetSequences(size_t count, uint64_t first_sequence) {
  for (size_t i = 0; i < std::min(count, entries_.size()); ++i) {
    (entries_.end() - 1 - static_cast<ptrdiff_t>(i))->answer.first_sequence =
        first_sequence + count - 1 - i;
  }
}

std::optional<uint64_t> IdempotencyTable::Matched(uint64_t sequence, std::optional<uint64_t> now) {
  auto at = std::upper_bound(
      entries_.begin(), entries_.end(), sequence,
      [](uint64_t wanted, const Entry& entry) { return wanted < entry.answer.first_sequence; });
  if (at == entries_.begin()) return now;
  --at;
  const uint64_t index = sequence - at->answer.first_sequence;
  if (index >= at->answer.events) return now;
  if (at->matched == nullptr) {
    if (!now) return now;
    at->matched = std::make_unique<uint64_t[]>(at->answer.events);
  }
  uint64_t& told = at->matched[index];
  if (told == 0 && now) told = *now + 1;
  return told == 0 ? std::nullopt : std::optional(told - 1);
}

void IdempotencyTable::Expire(int64_t now_ns) {
  for (int i = 0; i < kExpiredAtOnce && !entries_.empty(); ++i) {
    if (entries_.front().until_ns > now_ns) return;
    RemoveOldest();
  }
}

void IdempotencyTable::RemoveOldest() {
  const auto at = by_key_.find(entries_.front().key);
  if (at != by_key_.end() && at->second == &entries_.front()) by_key_.erase(at);
  entries_.pop_front();
}

void IdempotencyTable::RemoveNewest(size_t count) {
  for (; count > 0 && !entries_.empty(); --count) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

IdempotencyTable::Counts IdempotencyTable::counts() {
  const auto lock = Lock();
  return {by_key_.size(), evicted_total_};
}

uint64_t IdempotencyTable::Fingerprint(std::span<const Event> events) {
  uint64_t sum = events.size();
  const auto add = [&](uint64_t hash) {
    sum = std::rotl((sum ^ hash) * 0x9e3779b97f4a7c15, 29) + hash;
  };
  for (const Event& event : events) {
    for (const std::string_view text : {event.data, event.type, event.id, event.key}) {
      add(TopicHash(text));
    }
    add(event.retry_ms);
    add(event.topics.size());
    for (const std::string_view topic : event.topics) add(TopicHash(topic));
  }
  return sum;
}

}  // namespace sluice
