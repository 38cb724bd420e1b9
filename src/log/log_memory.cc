#include "log/log_memory.h"

#include <algorithm>

namespace sluice {

namespace {
// A frame this large costs more to copy once than a segment of its own costs to keep.
uint32_t LargeBytesMin(uint32_t segment_bytes) {
  return std::max<uint32_t>(1, std::min<uint32_t>(16 * 1024, segment_bytes / 4));
}
}  // namespace

LogMemory::LogMemory(uint32_t segment_bytes)
    : segment_bytes_(segment_bytes), large_bytes_min_(LargeBytesMin(segment_bytes)) {}

LogMemory::~LogMemory() {
  for (char* block : spares_) delete[] block;
}

HeldFrame* LogMemory::Hold(Frame* frame) {
  bytes_held_ += frame->footprint_bytes();
  const auto end = static_cast<uint32_t>(frame->bytes().size());
  return new HeldFrame{
      frame, 1, {end, static_cast<uint32_t>(frame->sequence()), frame->published_ns()}};
}

void LogMemory::Release(HeldFrame* held) {
  if (--held->holders != 0) return;
  bytes_held_ -= held->frame->footprint_bytes();
  held->frame->Release();
  delete held;
}

char* LogMemory::TakeBlock(uint32_t bytes) {
  bytes_held_ += bytes;
  if (bytes != segment_bytes_ || spares_.empty()) return new char[bytes];
  char* block = spares_.back();
  spares_.pop_back();
  return block;
}

void LogMemory::GiveBlock(char* block, uint32_t bytes) {
  bytes_held_ -= bytes;
  if (bytes == segment_bytes_ && spares_.size() < kSparesMax) {
    spares_.push_back(block);
  } else {
    delete[] block;
  }
}

}  // namespace sluice
