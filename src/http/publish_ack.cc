#include "http/publish_ack.h"

#include <algorithm>

#include "http/reply.h"

namespace sluice::http {
namespace {

using Durability = PublishAck::Durability;

void AppendCount(std::string* out, const std::optional<uint64_t>& count) {
  if (count) {
    AppendNumber(out, *count);
  } else {
    out->append("null");
  }
}

}  // namespace

std::optional<PublishAck> ParsePublishAck(std::string_view words) {
  PublishAck ack;
  bool has_durability = false;
  while (true) {
    const size_t end = std::min(words.find(','), words.size());
    const std::string_view word = words.substr(0, end);
    if (word == "matched") {
      if (ack.matched) return std::nullopt;
      ack.matched = true;
    } else {
      if (has_durability) return std::nullopt;
      has_durability = true;
      if (word == "written") {
        ack.durability = Durability::kWritten;
      } else if (word == "synced") {
        ack.durability = Durability::kSynced;
      } else if (word != "memory") {
        return std::nullopt;
      }
    }
    if (end == words.size()) return ack;
    words.remove_prefix(end + 1);
  }
}

uint64_t AckWait::last_sequence() const {
  return sequences.empty() ? first_sequence + count - 1
                           : *std::max_element(sequences.begin(), sequences.end());
}

AckWait WaitFor(const PublishAck& ack, PublishOnce::By once, size_t events,
                const PublishResult& result, int64_t until_ns) {
  AckWait wait{.ack = ack,
               .once = once,
               .first_sequence = result.first_sequence,
               .count = events,
               .sequences = {},
               .until_ns = until_ns};
  if (events == 1 && !result.sequences.empty()) {
    wait.first_sequence = result.sequences[0];
  } else {
    wait.sequences.assign(result.sequences.begin(), result.sequences.end());
  }
  return wait;
}

// Whether the last one is there is asked first: while it is not, the others cost nothing.
AckResult AskAck(Publisher& publisher, const AckWait& wait, int64_t now_ns,
                 std::vector<std::optional<uint64_t>>* matched) {
  using State = AckAnswer::State;
  matched->clear();
  State state = publisher.AskAck(wait.last_sequence(), wait.ack, wait.once).state;
  for (size_t i = 0; i < wait.count && state == State::kHad; ++i) {
    const AckAnswer answer = publisher.AskAck(wait.sequence(i), wait.ack, wait.once);
    state = answer.state;
    if (wait.ack.matched) matched->push_back(answer.matched);
  }
  switch (state) {
    case State::kHad:
      return {};
    case State::kLost:
      return {.fault = Fault(Refusal::kAckLost,
                             "the event has its place in the order and is delivered, but the "
                             "journal does not have it, or may not: do not send it again without "
                             "an Idempotency-Key")};
    case State::kPending:
      break;
  }
  if (now_ns < wait.until_ns) return {.is_pending = true};
  return {.fault = Fault(Refusal::kAckTimeout,
                         "the event has its place in the order and is delivered; what was asked "
                         "for may still come, but not within publish.ack_timeout: do not send it "
                         "again without an Idempotency-Key")};
}

void AppendMatched(std::string* out, const std::vector<std::optional<uint64_t>>& matched,
                   bool is_array) {
  if (matched.empty()) return;
  out->append(",\"matched\":");
  if (!is_array) return AppendCount(out, matched.front());
  for (size_t i = 0; i < matched.size(); ++i) {
    out->append(i == 0 ? "[" : ",");
    AppendCount(out, matched[i]);
  }
  out->append("]");
}

}  // namespace sluice::http
