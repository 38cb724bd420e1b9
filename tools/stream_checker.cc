#include "stream_checker.h"

#include <algorithm>
#include <cstring>

namespace sluice::bench {
namespace {

constexpr char kEnded[] = "the server ended a stream";  // by its last chunk
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Where the first line ends: its CR or LF, or npos.
size_t LineEnd(std::string_view bytes) {
  const size_t lf = bytes.find('\n');
  const size_t cr = bytes.substr(0, lf).find('\r');
  return cr != std::string_view::npos ? cr : lf;
}

// Takes the first line off `bytes`, its end (LF, CRLF or CR) with it, and returns it without that.
std::string_view TakeLine(std::string_view* bytes) {
  const size_t end = std::min(LineEnd(*bytes), bytes->size());
  const std::string_view line = bytes->substr(0, end);
  bytes->remove_prefix(end);
  if (bytes->starts_with("\r\n")) bytes->remove_prefix(1);
  if (!bytes->empty()) bytes->remove_prefix(1);
  return line;
}

// True if the line is the field `name`; its value is without the one space that may stand after the
// colon, and empty if there is no colon at all.
bool IsField(std::string_view line, std::string_view name, std::string_view* value) {
  if (!line.starts_with(name)) return false;
  line.remove_prefix(name.size());
  if (!line.empty() && line.front() != ':') return false;
  if (!line.empty()) line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  *value = line;
  return true;
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

StreamChecker::StreamChecker(const PayloadFormat& format, size_t log_bytes_max,
                             const Topics& topics)
    : format_(format), topics_(topics), log_(log_bytes_max, topics.count()) {}

void StreamChecker::Begin(StreamState* state, bool begins_anywhere) {
  std::unique_ptr<Detour> detour = std::move(state->detour);
  const uint32_t topic = state->topic;
  *state = StreamState{};
  state->topic = topic;
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
  const std::string first(head.substr(0, head.find("\r\n")));
  if (!first.starts_with("HTTP/1.") || first.size() < 12 || first.substr(9, 3) != "200") {
    return Fail("the stream was answered with \"" + first + "\"");
  }
  if (!HeaderIs(head, "content-type", "text/event-stream")) {
    return Fail("the answer to the stream request is no text/event-stream");
  }
  if (HeaderIs(head, "content-encoding", "") && !HeaderIs(head, "content-encoding", "identity")) {
    return Fail("the stream is compressed, although that was not asked for");
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
          if (state->chunk_left == 0) return Fail(kEnded);
          state->chunk_part = ChunkPart::kData;
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
        if (state->chunk_left == 0) return Fail(kEnded);
        state->chunk_part = ChunkPart::kData;
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
      case ChunkPart::kNone:
        return true;
    }
  }
  return true;
}

bool StreamChecker::FeedBody(StreamState* state, std::string_view bytes, int64_t now_ns) {
  const uint64_t before = counts_.deliveries;
  while (!bytes.empty()) {
    if (state->is_after_cr) {
      state->is_after_cr = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        ++counts_.bytes;
        continue;
      }
    }
    const bool is_gathering = state->detour != nullptr && !state->detour->carry.empty();
    const uint32_t place = log_.After(state->topic, state->last);
    if (!is_gathering && place != kNoEvent) {
      Event& event = log_[place];
      if (event.bytes != nullptr) {
        const size_t count = std::min<size_t>(bytes.size(), event.length - state->matched);
        if (std::memcmp(bytes.data(), event.bytes + state->matched, count) == 0) {
          bytes.remove_prefix(count);
          state->matched += static_cast<uint32_t>(count);
          if (state->matched < event.length) break;
          state->matched = 0;
          state->has_line = true;
          state->is_after_cr = event.bytes[event.length - 1] == '\r';
          state->last = place;
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
  // Where each event has few readers, most are off the straight path for it: none keeps the memory.
  if (state->detour != nullptr && state->detour->is_empty()) state->detour.reset();
  const uint64_t arrived = counts_.deliveries - before;
  if (arrived > 0) {
    counts_.joined_blocks += arrived - 1;
    if (window_.Has(now_ns)) {
      counts_.deliveries_measured += arrived;
      const size_t slot = static_cast<size_t>((now_ns - window_.begin_ns) / kSlotNs);
      if (slot >= timeline_.size()) timeline_.resize(slot + 1, 0);
      timeline_[slot] += arrived;
    }
  }
  return true;
}

void StreamChecker::StepOut(StreamState* state) {
  if (state->matched == 0) return;
  if (log_.After(state->topic, state->last) < log_.EvictedEnd()) Materialise(state);
}

void StreamChecker::Materialise(StreamState* state) {
  const Event& event = log_[log_.After(state->topic, state->last)];
  DetourOf(state).carry.assign(event.bytes, state->matched);
  state->matched = 0;
}

size_t StreamChecker::Gather(StreamState* state, std::string_view bytes, int64_t now_ns) {
  std::string& carry = DetourOf(state).carry;
  if (carry.ends_with('\r') && bytes.front() == '\n') {
    carry += '\n';  // the rest of a line's end
    return 1;
  }
  const size_t end = LineEnd(bytes);
  if (end == std::string_view::npos) {
    carry.append(bytes);
    return bytes.size();
  }
  // Where the line begins: within the carry if it was cut.
  const size_t line_begin = carry.find_last_of("\r\n") + 1;  // npos + 1 is 0
  carry.append(bytes.substr(0, end + 1));
  if (!state->has_line && carry.starts_with(kByteOrderMark)) carry.erase(0, kByteOrderMark.size());
  state->has_line = true;
  std::string_view line = std::string_view(carry).substr(line_begin);
  line.remove_suffix(1);
  const bool is_block = line.empty();
  if (is_block) OnBlock(state, carry, now_ns);
  // A comment or `retry:` that stands alone ends here: what follows may be an event in its usual
  // bytes.
  if (is_block || (line_begin == 0 && (line.starts_with(':') || line.starts_with("retry:")))) {
    state->is_after_cr = bytes[end] == '\r';
    carry.clear();
  }
  return end + 1;
}

void StreamChecker::OnBlock(StreamState* state, std::string_view block, int64_t now_ns) {
  data_.clear();
  bool has_data = false;
  for (std::string_view rest = block; !rest.empty();) {
    const std::string_view line = TakeLine(&rest);
    std::string_view value;
    if (IsField(line, "data", &value)) {
      if (has_data) data_ += '\n';
      has_data = true;
      data_ += value;
    } else if (IsField(line, "event", &value) && value.starts_with("sluice.")) {
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
  const uint32_t topic = topics_.OfEvent(head.publisher, head.number);
  if (topic != state->topic) {
    ++DetourOf(state).faults.misrouted;
    return;
  }
  uint32_t place = log_.Find(head.publisher, head.number);
  if (place == kNoEvent) {
    place = log_.Append(head, topic, block);
    log_[place].is_measured = window_.Has(head.due_ns);
    log_[place].is_later = later_.Has(head.due_ns);
    log_[place].is_last = last_.Has(head.due_ns);
  }
  OnArrival(state, place, now_ns);
}

void StreamChecker::OnArrival(StreamState* state, uint32_t place, int64_t now_ns) {
  const bool begins_here = state->begins_anywhere && state->events == 0;
  if (begins_here) {
    state->last = place;
  } else if (state->last == kNoEvent || place > state->last) {
    for (uint32_t i = log_.After(state->topic, state->last); i != place;
         i = log_.After(state->topic, i)) {
      DetourOf(state).missing.insert(i);
    }
    state->last = place;
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
  if (event->is_later) latency_later_.Record(now_ns - event->due_ns);
  if (event->is_last) latency_last_.Record(now_ns - event->due_ns);
}

}  // namespace sluice::bench
