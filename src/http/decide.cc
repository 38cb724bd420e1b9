// What the head of a request decides.
#include "base/utf8.h"
#include "http/authority.h"
#include "http/exchange.h"
#include "http/target.h"

namespace sluice::http {
namespace {

constexpr size_t kEventNameBytesMax = 256;

std::optional<Fault> CheckMethod(const Exchange& exchange, Method method) {
  const bool takes_post = exchange.route.kind == RouteKind::kBroadcast;
  const bool is_taken =
      method == Method::kOptions ||
      (takes_post ? method == Method::kPost : method == Method::kGet || method == Method::kHead);
  if (is_taken) return std::nullopt;
  return Fault(Refusal::kMethodNotAllowed,
               takes_post ? "this path takes POST" : "this path takes GET and HEAD");
}

std::optional<Fault> TakeEventName(std::string_view query, Exchange* exchange) {
  if (query.empty()) return std::nullopt;
  switch (FindInQuery(query, "event", &exchange->event_name)) {
    case QueryFind::kMalformed:
      return Fault(Refusal::kInvalidParameter,
                   "the query has a '%' without two hexadecimal digits after it");
    case QueryFind::kTwice:
      return Fault(Refusal::kInvalidParameter, "the parameter event may stand only once");
    case QueryFind::kAbsent:
    case QueryFind::kFound:
      break;
  }
  return CheckEventName(exchange->event_name);
}

std::optional<Fault> DecideBroadcast(Site& site, const PeerFacts& peer, const RequestHead& head,
                                     const Target& target, Exchange* exchange) {
  if (!head.has_length && !head.is_chunked) {
    exchange->closes = true;  // whatever follows may be the body it should have announced
    return Fault(Refusal::kLengthRequired, "send a Content-Length, or a chunked body");
  }
  if (auto fault = CheckAuthority(head, target, site.keys(), site.options().keyless_publish,
                                  peer.is_loopback)) {
    return fault;
  }
  if (auto fault = CheckMediaType(head.content_type, head.content_encoding, &exchange->body_kind)) {
    return fault;
  }
  return TakeEventName(target.query, exchange);
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

// As it is written if it needs no decoding, which is nearly always.
std::optional<Fault> FindRoute(Site& site, const PeerFacts& peer, const Target& target,
                               Exchange* exchange) {
  if (target.path.find('%') == std::string_view::npos) {
    exchange->route = site.FindRoute(target.path, peer.is_admin_listener);
  } else {
    std::string path;
    if (!PercentDecode(target.path, false, &path)) {
      return Fault(Refusal::kBadRequest,
                   "the path has a '%' without two hexadecimal digits after it");
    }
    exchange->route = site.FindRoute(path, peer.is_admin_listener);
  }
  if (exchange->route.kind == RouteKind::kNone) {
    return Fault(Refusal::kNotFound, peer.is_admin_listener
                                         ? "this listener serves /stats, /healthz and /readyz"
                                         : "streams are at " + site.options().stream_paths.front() +
                                               ", publishes go to " +
                                               site.options().broadcast_paths.front());
  }
  return std::nullopt;
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
  if (auto fault = FindRoute(site, peer, target, exchange)) return fault;
  if (auto fault = CheckMethod(*exchange, head.method)) return fault;
  if (head.method == Method::kOptions) return std::nullopt;
  switch (exchange->route.kind) {
    case RouteKind::kBroadcast:
      return DecideBroadcast(site, peer, head, target, exchange);
    case RouteKind::kStats:
      return DecideStats(site, peer, head, target, exchange);
    case RouteKind::kAsset:
      exchange->is_not_modified = NamesETag(head.if_none_match, exchange->route.asset->etag);
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

}  // namespace

std::optional<Fault> CheckEventName(std::string_view name) {
  const auto invalid = [](std::string detail) {
    return Fault(Refusal::kInvalidEventName, std::move(detail));
  };
  if (name.empty()) return std::nullopt;
  if (name.size() > kEventNameBytesMax) {
    return invalid("an event name has 256 bytes at most, this one has " +
                   std::to_string(name.size()));
  }
  if (name.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return invalid("an event name is one line: CR, LF and NUL cannot stand in it");
  }
  if (Utf8ValidPrefix(name) != name.size()) return invalid("an event name is UTF-8");
  if (name.starts_with("sluice.")) {
    return invalid("names that begin with sluice. are the gateway's own");
  }
  if (name == "error" || name == "open") {
    return invalid("EventSource fires \"" + std::string(name) +
                   "\" itself: choose another event name");
  }
  return std::nullopt;
}

void Decide(Site& site, const PeerFacts& peer, const RequestHead& head, Exchange* exchange) {
  exchange->route = Route{};
  exchange->is_head = head.method == Method::kHead;
  exchange->is_options = head.method == Method::kOptions;
  exchange->is_preflight = head.is_preflight;
  exchange->is_http10 = head.is_http10;
  exchange->closes = !head.keep_alive;
  exchange->accepts_event_stream = head.accepts_event_stream;
  exchange->is_pretty = false;
  exchange->is_not_modified = false;
  exchange->body_kind = BodyKind::kJson;
  exchange->cors_lines = site.cors().Lines(head.origin);
  exchange->event_name.clear();
  exchange->stream = StreamRequest{};
  exchange->fault = DecideRoute(site, peer, head, exchange);
}

}  // namespace sluice::http
