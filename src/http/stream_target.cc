#include "http/stream_target.h"

#include <charconv>
#include <string>
#include <vector>

#include "event/topic.h"
#include "http/target.h"

namespace sluice::http {
namespace {

Fault Wrong(std::string detail) { return {Refusal::kInvalidParameter, std::move(detail)}; }

bool ParseFrom(std::string_view text, StreamRequest* request) {
  using From = StreamRequest::From;
  if (text == "now") {
    request->from = From::kNow;
  } else if (text == "earliest") {
    request->from = From::kEarliest;
  } else if (text == "values") {
    request->from = From::kValues;
  } else {
    if (!text.starts_with('-')) return false;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + 1, end, request->newest_count);
    if (error != std::errc() || stop != end || request->newest_count == 0) return false;
    request->from = From::kNewest;
  }
  return true;
}

class QueryReader {
 public:
  QueryReader(uint32_t topics_max, StreamRequest* request)
      : topics_max_(topics_max), request_(*request) {}

  std::optional<Fault> TakePattern(std::string_view pattern, std::string_view where) {
    if (const auto fault = CheckTopicPattern(pattern)) {
      return Fault(Refusal::kInvalidTopic, std::string(where) + fault->Describe(pattern));
    }
    if (patterns_.size() == topics_max_) {
      return Fault(Refusal::kInvalidTopic, "a stream asks for " + std::to_string(topics_max_) +
                                               " topics at most (topics.per_subscription_max)");
    }
    patterns_.emplace_back(pattern);
    return std::nullopt;
  }

  std::optional<Fault> Read(std::string_view query) {
    std::string scratch;
    for (QueryPair pair; TakePair(&query, &pair);) {
      const auto name = DecodedName(pair, &scratch);
      if (!name) continue;
      if (auto fault = Take(*name, pair.value)) return fault;
    }
    return std::nullopt;
  }

  void Finish(std::string_view last_event_id) {
    request_.subscription = Subscription(std::move(patterns_));
    request_.last_id = !last_event_id.empty() ? last_event_id : !id_.empty() ? id_ : other_id_;
  }

 private:
  std::optional<Fault> Take(std::string_view name, std::string_view value) {
    if (name == "topic") {
      std::string pattern;
      if (auto fault = Decode(name, value, &pattern)) return fault;
      return TakePattern(pattern, "the parameter topic, ");
    }
    if (name == "last_event_id") return TakeOnce(name, value, &has_id_, &id_);
    if (name == "lastEventId") return TakeOnce(name, value, &has_other_id_, &other_id_);
    if (name != "from") return std::nullopt;
    std::string from;
    if (auto fault = TakeOnce(name, value, &has_from_, &from)) return fault;
    if (ParseFrom(from, &request_)) return std::nullopt;
    return Wrong("from is now, earliest, values, or -N for the newest N events (N is 1 or more)");
  }

  std::optional<Fault> TakeOnce(std::string_view name, std::string_view value, bool* has,
                                std::string* to) {
    if (*has) return Wrong("the parameter " + std::string(name) + " may stand only once");
    *has = true;
    return Decode(name, value, to);
  }

  std::optional<Fault> Decode(std::string_view name, std::string_view value, std::string* to) {
    if (PercentDecode(value, true, to)) return std::nullopt;
    return Wrong("the parameter " + std::string(name) +
                 " has a '%' without two hexadecimal digits after it");
  }

  const uint32_t topics_max_;
  StreamRequest& request_;
  std::vector<std::string> patterns_;
  std::string id_;
  std::string other_id_;
  bool has_id_ = false;
  bool has_other_id_ = false;
  bool has_from_ = false;
};

}  // namespace

std::optional<Fault> ReadStreamTarget(std::optional<std::string_view> path_topic,
                                      std::string_view query, const RequestHead& head,
                                      uint32_t topics_max, StreamRequest* request) {
  QueryReader reader(topics_max, request);
  if (path_topic) {
    if (auto fault = reader.TakePattern(*path_topic, "the path's topic, ")) return fault;
  }
  if (auto fault = reader.Read(query)) return fault;
  reader.Finish(head.last_event_id);
  return std::nullopt;
}

}  // namespace sluice::http
