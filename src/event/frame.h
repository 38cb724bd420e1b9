// A frame: one event as wire-ready SSE bytes, encoded once, immutable once it is on the ring.
//
// Bytes (HTML standard, section 9.2 "Server-sent events"); each line ends in LF:
//
//   frame = [ "event: " type LF ] 1*( "data: " line LF ) "id: " id LF LF
//   id    = epoch "-" sequence          epoch: 12 hex digits, sequence: decimal
//
// The id line is the last, with room for the longest sequence, so that a producer that has claimed
// its place in the order only writes digits (see Ring::TryPush).
//
// Thread: one producer until it is pushed; then read-only, the count is shared.
// Owner:  reference counted. Create gives one reference to the caller; the ring hands one to each
//         consumer.
// Bounds: `bytes_max` of Encode; a frame that would be longer is not made.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
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

 private:
  char text_[kDigits];
};

class Frame {
 public:
  // The wire bytes that `event` will need at most, id included.
  static size_t BytesMax(const Event& event);
  // Encodes; nullptr if BytesMax(event) > bytes_max. The caller owns the one reference.
  static Frame* Encode(const Event& event, const Epoch& epoch, size_t bytes_max);

  // Gives the frame its place; once, by the producer that claimed it, before it is shared.
  void Stamp(uint64_t sequence, int64_t published_ns, uint32_t references);

  void Release() {
    // acq_rel: the last holder must see every other holder's reads finished before it frees.
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) Free();
  }

  std::string_view bytes() const { return {wire(), bytes_}; }
  // What the ring and the bounds count: header and room included.
  size_t footprint_bytes() const { return sizeof(Frame) + capacity_; }
  uint64_t sequence() const { return sequence_; }
  int64_t published_ns() const { return published_ns_; }

 private:
  Frame(uint32_t capacity) : capacity_(capacity) {}
  void Free();
  char* wire() { return reinterpret_cast<char*>(this + 1); }
  const char* wire() const { return reinterpret_cast<const char*>(this + 1); }

  uint64_t sequence_ = 0;
  int64_t published_ns_ = 0;
  std::atomic<uint32_t> references_{1};
  uint32_t bytes_ = 0;  // until Stamp: where the sequence's digits go
  uint32_t capacity_;
};

}  // namespace sluice
