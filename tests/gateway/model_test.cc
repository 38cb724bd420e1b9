// Goal: whatever topics, patterns, publishers, reconnects, policies for slow readers and kills
// there are, on whichever shard, each reader's events are exactly those that a plain model of the
// gateway allows (model/truth.h: what there is; model/judge.h: what one reader may have had).
//
// Method: one seed draws all of it (model/plan.h) and one driver plays it (model/driver.h), against
// `sluice` as a process over epoll and io_uring, which is killed and started again, and against
// shards on the simulated engine with a simulated disk, which loses what was not synced. After
// that the model judges what everybody was told and sent.
//
// SLUICE_MODEL_SEEDS is the number of seeds, an engine; SLUICE_MODEL_SEED the first one.
#include <gtest/gtest.h>

#include <cstdlib>

#include "gateway/offered_engine.h"
#include "gateway/process_world.h"
#include "gateway/simulated_world.h"
#include "model/driver.h"

namespace sluice {
namespace {

using model::Counts;
using model::DriverBounds;
using model::Plan;
using model::Story;

uint64_t Variable(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::unique_ptr<model::World> MakeWorld(const model::Setting& setting, const std::string& engine) {
  if (engine == "simulated") return std::make_unique<test::SimulatedWorld>(setting);
  return std::make_unique<test::ProcessWorld>(setting, engine);
}

void RunSeed(uint64_t seed, const std::string& engine, Counts* counts) {
  const std::string repeat = "SLUICE_MODEL_SEEDS=1 SLUICE_MODEL_SEED=" + std::to_string(seed) +
                             " build/tests/gateway_test --gtest_filter='*" +
                             testing::UnitTest::GetInstance()->current_test_info()->name() + "'";
  SCOPED_TRACE(repeat);
  Plan plan(seed);
  Story story;
  story.setting = plan.DrawSetting(seed);
  const bool is_simulated = engine == "simulated";
  // A kernel has buffers, which have to be full before anybody is slow.
  if (!is_simulated) story.setting.data_bytes_max = 6000;
  const DriverBounds bounds = {.lives = is_simulated ? 4 : 3,
                               .steps = is_simulated ? 1500 : 4000,
                               .patience = is_simulated ? 100'000 : 30'000};
  const auto world = MakeWorld(story.setting, engine);
  const auto ends = model::Driver(*world, story, plan, bounds).Run();
  size_t shown = 0;
  for (const std::string& fault : model::JudgeRun(story, ends, counts)) {
    if (++shown <= 3) ADD_FAILURE() << fault;
  }
}

void RunSeeds(const std::string& engine, uint64_t first, uint64_t count) {
  Counts counts;
  first = Variable("SLUICE_MODEL_SEED", first);
  count = Variable("SLUICE_MODEL_SEEDS", count);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    RunSeed(seed, engine, &counts);
    if (testing::Test::HasFailure()) return;
  }
  for (const auto& [what, times] : counts) {
    testing::Test::RecordProperty(what, std::to_string(times));
    if (std::getenv("SLUICE_MODEL_COUNTS") != nullptr) printf("  %s: %lu\n", what.c_str(), times);
  }
  if (count < 3) return;
  // What the test is about has happened.
  for (const char* what : {"events", "resumes", "kills", "repeats", "values", "gaps evicted",
                           "gaps unknown", "missed, evicted", "missed, no value"}) {
    EXPECT_GT(counts[what], 0u) << what;
  }
  for (const char* what : {"gaps skipped", "missed, skipped", "missed, conflated"}) {
    EXPECT_TRUE(counts[what] > 0 || count < 20) << what;
  }
  EXPECT_LT(counts["unplaced events"], counts["events sent"] / 20);
}

TEST(Model, HoldsOnTheSimulatedEngine) { RunSeeds("simulated", 1, 40); }

TEST(Model, HoldsOnEpoll) { RunSeeds("epoll", 1, 4); }

TEST(Model, HoldsOnIoUring) {
  if (const auto why = test::WhyNotOffered(EngineChoice::kIoUring)) GTEST_SKIP() << *why;
  RunSeeds("io_uring", 1001, 4);
}

}  // namespace
}  // namespace sluice
