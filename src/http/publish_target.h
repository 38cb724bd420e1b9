// What the head of a publish says of its event, or of its events: the topic of the path, the query,
// Idempotency-Key.
//
//   POST /broadcast?event=&id=&retry=&key=&idempotent=id&ack=        an event without topics
//   POST /publish/TOPIC?topic=...&event=&id=&retry=&key=&idempotent=id&ack=
//   POST /publish?idempotent=id&ack=                    the events say the rest themselves, in JSON
//
// Thread: a value.
// Owner:  its memory is used again by the next publish of the connection.
// Errors: a Fault that says which parameter. Parameters that are not known are read over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/event_fields.h"
#include "http/fault.h"
#include "http/publish_ack.h"
#include "http/request_head.h"
#include "http/services.h"

namespace sluice::http {

inline constexpr size_t kIdempotencyKeyBytesMax = 128;

enum class PublishForm : uint8_t {
  kBroadcast,  // the body is the data of an event without topics
  kTopics,     // ... of an event to the path's topic, and to those of the query
  kEvents,     // the body is one event in JSON, an array of them, or one a line
};

struct PublishTarget {
  std::string event_name;
  std::string id;
  std::string key;
  uint32_t retry_ms = 0;
  TopicNames topics;
  PublishOnce::By once_by = PublishOnce::By::kNothing;
  std::string idempotency_key;
  std::optional<PublishAck> ack;  // nothing: as configured
  std::string scratch;            // what is being decoded

  void Clear();
  PublishOnce once() const { return {once_by, idempotency_key}; }
  // The event with this data; it points into this.
  Event EventOf(std::string_view data) const;
};

// `path_topic` is decoded, and only looked at for kTopics. `target` is clear.
std::optional<Fault> ReadPublishTarget(PublishForm form, std::string_view path_topic,
                                       std::string_view query, const RequestHead& head,
                                       uint32_t topics_max, PublishTarget* target);

}  // namespace sluice::http
