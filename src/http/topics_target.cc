#include "http/topics_target.h"

#include <charconv>
#include <string>

#include "base/utf8.h"
#include "event/topic.h"
#include "http/target.h"

namespace sluice::http {
namespace {

Fault Wrong(std::string detail) { return {Refusal::kInvalidParameter, std::move(detail)}; }

class QueryReader {
 public:
  explicit QueryReader(TopicsRequest* request) : request_(*request) {}

  std::optional<Fault> Take(std::string_view name, std::string_view value) {
    if (name == "pretty") return std::nullopt;  // each topic has a line of its own anyhow
    if (name != "limit" && name != "prefix" && name != "after") {
      return Wrong("\"" + std::string(name.substr(0, 80)) +
                   "\" is no parameter of /topics: it takes limit, prefix and after");
    }
    bool& has = name == "limit" ? has_limit_ : name == "prefix" ? has_prefix_ : has_after_;
    if (has) return Wrong("the parameter " + std::string(name) + " may stand only once");
    has = true;
    std::string text;
    if (!PercentDecode(value, true, &text)) {
      return Wrong("the parameter " + std::string(name) +
                   " has a '%' without two hexadecimal digits after it");
    }
    if (name == "limit") return TakeLimit(text);
    if (name == "prefix") return TakePrefix(std::move(text));
    return TakeAfter(std::move(text));
  }

 private:
  std::optional<Fault> TakeLimit(const std::string& text) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, request_.limit);
    const bool is_number = error == std::errc() && stop == end;
    if (is_number && request_.limit >= 1 && request_.limit <= TopicsRequest::kLimitMax) {
      return std::nullopt;
    }
    return Wrong("limit is a number from 1 to " + std::to_string(TopicsRequest::kLimitMax));
  }
  std::optional<Fault> TakePrefix(std::string text) {
    if (text.size() > kTopicBytesMax || Utf8ValidPrefix(text) != text.size()) {
      return Wrong("prefix is what names begin with: UTF-8 of at most " +
                   std::to_string(kTopicBytesMax) + " bytes");
    }
    request_.prefix = std::move(text);
    return std::nullopt;
  }
  // Empty: after the events without topics.
  std::optional<Fault> TakeAfter(std::string text) {
    const auto fault = text.empty() ? std::nullopt : CheckTopicPattern(text);
    if (fault) return Wrong("after is the last name of a page, " + fault->Describe(text));
    request_.after = std::move(text);
    return std::nullopt;
  }

  TopicsRequest& request_;
  bool has_limit_ = false;
  bool has_prefix_ = false;
  bool has_after_ = false;
};

}  // namespace

std::optional<Fault> ReadTopicsTarget(std::string_view query, TopicsRequest* request) {
  *request = TopicsRequest{};
  QueryReader reader(request);
  std::string scratch;
  for (QueryPair pair; TakePair(&query, &pair);) {
    const auto name = DecodedName(pair, &scratch);
    if (!name) return Wrong("the query has a '%' without two hexadecimal digits after it");
    if (name->empty() && pair.value.empty()) continue;  // "&&"
    if (auto fault = reader.Take(*name, pair.value)) return fault;
  }
  return std::nullopt;
}

}  // namespace sluice::http
