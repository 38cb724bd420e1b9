// Goal: over shards, connections that break and ids that bring readers back, each reader gets
// exactly what the lag policy of its topics allows: all of it, or all but what a gap names and a
// newer event follows, or all but what newer events of its topics and key took the place of; and
// always all that was there when it came. Tables and accounts come to rest with the readers.
// Method: see replay_simulation.h; bounds so tiny that most readers pass them. A failure prints the
// seed that repeats it. SLUICE_SHARD_SEEDS: how many more than what is run always.
#include <cstdlib>

#include "shard/replay_simulation.h"

namespace sluice {
namespace {

void RunSeeds(uint64_t first, uint64_t last, bool with_faults) {
  if (const char* more = std::getenv("SLUICE_SHARD_SEEDS")) last += std::stoull(more);
  std::map<std::string, uint64_t> sums;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::ReplaySimulation simulation(seed, with_faults, true);
    simulation.Run(6000);
    if (testing::Test::HasFailure()) return;
    simulation.SettleAndCheck();
    if (testing::Test::HasFailure()) return;
    simulation.CheckAccounts();
    if (testing::Test::HasFailure()) return;
    simulation.StopAndCheck();
    if (testing::Test::HasFailure()) return;
    simulation.CheckAccounts();
    if (testing::Test::HasFailure()) return;
    sums["settled"] += simulation.settled();
    sums["replayed"] += simulation.replayed();
    sums["skips"] += simulation.skips();
    sums["told_skips"] += simulation.told_skips();
    sums["conflations"] += simulation.conflations();
    sums["conflated"] += simulation.conflated();
    sums["ended_replaying"] += simulation.ended_replaying();
    sums["evicted"] += simulation.evicted();
  }
  // What the test is about has happened, and often.
  for (const auto& [name, sum] : sums) {
    EXPECT_GT(sum, name == "ended_replaying" || name == "evicted" ? 10u : 100u) << name;
    testing::Test::RecordProperty(name, std::to_string(sum));
  }
}

TEST(PolicySimulation, ReadersGetWhatTheirPoliciesAllowOnAQuietNetwork) { RunSeeds(1, 30, false); }

TEST(PolicySimulation, ReadersGetWhatTheirPoliciesAllowUnderFaults) { RunSeeds(100, 159, true); }

}  // namespace
}  // namespace sluice
