// Goal: a reader that comes back, to any shard, gets exactly the events after its id that its
// subscription wants, then the live ones, each once and in order; or it is told of a gap that
// covers what is missing, and of none if nothing is. And the accounts of each event balance: who
// was matched had it or lost it, and what was handed out is what delivery counts; a publish that
// waits until it is matched is told just that number. Method: see replay_simulation.h; publishers
// of topics; a history so small that it evicts all the time. A failure prints the seed that
// repeats it.
#include "shard/replay_simulation.h"

namespace sluice {
namespace {

void RunSeeds(uint64_t first, uint64_t last, bool with_faults) {
  uint64_t settled = 0;
  uint64_t replays = 0;
  uint64_t replayed = 0;
  uint64_t gaps = 0;
  uint64_t events = 0;
  uint64_t ended_replaying = 0;
  uint64_t lost = 0;
  uint64_t evicted = 0;
  uint64_t told = 0;
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::ReplaySimulation simulation(seed, with_faults);
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
    settled += simulation.settled();
    replays += simulation.replays();
    replayed += simulation.replayed();
    gaps += simulation.gaps();
    events += simulation.events();
    ended_replaying += simulation.ended_replaying();
    lost += simulation.lost();
    evicted += simulation.evicted();
    told += simulation.told();
  }
  // What the test is about has happened, and often.
  EXPECT_GT(settled, 100u);
  EXPECT_GT(replays, 1000u);
  EXPECT_GT(replayed, 10'000u);
  EXPECT_GT(events, replayed);
  EXPECT_GT(gaps, 100u);
  EXPECT_GT(ended_replaying, 10u);
  EXPECT_GT(lost, 1000u);
  EXPECT_GT(evicted, 10u);
  EXPECT_GT(told, 1000u);
}

TEST(ReplaySimulation, WhoComesBackMissesNothingOnAQuietNetwork) { RunSeeds(1, 30, false); }

TEST(ReplaySimulation, WhoComesBackMissesNothingUnderFaults) { RunSeeds(100, 159, true); }

}  // namespace
}  // namespace sluice
