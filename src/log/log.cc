#include "log/log.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace sluice {

namespace {

// The first frame from `first` on that ends after `limit`; the number of frames if none does.
uint32_t FirstEndingAfter(const Segment& segment, uint32_t first, uint64_t limit) {
  uint32_t count = segment.mark_count - first;
  while (count != 0) {
    const uint32_t half = count / 2;
    if (segment.mark(first + half).end > limit) {
      count = half;
    } else {
      first += half + 1;
      count -= half + 1;
    }
  }
  return first;
}

}  // namespace

Log::Log(LogMemory& memory) : memory_(memory), head_(new Segment), tail_(head_) {}

Log::~Log() {
  while (head_ != nullptr) {
    Segment* next = head_->next;
    FreeContent(head_);
    delete head_;
    head_ = next;
  }
}

void Log::AddTail(Segment* segment) {
  segment->base_offset = tail_offset();
  segment->base_index = tail_index();
  memory_.Count(sizeof(Segment));
  tail_->next = segment;
  tail_ = segment;
  if (head_->pins == 0) FreeHead();
}

// The segment itself is counted with what it holds: while it rests, it is a part of the channel.
void Log::FreeContent(Segment* segment) {
  if (segment->data == nullptr) return;
  memory_.Count(-int64_t{sizeof(Segment)});
  if (segment->held != nullptr) {
    memory_.Release(segment->held);
  } else {
    memory_.GiveBlock(const_cast<char*>(segment->data), segment->block_bytes);
  }
  segment->data = nullptr;
  segment->held = nullptr;
  segment->block_bytes = 0;
}

// Frees from the head on what no cursor stands in. A segment behind one that is pinned stays: its
// reader has yet to come by.
void Log::FreeHead() {
  while (head_ != tail_ && head_->pins == 0) {
    Segment* segment = head_;
    head_ = segment->next;
    FreeContent(segment);
    delete segment;
  }
}

bool Log::FitsTail(size_t frame_bytes) const {
  return tail_->block_bytes != 0 &&
         tail_->bytes + frame_bytes + (size_t{tail_->mark_count} + 1) * sizeof(FrameMark) <=
             (tail_->block_bytes & ~15u);
}

// How large the next block is to be; 0: none is worth it for this frame.
uint32_t Log::BlockBytes(size_t frame_bytes, size_t readers) const {
  const bool is_idle = tail_->data == nullptr;
  const size_t idle_bytes = readers * kIdleBytesAReader;
  if (is_idle && idle_bytes < frame_bytes * 2 + kBlockBytesMin) return 0;
  // With one segment there is no backlog to speak of; with several, as much again.
  const uint64_t pending = head_ == tail_ ? tail_->block_bytes : tail_offset() - head_->base_offset;
  const uint64_t wanted = std::max<uint64_t>({is_idle ? 0 : pending, std::bit_floor(idle_bytes),
                                              2 * frame_bytes + sizeof(FrameMark), kBlockBytesMin});
  return static_cast<uint32_t>(std::min<uint64_t>(std::bit_ceil(wanted), memory_.segment_bytes()));
}

void Log::Append(HeldFrame* held, size_t readers) {
  const std::string_view bytes = held->frame->bytes();
  const bool is_large = bytes.size() >= memory_.large_bytes_min();
  if (is_large || !FitsTail(bytes.size())) {
    auto* segment = new Segment;
    segment->block_bytes = is_large ? 0 : BlockBytes(bytes.size(), readers);
    if (segment->block_bytes == 0) {
      segment->held = held;
      segment->data = bytes.data();
      segment->marks_end = &held->mark + 1;
      ++held->holders;
    } else {
      char* block = memory_.TakeBlock(segment->block_bytes);
      segment->data = block;
      segment->marks_end = reinterpret_cast<FrameMark*>(block + (segment->block_bytes & ~15u));
    }
    AddTail(segment);
  }
  Segment* tail = tail_;
  if (tail->block_bytes != 0) {
    std::memcpy(const_cast<char*>(tail->data) + tail->bytes, bytes.data(), bytes.size());
    *(tail->marks_end - 1 - tail->mark_count) = {tail->bytes + static_cast<uint32_t>(bytes.size()),
                                                 held->mark.sequence_low, held->mark.published_ns};
  }
  tail->bytes += static_cast<uint32_t>(bytes.size());
  ++tail->mark_count;
}

