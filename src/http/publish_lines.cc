#include "http/publish_lines.h"

#include <charconv>

#include "base/json_escape.h"
#include "http/publish_answer.h"
#include "http/reply.h"

namespace sluice::http {
namespace {

// Buffers that grew past this for one long line are given back after it.
constexpr size_t kKeptBytesMax = 16 * 1024;

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

void AppendMember(std::string* out, std::string_view name, uint64_t number) {
  out->append(",\"").append(name).append("\":");
  AppendNumber(out, number);
}

}  // namespace

void PublishLines::Begin(bool is_chunked_reply) {
  is_chunked_reply_ = is_chunked_reply;
  is_lagging_ = drops_line_ = waits_for_room_ = false;
  line_ = 0;
  scanned_ = 0;
  pending_ = std::string();
  sum_ = Sum{};
  waiting_.reset();
}

PublishLines::Progress PublishLines::Run(Site& site, const Exchange& exchange, int64_t now_ns,
                                         bool is_end, std::string* replies, size_t taken) {
  const uint64_t line_bytes_max = site.options().body_bytes_max;
  const std::string_view all = pending_;
  size_t begin = 0;
  Progress progress = Progress::kAll;
  while (begin < all.size()) {
    if (!is_lagging_ && replies->size() - taken > kRepliesBytesMax) {
      progress = Progress::kPaused;
      break;
    }
    if (has_waiting() && waiting_->size() >= kWaitingMax) {
      progress = Progress::kWaits;
      break;
    }
    const size_t found = all.find('\n', begin + scanned_);
    const bool has_end = found != std::string_view::npos;
    const std::string_view line = all.substr(begin, has_end ? found - begin : all.npos);
    // A line that is too long is refused at once, not when its end comes, if it ever does.
    if (!drops_line_ && line.size() > line_bytes_max) {
      ++line_;
      drops_line_ = true;
      Refuse(site,
             {Refusal::kBodyTooLarge, "the line is longer than " + std::to_string(line_bytes_max) +
                                          " bytes (http.body_bytes_max)"},
             replies, taken);
      continue;
    }
    if (!has_end && !is_end) {
      scanned_ = drops_line_ ? 0 : line.size();
      if (drops_line_) begin = all.size();
      break;
    }
    if (!drops_line_ && !IsBlank(line)) {
      ++line_;
      progress = PublishLine(site, exchange, now_ns, line, replies, taken);
      if (progress != Progress::kAll) {
        --line_;
        break;
      }
    } else if (!drops_line_) {
      ++line_;
    }
    drops_line_ = false;
    scanned_ = 0;
    begin = has_end ? found + 1 : all.size();
  }
  if (progress != Progress::kAll) scanned_ = 0;
  pending_.erase(0, begin);
  if (pending_.empty() && pending_.capacity() > kKeptBytesMax) pending_ = std::string();
  return progress;
}

PublishLines::Progress PublishLines::PublishLine(Site& site, const Exchange& exchange,
                                                 int64_t now_ns, std::string_view line,
                                                 std::string* replies, size_t taken) {
  EventReader& reader = site.event_reader();
  const PublishOnce once = exchange.publish.once();
  auto fault =
      reader.Read(line, {.takes_array = false, .needs_ids = once.by == PublishOnce::By::kEventIds});
  const PublishAck ack = AckOf(site, exchange);
  if (!fault) fault = CheckAck(site, ack);
  if (fault) {
    Refuse(site, *fault, replies, taken);
    return Progress::kAll;
  }
  Publisher& publisher = *site.services().publisher;
  const Event& event = reader.events().front();
  const PublishResult result = publisher.Publish({&event, 1}, once);
  if (result.refusal == Refusal::kRingFull) {
    if (!waits_for_room_) site.counters().room_waits_total.Add();
    waits_for_room_ = true;
    return Progress::kNoRoom;
  }
  waits_for_room_ = false;
  if (result.refusal == Refusal::kDraining) return Progress::kClosing;
  if (result.refusal) {
    Refuse(site, PublishFault(site.options(), result, false), replies, taken);
    return Progress::kAll;
  }
  CountPublish(site, 1, result, line.size());
  LineReply& reply = NextReply();
  reply.subscribers = result.subscribers;
  reply.is_replayed = result.replays != 0;
  AppendEventId(&reply.id, publisher.epoch(), event, result.first_sequence);
  if (!ack.waits()) {
    Tell(site, reply, replies, taken);
    return Progress::kAll;
  }
  reply.wait = WaitFor(ack, once.by, 1, result, site.AckUntilNs(now_ns));
  if (has_waiting() || !TellIfHad(site, now_ns, &reply, replies, taken)) {
    site.counters().ack_waits_total.Add();
    Wait(&reply);
  }
  return Progress::kAll;
}

// Memory that is used again, for those that need not wait.
PublishLines::LineReply& PublishLines::NextReply() {
  next_.line = line_;
  next_.fault.reset();
  next_.id.clear();
  next_.matched.reset();
  next_.wait.ack = {};
  return next_;
}

void PublishLines::Wait(LineReply* reply) {
  if (waiting_ == nullptr) waiting_ = std::make_unique<std::deque<LineReply>>();
  waiting_->push_back(std::move(*reply));
}

void PublishLines::TellWaiting(Site& site, int64_t now_ns, std::string* replies, size_t taken) {
  while (has_waiting() && TellIfHad(site, now_ns, &waiting_->front(), replies, taken)) {
    waiting_->pop_front();
  }
}

// False if it has to wait on.
bool PublishLines::TellIfHad(Site& site, int64_t now_ns, LineReply* reply, std::string* replies,
                             size_t taken) {
  if (!reply->fault) {
    const AckResult result = AskAck(*site.services().publisher, reply->wait, now_ns, &matched_);
    if (result.is_pending) return false;
    if (!matched_.empty()) reply->matched = matched_.front();
    if (result.fault) {
      reply->fault = result.fault;
      site.counters().refusals(result.fault->refusal).Add();
    }
  }
  Tell(site, *reply, replies, taken);
  return true;
}

void PublishLines::Refuse(Site& site, const Fault& fault, std::string* replies, size_t taken) {
  site.counters().refusals(fault.refusal).Add();
  LineReply& reply = NextReply();
  reply.fault = fault;
  if (has_waiting()) return Wait(&reply);
  Tell(site, reply, replies, taken);
}

void PublishLines::Add(const LineReply& reply) {
  sum_.line = reply.line;
  if (reply.fault) {
    ++sum_.refused;
    if (!sum_.first_fault) sum_.first_fault = reply.fault;
    if (sum_.refusals.size() < kRefusalsNamedMax) {
      sum_.refusals.emplace_back(reply.line, reply.fault->refusal);
    }
    return;
  }
  ++sum_.accepted;
  sum_.subscribers = reply.subscribers;
  if (reply.matched) sum_.matched = sum_.matched.value_or(0) + *reply.matched;
  sum_.id = reply.id;
}

void PublishLines::Tell(Site& site, const LineReply& reply, std::string* replies, size_t taken) {
  if (sums_up(*replies, taken)) {
    site.counters().replies_summed_total.Add();
    return Add(reply);
  }
  TellSum(replies);
  const bool is_accepted = !reply.id.empty();
  data_.clear();
  if (is_accepted) {
    data_.append("{\"id\":\"").append(reply.id).append("\"");
    AppendMember(&data_, "subscribers", reply.subscribers);
    if (!reply.fault && reply.wait.ack.matched) AppendMatched(&data_, {reply.matched}, false);
    data_.append("}");
  }
  reply_.clear();
  if (!reply.fault) {
    reply_.append(kAcceptedHead).append(data_);
    reply_.append(reply.is_replayed ? ",\"replayed\":true}\n" : "}\n");
    return Reply(reply_, replies);
  }
  AppendFaultEnvelope(&reply_, *reply.fault);
  reply_.pop_back();
  if (is_accepted) reply_.append(",\"data\":").append(data_);
  AppendMember(&reply_, "line", reply.line);
  Reply(reply_.append("}\n"), replies);
}

void PublishLines::TellSum(std::string* replies) {
  if (sum_.accepted + sum_.refused == 0) return;
  reply_.clear();
  if (sum_.first_fault) {
    AppendFaultEnvelope(&reply_, *sum_.first_fault);
    reply_.pop_back();
    AppendMember(&reply_, "line", sum_.refusals.front().first);
  } else {
    reply_.append("{\"success\":true,\"code\":200");
  }
  reply_.append(",\"data\":{\"id\":");
  if (sum_.accepted == 0) {
    reply_.append("null");
  } else {
    reply_.append("\"").append(sum_.id).append("\"");  // escaped already
  }
  AppendMember(&reply_, "subscribers", sum_.subscribers);
  if (sum_.matched) AppendMember(&reply_, "matched", *sum_.matched);
  AppendMember(&reply_, "accepted", sum_.accepted);
  AppendMember(&reply_, "refused", sum_.refused);
  AppendMember(&reply_, "line", sum_.line);
  reply_.append(",\"refusals\":[");
  for (size_t i = 0; i < sum_.refusals.size(); ++i) {
    reply_.append(i == 0 ? "{\"line\":" : ",{\"line\":");
    AppendNumber(&reply_, sum_.refusals[i].first);
    reply_.append(",\"error\":\"").append(Word(sum_.refusals[i].second)).append("\"}");
  }
  Reply(reply_.append("]}}\n"), replies);
  sum_ = Sum{};
}

void PublishLines::End(Site& site, const std::optional<Fault>& fault, std::string* replies) {
  TellSum(replies);
  if (fault) {
    ++line_;  // the one that is not published
    is_lagging_ = false;
    Refuse(site, *fault, replies, 0);
  }
  if (is_chunked_reply_) replies->append("0\r\n\r\n");
  pending_ = std::string();
  waiting_.reset();
}

void PublishLines::Reply(std::string_view line, std::string* replies) {
  if (!is_chunked_reply_) {
    replies->append(line);
    return;
  }
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof(digits), line.size(), 16).ptr;
  replies->append(digits, end).append("\r\n").append(line).append("\r\n");
}

}  // namespace sluice::http
