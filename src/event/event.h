// An event as a publisher sent it, before it is encoded.
//
// Owner: the views point into the request (or the feed's buffer) and live until Encode has
// returned. Valid: `data` is UTF-8; `type` has no CR, LF, NUL and is not reserved; `topics` are
// names (CheckTopicName), none twice; `id` passes IsPublisherId; `key` is UTF-8 without controls.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

struct Event {
  std::string_view data;
  std::string_view type = {};  // `event:`; empty leaves the line out, so that `onmessage` gets it
  // Who asks for one of these gets the event, once; none: who asks for no topic.
  std::span<const std::string_view> topics = {};
  std::string_view id = {};   // the publisher's own, in the place of the gateway's; empty: none
  std::string_view key = {};  // of what the event is the newest value; empty: of nothing
  uint32_t retry_ms = 0;      // `retry:`, sent live only, never replayed; 0: none
};

inline constexpr size_t kPublisherIdBytesMax = 128;
inline constexpr size_t kEventKeyBytesMax = 256;
inline constexpr uint32_t kEventRetryMsMin = 500;
inline constexpr uint32_t kEventRetryMsMax = 600'000;

// 1 to 128 visible ASCII characters, not of the shape of the gateway's ids (see Epoch).
bool IsPublisherId(std::string_view id);

}  // namespace sluice
