#include "http/event_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "event/topic.h"
#include "http/event_fields.h"
#include "http/json_text.h"

namespace sluice::http {
namespace {

namespace ondemand = simdjson::ondemand;

// Buffers that grew past this for one large text are given back.
constexpr size_t kKeptBytesMax = 64 * 1024;
// Of a wrong name that is shown to its writer.
constexpr size_t kShownBytesMax = 64;

enum Field : uint8_t { kData, kTopics, kEvent, kId, kRetry, kKey, kFieldCount };
constexpr std::array<std::string_view, kFieldCount> kFieldNames = {"data", "topics", "event",
                                                                   "id",   "retry",  "key"};

std::string Quoted(std::string_view name) {
  std::string quoted = "\"";
  quoted.append(name.substr(0, kShownBytesMax));
  if (name.size() > kShownBytesMax) quoted.append("...");
  return quoted.append("\"");
}

}  // namespace

struct EventReader::State {
  explicit State(const Options& options)
      : json_depth_max(options.json_depth_max),
        topics_max(options.topics_per_event_max),
        events_max(options.ring_events_max) {}

  std::optional<Fault> ReadDocument(const Wants& wants);
  std::optional<Fault> ReadArray(ondemand::array array);
  std::optional<Fault> ReadEvent(ondemand::object object);
  std::optional<Fault> ReadField(Field field, ondemand::value* value, Event* event);
  std::optional<Fault> ReadData(ondemand::value* value, Event* event);
  std::optional<Fault> ReadTopics(ondemand::value* value);
  // A string's text.
  std::optional<Fault> ReadText(std::string_view what, ondemand::value* value,
                                std::string_view* text);
  void Begin(std::string_view text);

  // "event 3: " within an array, counted from 1.
  std::string Where() const {
    return is_array ? "event " + std::to_string(events.size() + 1) + ": " : "";
  }
  Fault Wrong(std::string_view what) const {
    return {Refusal::kInvalidEvent, Where().append(what)};
  }

