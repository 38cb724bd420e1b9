// The reply to a request whose body is whole.
#include <algorithm>

#include "event/aside.h"
#include "http/answer_parts.h"
#include "http/exchange.h"
#include "http/publish_answer.h"
#include "http/reply.h"

namespace sluice::http {
namespace {

// Everything of the page comes from the gateway itself; nothing may frame it or be framed.
constexpr std::string_view kPageLines =
    "Content-Security-Policy: default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n";

// A reader that retries by itself is told within a stream, as any status but 200 would end it for
// good; everyone else gets the status.
Outcome RefuseStream(Site& site, const Exchange& exchange, const Admission& admission,
                     int64_t now_ns, std::string* out) {
  const Refusal refusal = *admission.refusal;
  if (!exchange.accepts_event_stream) {
    return Refuse(site, exchange, {refusal, "open the stream again after Retry-After seconds"},
                  admission.retry_ms, now_ns, out);
  }
  site.counters().refusals(refusal).Add();
  AppendStreamHead(out, HeadOf(site, exchange, now_ns));
  AppendError(out, Word(refusal), Explanation(refusal), admission.retry_ms);
  return Outcome::kClose;
}

Outcome AnswerStream(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out) {
  if (exchange.is_head) {
    AppendStreamHead(out, HeadOf(site, exchange, now_ns));
    return Outcome::kClose;
  }
  const Admission admission = site.services().subscriptions->Admit(exchange.stream);
  if (admission.refusal) return RefuseStream(site, exchange, admission, now_ns, out);
  site.counters().streams_total.Add();
  AppendStreamHead(out, HeadOf(site, exchange, now_ns));
  AppendOpening(out, admission.last_id, admission.retry_ms);
  out->append(admission.after_opening);
  return Outcome::kStream;
}

Outcome AnswerAsset(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out) {
  const PageAsset& asset = *exchange.route.asset;
  ReplyHead head = HeadOf(site, exchange, now_ns);
  const std::string lines =
      std::string("ETag: ").append(asset.etag).append("\r\n").append(kPageLines);
  head.status = exchange.is_not_modified ? 304 : 200;
  head.content_type = asset.content_type;
  head.cache = "no-cache";  // may be kept, but is asked about each time
  head.extra_lines = lines;
  AppendReply(out, head, asset.bytes);
  return OutcomeOf(exchange);
}

Outcome AnswerOptions(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out) {
  ReplyHead head = HeadOf(site, exchange, now_ns);
  head.status = 204;
  std::string lines(exchange.route.kind == RouteKind::kNone ? "Allow: GET, HEAD, POST, OPTIONS\r\n"
                                                            : AllowLine(exchange));
  if (exchange.is_preflight) lines.append(kPreflightLines);
  head.extra_lines = lines;
  AppendReply(out, head, {});
  return OutcomeOf(exchange);
}

Outcome AnswerDelivery(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out) {
  const DeliveryReport report = site.services().reports->Delivery(exchange.event_id);
  if (report.refusal) {
    return Refuse(site, exchange, {*report.refusal, report.text}, 0, now_ns, out);
  }
  AppendReply(out, HeadOf(site, exchange, now_ns),
              std::string(kAcceptedHead).append(report.text).append("}"));
  return OutcomeOf(exchange);
}

// The page is gathered in turns to come.
Outcome AnswerTopics(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out,
                     DeferredReply* deferred) {
  if (site.services().topics == nullptr) {
    return Refuse(site, exchange, {Refusal::kNotFound, "no topics are told here"}, 0, now_ns, out);
  }
  deferred->page = site.services().topics->AskTopics(exchange.topics);
  return Outcome::kWaits;
}

Outcome AnswerReady(Site& site, const Exchange& exchange, int64_t now_ns, std::string* out) {
  http::Reports& reports = *site.services().reports;
  if (exchange.is_for_publish) {
    if (const auto refusal = reports.NotReadyToPublish()) {
      return Refuse(site, exchange, {*refusal, "no event can be taken now"}, kBusyRetryMs, now_ns,
                    out);
    }
  } else if (const auto refusal = reports.NotReady()) {
    return Refuse(site, exchange, {*refusal, "no subscriber can be taken now"}, kBusyRetryMs,
                  now_ns, out);
  }
  AppendReply(out, HeadOf(site, exchange, now_ns),
              "{\"success\":true,\"code\":200,\"data\":{\"status\":\"ready\"}}");
  return OutcomeOf(exchange);
}

}  // namespace

ReplyHead HeadOf(Site& site, const Exchange& exchange, int64_t now_ns) {
  ReplyHead head;
  head.date_line = site.DateLine(now_ns);
  head.cors_lines = exchange.cors_lines;
  head.closes = exchange.closes;
  head.is_http10 = exchange.is_http10;
  head.omits_body = exchange.is_head;
  return head;
}

Outcome OutcomeOf(const Exchange& exchange) {
  return exchange.closes ? Outcome::kClose : Outcome::kKeep;
}

std::string_view AllowLine(const Exchange& exchange) {
  return IsPublish(exchange.route.kind) ? "Allow: POST, OPTIONS\r\n"
                                        : "Allow: GET, HEAD, OPTIONS\r\n";
}

Outcome Refuse(Site& site, const Exchange& exchange, const Fault& fault, uint32_t retry_ms,
               int64_t now_ns, std::string* out) {
  site.counters().refusals(fault.refusal).Add();
  ReplyHead head = HeadOf(site, exchange, now_ns);
  head.status = HttpStatus(fault.refusal);
  std::string lines;
  if (fault.refusal == Refusal::kKeyMissing) {
    lines = "WWW-Authenticate: Bearer realm=\"sluice\"\r\n";
  } else if (fault.refusal == Refusal::kKeyWrong) {
    lines = "WWW-Authenticate: Bearer realm=\"sluice\", error=\"invalid_token\"\r\n";
  } else if (fault.refusal == Refusal::kMethodNotAllowed) {
    lines = AllowLine(exchange);
  } else if (head.status == 503 || head.status == 429) {
    lines = "Retry-After: ";
    AppendNumber(&lines, std::max<uint32_t>(1, (retry_ms + 999) / 1'000));
    lines.append("\r\n");
  }
  head.extra_lines = lines;
  std::string envelope;
  AppendFaultEnvelope(&envelope, fault);
  AppendReply(out, head, envelope);
  return OutcomeOf(exchange);
}

Outcome AnswerFault(Site& site, const Exchange& exchange, const Fault& fault, int64_t now_ns,
                    std::string* out) {
  return Refuse(site, exchange, fault, kBusyRetryMs, now_ns, out);
}

Outcome AnswerPage(Site& site, const Exchange& exchange, DeferredReply& deferred, int64_t now_ns,
                   std::string* out) {
  if (!deferred.page->GoOn(now_ns)) return Outcome::kWaits;
  AppendReply(out, HeadOf(site, exchange, now_ns),
              std::string(kAcceptedHead).append(deferred.page->text()).append("}"));
  deferred.page.reset();
  return OutcomeOf(exchange);
}

Outcome Answer(Site& site, const Exchange& exchange, std::string_view body, int64_t now_ns,
               std::string* out, DeferredReply* deferred) {
  if (exchange.fault) return AnswerFault(site, exchange, *exchange.fault, now_ns, out);
  if (exchange.is_options) return AnswerOptions(site, exchange, now_ns, out);
  switch (exchange.route.kind) {
    case RouteKind::kBroadcast:
    case RouteKind::kPublish:
      return AnswerPublish(site, exchange, body, now_ns, out, deferred);
    case RouteKind::kPublishEvents:
      return AnswerPublishEvents(site, exchange, body, now_ns, out, deferred);
    case RouteKind::kStream:
      return AnswerStream(site, exchange, now_ns, out);
    case RouteKind::kStats:
      AppendReply(out, HeadOf(site, exchange, now_ns),
                  site.services().reports->Stats(exchange.is_pretty));
      return OutcomeOf(exchange);
    case RouteKind::kDeliveries:
      return AnswerDelivery(site, exchange, now_ns, out);
    case RouteKind::kTopics:
      return AnswerTopics(site, exchange, now_ns, out, deferred);
    case RouteKind::kHealthz:
      AppendReply(out, HeadOf(site, exchange, now_ns),
                  "{\"success\":true,\"code\":200,\"data\":{\"status\":\"ok\"}}");
      return OutcomeOf(exchange);
    case RouteKind::kReadyz:
      return AnswerReady(site, exchange, now_ns, out);
    case RouteKind::kAsset:
      return AnswerAsset(site, exchange, now_ns, out);
    case RouteKind::kNone:
      break;
  }
  return AnswerFault(site, exchange, Fault(Refusal::kNotFound, "no such path"), now_ns, out);
}

}  // namespace sluice::http
