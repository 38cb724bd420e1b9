#include "http/publish_answer.h"

#include <vector>

#include "base/json_escape.h"
#include "http/answer_parts.h"
#include "http/json_text.h"

namespace sluice::http {
namespace {

constexpr std::string_view kReplayedLines =
    "Idempotency-Replayed: true\r\n"
    "Access-Control-Expose-Headers: Idempotency-Replayed\r\n";

std::optional<Fault> CheckBody(const Site& site, const Exchange& exchange, std::string_view body) {
  if (exchange.body_kind == BodyKind::kJson) {
    if (const auto fault = CheckJson(body, site.options().json_depth_max)) {
      return Fault(Refusal::kInvalidJson, fault->Describe(body));
    }
  } else if (const auto offset = FindInvalidUtf8(body)) {
    return Fault(Refusal::kInvalidUtf8, "at byte " + std::to_string(*offset) + " of " +
                                            std::to_string(body.size()) + ": send UTF-8");
  }
  return std::nullopt;
}

// A buffer that stays: one thread answers for a site, and this is the path of every publish.
std::string& EmptyReply() {
  constexpr size_t kKeptBytesMax = 64 * 1024;
  thread_local std::string reply;
  if (reply.capacity() > kKeptBytesMax) reply = std::string();
  reply.clear();
  return reply;
}

Outcome Accept(Site& site, const Exchange& exchange, bool is_replayed, int64_t now_ns,
               std::string_view reply, std::string* out) {
  ReplyHead head = HeadOf(site, exchange, now_ns);
  if (is_replayed) head.extra_lines = kReplayedLines;
  AppendReply(out, head, reply);
  return OutcomeOf(exchange);
}

}  // namespace

void AppendEventId(std::string* out, const Epoch& epoch, const Event& event, uint64_t sequence) {
  if (!event.id.empty()) return AppendJsonEscaped(out, event.id);
  out->append(epoch.text()).push_back('-');
  AppendNumber(out, sequence);
}

void AppendUnacknowledged(std::string* out, const Fault& fault, std::string_view data) {
  AppendFaultEnvelope(out, fault);
  out->pop_back();
  out->append(",\"data\":").append(data).append("}");
}

PublishAck AckOf(const Site& site, const Exchange& exchange) {
  return exchange.publish.ack.value_or(site.publish_ack());
}

std::optional<Fault> CheckAck(Site& site, const PublishAck& ack) {
  if (!ack.waits()) return std::nullopt;
  const auto refusal = site.services().publisher->CannotAck(ack);
  if (!refusal) return std::nullopt;
  if (*refusal == Refusal::kJournalUnavailable) {
    return Fault(*refusal,
                 "nothing was published: the journal keeps nothing now; send it again "
                 "later, or with ack=memory");
  }
  return Fault(*refusal, "this gateway keeps no journal: written and synced need one (--journal)");
}

void CountPublish(Site& site, size_t events, const PublishResult& result, size_t body_bytes) {
  HttpCounters& counters = site.counters();
  if (result.replays != 0) counters.replays_total.Add(result.replays);
  if (result.replays == events) return;
  counters.publishes_total.Add(events - result.replays);
  counters.publish_bytes_total.Add(body_bytes);
}

Fault PublishFault(const Options& options, const PublishResult& result, bool is_array) {
  const Refusal refusal = *result.refusal;
  const std::string where =
      is_array ? "event " + std::to_string(result.refused_event + 1) + ": " : "";
  switch (refusal) {
    case Refusal::kFrameTooLarge:
      return {refusal, where + "with its data: lines it is longer than " +
                           std::to_string(options.frame_bytes_max) +
                           " bytes (event.frame_bytes_max)"};
    case Refusal::kBatchTooLarge:
      return {refusal,
              "an array has to fit on the ring: " + std::to_string(options.ring_events_max) +
                  " events (ring.events_max) of " + std::to_string(options.ring_bytes_max) +
                  " bytes (ring.bytes_max)"};
    case Refusal::kRingFull:
      return {refusal, "nothing was published: send it again after Retry-After seconds"};
    case Refusal::kIdempotencyKeyReused:
      return {refusal, where + "nothing was published: it came with another event before"};
    default:
      return {refusal, "nothing was published: send it again later"};
  }
}

namespace {

// A publish whose events are known.
struct Pending {
  Site& site;
  const Exchange& exchange;
  int64_t now_ns;
  std::string* out;
  DeferredReply* deferred;

