// The JSON of GET /stats, from the shards' counters.
//
// Schema 1: names carry their units, `_total` only ever grows, `subscribers` is a number at the
// top. A name is never given another meaning; new ones may come.
//
// Thread: any; counters are read a moment old.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "shard/shard.h"

namespace sluice {

struct StatisticsSource {
  const Options& options;
  const Epoch& epoch;
  const Ring& ring;
  const IdempotencyTable::Counts idempotency;
  SharedHistory* history;  // null: none is kept
  const Journal* journal;  // null: none is kept
  const std::vector<std::unique_ptr<Shard>>& shards;
  int64_t started_ns;
  std::string_view phase;
};

std::string StatisticsJson(const StatisticsSource& source, bool pretty);

}  // namespace sluice
