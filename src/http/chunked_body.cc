#include "http/chunked_body.h"

#include <algorithm>
#include <cstring>

namespace sluice::http {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsVisibleOrSpace(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

bool IsNameByte(char c) {
  return c > 0x20 && c < 0x7f && std::strchr("\"(),/:;<=>?@[\\]{}", c) == nullptr;
}

}  // namespace

void ChunkedBody::Begin(uint64_t body_bytes_max) {
  *this = ChunkedBody{};
  state_ = State::kSizeFirst;
  body_bytes_max_ = body_bytes_max;
}

void ChunkedBody::BeginEndless() {
  // No stream gets that far; and a size with one digit more still fits 64 bits.
  Begin(uint64_t{1} << 59);
  is_endless_ = true;
}

size_t ChunkedBody::Take(std::string_view bytes, std::string* body) {
  size_t used = 0;
  while (used < bytes.size() && state_ != State::kDone && !fault_) {
    if (state_ != State::kData) {
      Step(bytes[used++]);
      continue;
    }
    const size_t take = std::min<uint64_t>(chunk_bytes_, bytes.size() - used);
    if (body != nullptr) body->append(bytes.substr(used, take));
    used += take;
    chunk_bytes_ -= take;
    if (chunk_bytes_ == 0) state_ = State::kDataCr;
  }
  return used;
}

void ChunkedBody::Fail(const char* detail) { fault_.emplace(Refusal::kBadRequest, detail); }

void ChunkedBody::CountFraming() {
  if (++framing_bytes_ <= kFramingBytesMax) return;
  fault_.emplace(Refusal::kHeaderTooLarge,
                 "chunk extensions and trailers are longer than 16384 bytes in all");
}

void ChunkedBody::TakeSizeDigit(int digit) {
  // Leading zeros are endless too; other digits are bounded by the size they make.
  if (chunk_bytes_ == 0 && digit == 0) CountFraming();
  chunk_bytes_ = chunk_bytes_ * 16 + static_cast<uint64_t>(digit);
  if (chunk_bytes_ <= body_bytes_max_ - body_bytes_) return;
  fault_.emplace(Refusal::kBodyTooLarge, "the body is longer than " +
                                             std::to_string(body_bytes_max_) +
                                             " bytes (http.body_bytes_max)");
}

void ChunkedBody::EndSize() {
  is_last_ = chunk_bytes_ == 0;
  body_bytes_ += chunk_bytes_;
  if (is_endless_) framing_bytes_ = 0;
  state_ = is_last_ ? State::kTrailerFirst : State::kData;
}

void ChunkedBody::Step(char byte) {
  switch (state_) {
    case State::kSizeFirst:
    case State::kSize:
      if (const int digit = HexDigit(byte); digit >= 0) {
        state_ = State::kSize;
        return TakeSizeDigit(digit);
      }
      if (state_ == State::kSizeFirst) return Fail("a chunk does not begin with its size");
      if (byte == '\r') {
        state_ = State::kSizeLf;
      } else if (byte == ';') {
        state_ = State::kExtension;
      } else {
        Fail("a chunk's size is no hexadecimal number");
      }
      return;
    case State::kExtension:
      CountFraming();
      if (byte == '\r') {
        state_ = State::kSizeLf;
      } else if (!IsVisibleOrSpace(byte)) {
        Fail("a chunk extension has a control byte");
      }
      return;
    case State::kSizeLf:
      return byte == '\n' ? EndSize() : Fail("a chunk's size line does not end in CR LF");
    case State::kDataCr:
      if (byte != '\r') return Fail("a chunk's data do not end in CR LF");
      state_ = State::kDataLf;
      return;
    case State::kDataLf:
      if (byte != '\n') return Fail("a chunk's data do not end in CR LF");
      state_ = State::kSizeFirst;
      return;
    default:
      return StepTrailer(byte);
  }
}

void ChunkedBody::StepTrailer(char byte) {
  CountFraming();
  switch (state_) {
    case State::kTrailerFirst:
      if (byte == '\r') {
        state_ = State::kEndLf;
      } else if (IsNameByte(byte)) {
        state_ = State::kTrailerName;
      } else {
        Fail("a trailer line does not begin with a name");
      }
      return;
    case State::kTrailerName:
      if (byte == ':') {
        state_ = State::kTrailerValue;
      } else if (!IsNameByte(byte)) {
        Fail("a trailer line has no colon after its name");
      }
      return;
    case State::kTrailerValue:
      if (byte == '\r') {
        state_ = State::kTrailerLf;
      } else if (!IsVisibleOrSpace(byte)) {
        Fail("a trailer line has a control byte");
      }
      return;
    case State::kTrailerLf:
      if (byte != '\n') return Fail("a trailer line does not end in CR LF");
      state_ = State::kTrailerFirst;
      return;
    default:
      if (byte != '\n') return Fail("the chunked body does not end in CR LF");
      state_ = State::kDone;
  }
}

}  // namespace sluice::http
