#include "gateway/delivery_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "base/wall_time.h"

namespace sluice {
namespace {

using Json = nlohmann::ordered_json;

// The wall clock as it would have read then.
std::string WallTime(int64_t monotonic_ns) {
  std::string text;
  AppendWallTime(&text, monotonic_ns + WallOffsetNs());
  return text;
}

uint64_t SequenceOf(const DeliveryReportSource& source, std::string_view id) {
  const auto own = Epoch::Parse(id);
  if (own) return own->epoch == source.epoch.value() ? own->sequence : 0;
  uint64_t sequence = 0;
  if (source.history != nullptr) {
    source.history->Look([&](const History& history) { sequence = history.SequenceOf(id); });
  }
  return sequence;
}

}  // namespace

http::DeliveryReport DeliveryReportOf(const DeliveryReportSource& source, std::string_view id) {
  const uint64_t sequence = SequenceOf(source, id);
  if (sequence == 0 || sequence > source.ring.newest_sequence()) {
    return {.refusal = Refusal::kNotFound,
            .text =
                "no event of this run of the gateway has this id, or it is a publisher's own "
                "of an event that the history does not hold any more"};
  }
  const auto forgotten = [&] {
    return http::DeliveryReport{
        .refusal = Refusal::kLedgerForgotten,
        .text = fmt::format("accounts are kept of the newest {} events (ledger.events_max)",
                            source.ledger.events())};
  };
  // Asked first: what it says stays true.
  const bool is_matched = source.acks.IsMatched(sequence);
  LedgerPart::Account account;
  if (source.ledger.Read(sequence, &account) == LedgerPart::Look::kTooLate) return forgotten();
  // Of before this run: from the journal, or the place of one that is not yet stored.
  if (account.published_ns == 0 && is_matched) return forgotten();
  Json data;
  data["id"] = id;
  data["sequence"] = sequence;
  data["published"] =
      account.published_ns == 0 ? Json(nullptr) : Json(WallTime(account.published_ns));
  data["is_matched"] = is_matched;
  data["matched"] = account.matched;
  data["handed"] = account.handed;
  const uint64_t lost = std::accumulate(account.lost.begin(), account.lost.end(), uint64_t{0});
  data["lost"] = lost;
  data["lost_by"] = Json::object();
  for (size_t i = 0; i < kLossCount; ++i) {
    if (account.lost[i] != 0) data["lost_by"][std::string(kLossWords[i])] = account.lost[i];
  }
  // The counts are read one after the other, while shards go on.
  const uint64_t settled = account.handed + lost;
  data["pending"] = account.matched > settled ? account.matched - settled : 0;
  data["replayed"] = account.replayed;
  data["last_after_us"] =
      account.last_ns == 0 ? Json(nullptr) : Json((account.last_ns - account.published_ns) / 1'000);
  return {.text = data.dump()};
}

}  // namespace sluice
