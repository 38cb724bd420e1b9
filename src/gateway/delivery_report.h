// The answer to GET /deliveries/ID: what became of one event, summed over the shards.
//
//   {"id":ID,"sequence":N,"published":"2026-01-31T12:00:00.000000Z","is_matched":true,"matched":N,
//    "handed":N,"lost":N,"lost_by":{REASON:N,...},"pending":N,"replayed":N,"last_after_us":N}
//
// matched = handed + lost + pending. While not all shards have come to it (is_matched false) the
// numbers are of those that have. last_after_us: from its publish to when the last of them was
// handed it; null: nobody was. replayed: readers that came later and had it from the history.
//
// Thread: any.
// Errors: kNotFound: no such event, or not of this run; kLedgerForgotten: it is older than the
//         ledger.
#pragma once

#include <string_view>

#include "delivery/ledger.h"
#include "history/shared_history.h"
#include "http/services.h"
#include "shard/ack_board.h"

namespace sluice {

struct DeliveryReportSource {
  const Epoch& epoch;
  const Ring& ring;
  const Ledger& ledger;
  const AckBoard& acks;
  SharedHistory* history;  // null: publishers' ids are not found
};

http::DeliveryReport DeliveryReportOf(const DeliveryReportSource& source, std::string_view id);

}  // namespace sluice
