#include "event/event.h"

#include <algorithm>

#include "event/frame.h"

namespace sluice {

bool IsPublisherId(std::string_view id) {
  if (id.empty() || id.size() > kPublisherIdBytesMax) return false;
  const bool is_visible =
      std::all_of(id.begin(), id.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  return is_visible && !Epoch::Parse(id).has_value();
}

}  // namespace sluice
