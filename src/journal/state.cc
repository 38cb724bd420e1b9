#include "journal/state.h"

#include <cstring>

#include "base/crc32c.h"

namespace sluice {
namespace {

constexpr uint32_t kVersion = 1;
constexpr uint64_t kStopped = 1;

struct Layout {
  uint32_t version = kVersion;
  uint32_t crc = 0;
  uint64_t epoch = 0;
  uint64_t ceiling = 0;
  uint64_t first = 0;
  uint64_t flags = 0;
};
constexpr size_t kCoveredAt = offsetof(Layout, epoch);

uint32_t Checksum(const Layout& layout) {
  return Crc32c(0, reinterpret_cast<const char*>(&layout) + kCoveredAt,
                sizeof(layout) - kCoveredAt);
}

}  // namespace

std::string JournalStateRecord::Encode() const {
  Layout layout;
  layout.epoch = epoch;
  layout.ceiling = ceiling;
  layout.first = first;
  layout.flags = was_stopped ? kStopped : 0;
  layout.crc = Checksum(layout);
  return {reinterpret_cast<const char*>(&layout), sizeof layout};
}

Status JournalStateRecord::Decode(std::string_view bytes, JournalStateRecord* state) {
  Layout layout;
  if (bytes.size() < sizeof layout.version) return Status::InvalidArgument("its state is cut off");
  std::memcpy(&layout, bytes.data(), std::min(bytes.size(), sizeof layout));
  if (layout.version != kVersion) {
    return Status::InvalidArgument("it is of version " + std::to_string(layout.version) +
                                   ", this program writes version " + std::to_string(kVersion));
  }
  if (bytes.size() != sizeof layout || layout.crc != Checksum(layout)) {
    return Status::InvalidArgument("the checksum of its state is wrong");
  }
  state->epoch = layout.epoch;
  state->ceiling = layout.ceiling;
  state->first = layout.first;
  state->was_stopped = (layout.flags & kStopped) != 0;
  return Status::Ok();
}

}  // namespace sluice
