#include "event/aside.h"

#include <charconv>

#include "base/json_escape.h"
#include "event/event.h"
#include "event/frame.h"

namespace sluice {
namespace {

void AppendRetry(std::string* out, uint32_t retry_ms) {
  char digits[10];
  const auto end = std::to_chars(digits, digits + sizeof(digits), retry_ms).ptr;
  out->append("retry: ").append(digits, end).push_back('\n');
}

// An id that an event can have, or null.
void AppendIdOrNull(std::string* out, std::string_view id) {
  if (IsPublisherId(id) || Epoch::Parse(id).has_value()) {
    AppendJsonString(out, id);
  } else {
    out->append("null");
  }
}

}  // namespace

void AppendOpening(std::string* out, std::string_view last_id, uint32_t retry_ms) {
  out->append(":ok\n");
  AppendRetry(out, retry_ms);
  out->append("event: sluice.open\ndata: {\"id\":");
  AppendJsonString(out, last_id);
  out->append("}\n");
  if (!last_id.empty()) out->append("id: ").append(last_id).push_back('\n');
  out->push_back('\n');
}

void AppendError(std::string* out, std::string_view word, std::string_view explanation,
                 uint32_t retry_ms) {
  AppendRetry(out, retry_ms);
  out->append("event: sluice.error\ndata: {\"error\":");
  AppendJsonString(out, word);
  out->append(",\"message\":");
  AppendJsonString(out, explanation);
  out->append("}\n\n");
}

void AppendGap(std::string* out, const Gap& gap) {
  out->append("event: sluice.gap\ndata: {\"reason\":");
  AppendJsonString(out, gap.reason);
  out->append(",\"after\":");
  AppendIdOrNull(out, gap.after);
  out->append(",\"first\":");
  AppendIdOrNull(out, gap.first);
  out->append(",\"last\":");
  AppendIdOrNull(out, gap.last);
  out->append("}\n");
  if (!gap.id.empty()) out->append("id: ").append(gap.id).push_back('\n');
  out->push_back('\n');
}

void AppendGoodbye(std::string* out, uint32_t retry_ms) {
  out->append(": goodbye\n");
  AppendRetry(out, retry_ms);
}

}  // namespace sluice
