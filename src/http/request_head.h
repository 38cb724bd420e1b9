// The head of a request: request line and header fields, parsed by llhttp in strict mode with the
// holes closed that it leaves (RFC 9110, RFC 9112).
//
// Refused here: a bare LF or CR, an obs-fold, a line without a colon or a name, space before the
// colon, control bytes, two Hosts, none, or one that is no host, a repeated field that may stand
// once, two lengths, a length beside a transfer coding, a coding other than chunked, a fragment or
// a space in the target.
//
// Thread: pure; no state but HeadScan is kept between calls.
// Owner:  the views of RequestHead point into the bytes that were parsed.
// Bounds: HeadBounds; a target that is too long is told from a head that is too long.
// Errors: a Fault; the connection cannot be used any further, as its framing is in doubt.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/fault.h"

namespace sluice::http {

enum class Method : uint8_t { kGet, kHead, kPost, kOptions, kOther };

struct RequestHead {
  Method method = Method::kOther;
  std::string_view target;

  // Views of single fields; empty if absent (or empty).
  std::string_view host;
  std::string_view origin;
  std::string_view authorization;
  std::string_view content_type;
  std::string_view content_encoding;
  std::string_view if_none_match;
  std::string_view last_event_id;
  std::string_view idempotency_key;
  bool has_host = false;
  bool has_origin = false;
  bool has_authorization = false;
  bool has_content_type = false;
  bool has_last_event_id = false;
  bool has_idempotency_key = false;

  bool accepts_event_stream = false;  // names text/event-stream; */* is no event-stream reader
  bool is_preflight = false;          // has Access-Control-Request-Method
  bool is_forwarded = false;          // Forwarded, X-Forwarded-*, X-Real-IP or Via: through a proxy
  bool is_http10 = false;
  bool keep_alive = false;

  bool is_chunked = false;
  bool has_length = false;
  uint64_t content_length = 0;
  bool expects_continue = false;
  bool has_unknown_expectation = false;
};

struct HeadBounds {
  uint32_t header_bytes_max;
  uint32_t target_bytes_max;
};

// How far the lines of an unfinished head have been looked at, so that a head that arrives byte by
// byte is scanned once. Fresh for each request.
struct HeadScan {
  size_t line_begin = 0;
};

struct HeadResult {
  size_t head_bytes = 0;       // 0: more bytes are needed
  std::optional<Fault> fault;  // then nothing else counts
};

// Parses the head that `bytes` begins with. The verdict depends on the bytes only, not on how they
// were split: a fault is found at the same byte whatever was received with it.
HeadResult ParseHead(std::string_view bytes, const HeadBounds& bounds, HeadScan* scan,
                     RequestHead* head);

// ASCII only, as everything in a head is.
bool EqualsIgnoreCase(std::string_view text, std::string_view lower_case);

}  // namespace sluice::http
