// A chunked body (RFC 9112, section 7.1), decoded strictly as it comes.
//
//   body  = *( size [ ";" extension ] CRLF data CRLF ) "0" [ ";" extension ] CRLF *( field CRLF )
//   CRLF
//
// The session frames bodies itself: llhttp 8.1 ends a body on "0" CRLF LF, and has no bound on
// extensions and trailers. Both are read over and bounded together.
//
// Thread: its session's.
// Bounds: `body_bytes_max` decoded bytes; kFramingBytesMax for extensions and trailers in all.
// Errors: a Fault; the framing of the connection is lost with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/fault.h"

namespace sluice::http {

class ChunkedBody {
 public:
  static constexpr uint32_t kFramingBytesMax = 16 * 1024;

  void Begin(uint64_t body_bytes_max);
  // Of a stream: no bound in all, and kFramingBytesMax for each chunk.
  void BeginEndless();
  // Decodes from `bytes` and returns how many were used: all, or up to the body's end or a fault.
  // Data is appended to `body`, or dropped if that is null.
  size_t Take(std::string_view bytes, std::string* body);

  bool is_done() const { return state_ == State::kDone; }
  const std::optional<Fault>& fault() const { return fault_; }

 private:
  enum class State : uint8_t {
    kSizeFirst,
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailerFirst,
    kTrailerName,
    kTrailerValue,
    kTrailerLf,
    kEndLf,
    kDone,
  };

  void Step(char byte);
  void TakeSizeDigit(int digit);
  void EndSize();
  void StepTrailer(char byte);
  void CountFraming();
  void Fail(const char* detail);

  State state_ = State::kDone;
  bool is_last_ = false;
  bool is_endless_ = false;
  uint32_t framing_bytes_ = 0;
  uint64_t chunk_bytes_ = 0;  // still to come
  uint64_t body_bytes_ = 0;   // declared by the sizes so far
  uint64_t body_bytes_max_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace sluice::http
