// Asides: bytes for one subscriber that stand outside the channel's log.
//
// Bytes (HTML standard, section 9.2 "Server-sent events"); each line ends in LF:
//
//   opening   = ":ok" LF "retry: " ms LF
//               "event: sluice.open" LF "data: " json LF [ "id: " id LF ] LF
//   error     = "retry: " ms LF "event: sluice.error" LF "data: " json LF LF
//   gap       = "event: sluice.gap" LF "data: " json LF [ "id: " id LF ] LF
//   goodbye   = ": goodbye" LF "retry: " ms LF
//   heartbeat = ":" LF
//
// No block is ever without data: popular EventSource libraries report each blank line as an event
// of its own. So comments and `retry:` stand as lines without a blank one after them, and take
// effect at once in every reader tried.
//
// Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

inline constexpr std::string_view kHeartbeat = ":\n";

// What a stream begins with. `last_id` is the newest event's id before the stream's first one, so
// that a reader cut off before its first event resumes in the right place; empty leaves `id:` out.
void AppendOpening(std::string* out, std::string_view last_id, uint32_t retry_ms);
// Why a stream is refused or ended for now: `word` is a Refusal's or a Disconnect's.
void AppendError(std::string* out, std::string_view word, std::string_view explanation,
                 uint32_t retry_ms);
// What a stream misses: `reason` is a GapReason's word, the others ids of events; empty: not known.
struct Gap {
  std::string_view reason;
  std::string_view after;  // what the reader had, as it says: echoed only if it is a possible id
  std::string_view first;  // the first that may be missing
  std::string_view last;   // the last that is
  std::string_view id;     // the block's own `id:`, a gateway's: the gap is told once
};
void AppendGap(std::string* out, const Gap& gap);
// The last bytes of a stream that the gateway closes; when to come back is in `retry_ms`.
void AppendGoodbye(std::string* out, uint32_t retry_ms);

}  // namespace sluice
