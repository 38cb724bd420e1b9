// The answers to publishes whose body is whole: one event's, and those of several.
//
//   {"success":true,"code":200,"data":{"id":"...","subscribers":N}}            of an event
//   {"success":true,"code":200,"data":{"ids":["...",...],"subscribers":N}}     of an array
//
// and with ack=matched how many subscribers the shards matched, exactly: "matched":N of an event,
// "matched":[N,...] of an array. A publish that was accepted, and whose ack was not had:
//
//   {"success":false,"code":503,"message":..,"error":"ack_timeout","detail":..,"data":{"id":..}}
//
// An id is what the stream carries: the publisher's own, if the event brought one.
//
// Thread: the session's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "http/exchange.h"

namespace sluice::http {

// To a body that is the data of one event.
Outcome AnswerPublish(Site& site, const Exchange& exchange, std::string_view body, int64_t now_ns,
                      std::string* out, DeferredReply* deferred);
// To a body that is one event in JSON, or an array of them.
Outcome AnswerPublishEvents(Site& site, const Exchange& exchange, std::string_view body,
                            int64_t now_ns, std::string* out, DeferredReply* deferred);

// {"success":true,"code":200,"data": of an accepted publish.
inline constexpr std::string_view kAcceptedHead = "{\"success\":true,\"code\":200,\"data\":";
// The envelope of a fault that came after the publish was accepted: with its data, which is not
// closed yet, and neither is what is appended.
void AppendUnacknowledged(std::string* out, const Fault& fault, std::string_view data);
// What the publish asks for.
PublishAck AckOf(const Site& site, const Exchange& exchange);
// Why it cannot be had, before anything is published.
std::optional<Fault> CheckAck(Site& site, const PublishAck& ack);
// What a refused publish is told; `is_array` if it has to be told which of the events it was.
Fault PublishFault(const Options& options, const PublishResult& result, bool is_array);

// Appends the id that the stream carries, to stand within a JSON string.
void AppendEventId(std::string* out, const Epoch& epoch, const Event& event, uint64_t sequence);

// Counts an accepted publish of so many body bytes.
void CountPublish(Site& site, size_t events, const PublishResult& result, size_t body_bytes);

}  // namespace sluice::http
