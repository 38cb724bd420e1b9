// What a subscriber asks for: the topic of the path, the query, Last-Event-ID.
//
//   GET /stream[/TOPIC][?topic=PATTERN ...][&last_event_id=ID][&from=now|earliest|-N|values]
//
// The header stands before the query, for a browser that reconnects sends the address it began with
// and a newer header; and last_event_id before lastEventId.
//
// Thread: pure.
// Errors: a Fault that says which parameter, and where in a pattern. EventSource never comes back
//         from a 4xx, which is right for what stays wrong. Parameters not known are read over, even
//         malformed ones: pages add all sorts.
#pragma once

#include <optional>
#include <string_view>

#include "http/fault.h"
#include "http/request_head.h"
#include "http/services.h"

namespace sluice::http {

// `path_topic` is decoded; nothing if the path names none.
std::optional<Fault> ReadStreamTarget(std::optional<std::string_view> path_topic,
                                      std::string_view query, const RequestHead& head,
                                      uint32_t topics_max, StreamRequest* request);

}  // namespace sluice::http
