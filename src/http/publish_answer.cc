#include "http/publish_answer.h"

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

void AppendPublished(std::string* out, const Epoch& epoch, const Event& event,
                     const PublishResult& result) {
  out->append("{\"success\":true,\"code\":200,\"data\":{\"id\":\"");
  AppendEventId(out, epoch, event, result.first_sequence);
  out->append("\",\"subscribers\":");
  AppendNumber(out, result.subscribers);
  out->append("}");
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

Outcome AnswerPublish(Site& site, const Exchange& exchange, std::string_view body, int64_t now_ns,
                      std::string* out) {
  if (const auto fault = CheckBody(site, exchange, body)) {
    return Refuse(site, exchange, *fault, 0, now_ns, out);
  }
  const Event event = exchange.publish.EventOf(body);
  Publisher& publisher = *site.services().publisher;
  const PublishResult result = publisher.Publish({&event, 1}, exchange.publish.once());
  if (result.refusal) {
    return Refuse(site, exchange, PublishFault(site.options(), result, false), kBusyRetryMs, now_ns,
                  out);
  }
  CountPublish(site, 1, result, body.size());
  std::string& reply = EmptyReply();
  AppendPublished(&reply, publisher.epoch(), event, result);
  reply.append("}");
  return Accept(site, exchange, result.replays != 0, now_ns, reply, out);
}

Outcome AnswerPublishEvents(Site& site, const Exchange& exchange, std::string_view body,
                            int64_t now_ns, std::string* out) {
  EventReader& reader = site.event_reader();
  const PublishOnce once = exchange.publish.once();
  if (const auto fault = reader.Read(
          body, {.takes_array = true, .needs_ids = once.by == PublishOnce::By::kEventIds})) {
    return Refuse(site, exchange, *fault, 0, now_ns, out);
  }
  const std::span<const Event> events = reader.events();
  Publisher& publisher = *site.services().publisher;
  const PublishResult result = publisher.Publish(events, once);
  if (result.refusal) {
    return Refuse(site, exchange, PublishFault(site.options(), result, reader.is_array()),
                  kBusyRetryMs, now_ns, out);
  }
  CountPublish(site, events.size(), result, body.size());
  std::string& reply = EmptyReply();
  if (!reader.is_array()) {
    AppendPublished(&reply, publisher.epoch(), events.front(), result);
    reply.append("}");
    return Accept(site, exchange, result.replays != 0, now_ns, reply, out);
  }
  reply.append("{\"success\":true,\"code\":200,\"data\":{\"ids\":[");
  for (size_t i = 0; i < events.size(); ++i) {
    reply.append(i == 0 ? "\"" : ",\"");
    AppendEventId(&reply, publisher.epoch(), events[i], result.first_sequence + i);
    reply.append("\"");
  }
  reply.append("],\"subscribers\":");
  AppendNumber(&reply, result.subscribers);
  reply.append("}}");
  return Accept(site, exchange, result.replays == events.size(), now_ns, reply, out);
}

}  // namespace sluice::http
