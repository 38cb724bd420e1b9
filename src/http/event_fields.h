// The fields of an event as publishers write them, in a query or in JSON: what is valid, and how a
// fault is told.
//
// Thread: pure; TopicNames is a value.
// Bounds: event/event.h and event/topic.h.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"
#include "http/fault.h"

namespace sluice::http {

// A name that could forge lines of the stream, or that EventSource uses itself.
std::optional<Fault> CheckEventName(std::string_view name);

inline constexpr std::string_view kEventIdRule =
    "id is 1 to 128 visible ASCII characters, and not of the shape of the gateway's own ids";
inline constexpr std::string_view kEventKeyRule =
    "key is 1 to 256 bytes of UTF-8 without control characters";
inline constexpr std::string_view kEventRetryRule =
    "retry is a whole number of milliseconds, from 500 to 600000";

bool IsEventKey(std::string_view key);
inline bool IsEventRetry(uint64_t retry_ms) {
  return retry_ms >= kEventRetryMsMin && retry_ms <= kEventRetryMsMax;
}
// Decimal digits only.
bool ParseEventRetry(std::string_view text, uint32_t* retry_ms);

// Topics of one event, each once, in one string that is used again: it stops allocating once it has
// grown.
class TopicNames {
 public:
  void Clear();
  void Add(std::string_view name);
  size_t size() const { return ends_.size(); }
  // Valid until the next call of any other.
  std::span<const std::string_view> Views() const;

 private:
  std::string text_;
  std::vector<size_t> ends_;
  mutable std::vector<std::string_view> views_;
};

}  // namespace sluice::http