  Outcome Publish(std::span<const Event> events, bool is_array, size_t body_bytes) const;
  void AppendData(std::span<const Event> events, bool is_array, const PublishResult& result,
                  std::string* data) const;
};

// {"id":"...","subscribers":N or {"ids":["..."],"subscribers":N
void Pending::AppendData(std::span<const Event> events, bool is_array, const PublishResult& result,
                         std::string* data) const {
  const Epoch& epoch = site.services().publisher->epoch();
  data->append(is_array ? "{\"ids\":[" : "{\"id\":");
  for (size_t i = 0; i < events.size(); ++i) {
    data->append(i == 0 ? "\"" : ",\"");
    AppendEventId(data, epoch, events[i], result.first_sequence + i);
    data->append("\"");
  }
  data->append(is_array ? "],\"subscribers\":" : ",\"subscribers\":");
  AppendNumber(data, result.subscribers);
}

Outcome Pending::Publish(std::span<const Event> events, bool is_array, size_t body_bytes) const {
  const PublishAck ack = AckOf(site, exchange);
  const PublishOnce once = exchange.publish.once();
  if (const auto fault = CheckAck(site, ack)) {
    return Refuse(site, exchange, *fault, kBusyRetryMs, now_ns, out);
  }
  const PublishResult result = site.services().publisher->Publish(events, once);
  if (result.refusal) {
    return Refuse(site, exchange, PublishFault(site.options(), result, is_array), kBusyRetryMs,
                  now_ns, out);
  }
  CountPublish(site, events.size(), result, body_bytes);
  const bool is_replayed = result.replays == events.size();
  if (!ack.waits()) {
    std::string& reply = EmptyReply();
    reply.append(kAcceptedHead);
    AppendData(events, is_array, result, &reply);
    reply.append("}}");
    return Accept(site, exchange, is_replayed, now_ns, reply, out);
  }
  deferred->wait = WaitFor(ack, once.by, events.size(), result, site.AckUntilNs(now_ns));
  deferred->is_array = is_array;
  deferred->is_replayed = is_replayed;
  deferred->data.clear();
  AppendData(events, is_array, result, &deferred->data);
  const Outcome outcome = AnswerDeferred(site, exchange, *deferred, now_ns, out);
  if (outcome == Outcome::kWaits) site.counters().ack_waits_total.Add();
  return outcome;
}

}  // namespace

Outcome AnswerPublish(Site& site, const Exchange& exchange, std::string_view body, int64_t now_ns,
                      std::string* out, DeferredReply* deferred) {
  if (const auto fault = CheckBody(site, exchange, body)) {
    return Refuse(site, exchange, *fault, 0, now_ns, out);
  }
  const Event event = exchange.publish.EventOf(body);
  const Pending pending{
      .site = site, .exchange = exchange, .now_ns = now_ns, .out = out, .deferred = deferred};
  return pending.Publish({&event, 1}, false, body.size());
}

Outcome AnswerPublishEvents(Site& site, const Exchange& exchange, std::string_view body,
                            int64_t now_ns, std::string* out, DeferredReply* deferred) {
  EventReader& reader = site.event_reader();
  const PublishOnce once = exchange.publish.once();
  if (const auto fault = reader.Read(
          body, {.takes_array = true, .needs_ids = once.by == PublishOnce::By::kEventIds})) {
    return Refuse(site, exchange, *fault, 0, now_ns, out);
  }
  const Pending pending{
      .site = site, .exchange = exchange, .now_ns = now_ns, .out = out, .deferred = deferred};
  return pending.Publish(reader.events(), reader.is_array(), body.size());
}

Outcome AnswerDeferred(Site& site, const Exchange& exchange, const DeferredReply& deferred,
                       int64_t now_ns, std::string* out) {
  std::vector<std::optional<uint64_t>> matched;
  const AckResult result = AskAck(*site.services().publisher, deferred.wait, now_ns, &matched);
  if (result.is_pending) return Outcome::kWaits;
  std::string& reply = EmptyReply();
  if (!result.fault) {
    reply.append(kAcceptedHead).append(deferred.data);
    AppendMatched(&reply, matched, deferred.is_array);
    reply.append("}}");
    return Accept(site, exchange, deferred.is_replayed, now_ns, reply, out);
  }
  site.counters().refusals(result.fault->refusal).Add();
  ReplyHead head = HeadOf(site, exchange, now_ns);
  head.status = HttpStatus(result.fault->refusal);
  AppendUnacknowledged(&reply, *result.fault, deferred.data);
  reply.append("}");
  AppendReply(out, head, reply);
  return OutcomeOf(exchange);
}

}  // namespace sluice::http
