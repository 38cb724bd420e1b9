#include "stream_checker.h"

#include <algorithm>
#include <cstring>

namespace sluice::bench {
namespace {

std::string_view WithoutLineEnd(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// A field's value, without the one space that may stand after the colon.
std::string_view Value(std::string_view line, size_t name_bytes) {
  line.remove_prefix(name_bytes);
  if (line.starts_with(' ')) line.remove_prefix(1);
  return line;
}

bool HeaderIs(std::string_view head, std::string_view name, std::string_view value) {
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        strncasecmp(line.data(), name.data(), name.size()) != 0) {
      continue;
    }
    std::string_view found = line.substr(name.size() + 1);
    while (found.starts_with(' ')) found.remove_prefix(1);
    return found.size() >= value.size() &&
           strncasecmp(found.data(), value.data(), value.size()) == 0;
  }
  return false;
}

}  // namespace

StreamChecker::StreamChecker(const PayloadFormat& format, size_t log_bytes_max)
    : format_(format), log_(log_bytes_max) {}

void StreamChecker::Begin(StreamState* state, bool begins_anywhere) {
  std::unique_ptr<Detour> detour = std::move(state->detour);
  *state = StreamState{};
  state->begins_anywhere = begins_anywhere;
  if (detour != nullptr && detour->faults.total() > 0) {
    detour->carry.clear();
    detour->missing.clear();
    state->detour = std::move(detour);
  }
}

Detour& StreamChecker::DetourOf(StreamState* state) {
  if (state->detour == nullptr) state->detour = std::make_unique<Detour>();
  return *state->detour;
}

bool StreamChecker::Fail(std::string problem) {
  problem_ = std::move(problem);
  return false;
}

bool StreamChecker::Feed(StreamState* state, std::string_view bytes, int64_t now_ns) {
  if (!state->has_head) {
    if (!FeedHead(state, &bytes)) return false;
    if (!state->has_head || bytes.empty()) return true;
  }
  return state->chunk_part == ChunkPart::kNone ? FeedBody(state, bytes, now_ns)
                                               : FeedChunked(state, bytes, now_ns);
}

bool StreamChecker::FeedHead(StreamState* state, std::string_view* bytes) {
  std::string& carry = DetourOf(state).carry;
  const size_t before = carry.size();
  carry.append(*bytes);
  const size_t end = carry.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    if (carry.size() > kHeadBytesMax) return Fail("the response head has no end");
    bytes->remove_prefix(bytes->size());
    return true;
  }
  const std::string_view head(carry.data(), end + 2);
  const std::string first(WithoutLineEnd(head.substr(0, head.find("\r\n") + 2)));
  if (!first.starts_with("HTTP/1.") || first.size() < 12 || first.substr(9, 3) != "200") {
    return Fail("the stream was answered with \"" + first + "\"");
  }
  if (!HeaderIs(head, "content-type", "text/event-stream")) {
    return Fail("the answer to the stream request is no text/event-stream");
  }
  const bool is_chunked = HeaderIs(head, "transfer-encoding", "chunked");
  state->chunk_part = is_chunked ? ChunkPart::kSize : ChunkPart::kNone;
  state->has_head = true;
  bytes->remove_prefix(end + 4 - before);
  if (state->detour->faults.total() == 0) {
    state->detour.reset();  // with 100,000 subscribers the strings would add up
  } else {
    carry.clear();
  }
  return true;
}

bool StreamChecker::FeedChunked(StreamState* state, std::string_view bytes, int64_t now_ns) {
  while (!bytes.empty()) {
    switch (state->chunk_part) {
      case ChunkPart::kSize: {
        const char c = bytes.front();
        const char lower = static_cast<char>(c | 0x20);
        bytes.remove_prefix(1);
        if (c >= '0' && c <= '9') {
          state->chunk_left = state->chunk_left * 16 + static_cast<uint32_t>(c - '0');
        } else if (lower >= 'a' && lower <= 'f') {
          state->chunk_left = state->chunk_left * 16 + static_cast<uint32_t>(lower - 'a' + 10);
        } else if (c == '\n') {
          state->chunk_part = state->chunk_left == 0 ? ChunkPart::kEnd : ChunkPart::kData;
        } else if (c == '\r' || c == ';' || c == ' ') {
          state->chunk_part = ChunkPart::kSizeRest;
        } else {
          return Fail("a chunk's size is no hexadecimal number");
        }
        if (state->chunk_left > 1u << 27) return Fail("a chunk is too long");
        break;
      }
      case ChunkPart::kSizeRest: {
        const size_t end = bytes.find('\n');
        if (end == std::string_view::npos) return true;
        bytes.remove_prefix(end + 1);
        state->chunk_part = state->chunk_left == 0 ? ChunkPart::kEnd : ChunkPart::kData;
        break;
      }
      case ChunkPart::kData: {
        const size_t taken = std::min<size_t>(bytes.size(), state->chunk_left);
        if (!FeedBody(state, bytes.substr(0, taken), now_ns)) return false;
        bytes.remove_prefix(taken);
        state->chunk_left -= static_cast<uint32_t>(taken);
        if (state->chunk_left == 0) state->chunk_part = ChunkPart::kDataEnd;
        break;
      }
      case ChunkPart::kDataEnd: {
        const char c = bytes.front();
        bytes.remove_prefix(1);
        if (c == '\n') {
          state->chunk_part = ChunkPart::kSize;
        } else if (c != '\r') {
          return Fail("a chunk is longer than its size says");
        }
        break;
      }
      case ChunkPart::kEnd:
      case ChunkPart::kNone:
        return true;
    }
  }
  return true;
}

