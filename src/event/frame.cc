#include "event/frame.h"

#include <sys/random.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>

#include "base/check.h"
#include "event/topic.h"

namespace sluice {
namespace {

constexpr size_t kSequenceDigitsMax = 20;  // 2^64 - 1
constexpr size_t kRetryDigitsMax = 10;     // 2^32 - 1
constexpr std::string_view kRetryField = "retry: ";
constexpr std::string_view kEventField = "event: ";
constexpr std::string_view kDataField = "data: ";
constexpr std::string_view kIdField = "id: ";

char* Put(char* to, std::string_view text) {
  if (text.empty()) return to;  // whose data may be null, which memcpy must not be given
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

// The end of the line that begins at `from`: the first CR or LF, or the end of the text.
size_t LineEnd(std::string_view text, size_t from) {
  const char* begin = text.data() + from;
  const size_t size = text.size() - from;
  const void* lf = std::memchr(begin, '\n', size);
  const size_t to_lf = lf ? static_cast<size_t>(static_cast<const char*>(lf) - begin) : size;
  const void* cr = std::memchr(begin, '\r', to_lf);
  return from + (cr ? static_cast<size_t>(static_cast<const char*>(cr) - begin) : to_lf);
}

size_t AfterLineEnd(std::string_view text, size_t line_end) {
  const bool is_crlf =
      text[line_end] == '\r' && line_end + 1 < text.size() && text[line_end + 1] == '\n';
  return line_end + (is_crlf ? 2 : 1);
}

size_t CountLines(std::string_view text) {
  size_t lines = 1;
  for (size_t end = LineEnd(text, 0); end < text.size();
       end = LineEnd(text, AfterLineEnd(text, end))) {
    ++lines;
  }
  return lines;
}

char* PutData(char* to, std::string_view data) {
  size_t from = 0;
  while (true) {
    const size_t end = LineEnd(data, from);
    to = Put(to, kDataField);
    to = Put(to, data.substr(from, end - from));
    *to++ = '\n';
    if (end == data.size()) return to;
    from = AfterLineEnd(data, end);
  }
}

}  // namespace

Epoch Epoch::Random() {
  uint64_t value = 0;
  SLUICE_CHECK(getrandom(&value, sizeof(value), 0) == sizeof(value));
  return Epoch(value);
}

Epoch::Epoch(uint64_t value) : value_(value & ((uint64_t{1} << (4 * kDigits)) - 1)) {
  constexpr char kHex[] = "0123456789abcdef";
  for (size_t i = 0; i < kDigits; ++i) text_[i] = kHex[(value >> (4 * (kDigits - 1 - i))) & 15];
}

std::string Epoch::Id(uint64_t sequence) const {
  char id[kDigits + 1 + kSequenceDigitsMax];
  char* to = Put(id, text());
  *to++ = '-';
  to = std::to_chars(to, id + sizeof(id), sequence).ptr;
  return {id, to};
}

std::optional<Epoch::ParsedId> Epoch::Parse(std::string_view id) {
  if (id.size() < kDigits + 2 || id[kDigits] != '-') return std::nullopt;
  const char* const end = id.data() + id.size();
  const char* const digits = id.data() + kDigits + 1;
  for (size_t i = 0; i < kDigits; ++i) {
    if ((id[i] < '0' || id[i] > '9') && (id[i] < 'a' || id[i] > 'f')) return std::nullopt;
  }
  if (*digits < '0' || *digits > '9' || (*digits == '0' && digits + 1 != end)) return std::nullopt;
  ParsedId parsed{};
  std::from_chars(id.data(), id.data() + kDigits, parsed.epoch, 16);
  const auto [stop, error] = std::from_chars(digits, end, parsed.sequence);
  if (stop != end || error != std::errc()) return std::nullopt;
  return parsed;
}

size_t Frame::BytesMax(const Event& event) {
  const size_t retry_bytes = event.retry_ms == 0 ? 0 : kRetryField.size() + kRetryDigitsMax + 1;
  const size_t type_bytes = event.type.empty() ? 0 : kEventField.size() + event.type.size() + 1;
  const size_t line_bytes = kDataField.size() + 1;
  const size_t id_bytes =
      event.id.empty() ? Epoch::kDigits + 1 + kSequenceDigitsMax : event.id.size();
  return retry_bytes + type_bytes + CountLines(event.data) * line_bytes + event.data.size() +
         kIdField.size() + id_bytes + 2;
}

size_t Frame::ExtraBytes(const Event& event) {
  size_t bytes = event.id.size() + event.key.size();
  for (const std::string_view topic : event.topics) {
    bytes += sizeof(uint64_t) + sizeof(uint16_t) + topic.size();
  }
  return bytes;
}

void Frame::PutExtra(const Event& event) {
  char* to = Put(Put(extra(), event.id), event.key);
  for (const std::string_view topic : event.topics) {
    const uint64_t hash = TopicHash(topic);
    const uint16_t size = static_cast<uint16_t>(topic.size());
    std::memcpy(to, &hash, sizeof hash);
    std::memcpy(to + sizeof hash, &size, sizeof size);
    to = Put(to + sizeof hash + sizeof size, topic);
  }
  id_bytes_ = static_cast<uint8_t>(event.id.size());
  key_bytes_ = static_cast<uint16_t>(event.key.size());
  topic_count_ = static_cast<uint16_t>(event.topics.size());
}

Frame* Frame::Encode(const Event& event, const Epoch& epoch, size_t bytes_max) {
  const size_t capacity = BytesMax(event);
  if (capacity > bytes_max) return nullptr;
  SLUICE_DCHECK(event.topics.size() <= UINT16_MAX && event.id.size() <= kPublisherIdBytesMax);
  const size_t extra_bytes = ExtraBytes(event);
  void* memory = std::malloc(sizeof(Frame) + capacity + extra_bytes);
  SLUICE_CHECK(memory != nullptr);
  Frame* frame =
      new (memory) Frame(static_cast<uint32_t>(capacity), static_cast<uint32_t>(extra_bytes));
  char* to = frame->wire();
  if (event.retry_ms != 0) {
    to = Put(to, kRetryField);
    to = std::to_chars(to, to + kRetryDigitsMax, event.retry_ms).ptr;
    *to++ = '\n';
    frame->retry_bytes_ = static_cast<uint8_t>(to - frame->wire());
  }
  if (!event.type.empty()) {
    to = Put(to, kEventField);
    to = Put(to, event.type);
    *to++ = '\n';
  }
  to = PutData(to, event.data);
  to = Put(to, kIdField);
  if (event.id.empty()) {
    to = Put(to, epoch.text());
    *to++ = '-';
  } else {
    to = Put(to, event.id);
  }
  frame->bytes_ = static_cast<uint32_t>(to - frame->wire());
  if (extra_bytes != 0) frame->PutExtra(event);
  return frame;
}

Frame* Frame::Restore(std::string_view replay_bytes, const Event& about, uint64_t sequence,
                      int64_t published_ns) {
  const size_t extra_bytes = ExtraBytes(about);
  void* memory = std::malloc(sizeof(Frame) + replay_bytes.size() + extra_bytes);
  SLUICE_CHECK(memory != nullptr);
  Frame* frame = new (memory)
      Frame(static_cast<uint32_t>(replay_bytes.size()), static_cast<uint32_t>(extra_bytes));
  Put(frame->wire(), replay_bytes);
  frame->bytes_ = static_cast<uint32_t>(replay_bytes.size());
  if (extra_bytes != 0) frame->PutExtra(about);
  frame->sequence_ = sequence;
  frame->published_ns_ = published_ns;
  return frame;
}

void Frame::Stamp(uint64_t sequence, int64_t published_ns, uint32_t references) {
  SLUICE_DCHECK(sequence_ == 0);
  sequence_ = sequence;
  published_ns_ = published_ns;
  char* to = wire() + bytes_;
  if (id_bytes_ == 0) to = std::to_chars(to, wire() + capacity_, sequence).ptr;
  *to++ = '\n';
  *to++ = '\n';
  bytes_ = static_cast<uint32_t>(to - wire());
  // Relaxed: nobody else has the frame yet; the ring's slot publishes it.
  references_.store(references, std::memory_order_relaxed);
}

void Frame::Free() {
  this->~Frame();
  std::free(this);
}

}  // namespace sluice
