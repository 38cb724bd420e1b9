// What the head of a request decides.
#include "http/authority.h"
#include "http/exchange.h"
#include "http/stream_target.h"
#include "http/target.h"
#include "http/topics_target.h"

namespace sluice::http {
namespace {

std::optional<Fault> CheckMethod(const Exchange& exchange, Method method) {
  const bool takes_post = IsPublish(exchange.route.kind);
  const bool is_taken =
      method == Method::kOptions ||
      (takes_post ? method == Method::kPost : method == Method::kGet || method == Method::kHead);
  if (is_taken) return std::nullopt;
  return Fault(Refusal::kMethodNotAllowed,
               takes_post ? "this path takes POST" : "this path takes GET and HEAD");
}

PublishForm FormOf(RouteKind kind) {
  switch (kind) {
    case RouteKind::kPublish:
      return PublishForm::kTopics;
    case RouteKind::kPublishEvents:
      return PublishForm::kEvents;
    default:
      return PublishForm::kBroadcast;
  }
}

std::optional<Fault> DecidePublish(Site& site, const PeerFacts& peer, const RequestHead& head,
                                   const Target& target, std::optional<std::string_view> topic,
                                   Exchange* exchange) {
  const PublishForm form = FormOf(exchange->route.kind);
  if (!head.has_length && !head.is_chunked) {
    exchange->closes = true;  // whatever follows may be the body it should have announced
    return Fault(Refusal::kLengthRequired, "send a Content-Length, or a chunked body");
  }
  // Looked at first, told second: a stream of lines is framed as one even if it is refused.
  auto wrong_type = CheckMediaType(head.content_type, head.content_encoding,
                                   form == PublishForm::kEvents, &exchange->body_kind);
  if (auto fault = CheckAuthority(head, target, site.keys(), site.options().keyless_publish,
                                  peer.is_loopback)) {
    return fault;
  }
  if (wrong_type) return wrong_type;
  if (auto fault = ReadPublishTarget(form, topic.value_or(""), target.query, head,
                                     site.options().topics_per_event_max, &exchange->publish)) {
    return fault;
  }
  if (exchange->body_kind == BodyKind::kLines &&
      exchange->publish.once_by == PublishOnce::By::kKey) {
    return Fault(Refusal::kInvalidIdempotencyKey,
                 "one Idempotency-Key cannot stand for a stream of lines: use idempotent=id");
  }
  return std::nullopt;
}

std::optional<Fault> DecideStats(Site& site, const PeerFacts& peer, const RequestHead& head,
                                 const Target& target, Exchange* exchange) {
  if (!peer.is_admin_listener) {
    if (auto fault = CheckAuthority(head, target, site.keys(), site.options().keyless_publish,
                                    peer.is_loopback)) {
      return fault;
    }
  }
  std::string value;
  switch (FindInQuery(target.query, "pretty", &value)) {
    case QueryFind::kMalformed:
      return Fault(Refusal::kInvalidParameter,
                   "the query has a '%' without two hexadecimal digits after it");
    case QueryFind::kFound:
    case QueryFind::kTwice:
      exchange->is_pretty = value != "0" && value != "false";
      break;
    case QueryFind::kAbsent:
      break;
  }
  return std::nullopt;
}

std::optional<Fault> DecideReady(const Target& target, Exchange* exchange) {
  std::string value;
  const QueryFind found = FindInQuery(target.query, "for", &value);
  if (found == QueryFind::kAbsent) return std::nullopt;
  exchange->is_for_publish = value == "publish";
  if (found == QueryFind::kFound && (value == "publish" || value == "stream")) return std::nullopt;
  return Fault(Refusal::kInvalidParameter, "`for` is publish or stream, once");
}

std::string WhatIsThere(const Site& site, bool is_admin_listener) {
  if (is_admin_listener) {
    return "this listener serves /stats, /deliveries/ID, /topics, /healthz and /readyz";
  }
  const Options& options = site.options();
  const std::string& stream = options.stream_paths.front();
  return "streams are at " + stream + " and " + stream + "/TOPIC, publishes go to " +
         options.broadcast_paths.front() + ", /publish/TOPIC and /publish";
}

// As it is written if it needs no decoding, which is nearly always; else decoded into `path`, which
// the topic then points into.
std::optional<Fault> FindRoute(Site& site, const PeerFacts& peer, const Target& target,
                               std::string* path, std::optional<std::string_view>* topic,
                               Exchange* exchange) {
  std::string_view decoded = target.path;
  if (decoded.find('%') != std::string_view::npos) {
    if (!PercentDecode(target.path, false, path)) {
      return Fault(Refusal::kBadRequest,
                   "the path has a '%' without two hexadecimal digits after it");
    }
    decoded = *path;
  }
  exchange->route = site.FindRoute(decoded, peer.is_admin_listener, topic);
  if (exchange->route.kind != RouteKind::kNone) return std::nullopt;
  return Fault(Refusal::kNotFound, WhatIsThere(site, peer.is_admin_listener));
}

bool NamesETag(std::string_view if_none_match, std::string_view etag) {
  return if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos;
}

std::optional<Fault> DecideRoute(Site& site, const PeerFacts& peer, const RequestHead& head,
                                 Exchange* exchange) {
  if (head.has_unknown_expectation) {
    exchange->closes = true;
    return Fault(Refusal::kExpectationFailed, "the only expectation met is 100-continue");
  }
  Target target;
  if (!SplitTarget(head.target, &target)) {
    return Fault(Refusal::kBadRequest, "the request target is neither a path nor an http address");
  }
  // "OPTIONS *" asks about the server as a whole.
  if (target.path == "*" && head.method == Method::kOptions) return std::nullopt;
  std::string path;
  std::optional<std::string_view> topic;
  if (auto fault = FindRoute(site, peer, target, &path, &topic, exchange)) return fault;
  if (auto fault = CheckMethod(*exchange, head.method)) return fault;
  if (head.method == Method::kOptions) return std::nullopt;
  switch (exchange->route.kind) {
    case RouteKind::kBroadcast:
    case RouteKind::kPublish:
    case RouteKind::kPublishEvents:
      return DecidePublish(site, peer, head, target, topic, exchange);
    case RouteKind::kStream:
      exchange->stream = StreamRequest{};
      return ReadStreamTarget(topic, target.query, head, site.options().topics_per_subscription_max,
                              &exchange->stream);
    case RouteKind::kDeliveries:
      exchange->event_id = topic.value_or("");
      [[fallthrough]];
    case RouteKind::kStats:
      return DecideStats(site, peer, head, target, exchange);
    case RouteKind::kTopics:
      if (auto fault = DecideStats(site, peer, head, target, exchange)) return fault;
      return ReadTopicsTarget(target.query, &exchange->topics);
    case RouteKind::kReadyz:
      return DecideReady(target, exchange);
    case RouteKind::kAsset:
      exchange->is_not_modified = NamesETag(head.if_none_match, exchange->route.asset->etag);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

void Decide(Site& site, const PeerFacts& peer, const RequestHead& head, Exchange* exchange) {
  exchange->route = Route{};
  exchange->is_head = head.method == Method::kHead;
  exchange->is_options = head.method == Method::kOptions;
  exchange->is_preflight = head.is_preflight;
  exchange->is_http10 = head.is_http10;
  exchange->closes = !head.keep_alive;
  exchange->accepts_event_stream = head.accepts_event_stream;
  exchange->is_pretty = false;
  exchange->is_for_publish = false;
  exchange->is_not_modified = false;
  exchange->body_kind = BodyKind::kJson;
  exchange->cors_lines = site.cors().Lines(head.origin);
  exchange->publish.Clear();
  exchange->fault = DecideRoute(site, peer, head, exchange);
}

}  // namespace sluice::http