bool StreamChecker::FeedBody(StreamState* state, std::string_view bytes, int64_t now_ns) {
  const uint64_t before = counts_.deliveries;
  while (!bytes.empty()) {
    const bool is_gathering = state->detour != nullptr && !state->detour->carry.empty();
    if (!is_gathering && state->next < log_.size()) {
      Event& event = log_[state->next];
      if (event.bytes != nullptr) {
        const size_t count = std::min<size_t>(bytes.size(), event.length - state->matched);
        if (std::memcmp(bytes.data(), event.bytes + state->matched, count) == 0) {
          bytes.remove_prefix(count);
          state->matched += static_cast<uint32_t>(count);
          if (state->matched < event.length) break;
          state->matched = 0;
          ++state->next;
          OnDelivery(state, &event, now_ns);
          continue;
        }
        if (state->matched > 0) Materialise(state);
      }
    }
    bytes.remove_prefix(Gather(state, bytes, now_ns));
    if (state->detour != nullptr && state->detour->carry.size() > kBlockBytesMax) {
      return Fail("a block of the stream has no end");
    }
  }
  const uint64_t arrived = counts_.deliveries - before;
  if (arrived > 0) {
    counts_.joined_blocks += arrived - 1;
    if (now_ns >= window_.begin_ns && now_ns < window_.end_ns) {
      counts_.deliveries_measured += arrived;
      const size_t slot = static_cast<size_t>((now_ns - window_.begin_ns) / kSlotNs);
      if (slot >= timeline_.size()) timeline_.resize(slot + 1, 0);
      timeline_[slot] += arrived;
    }
  }
  return true;
}

void StreamChecker::Materialise(StreamState* state) {
  if (state->matched == 0 || state->next >= log_.size()) return;
  const Event& event = log_[state->next];
  DetourOf(state).carry.assign(event.bytes, state->matched);
  state->matched = 0;
}

size_t StreamChecker::Gather(StreamState* state, std::string_view bytes, int64_t now_ns) {
  std::string& carry = DetourOf(state).carry;
  const size_t end = bytes.find('\n');
  if (end == std::string_view::npos) {
    carry.append(bytes);
    return bytes.size();
  }
  // Where the line begins: within the carry if it was cut.
  const size_t line_begin = carry.rfind('\n') + 1;  // npos + 1 is 0
  carry.append(bytes.substr(0, end + 1));
  const std::string_view line = WithoutLineEnd(std::string_view(carry).substr(line_begin));
  if (line.empty()) {
    OnBlock(state, carry, now_ns);
    carry.clear();
  } else if (line_begin == 0 && (line.starts_with(':') || line.starts_with("retry:"))) {
    carry.clear();  // stands alone: what follows may be an event in its usual bytes
  }
  return end + 1;
}

void StreamChecker::OnBlock(StreamState* state, std::string_view block, int64_t now_ns) {
  data_.clear();
  bool has_data = false;
  std::string_view rest = block;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1);
    const std::string_view line = WithoutLineEnd(rest.substr(0, end + 1));
    rest.remove_prefix(end + 1);
    if (line.starts_with("data:")) {
      if (has_data) data_ += '\n';
      has_data = true;
      data_ += Value(line, 5);
    } else if (line.starts_with("event:") && Value(line, 6).starts_with("sluice.")) {
      return;
    }
  }
  if (!has_data) return;
  PayloadHead head;
  switch (format_.Read(data_, &head)) {
    case PayloadVerdict::kForeign:
      ++counts_.foreign;
      return;
    case PayloadVerdict::kCorrupted:
      ++DetourOf(state).faults.corrupted;
      return;
    case PayloadVerdict::kGood:
      break;
  }
  uint32_t place = log_.Find(head.publisher, head.number);
  if (place == kNoEvent) {
    place = log_.Append(head, block);
    log_[place].is_measured = head.due_ns >= window_.begin_ns && head.due_ns < window_.end_ns;
  }
  OnArrival(state, place, now_ns);
}

void StreamChecker::OnArrival(StreamState* state, uint32_t place, int64_t now_ns) {
  if (state->begins_anywhere && state->events == 0) state->next = place;
  if (place >= state->next) {
    for (uint32_t i = state->next; i < place; ++i) DetourOf(state).missing.insert(i);
    state->next = place + 1;
  } else {
    Detour& detour = DetourOf(state);
    if (detour.missing.erase(place) == 0) {
      ++detour.faults.repeated;
      return;
    }
    ++detour.faults.reordered;
  }
  OnDelivery(state, &log_[place], now_ns);
}

void StreamChecker::OnDelivery(StreamState* state, Event* event, int64_t now_ns) {
  ++state->events;
  ++event->count;
  event->last_ns = now_ns;
  ++counts_.deliveries;
  counts_.bytes += event->length;
  if (event->is_measured) latency_.Record(now_ns - event->due_ns);
  if (event->is_out_of_order) ++DetourOf(state).faults.reordered;
}

}  // namespace sluice::bench
