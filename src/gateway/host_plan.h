// What the options come to on this host: the engine, the number of shards and where they are
// pinned; and the report of `sluice --check`.
//
// Thread: main, before the shards start.
// Errors: kUnsupported for a forced engine that cannot be had, kInvalidArgument for a processor or
// a
//         key file that cannot be used; one line each: what, why and what to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "gateway/host_facts.h"
#include "sluice/options.h"

namespace sluice {

struct HostPlan {
  EngineKind engine = EngineKind::kEpoll;
  uint32_t shards = 1;
  std::vector<uint32_t> pins;  // processor of each shard; empty: not pinned
  // Lines for the log: what is not as good as it could be, why, and what to do.
  std::vector<std::string> warnings;
};

// `offers` is ProbeEngines(). Shards are pinned to `cpus` in turn, or when their number is that of
// the affinity mask; the default number is one a processor of `cpus`, else one a usable core.
Status PlanForHost(const Options& options, const HostFacts& facts,
                   const std::vector<EngineOffer>& offers, HostPlan* plan);

// What `sluice --check` prints when all is well enough to start.
std::string CheckReport(const Options& options, const std::string& config_path,
                        const HostFacts& facts, const std::vector<EngineOffer>& offers,
                        const HostPlan& plan);

}  // namespace sluice