void Log::Rest(size_t readers) {
  if (tail_->data == nullptr || tail_->pins != readers || head_ != tail_) return;
  if (tail_->block_bytes != 0 && tail_->block_bytes <= readers * kIdleBytesAReader) return;
  FreeContent(tail_);
}

Cursor Log::Tail() const { return {tail_, tail_->bytes, tail_->mark_count}; }

Cursor Log::Attach() {
  ++tail_->pins;
  return Tail();
}

Cursor Log::AttachNewest() {
  SLUICE_DCHECK(tail_->data != nullptr && tail_->mark_count != 0);
  ++tail_->pins;
  const uint32_t mark = tail_->mark_count - 1;
  return {tail_, mark == 0 ? 0 : tail_->mark(mark - 1).end, mark};
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
      const uint32_t mark = FirstEndingAfter(*segment, 0, uint64_t{offset} + room);
      const uint32_t cut = mark == 0 ? 0 : segment->mark(mark - 1).end;
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

HeldFrame* Log::HeldAt(const Cursor& cursor) const {
  const Segment* segment = cursor.segment;
  if (cursor.offset == segment->bytes && segment->next != nullptr) segment = segment->next;
  return segment->held;
}

Frame* Log::FrameAt(const Cursor& cursor) const {
  const HeldFrame* held = HeldAt(cursor);
  return held == nullptr ? nullptr : held->frame;
}

std::string_view Log::RestOfFrame(const Cursor& cursor) const {
  const Segment& segment = *cursor.segment;
  return {segment.data + cursor.offset, segment.mark(cursor.mark).end - cursor.offset};
}

uint64_t Log::Advance(Cursor* cursor, size_t bytes) {
  uint64_t finished = 0;
  while (bytes != 0) {
    Segment* segment = cursor->segment;
    const uint32_t left = segment->bytes - cursor->offset;
    if (bytes >= left) {
      finished += segment->mark_count - cursor->mark;
      cursor->mark = segment->mark_count;
      cursor->offset = segment->bytes;
      bytes -= left;
      SLUICE_DCHECK(bytes == 0 || segment->next != nullptr);
      Normalise(cursor);
    } else {
      cursor->offset += static_cast<uint32_t>(bytes);
      bytes = 0;
      const uint32_t mark = FirstEndingAfter(*segment, cursor->mark, cursor->offset);
      finished += mark - cursor->mark;
      cursor->mark = mark;
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
  const Segment& segment = *cursor.segment;
  if (cursor.mark == segment.mark_count) return cursor.offset == segment.bytes;
  return cursor.offset == (cursor.mark == 0 ? 0 : segment.mark(cursor.mark - 1).end);
}

uint64_t Log::SequenceAt(const Cursor& cursor, uint64_t index, uint64_t newest) const {
  const Segment* segment = cursor.segment;
  while (index - segment->base_index >= segment->mark_count) {
    SLUICE_CHECK(segment->next != nullptr);
    segment = segment->next;
  }
  const uint32_t low =
      segment->mark(static_cast<uint32_t>(index - segment->base_index)).sequence_low;
  return newest - (static_cast<uint32_t>(newest) - low);
}

int64_t Log::PublishedNs(const Cursor& cursor) const {
  const Segment* segment = cursor.segment;
  uint32_t mark = cursor.mark;
  while (mark == segment->mark_count) {
    SLUICE_CHECK(segment->next != nullptr);
    segment = segment->next;
    mark = 0;
  }
  return segment->mark(mark).published_ns;
}

}  // namespace sluice
