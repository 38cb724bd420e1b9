// What was published under which key, so that a publish that is sent again happens once: a key with
// a fingerprint of its events, and the answer that the first publish got.
//
// One for the process. A publish that asks for it holds the lock while it looks and takes its place
// on the ring, so that of two at the same time one is the repeat of the other; all others never
// touch it.
//
// Thread: any, under Lock; the others below are called with it held.
// Bounds: a key is forgotten `window_ns` after its publish, the oldest one before that if there are
//         `keys_max`: counted.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "event/event.h"

namespace sluice {

class IdempotencyTable {
 public:
  IdempotencyTable(int64_t window_ns, size_t keys_max);

  struct Answer {
    uint64_t first_sequence = 0;  // the first event's; the others follow it
    uint64_t subscribers = 0;
    uint32_t events = 1;
  };
  enum class Kind : uint8_t { kEventId, kKey };  // each a space of its own
  struct Found {
    bool is_same = false;  // else the key came with other events
    Answer answer;
  };
  struct Counts {
    uint64_t keys = 0;
    uint64_t evicted_total = 0;  // before their time
  };

  [[nodiscard]] std::unique_lock<std::mutex> Lock() { return std::unique_lock(mutex_); }
  std::optional<Found> Find(Kind kind, std::string_view key, uint64_t fingerprint, int64_t now_ns);
  // Not held already.
  void Add(Kind kind, std::string_view key, uint64_t fingerprint, const Answer& answer,
           int64_t now_ns);

  // The last `count` calls of Add were for events that have these neighbouring sequences now.
  void SetSequences(size_t count, uint64_t first_sequence);
  // How many subscribers the event was matched with: what was told first, be it `now` by a caller
  // that knows; nothing if it was never told, and is not known any more.
  std::optional<uint64_t> Matched(uint64_t sequence, std::optional<uint64_t> now);

  // Takes back what the last calls of Add did.
  void RemoveNewest(size_t count);

  // Takes the lock itself.
  Counts counts();

  // Equal for equal events, all fields told; keyed, so that nobody can make two equal on purpose.
  static uint64_t Fingerprint(std::span<const Event> events);

 private:
  struct Entry {
    std::string key;  // the kind, then the key
    uint64_t fingerprint;
    Answer answer;
    int64_t until_ns;
    std::unique_ptr<uint64_t[]> matched = nullptr;  // of each event, plus one; 0: not told
  };
  struct Hash {
    size_t operator()(std::string_view key) const;
  };

  void Expire(int64_t now_ns);
  void RemoveOldest();
  const std::string& Name(Kind kind, std::string_view key);

  const int64_t window_ns_;
  const size_t keys_max_;
  std::mutex mutex_;
  // Oldest first, so in the order of sequences; they never move.
  std::deque<Entry> entries_;
  std::unordered_map<std::string_view, Entry*, Hash> by_key_;  // into entries_
  std::string name_;
  uint64_t evicted_total_ = 0;
};

}  // namespace sluice
