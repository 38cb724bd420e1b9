// What a publish's body is, by its Content-Type and Content-Encoding.
//
//   JSON   none, application/json, any .../json and ...+json, and what curl -d sends by itself,
//          application/x-www-form-urlencoded
//   text   text/plain, application/octet-stream: any UTF-8
//   lines  application/x-ndjson, application/ndjson: an event a line
//   415    everything else, multipart, other charsets, compressed bodies
//
// A body that is events, not the data of one, is JSON or lines.
//
// Thread: pure.
#pragma once

#include <optional>
#include <string_view>

#include "http/fault.h"

namespace sluice::http {

enum class BodyKind : uint8_t { kJson, kText, kLines };

std::optional<Fault> CheckMediaType(std::string_view content_type,
                                    std::string_view content_encoding, bool takes_events,
                                    BodyKind* kind);

}  // namespace sluice::http
