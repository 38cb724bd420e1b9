// The payload of a measured event: a JSON object of fixed layout that proves itself.
//
//   payload = `{"h":"` publisher number due checksum `","x":"` padding `"}`
//   publisher = 2 hex   number = 8 hex   due = 16 hex (ns, CLOCK_MONOTONIC)   checksum = 8 hex
//
// The checksum is CRC-32C, seeded with the run's nonce, of the digits before it and of the padding,
// so bytes of another run, of another event or cut short are told from ours.
//
// Thread: values and pure functions. PayloadFormat is constant after construction.
// Bounds: kPayloadBytesMin .. kPayloadBytesMax; 256 publishers; 2^32 events each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::bench {

inline constexpr size_t kPayloadBytesMin = 49;
inline constexpr size_t kPayloadBytesMax = 8 * 1024 * 1024;
inline constexpr uint32_t kPublishersMax = 256;

struct PayloadHead {
  uint32_t publisher = 0;
  uint32_t number = 0;
  int64_t due_ns = 0;
};

enum class PayloadVerdict {
  kGood,
  kCorrupted,  // not our layout, cut short, or the checksum is wrong
  kForeign,    // not published by this run: due before it began, or a greeting, a keep-alive
};

class PayloadFormat {
 public:
  PayloadFormat(size_t payload_bytes, uint32_t nonce, int64_t run_begin_ns);

  size_t bytes() const { return bytes_; }
  // Writes bytes() bytes at `out`.
  void Write(const PayloadHead& head, char* out) const;
  // Judges the data of a received event. A server may have wrapped the payload in JSON of its own:
  // the payload is looked for within `data`.
  PayloadVerdict Read(std::string_view data, PayloadHead* head) const;

 private:
  uint32_t Checksum(const char* digits, const char* padding, size_t padding_bytes) const;

  const size_t bytes_;
  const uint32_t nonce_;
  const int64_t run_begin_ns_;
  std::string
      padding_;  // two turns of the alphabet longer than needed: each event starts elsewhere
};

}  // namespace sluice::bench
