// Readers that come back, against a server that replays wrongly on purpose: the meter must report
// exactly what was done to them, and nothing of those that stayed; on both of its engines.
#include "resume.h"

#include <gtest/gtest.h>

#include <string>

#include "crew.h"
#include "faulty_server.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kStaying = 5;
constexpr uint32_t kReturning = 4;
constexpr uint32_t kMissed = 300;

class Resume : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string reason;
    if (std::string(GetParam()) == "io_uring" && !IoUringWorks(&reason)) GTEST_SKIP() << reason;
  }

  static ResumeOptions Options(const FaultyServer& server) {
    ResumeOptions options;
    options.base.stream_url = server.stream_url();
    options.base.publish_url = server.publish_url();
    options.base.subscribers = kStaying;
    options.base.rate = 200;
    options.base.publishers = 1;  // so that the publishing order of all events is defined
    options.base.duration_s = 0.2;
    options.base.warmup_s = 0.1;
    options.base.drain_s = 1;
    options.base.settle_s = 0.1;
    options.base.engine = GetParam();
    options.base.is_quiet = true;
    options.missed = kMissed;
    options.returning = kReturning;
    options.after_s = 0.2;
    return options;
  }
  static ResumeReport Run(const ResumeOptions& options) {
    ResumeReport report;
    const Status status = RunResume(options, &report);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(report.engine, GetParam());
    EXPECT_GT(report.events_accepted, kMissed);
    return report;
  }
};

TEST_P(Resume, PassesAServerThatIsRight) {
  for (const bool is_chunked : {false, true}) {
    FaultyServer server({.is_chunked = is_chunked, .is_talkative = is_chunked});
    const ResumeReport report = Run(Options(server));
    EXPECT_EQ(report.faults.total(), 0u);
    EXPECT_TRUE(report.passed);
    EXPECT_EQ(report.id, "1");  // the first event that the server ever had is the mark
    EXPECT_EQ(report.caught_up, kReturning);
    EXPECT_EQ(report.catch_up.count(), kReturning);
    EXPECT_EQ(report.deliveries, report.events_accepted * (kStaying + kReturning));
    EXPECT_GE(report.replayed, uint64_t{kMissed} * kReturning);
    EXPECT_GT(report.calm.latency.count(), 0u);
    EXPECT_GT(report.during.latency.count(), 0u);
    EXPECT_GT(report.after.latency.count(), 0u);
    EXPECT_GT(report.last_caught_up_s, 0.0);
  }
}

TEST_P(Resume, JudgesOverSeveralThreads) {
  FaultyServer server({});
  ResumeOptions options = Options(server);
  options.base.threads = 2;
  const ResumeReport report = Run(options);
  EXPECT_EQ(report.faults.total(), 0u);
  EXPECT_TRUE(report.passed);
}

TEST_P(Resume, ReportsTheFaultOfAReplay) {
  for (const Fault fault : {Fault::kLose, Fault::kRepeat, Fault::kCorrupt}) {
    SCOPED_TRACE(testing::Message() << "fault " << static_cast<int>(fault));
    FaultyServer server({.fault = fault, .hits_replays = true});
    const ResumeReport report = Run(Options(server));
    ASSERT_GE(server.injected(), kReturning * (kMissed / 10));
    EXPECT_FALSE(report.passed);
    EXPECT_EQ(report.faults.lost, fault == Fault::kLose ? server.injected() : 0);
    EXPECT_EQ(report.faults.repeated, fault == Fault::kRepeat ? server.injected() : 0);
    EXPECT_EQ(report.faults.corrupted, fault == Fault::kCorrupt ? server.injected() : 0);
    EXPECT_EQ(report.faults.reordered, 0u);
  }
}

// Counted a delivery, and once more for each event that those that stayed saw in another order.
TEST_P(Resume, ReportsAReplayOutOfOrder) {
  FaultyServer server({.fault = Fault::kReorder, .hits_replays = true});
  const ResumeReport report = Run(Options(server));
  ASSERT_GE(server.injected(), kReturning * (kMissed / 10 - 1));
  EXPECT_FALSE(report.passed);
  EXPECT_EQ(report.faults.reordered, server.injected() + server.injected() / kReturning);
  EXPECT_EQ(report.faults.lost, 0u);
}

TEST_P(Resume, ReportsWhatAServerWithoutHistoryLoses) {
  FaultyServer server({.has_history = false});
  const ResumeReport report = Run(Options(server));
  EXPECT_FALSE(report.passed);
  EXPECT_GE(report.faults.lost, uint64_t{kMissed} * kReturning);
  EXPECT_EQ(report.faults.total(), report.faults.lost);
}

TEST_P(Resume, ReportsALossOfThoseThatStayed) {
  FaultyServer server({.fault = Fault::kLose});
  const ResumeReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  EXPECT_FALSE(report.passed);
  // Events of the replay's time are lost to the newest reader of all, which came back.
  EXPECT_EQ(report.faults.lost, server.injected());
}

INSTANTIATE_TEST_SUITE_P(Engines, Resume, testing::Values("io_uring", "epoll"),
                         [](const auto& engine) { return std::string(engine.param); });

TEST(ServerLatency, TellsWhatWasCountedBetweenTwoMoments) {
  constexpr char kBefore[] =
      R"({"delivery_latency_us":{"count":1,"buckets":[[5,1]]},)"
      R"("fanout_latency_us":{"count":100,"p99":9,"buckets":[[10.07,90],[1000,10]]},"x":[[1,2]]})";
  constexpr char kAfter[] =
      R"({"fanout_latency_us":{"buckets":[[10.07,90],[20.5,99],[1000,11],[50000,0]]}})";
  const auto before = ServerLatency::Read(kBefore, "fanout_latency_us");
  const auto after = ServerLatency::Read(kAfter, "fanout_latency_us");
  EXPECT_EQ(before.count(), 100u);
  EXPECT_EQ(before.AtMs(0.99), 1.0);
  const ServerLatency between = after.Since(before);
  EXPECT_EQ(between.count(), 100u);
  EXPECT_EQ(between.AtMs(0.99), 0.0205);
  EXPECT_EQ(between.AtMs(0.999), 1.0);
  EXPECT_EQ(ServerLatency::Read("{}", "fanout_latency_us").count(), 0u);
  EXPECT_EQ(ServerLatency::Read(R"({"fanout_latency_us":{"p99":1}})", "fanout_latency_us").AtMs(1),
            0.0);
}

}  // namespace
}  // namespace sluice::bench
