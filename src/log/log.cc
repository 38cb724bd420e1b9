#include "log/log.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace sluice {

namespace {
// A frame this large costs more to copy once than a segment of its own costs to keep.
uint32_t LargeBytesMin(uint32_t segment_bytes) {
  return std::max<uint32_t>(1, std::min<uint32_t>(16 * 1024, segment_bytes / 4));
}
}  // namespace

Log::Log(uint32_t segment_bytes)
    : segment_bytes_(segment_bytes), large_bytes_min_(LargeBytesMin(segment_bytes)) {
  AddTail(NewSegment());
}

Log::~Log() {
  while (head_ != nullptr) {
    Segment* next = head_->next;
    if (head_->large != nullptr) head_->large->Release();
    delete head_;
    head_ = next;
  }
  delete spare_;
}

Segment* Log::NewSegment() {
  if (spare_ != nullptr) {
    Segment* segment = spare_;
    spare_ = nullptr;
    return segment;
  }
  auto* segment = new Segment;
  segment->block = std::make_unique_for_overwrite<char[]>(segment_bytes_);
  segment->data = segment->block.get();
  bytes_held_ += segment_bytes_;
  return segment;
}

void Log::AddTail(Segment* segment) {
  segment->next = nullptr;
  segment->bytes = 0;
  segment->pins = 0;
  segment->marks.clear();
  if (tail_ == nullptr) {
    segment->base_offset = 0;
    segment->base_index = 0;
    head_ = tail_ = segment;
    return;
  }
  segment->base_offset = tail_offset();
  segment->base_index = tail_index();
  tail_->next = segment;
  tail_ = segment;
  if (head_->pins == 0) FreeHead();
}

// Frees from the head on what no cursor stands in. A segment behind one that is pinned stays: its
// reader has yet to come by.
void Log::FreeHead() {
  while (head_ != tail_ && head_->pins == 0) {
    Segment* segment = head_;
    head_ = segment->next;
    if (segment->large != nullptr) {
      bytes_held_ -= segment->large->footprint_bytes();
      segment->large->Release();
      delete segment;
    } else if (spare_ == nullptr) {
      spare_ = segment;
    } else {
      bytes_held_ -= segment_bytes_;
      delete segment;
    }
  }
}

void Log::Append(Frame* frame) {
  const std::string_view bytes = frame->bytes();
  if (IsLarge(bytes.size())) {
    auto* segment = new Segment;
    segment->large = frame;
    segment->data = bytes.data();
    bytes_held_ += frame->footprint_bytes();
    AddTail(segment);
  } else {
    if (tail_->large != nullptr || tail_->bytes + bytes.size() > segment_bytes_) {
      AddTail(NewSegment());
    }
    std::memcpy(tail_->block.get() + tail_->bytes, bytes.data(), bytes.size());
  }
  tail_->bytes += static_cast<uint32_t>(bytes.size());
  tail_->marks.push_back({tail_->bytes, frame->published_ns()});
  if (tail_->large == nullptr) frame->Release();
}

Cursor Log::Tail() const {
  return {tail_, tail_->bytes, static_cast<uint32_t>(tail_->marks.size())};
}

Cursor Log::Attach() {
  ++tail_->pins;
  return Tail();
}

void Log::Detach(const Cursor& cursor) {
  --cursor.segment->pins;
  if (cursor.segment == head_) FreeHead();
}

void Log::Pin(Cursor* cursor, Segment* segment) {
  Segment* left = cursor->segment;
  cursor->segment = segment;
  ++segment->pins;
  --left->pins;
  if (left == head_ && left->pins == 0) FreeHead();
}

// A cursor at the end of a segment that has a next one stands at the next one's start.
void Log::Normalise(Cursor* cursor) {
  while (cursor->offset == cursor->segment->bytes && cursor->segment->next != nullptr) {
    cursor->offset = 0;
    cursor->mark = 0;
    Pin(cursor, cursor->segment->next);
  }
}

uint32_t Log::Gather(const Cursor& cursor, uint64_t end_offset, size_t bytes_max, iovec* iovecs,
                     uint32_t iovecs_max) const {
  uint32_t count = 0;
  uint64_t from = Offset(cursor);
  const uint64_t end = std::min(end_offset, tail_offset());
  uint32_t offset = cursor.offset;
  size_t room = bytes_max;
  for (const Segment* segment = cursor.segment;
       segment != nullptr && count < iovecs_max && room != 0 && from < end;
       segment = segment->next, offset = 0) {
    const uint64_t left = std::min<uint64_t>(segment->bytes - offset, end - from);
    if (left == 0) continue;
    size_t taken = static_cast<size_t>(left);
    if (taken > room) {
      // The last frame end that fits, if any does.
      const auto mark =
          std::upper_bound(segment->marks.begin(), segment->marks.end(), uint64_t{offset} + room,
                           [](uint64_t limit, const FrameMark& m) { return limit < m.end; });
      const uint32_t cut = mark == segment->marks.begin() ? 0 : std::prev(mark)->end;
      if (cut > offset) {
        taken = cut - offset;
      } else if (count == 0) {
        taken = room;
      } else {
        break;
      }
      room = taken;
    }
    iovecs[count++] = {const_cast<char*>(segment->data) + offset, taken};
    room -= taken;
    from += taken;
  }
  return count;
}

Frame* Log::LargeAt(const Cursor& cursor) const {
  const Segment* segment = cursor.segment;
  if (cursor.offset == segment->bytes && segment->next != nullptr) segment = segment->next;
  return segment->large;
}

uint64_t Log::Advance(Cursor* cursor, size_t bytes) {
  uint64_t finished = 0;
  while (bytes != 0) {
    Segment* segment = cursor->segment;
    const uint32_t left = segment->bytes - cursor->offset;
    if (bytes >= left) {
      finished += segment->marks.size() - cursor->mark;
      cursor->mark = static_cast<uint32_t>(segment->marks.size());
      cursor->offset = segment->bytes;
      bytes -= left;
      SLUICE_DCHECK(bytes == 0 || segment->next != nullptr);
      Normalise(cursor);
    } else {
      cursor->offset += static_cast<uint32_t>(bytes);
      bytes = 0;
      const auto first = segment->marks.begin() + cursor->mark;
      const auto mark =
          std::upper_bound(first, segment->marks.end(), cursor->offset,
                           [](uint32_t offset, const FrameMark& m) { return offset < m.end; });
      finished += static_cast<uint64_t>(mark - first);
      cursor->mark = static_cast<uint32_t>(mark - segment->marks.begin());
    }
  }
  return finished;
}

void Log::Follow(Cursor* cursor, const Cursor& to) {
  cursor->offset = to.offset;
  cursor->mark = to.mark;
  if (cursor->segment != to.segment) Pin(cursor, to.segment);
}

bool Log::IsAtFrameStart(const Cursor& cursor) const {
  const uint32_t start = cursor.mark == 0 ? 0 : cursor.segment->marks[cursor.mark - 1].end;
  return cursor.offset == start;
}

int64_t Log::PublishedNs(const Cursor& cursor) const {
  const Segment* segment = cursor.segment;
  uint32_t mark = cursor.mark;
  while (mark == segment->marks.size()) {
    SLUICE_CHECK(segment->next != nullptr);
    segment = segment->next;
    mark = 0;
  }
  return segment->marks[mark].published_ns;
}

}  // namespace sluice
