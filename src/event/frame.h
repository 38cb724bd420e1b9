// A frame: one event as wire-ready SSE bytes, encoded once, immutable once it is on the ring.
//
// Bytes (HTML standard, section 9.2 "Server-sent events"); each line ends in LF:
//
//   frame = [ "retry: " ms LF ] [ "event: " type LF ] 1*( "data: " line LF ) "id: " id LF LF
//   id    = epoch "-" sequence / the publisher's own
//                                       epoch: 12 hex digits, sequence: decimal
//
// The id line is the last, with room for the longest sequence, so that a producer that has claimed
// its place in the order only writes digits (see Ring::TryPush). `retry:` is the first, so that
// what is replayed (never with it) is the rest, in one piece. Behind the wire bytes stand the
// topics, the publisher's id and the key, for matching and for the history.
//
// Thread: one producer until it is pushed; then read-only, the count is shared.
// Owner:  reference counted. Create gives one reference to the caller; the ring hands one to each
//         consumer.
// Bounds: `bytes_max` of Encode; a frame that would be longer is not made.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "event/event.h"

namespace sluice {

// Tells one run of the gateway from another in ids; a restart without a journal has a new one.
class Epoch {
 public:
  static constexpr size_t kDigits = 12;

  static Epoch Random();
  explicit Epoch(uint64_t value);

  std::string_view text() const { return {text_, kDigits}; }
  // "<epoch>-<sequence>"
  std::string Id(uint64_t sequence) const;

  struct ParsedId {
    uint64_t epoch;
    uint64_t sequence;
  };
  // What an id of the gateway's shape says, this epoch's or another's.
  static std::optional<ParsedId> Parse(std::string_view id);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_;  // 48 bits
  char text_[kDigits];
};

struct FrameTopic {
  uint64_t hash;  // TopicHash
  std::string_view name;
};

class Frame {
 public:
  // A frame as it was before it was stored: its replay_bytes, and the topics, id and key of
  // `about`.
  static Frame* Restore(std::string_view replay_bytes, const Event& about, uint64_t sequence,
                        int64_t published_ns);
  // The wire bytes that `event` will need at most, id included.
  static size_t BytesMax(const Event& event);
  // What stands behind them.
  static size_t ExtraBytes(const Event& event);
  // Encodes; nullptr if BytesMax(event) > bytes_max. The caller owns the one reference.
  static Frame* Encode(const Event& event, const Epoch& epoch, size_t bytes_max);

  // Gives the frame its place; once, by the producer that claimed it, before it is shared.
  void Stamp(uint64_t sequence, int64_t published_ns, uint32_t references);

  // One holder more; by one who holds a reference already.
  void AddReference() {
    // Relaxed: it publishes nothing; Release orders what the holders did.
    references_.fetch_add(1, std::memory_order_relaxed);
  }
  void Release() {
    // acq_rel: the last holder must see every other holder's reads finished before it frees.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) Free();
  }

  std::string_view bytes() const { return {wire(), bytes_}; }
  // Without `retry:`, which tells a live reader to wait, not one that catches up.
  std::string_view replay_bytes() const { return bytes().substr(retry_bytes_); }
  // What the ring and the bounds count: header, room and what stands behind included.
  size_t footprint_bytes() const { return sizeof(Frame) + capacity_ + extra_bytes_; }

  size_t topic_count() const { return topic_count_; }
  // Calls `on_topic(FrameTopic)` for each.
  template <typename OnTopic>
  void ForEachTopic(OnTopic&& on_topic) const;
  // The publisher's; empty if the event has the gateway's id.
  std::string_view publisher_id() const { return {extra(), id_bytes_}; }
  std::string_view key() const { return {extra() + id_bytes_, key_bytes_}; }
  // Both in one: with a key of the same size equal only for the same topics, as written, and key.
  std::string_view key_and_topics() const {
    return {extra() + id_bytes_, extra_bytes_ - id_bytes_};
  }
  uint64_t sequence() const { return sequence_; }
  int64_t published_ns() const { return published_ns_; }

 private:
  Frame(uint32_t capacity, uint32_t extra_bytes) : capacity_(capacity), extra_bytes_(extra_bytes) {}
  void Free();
  void PutExtra(const Event& event);
  char* wire() { return reinterpret_cast<char*>(this + 1); }
  const char* wire() const { return reinterpret_cast<const char*>(this + 1); }
  char* extra() { return wire() + capacity_; }
  const char* extra() const { return wire() + capacity_; }

  uint64_t sequence_ = 0;
  int64_t published_ns_ = 0;
  std::atomic<uint32_t> references_{1};
  uint32_t bytes_ = 0;    // until Stamp: where the sequence's digits go
  uint32_t capacity_;     // of the wire bytes
  uint32_t extra_bytes_;  // behind them: publisher's id, key, then {hash, size, name} a topic
  uint16_t topic_count_ = 0;
  uint16_t key_bytes_ = 0;
  uint8_t id_bytes_ = 0;
  uint8_t retry_bytes_ = 0;
};

template <typename OnTopic>
void Frame::ForEachTopic(OnTopic&& on_topic) const {
  const char* at = extra() + id_bytes_ + key_bytes_;
  for (uint32_t i = 0; i < topic_count_; ++i) {
    uint64_t hash;
    uint16_t size;
    std::memcpy(&hash, at, sizeof hash);
    std::memcpy(&size, at + sizeof hash, sizeof size);
    at += sizeof hash + sizeof size;
    on_topic(FrameTopic{hash, {at, size}});
    at += size;
  }
}

}  // namespace sluice
