#include "payload.h"

#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kOpen = "{\"h\":\"";
constexpr std::string_view kMiddle = "\",\"x\":\"";
constexpr std::string_view kClose = "\"}";
constexpr size_t kDigits = 2 + 8 + 16;
constexpr size_t kChecksumDigits = 8;
constexpr size_t kPaddingAt = kOpen.size() + kDigits + kChecksumDigits + kMiddle.size();
static_assert(kPaddingAt + kClose.size() == kPayloadBytesMin);
constexpr std::string_view kAlphabet =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

void WriteHex(uint64_t value, size_t digits, char* out) {
  for (size_t i = digits; i-- > 0; value >>= 4) out[i] = "0123456789abcdef"[value & 15];
}

bool ReadHex(const char* text, size_t digits, uint64_t* value) {
  uint64_t result = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = text[i];
    unsigned digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<unsigned>(c - 'a' + 10);
    } else {
      return false;
    }
    result = result << 4 | digit;
  }
  *value = result;
  return true;
}

}  // namespace

PayloadFormat::PayloadFormat(size_t payload_bytes, uint32_t nonce, int64_t run_begin_ns)
    : bytes_(payload_bytes), nonce_(nonce), run_begin_ns_(run_begin_ns) {
  SLUICE_CHECK(payload_bytes >= kPayloadBytesMin && payload_bytes <= kPayloadBytesMax);
  while (padding_.size() < bytes_ + kAlphabet.size()) padding_ += kAlphabet;
}

uint32_t PayloadFormat::Checksum(const char* digits, const char* padding,
                                 size_t padding_bytes) const {
  return Crc32c(Crc32c(nonce_, digits, kDigits), padding, padding_bytes);
}

void PayloadFormat::Write(const PayloadHead& head, char* out) const {
  const size_t padding_bytes = bytes_ - kPayloadBytesMin;
  char* const digits = out + kOpen.size();
  char* const padding = out + kPaddingAt;
  std::memcpy(out, kOpen.data(), kOpen.size());
  WriteHex(head.publisher, 2, digits);
  WriteHex(head.number, 8, digits + 2);
  WriteHex(static_cast<uint64_t>(head.due_ns), 16, digits + 10);
  std::memcpy(digits + kDigits + kChecksumDigits, kMiddle.data(), kMiddle.size());
  std::memcpy(padding, padding_.data() + head.number % kAlphabet.size(), padding_bytes);
  std::memcpy(padding + padding_bytes, kClose.data(), kClose.size());
  WriteHex(Checksum(digits, padding, padding_bytes), kChecksumDigits, digits + kDigits);
}

PayloadVerdict PayloadFormat::Read(std::string_view data, PayloadHead* head) const {
  const size_t at = data.find(kOpen);
  // Nothing like ours, and too short to be one of ours that was changed.
  if (at == std::string_view::npos && data.size() < bytes_) return PayloadVerdict::kForeign;
  if (at == std::string_view::npos || data.size() - at < kPayloadBytesMin) {
    return PayloadVerdict::kCorrupted;
  }
  data.remove_prefix(at);
  const char* const digits = data.data() + kOpen.size();
  uint64_t publisher;
  uint64_t number;
  uint64_t due;
  uint64_t checksum;
  if (!ReadHex(digits, 2, &publisher) || !ReadHex(digits + 2, 8, &number) ||
      !ReadHex(digits + 10, 16, &due) || !ReadHex(digits + kDigits, 8, &checksum)) {
    return PayloadVerdict::kCorrupted;
  }
  *head = {static_cast<uint32_t>(publisher), static_cast<uint32_t>(number),
           static_cast<int64_t>(due)};
  const size_t padding_bytes = bytes_ - kPayloadBytesMin;
  const bool is_whole = data.size() >= bytes_ &&
                        data.substr(kPaddingAt - kMiddle.size(), kMiddle.size()) == kMiddle &&
                        data.substr(kPaddingAt + padding_bytes, kClose.size()) == kClose;
  if (is_whole && Checksum(digits, data.data() + kPaddingAt, padding_bytes) == checksum) {
    return PayloadVerdict::kGood;
  }
  return head->due_ns < run_begin_ns_ ? PayloadVerdict::kForeign : PayloadVerdict::kCorrupted;
}

}  // namespace sluice::bench
