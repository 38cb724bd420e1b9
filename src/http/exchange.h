// One request and its answer, in two steps: what the head alone decides (route, authority, kind of
// body), and, once the body is whole, the reply.
//
//   head ─► Decide ─► Exchange ─► (body) ─► Answer ─► reply bytes, Outcome
//
// Thread: the session's.
// Owner:  an Exchange holds nothing of the head's bytes; its views are of the Site.
// Errors: a fault is no failure of the functions: it becomes the reply.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/fault.h"
#include "http/media_type.h"
#include "http/publish_target.h"
#include "http/request_head.h"
#include "http/services.h"
#include "http/session.h"
#include "http/site.h"

namespace sluice::http {

struct Exchange {
  Route route;
  bool is_head = false;  // answered without its body
  bool is_options = false;
  bool is_preflight = false;
  bool is_http10 = false;
  bool closes = false;  // after the reply
  bool accepts_event_stream = false;
  bool is_pretty = false;       // ?pretty
  bool is_for_publish = false;  // /readyz?for=publish
  bool is_not_modified = false;
  BodyKind body_kind = BodyKind::kJson;
  std::string_view cors_lines;
  PublishTarget publish;       // of a publish; its memory is used again
  StreamRequest stream;        // of a stream
  std::string event_id;        // of kDeliveries
  TopicsRequest topics;        // of kTopics
  std::optional<Fault> fault;  // known before the body: the body is then read over
};

enum class Outcome : uint8_t {
  kKeep,
  kClose,
  kStream,
  kWaits,  // nothing is answered yet: AnswerDeferred is to be called, until it is; AnswerPage, if
           // it is a page that the reply waits for
};

// The reply to a publish that was accepted and waits for its acknowledgement; or a page that is
// gathered.
struct DeferredReply {
  AckWait wait;
  std::string data;  // the envelope's, as far as it is known, without its closing brace
  bool is_array = false;
  bool is_replayed = false;
  std::unique_ptr<TopicsPage> page = nullptr;  // null: a publish
};

// Overwrites `exchange`.
void Decide(Site& site, const PeerFacts& peer, const RequestHead& head, Exchange* exchange);

// Appends the reply to a request whose body is whole; one that has to wait is in `*deferred`.
Outcome Answer(Site& site, const Exchange& exchange, std::string_view body, int64_t now_ns,
               std::string* out, DeferredReply* deferred);
Outcome AnswerDeferred(Site& site, const Exchange& exchange, const DeferredReply& deferred,
                       int64_t now_ns, std::string* out);
Outcome AnswerPage(Site& site, const Exchange& exchange, DeferredReply& deferred, int64_t now_ns,
                   std::string* out);

// Appends the reply of a fault that came after Decide, or without one.
Outcome AnswerFault(Site& site, const Exchange& exchange, const Fault& fault, int64_t now_ns,
                    std::string* out);

}  // namespace sluice::http
