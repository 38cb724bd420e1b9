#include "http/publish_keys.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace sluice::http {
namespace {

std::string_view TrimEnd(std::string_view line) {
  const size_t last = line.find_last_not_of(" \t\r\v\f");
  return line.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

bool IsVisibleAscii(std::string_view key) {
  for (const char c : key) {
    if (c <= 0x20 || c >= 0x7f) return false;
  }
  return true;
}

// Looks at every byte of `key` whatever `candidate` holds, so that the time taken tells nothing but
// the candidate's own length. The barrier keeps the compiler from leaving early.
bool EqualsInConstantTime(std::string_view key, std::string_view candidate) {
  unsigned difference = key.size() != candidate.size();
  for (size_t i = 0; i < PublishKeys::kKeyBytesMax; ++i) {
    const auto a = static_cast<unsigned char>(i < key.size() ? key[i] : 0);
    const auto b = static_cast<unsigned char>(i < candidate.size() ? candidate[i] : 0);
    difference |= static_cast<unsigned>(a ^ b);
    asm volatile("" : "+r"(difference));
  }
  return difference == 0;
}

}  // namespace

Status PublishKeys::Load(const std::string& path, std::string* warning) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    // An empty file sets the fail bit as well: Parse says what is wrong with it.
    struct stat facts;
    if (stat(path.c_str(), &facts) != 0 || facts.st_size != 0) {
      return Status::InvalidArgument("cannot read the key file " + path + ": " +
                                     std::strerror(errno) +
                                     "; name a file that this user may read (--publish-key-file)");
    }
  }
  struct stat facts;
  if (stat(path.c_str(), &facts) == 0 && (facts.st_mode & S_IROTH) != 0) {
    *warning =
        "the key file " + path + " may be read by every user of this host: chmod o-r " + path;
  }
  return Parse(text.str(), path);
}

Status PublishKeys::Parse(std::string_view text, const std::string& name) {
  std::vector<std::string> keys;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t line_bytes = std::min(text.find('\n'), text.size());
    const std::string_view key = TrimEnd(text.substr(0, line_bytes));
    text.remove_prefix(std::min(line_bytes + 1, text.size()));
    if (key.empty() || key[0] == '#') continue;
    const std::string place = name + ", line " + std::to_string(number) + ": ";
    if (key.size() < kKeyBytesMin) {
      return Status::InvalidArgument(
          place + "a key of " + std::to_string(key.size()) +
          " bytes can be guessed; use 16 or more, as printed by: openssl rand -hex 24");
    }
    if (key.size() > kKeyBytesMax) {
      return Status::InvalidArgument(place + "a key may have 256 bytes at most");
    }
    if (!IsVisibleAscii(key)) {
      return Status::InvalidArgument(
          place + "a key is made of visible ASCII without spaces, as it stands in a header field");
    }
    if (keys.size() == kKeysMax) {
      return Status::InvalidArgument(name + ": holds more than 1024 keys; remove old ones");
    }
    keys.emplace_back(key);
  }
  if (keys.empty()) {
    return Status::InvalidArgument(
        name +
        ": holds no key, so that nobody could publish; write one a line, as printed by: "
        "openssl rand -hex 24");
  }
  keys_ = std::move(keys);
  return Status::Ok();
}

bool PublishKeys::Matches(std::string_view key) const {
  bool is_match = false;
  for (const std::string& known : keys_) is_match |= EqualsInConstantTime(known, key);
  return is_match;
}

}  // namespace sluice::http
