// What a publish waits for before it is answered, and how long: the words of `publish.ack` and
// `?ack=`, and the wait of one reply.
//
// Thread: values.
// Bounds: a wait ends at `until_ns`, whatever has become of the event.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/fault.h"
#include "http/services.h"

namespace sluice::http {

inline constexpr std::string_view kPublishAckRule =
    "ack is memory, written or synced, and may be matched, comma separated, such as synced,matched";

// "memory", "synced,matched", "matched"; nothing if it is something else.
std::optional<PublishAck> ParsePublishAck(std::string_view words);

// The events that a reply waits for.
struct AckWait {
  PublishAck ack;
  PublishOnce::By once = PublishOnce::By::kNothing;
  uint64_t first_sequence = 0;
  size_t count = 0;
  std::vector<uint64_t> sequences;  // if they are no neighbours
  int64_t until_ns = 0;

  uint64_t sequence(size_t i) const {
    return sequences.empty() ? first_sequence + i : sequences[i];
  }
  // Of the event that comes last in the order.
  uint64_t last_sequence() const;
};

struct AckResult {
  bool is_pending = false;
  std::optional<Fault> fault = {};  // kAckTimeout, kAckLost
};

// A wait for the events of an accepted publish.
AckWait WaitFor(const PublishAck& ack, PublishOnce::By once, size_t events,
                const PublishResult& result, int64_t until_ns);

// How it stands. Once all is had, what was asked for is in `*matched`: a number an event, or
// nothing where that is not known any more.
AckResult AskAck(Publisher& publisher, const AckWait& wait, int64_t now_ns,
                 std::vector<std::optional<uint64_t>>* matched);

// Appends `,"matched":N`, or with several `,"matched":[N,...]`; null where it is not known.
void AppendMatched(std::string* out, const std::vector<std::optional<uint64_t>>& matched,
                   bool is_array);

}  // namespace sluice::http
