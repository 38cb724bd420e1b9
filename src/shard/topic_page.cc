#include "shard/topic_page.h"

#include <algorithm>

#include "base/clock.h"
#include "base/json_escape.h"
#include "base/wall_time.h"
#include "event/topic.h"
#include "http/reply.h"

namespace sluice {
namespace {

// A rate over less would say little.
constexpr int64_t kWindowNsMin = kNsPerSecond;

// The first name that could follow: a NUL stands in none.
std::string Following(const std::string& name) { return name + '\0'; }

std::string FirstFrom(const http::TopicsRequest& request) {
  return request.after ? std::max(Following(*request.after), request.prefix) : request.prefix;
}

// As three decimals.
void AppendThousandths(std::string* out, uint64_t thousandths) {
  http::AppendNumber(out, thousandths / 1'000);
  out->push_back('.');
  for (uint64_t unit = 100; unit != 0; unit /= 10) {
    out->push_back(static_cast<char>('0' + thousandths / unit % 10));
  }
}

// For a query; what separates segments and stands in patterns may stay as it is.
void AppendPercentEncoded(std::string* out, std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/*";
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out->push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out->append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
}

}  // namespace

TopicPage::TopicPage(const Source& source, const http::TopicsRequest& request)
    : source_(source), request_(request), has_all_facts_(source.history == nullptr) {}

TopicPage::~TopicPage() {
  if (question_ != nullptr) source_.board.Close(question_);
}

bool TopicPage::HasWork() const { return question_ != nullptr && question_->is_answered(); }

bool TopicPage::GoOn(int64_t now_ns) {
  if (question_ == nullptr && !Ask(now_ns)) return false;
  if (!question_->is_answered() || !AwaitHistory()) return false;
  return WriteLines();
}

bool TopicPage::Ask(int64_t now_ns) {
  // One more, to know whether there is another page.
  question_ = source_.board.Ask(source_.shard, FirstFrom(request_), request_.prefix,
                                size_t{request_.limit} + 1);
  if (question_ == nullptr) return false;
  now_ns_ = now_ns;
  asked_at_ = source_.ring.newest_sequence();
  window_ns_ = now_ns - std::max(PublishRate::WindowBeginNs(now_ns), source_.board.began_ns());
  window_ns_ = std::max(window_ns_, kWindowNsMin);
  wall_offset_ns_ = WallOffsetNs();
  taken_.resize(question_->answers.size());
  text_ = "{\"rate_window_seconds\":";
  AppendThousandths(&text_, static_cast<uint64_t>(window_ns_ / kNsPerMs));
  text_.append(",\"topics\":[");
  return true;
}

// Whoever has been told that an event was accepted finds it counted. Each turn moves it on.
bool TopicPage::AwaitHistory() {
  if (source_.history == nullptr || is_in_order_) return true;
  if (source_.history->IsBehind(asked_at_)) return false;
  is_in_order_ = source_.history->PutTopicsInOrder(&order_);
  return is_in_order_;
}

// The next of the history's topics, once a turn. False: not in this one.
bool TopicPage::ReadMore(bool* has_read) {
  if (facts_taken_ < facts_.size() || has_all_facts_) return true;
  if (*has_read) return false;
  *has_read = true;
  const std::string from = lines_ == 0 ? question_->from : Following(name_);
  source_.history->ReadTopics(from, request_.prefix, kLinesATurn, now_ns_, &facts_);
  facts_taken_ = 0;
  has_all_facts_ = facts_.size() < kLinesATurn;
  return true;
}

const std::string* TopicPage::FirstName() const {
  const std::string* first = facts_taken_ < facts_.size() ? &facts_[facts_taken_].name : nullptr;
  for (size_t i = 0; i < taken_.size(); ++i) {
    const auto& topics = question_->answers[i];
    if (taken_[i] == topics.size()) continue;
    const std::string& name = topics[taken_[i]].name;
    if (first == nullptr || name < *first) first = &name;
  }
  return first;
}

bool TopicPage::WriteLines() {
  bool has_read = false;
  for (size_t i = 0; i < kLinesATurn; ++i) {
    if (!ReadMore(&has_read)) return false;
    const std::string* const name = FirstName();
    if (name == nullptr || lines_ == request_.limit) {
      WriteEnd(name != nullptr);
      return true;
    }
    name_ = *name;
    WriteLine();
    ++lines_;
  }
  return false;
}

void TopicPage::WriteLine() {
  uint64_t streams = 0;
  for (size_t i = 0; i < taken_.size(); ++i) {
    const auto& topics = question_->answers[i];
    if (taken_[i] == topics.size() || topics[taken_[i]].name != name_) continue;
    streams += topics[taken_[i]++].streams;
  }
  const bool is_pattern = IsTopicPattern(name_);
  text_.append(lines_ == 0 ? "\n{\"name\":" : ",\n{\"name\":");
  AppendJsonString(&text_, name_);
  text_.append(",\"kind\":\"")
      .append(name_.empty() ? "no_topic"
              : is_pattern  ? "pattern"
                            : "topic")
      .append("\",\"subscribers\":");
  http::AppendNumber(&text_, streams);
  const bool has_facts = facts_taken_ < facts_.size() && facts_[facts_taken_].name == name_;
  if (source_.history == nullptr) {
    if (!is_pattern) text_.append(",\"rate\":null,\"published_total\":null,\"history\":null");
  } else if (!is_pattern) {
    WriteFacts(has_facts ? facts_[facts_taken_] : TopicFacts{});
  }
  if (has_facts) ++facts_taken_;
  text_.push_back('}');
}

void TopicPage::WriteFacts(const TopicFacts& facts) {
  text_.append(",\"rate\":");
  const double rate = static_cast<double>(facts.recent) * 1e12 / static_cast<double>(window_ns_);
  AppendThousandths(&text_, static_cast<uint64_t>(rate + 0.5));
  text_.append(",\"published_total\":");
  http::AppendNumber(&text_, facts.published);
  text_.append(",\"history\":{\"events\":");
  http::AppendNumber(&text_, facts.events);
  text_.append(",\"bytes\":");
  http::AppendNumber(&text_, facts.bytes);
  text_.append(",\"first_id\":");
  WriteId(facts.first);
  text_.append(",\"last_id\":");
  WriteId(facts.last);
  text_.append(",\"last_published\":");
  if (facts.last == 0) {
    text_.append("null}");
    return;
  }
  text_.push_back('"');
  AppendWallTime(&text_, facts.last_ns + wall_offset_ns_);
  text_.append("\"}");
}

void TopicPage::WriteId(uint64_t sequence) {
  if (sequence == 0) {
    text_.append("null");
    return;
  }
  text_.push_back('"');
  text_.append(source_.epoch.text()).push_back('-');
  http::AppendNumber(&text_, sequence);
  text_.push_back('"');
}

void TopicPage::WriteEnd(bool has_more) {
  text_.append(lines_ == 0 ? "],\"next\":" : "\n],\"next\":");
  if (!has_more) {
    text_.append("null}");
    return;
  }
  text_.append("\"?limit=");
  http::AppendNumber(&text_, request_.limit);
  if (!request_.prefix.empty()) {
    text_.append("&prefix=");
    AppendPercentEncoded(&text_, request_.prefix);
  }
  text_.append("&after=");
  AppendPercentEncoded(&text_, name_);
  text_.append("\"}");
}

}  // namespace sluice
