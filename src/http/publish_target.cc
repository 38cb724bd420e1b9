#include "http/publish_target.h"

#include <algorithm>
#include <array>

#include "event/topic.h"
#include "http/target.h"

namespace sluice::http {
namespace {

Fault Wrong(std::string detail) { return {Refusal::kInvalidParameter, std::move(detail)}; }

class QueryReader {
 public:
  QueryReader(PublishForm form, uint32_t topics_max, PublishTarget* target)
      : form_(form), topics_max_(topics_max), target_(*target) {}

  std::optional<Fault> Read(std::string_view query) {
    std::string scratch;
    for (QueryPair pair; TakePair(&query, &pair);) {
      const auto name = DecodedName(pair, &scratch);
      if (!name || !IsPercentEncoded(pair.value)) {
        return Wrong("the query has a '%' without two hexadecimal digits after it");
      }
      if (auto fault = Take(*name, pair.value)) return fault;
    }
    return std::nullopt;
  }

  std::optional<Fault> TakeTopic(std::string_view name, std::string_view where) {
    if (const auto fault = CheckTopicName(name)) {
      return Fault(Refusal::kInvalidTopic, std::string(where) + fault->Describe(name));
    }
    target_.topics.Add(name);
    if (target_.topics.size() <= topics_max_) return std::nullopt;
    return Fault(Refusal::kInvalidTopic, "an event goes to " + std::to_string(topics_max_) +
                                             " topics at most (topics.per_event_max)");
  }

 private:
  enum Field : uint8_t { kEvent, kId, kRetry, kKey, kIdempotent, kAck, kFieldCount };
  static constexpr std::array<std::string_view, kFieldCount> kNames = {
      "event", "id", "retry", "key", "idempotent", "ack"};

  std::optional<Fault> Take(std::string_view name, std::string_view value) {
    if (name == "topic") return TakeTopicOfQuery(value);
    const auto at = std::find(kNames.begin(), kNames.end(), name);
    if (at == kNames.end()) return std::nullopt;
    const auto field = static_cast<Field>(at - kNames.begin());
    if (form_ == PublishForm::kEvents && field != kIdempotent && field != kAck) {
      return Wrong("POST /publish takes " + std::string(name) +
                   " in each event's JSON, not in the query");
    }
    if ((seen_ >> field & 1) != 0) {
      return Wrong("the parameter " + std::string(name) + " may stand only once");
    }
    seen_ |= 1u << field;
    return TakeField(field, value);
  }

  std::optional<Fault> TakeField(Field field, std::string_view value) {
    std::string small;
    switch (field) {
      case kEvent:
        PercentDecode(value, true, &target_.event_name);
        return CheckEventName(target_.event_name);
      case kId:
        PercentDecode(value, true, &target_.id);
        if (!IsPublisherId(target_.id)) return Wrong(std::string(kEventIdRule));
        return std::nullopt;
      case kKey:
        PercentDecode(value, true, &target_.key);
        if (!IsEventKey(target_.key)) return Wrong(std::string(kEventKeyRule));
        return std::nullopt;
      case kRetry:
        PercentDecode(value, true, &small);
        if (!ParseEventRetry(small, &target_.retry_ms)) return Wrong(std::string(kEventRetryRule));
        return std::nullopt;
      case kAck:
        PercentDecode(value, true, &small);
        target_.ack = ParsePublishAck(small);
        if (!target_.ack) return Wrong(std::string(kPublishAckRule));
        return std::nullopt;
      default:
        PercentDecode(value, true, &small);
        if (small != "id") return Wrong("the parameter idempotent takes the one value id");
        target_.once_by = PublishOnce::By::kEventIds;
        return std::nullopt;
    }
  }

  std::optional<Fault> TakeTopicOfQuery(std::string_view value) {
    switch (form_) {
      case PublishForm::kBroadcast:
        return Wrong("a broadcast has no topics: POST /publish/TOPIC takes them");
      case PublishForm::kEvents:
        return Wrong("POST /publish takes topics in each event's JSON, not in the query");
      case PublishForm::kTopics:
        break;
    }
    target_.scratch.clear();
    PercentDecode(value, true, &target_.scratch);
    return TakeTopic(target_.scratch, "the parameter topic, ");
  }

  const PublishForm form_;
  const uint32_t topics_max_;
  PublishTarget& target_;
  uint32_t seen_ = 0;  // bit n: field n
};

std::optional<Fault> TakeIdempotencyKey(const RequestHead& head, PublishTarget* target) {
  if (!head.has_idempotency_key) return std::nullopt;
  const std::string_view key = head.idempotency_key;
  const bool is_visible =
      std::all_of(key.begin(), key.end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (key.empty() || key.size() > kIdempotencyKeyBytesMax || !is_visible) {
    return Fault(Refusal::kInvalidIdempotencyKey,
                 "Idempotency-Key is 1 to 128 visible ASCII characters");
  }
  if (target->once_by != PublishOnce::By::kNothing) {
    return Fault(Refusal::kInvalidIdempotencyKey,
                 "send Idempotency-Key or idempotent=id, not both");
  }
  target->once_by = PublishOnce::By::kKey;
  target->idempotency_key.assign(key);
  return std::nullopt;
}

}  // namespace

void PublishTarget::Clear() {
  event_name.clear();
  id.clear();
  key.clear();
  retry_ms = 0;
  topics.Clear();
  once_by = PublishOnce::By::kNothing;
  idempotency_key.clear();
  ack.reset();
}

Event PublishTarget::EventOf(std::string_view data) const {
  return {.data = data,
          .type = event_name,
          .topics = topics.Views(),
          .id = id,
          .key = key,
          .retry_ms = retry_ms};
}

std::optional<Fault> ReadPublishTarget(PublishForm form, std::string_view path_topic,
                                       std::string_view query, const RequestHead& head,
                                       uint32_t topics_max, PublishTarget* target) {
  if (form == PublishForm::kTopics || !query.empty()) {
    QueryReader reader(form, topics_max, target);
    if (form == PublishForm::kTopics) {
      if (auto fault = reader.TakeTopic(path_topic, "the path's topic, ")) return fault;
    }
    if (auto fault = reader.Read(query)) return fault;
  }
  if (auto fault = TakeIdempotencyKey(head, target)) return fault;
  if (form != PublishForm::kEvents && target->once_by == PublishOnce::By::kEventIds &&
      target->id.empty()) {
    return Wrong("idempotent=id asks for an id of the event: add id=");
  }
  return std::nullopt;
}

}  // namespace sluice::http
