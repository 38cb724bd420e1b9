// The keys that may publish, from a file: one a line, '#' begins a comment line, blank lines and
// white space at a line's end do not count.
//
// Thread: read-only once loaded; a matching costs the same whichever key, or none, it is.
// Bounds: a key has kKeyBytesMin to kKeyBytesMax bytes of visible ASCII; kKeysMax keys.
// Errors: Load's Status says which line, and what to do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice::http {

class PublishKeys {
 public:
  static constexpr size_t kKeyBytesMin = 16;
  static constexpr size_t kKeyBytesMax = 256;
  static constexpr size_t kKeysMax = 1'024;

  // Replaces what is held. `warning` gets a line if others on this host may read the file.
  Status Load(const std::string& path, std::string* warning);
  // The same from the text of a file; `name` is what its errors call it.
  Status Parse(std::string_view text, const std::string& name);

  // No file was given: see `publish.keyless`.
  bool empty() const { return keys_.empty(); }
  size_t size() const { return keys_.size(); }
  bool Matches(std::string_view key) const;

 private:
  std::vector<std::string> keys_;
};

}  // namespace sluice::http
