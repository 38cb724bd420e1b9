// An event as a publisher sent it, before it is encoded.
//
// Owner: the views point into the request (or the feed's buffer) and live until Encode has
// returned. Valid: `data` is UTF-8; `type` has no CR, LF, NUL and is not reserved (see
// IsValidEventType).
#pragma once

#include <string_view>

namespace sluice {

struct Event {
  std::string_view data;
  std::string_view type;  // `event:`; empty leaves the line out, so that `onmessage` gets it
};

}  // namespace sluice