  const uint32_t json_depth_max;
  const uint32_t topics_max;
  const size_t events_max;
  ondemand::parser parser;
  std::string padded;  // the text, with the room behind it that simdjson may read
  bool is_array = false;
  bool needs_ids = false;
  std::vector<Event> events;
  std::vector<std::string_view> topics;  // of all events
  std::vector<size_t> topics_ends;       // of each event, in `topics`
};

void EventReader::State::Begin(std::string_view text) {
  if (padded.capacity() > kKeptBytesMax && text.size() < kKeptBytesMax / 2) {
    padded = std::string();
    parser = ondemand::parser();
    events = {};
    topics = {};
    topics_ends = {};
  }
  padded.reserve(text.size() + simdjson::SIMDJSON_PADDING);
  padded.assign(text);
  events.clear();
  topics.clear();
  topics_ends.clear();
  is_array = false;
}

std::optional<Fault> EventReader::State::ReadDocument(const Wants& wants) {
  needs_ids = wants.needs_ids;
  ondemand::document document;
  ondemand::json_type type;
  const simdjson::padded_string_view view(padded.data(), padded.size(), padded.capacity());
  auto error = parser.iterate(view).get(document);
  if (!error) error = document.type().get(type);
  if (error) return Wrong(simdjson::error_message(error));
  if (type == ondemand::json_type::array && wants.takes_array) {
    ondemand::array array;
    if ((error = document.get_array().get(array))) return Wrong(simdjson::error_message(error));
    is_array = true;
    return ReadArray(array);
  }
  if (type != ondemand::json_type::object) {
    return Wrong(wants.takes_array ? "send an object, or an array of them"
                                   : "an event is an object");
  }
  ondemand::object object;
  if ((error = document.get_object().get(object))) return Wrong(simdjson::error_message(error));
  return ReadEvent(object);
}

std::optional<Fault> EventReader::State::ReadArray(ondemand::array array) {
  for (auto element : array) {
    if (events.size() == events_max) {
      return Fault(Refusal::kBatchTooLarge, "an array has " + std::to_string(events_max) +
                                                " events at most (ring.events_max)");
    }
    ondemand::value value;
    ondemand::json_type type;
    ondemand::object object;
    auto error = element.get(value);
    if (!error) error = value.type().get(type);
    if (error) return Wrong(simdjson::error_message(error));
    if (type != ondemand::json_type::object) return Wrong("an event is an object");
    if ((error = value.get_object().get(object))) return Wrong(simdjson::error_message(error));
    if (auto fault = ReadEvent(object)) return fault;
  }
  if (events.empty()) {
    is_array = false;
    return Wrong("the array has no event");
  }
  return std::nullopt;
}

std::optional<Fault> EventReader::State::ReadEvent(ondemand::object object) {
  Event event;
  uint32_t seen = 0;  // bit n: field n
  for (auto next : object) {
    ondemand::field pair;
    std::string_view name;
    if (std::move(next).get(pair) || pair.unescaped_key().get(name)) {
      return Wrong("a field's name has half a surrogate pair");
    }
    const auto at = std::find(kFieldNames.begin(), kFieldNames.end(), name);
    if (at == kFieldNames.end()) {
      return Wrong("there is no field " + Quoted(name) +
                   ": an event has data, topics, event, id, retry and key");
    }
    const auto field = static_cast<Field>(at - kFieldNames.begin());
    if ((seen >> field & 1) != 0) return Wrong("the field " + Quoted(name) + " stands twice");
    seen |= 1u << field;
    if (auto fault = ReadField(field, &pair.value(), &event)) return fault;
  }
  if ((seen >> kData & 1) == 0) return Wrong("the field \"data\" is missing");
  if (needs_ids && (seen >> kId & 1) == 0) {
    return Wrong("the field \"id\" is missing, which idempotent=id asks for");
  }
  events.push_back(event);
  topics_ends.push_back(topics.size());
  return std::nullopt;
}

std::optional<Fault> EventReader::State::ReadField(Field field, ondemand::value* value,
                                                   Event* event) {
  uint64_t retry_ms = 0;
  switch (field) {
    case kData:
      return ReadData(value, event);
    case kTopics:
      return ReadTopics(value);
    case kEvent:
      if (auto fault = ReadText("event", value, &event->type)) return fault;
      if (auto fault = CheckEventName(event->type)) {
        return Fault(fault->refusal, Where() + fault->detail);
      }
      return std::nullopt;
    case kId:
      if (auto fault = ReadText("id", value, &event->id)) return fault;
      if (!IsPublisherId(event->id)) return Wrong(kEventIdRule);
      return std::nullopt;
    case kKey:
      if (auto fault = ReadText("key", value, &event->key)) return fault;
      if (!IsEventKey(event->key)) return Wrong(kEventKeyRule);
      return std::nullopt;
    default:
      if (value->get_uint64().get(retry_ms) || !IsEventRetry(retry_ms)) {
        return Wrong(kEventRetryRule);
      }
      event->retry_ms = static_cast<uint32_t>(retry_ms);
      return std::nullopt;
  }
}

std::optional<Fault> EventReader::State::ReadText(std::string_view what, ondemand::value* value,
                                                  std::string_view* text) {
  const auto error = value->get_string().get(*text);
  // simdjson lets half a pair pass that is the second one.
  if (!error && !FindInvalidUtf8(*text)) return std::nullopt;
  const std::string name = Quoted(what);
  if (error == simdjson::INCORRECT_TYPE) return Wrong("the field " + name + " is a string");
  return Wrong("the field " + name + " has half a surrogate pair, which is no text");
}

std::optional<Fault> EventReader::State::ReadData(ondemand::value* value, Event* event) {
  ondemand::json_type type;
  auto error = value->type().get(type);
  if (!error && type == ondemand::json_type::string) return ReadText("data", value, &event->data);
  if (!error) error = simdjson::to_json_string(*value).get(event->data);
  if (error) return Wrong(simdjson::error_message(error));
  return std::nullopt;
}

std::optional<Fault> EventReader::State::ReadTopics(ondemand::value* value) {
  constexpr const char* kRule = "the field \"topics\" is an array of strings";
  ondemand::array array;
  if (value->get_array().get(array)) return Wrong(kRule);
  const size_t begin = topics.size();
  size_t index = 0;
  for (auto element : array) {
    ondemand::value item;
    std::string_view name;
    if (element.get(item)) return Wrong(kRule);
    const auto error = item.get_string().get(name);
    if (error == simdjson::INCORRECT_TYPE) return Wrong(kRule);
    if (error) return Wrong("a topic has half a surrogate pair, which is no text");
    if (const auto fault = CheckTopicName(name)) {
      return Fault(Refusal::kInvalidTopic,
                   Where() + "topics[" + std::to_string(index) + "], " + fault->Describe(name));
    }
    ++index;
    const auto own = topics.begin() + static_cast<ptrdiff_t>(begin);
    if (std::find(own, topics.end(), name) != topics.end()) continue;
    topics.push_back(name);
    if (topics.size() - begin > topics_max) {
      return Fault(Refusal::kInvalidTopic, Where() + "an event goes to " +
                                               std::to_string(topics_max) +
                                               " topics at most (topics.per_event_max)");
    }
  }
  return std::nullopt;
}

EventReader::EventReader(const Options& options) : state_(std::make_unique<State>(options)) {}
EventReader::~EventReader() = default;

std::optional<Fault> EventReader::Read(std::string_view text, const Wants& wants) {
  State& s = *state_;
  s.Begin(text);
  if (const auto fault = CheckJson(text, s.json_depth_max)) {
    return Fault(Refusal::kInvalidJson, fault->Describe(text));
  }
  if (auto fault = s.ReadDocument(wants)) {
    s.events.clear();
    return fault;
  }
  // Only now do the topics lie still.
  size_t begin = 0;
  for (size_t i = 0; i < s.events.size(); ++i) {
    s.events[i].topics = std::span(s.topics).subspan(begin, s.topics_ends[i] - begin);
    begin = s.topics_ends[i];
  }
  return std::nullopt;
}

std::span<const Event> EventReader::events() const { return state_->events; }
bool EventReader::is_array() const { return state_->is_array; }

}  // namespace sluice::http
