// The meter against a server that is wrong on purpose: it must report exactly that fault, as often
// as it was done, and nothing else; on both of its engines.
#include "fanout.h"

#include <gtest/gtest.h>

#include <string>

#include "crew.h"
#include "faulty_server.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kSubscribers = 8;

class Meter : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string reason;
    if (std::string(GetParam()) == "io_uring" && !IoUringWorks(&reason)) GTEST_SKIP() << reason;
  }

  static FanoutOptions Options(const FaultyServer& server) {
    FanoutOptions options;
    options.stream_url = server.stream_url();
    options.publish_url = server.publish_url();
    options.subscribers = kSubscribers;
    options.rate = 200;
    options.publishers = 1;  // so that the publishing order of all events is defined
    options.duration_s = 0.5;
    options.warmup_s = 0.1;
    options.drain_s = 1;
    options.settle_s = 0.1;
    options.engine = GetParam();
    options.is_quiet = true;
    return options;
  }
  static FanoutReport Run(const FanoutOptions& options) {
    FanoutReport report;
    const Status status = RunFanout(options, &report);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(report.engine, GetParam());
    EXPECT_GT(report.events_accepted, 100u);
    return report;
  }
  static void ExpectFaults(const FanoutReport& report, const Faults& wanted) {
    EXPECT_EQ(report.faults.lost, wanted.lost);
    EXPECT_EQ(report.faults.repeated, wanted.repeated);
    EXPECT_EQ(report.faults.reordered, wanted.reordered);
    EXPECT_EQ(report.faults.corrupted, wanted.corrupted);
    EXPECT_EQ(report.faults.misrouted, wanted.misrouted);
    EXPECT_EQ(report.passed, wanted.total() == 0);
  }
};

TEST_P(Meter, PassesAServerThatIsRight) {
  FaultyServer server({});
  const FanoutReport report = Run(Options(server));
  ExpectFaults(report, {});
  EXPECT_EQ(report.deliveries, report.events_accepted * kSubscribers);
}

TEST_P(Meter, ReadsChunkedStreamsCutAnywhere) {
  FaultyServer server({.is_chunked = true});
  const FanoutReport report = Run(Options(server));
  ExpectFaults(report, {});
  EXPECT_EQ(report.deliveries, report.events_accepted * kSubscribers);
}

// Whatever the standard lets a server send is read: it need not look like ours.
TEST_P(Meter, ReadsEveryServersStreams) {
  for (const char* const line_end : {"\r\n", "\r", "\n"}) {
    for (const bool is_chunked : {false, true}) {
      SCOPED_TRACE(testing::Message() << (line_end[0] == '\n' ? "LF"
                                          : line_end[1]       ? "CRLF"
                                                              : "CR")
                                      << (is_chunked ? ", chunked" : ""));
      FaultyServer server({.is_chunked = is_chunked,
                           .line_end = line_end,
                           .has_bom = true,
                           .is_talkative = true,
                           .closes_publishes = is_chunked});
      FanoutOptions options = Options(server);
      options.publish_body = "{\n  \"wrapped\": {payload},\n  \"more\": [1,\n2]\n}";
      const FanoutReport report = Run(options);
      ExpectFaults(report, {});
      EXPECT_EQ(report.deliveries, report.events_accepted * kSubscribers);
      EXPECT_GT(report.foreign, 0u);
    }
  }
}

TEST_P(Meter, FindsTheFaultInEveryLineEnd) {
  for (const char* const line_end : {"\r\n", "\r"}) {
    FaultyServer server({.fault = Fault::kRepeat, .line_end = line_end, .is_talkative = true});
    const FanoutReport report = Run(Options(server));
    ASSERT_GT(server.injected(), 0u);
    ExpectFaults(report, {.repeated = server.injected()});
  }
}

TEST_P(Meter, OpensAConnectionAPublishWhereTheServerWantsIt) {
  FaultyServer server({.fault = Fault::kRefuse, .closes_publishes = true});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  EXPECT_EQ(report.publishes_retried, server.injected());
  EXPECT_EQ(report.publish_errors, 0u);
  ExpectFaults(report, {});
}

TEST_P(Meter, JudgesOverSeveralThreads) {
  FaultyServer server({.fault = Fault::kLose});
  FanoutOptions options = Options(server);
  options.threads = 3;
  const FanoutReport report = Run(options);
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.lost = server.injected()});
}

TEST_P(Meter, ReportsLostEvents) {
  FaultyServer server({.fault = Fault::kLose});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.lost = server.injected()});
}

TEST_P(Meter, ReportsEventsLostToAll) {
  FaultyServer server({.fault = Fault::kLose, .hits_all = true});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.lost = server.injected()});
}

TEST_P(Meter, ReportsRepeatedEvents) {
  FaultyServer server({.fault = Fault::kRepeat});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.repeated = server.injected()});
}

TEST_P(Meter, ReportsEventsRepeatedToAll) {
  FaultyServer server({.fault = Fault::kRepeat, .hits_all = true, .is_chunked = true});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.repeated = server.injected()});
}

TEST_P(Meter, ReportsReorderedEvents) {
  FaultyServer server({.fault = Fault::kReorder});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  // The very last event of the run may still be held back: that one is lost.
  EXPECT_LE(report.faults.lost, 1u);
  ExpectFaults(report, {.lost = report.faults.lost, .reordered = server.injected()});
}

TEST_P(Meter, ReportsEventsReorderedForAll) {
  FaultyServer server({.fault = Fault::kReorder, .hits_all = true});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  EXPECT_LE(report.faults.lost, kSubscribers);
  ExpectFaults(report, {.lost = report.faults.lost, .reordered = server.injected()});
}

TEST_P(Meter, ReportsCorruptedEvents) {
  FaultyServer server({.fault = Fault::kCorrupt});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.corrupted = server.injected()});
}

TEST_P(Meter, ReportsEventsCorruptedForAll) {
  FaultyServer server({.fault = Fault::kCorrupt, .hits_all = true});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  ExpectFaults(report, {.corrupted = server.injected()});
}

// Open loop: latency counts from when an event was due. A server that stands still for 300 ms at
// 200 events a second delays some 60 events; a closed loop would have seen one.
TEST_P(Meter, AStalledServerCannotHide) {
  FaultyServer server({.fault = Fault::kDelay, .every = 60, .delay_ms = 300});
  FanoutOptions options = Options(server);
  options.duration_s = 1;
  const FanoutReport report = Run(options);
  ASSERT_EQ(server.injected(), 1u);
  ExpectFaults(report, {});
  EXPECT_GE(report.latency.max(), 290'000'000u);
  // At least those due in the first half of the stall waited for its second half.
  EXPECT_GE(report.latency.At(0.95), 100'000'000u);
}

TEST_P(Meter, TakesARefusalForNowAsNoLoss) {
  FaultyServer server({.fault = Fault::kRefuse});
  const FanoutReport report = Run(Options(server));
  ASSERT_GT(server.injected(), 0u);
  EXPECT_EQ(report.publishes_retried, server.injected());
  ExpectFaults(report, {});
}

// 8 subscribers: as many a topic, not as many, some topics without any.
TEST_P(Meter, CountsWhatIsDueByTopic) {
  for (const uint32_t topics : {1u, 3u, 25u}) {
    for (const uint32_t threads : {1u, 3u}) {
      SCOPED_TRACE(testing::Message() << topics << " topics, " << threads << " threads");
      FaultyServer server({});
      FanoutOptions options = Options(server);
      options.topics = topics;
      options.threads = threads;
      options.publish_url += "/{topic}";
      options.publish_body = "{\"topic\":\"{topic}\",\"event\":{payload},\"of\":\"{topic}\"}";
      const FanoutReport report = Run(options);
      ExpectFaults(report, {});
      EXPECT_EQ(report.deliveries_due, server.due());
      EXPECT_EQ(report.deliveries, server.due());
      EXPECT_GT(report.deliveries, 0u);
      EXPECT_LE(report.last.count(), report.events_accepted);
    }
  }
}

TEST_P(Meter, HoldsThePublisherBackByTopicsToo) {
  FaultyServer server({});
  FanoutOptions options = Options(server);
  options.rate = 0;
  options.ahead_max = 4;
  options.topics = 3;
  options.threads = 2;
  const FanoutReport report = Run(options);
  ExpectFaults(report, {});
  EXPECT_EQ(report.deliveries, server.due());
}

TEST_P(Meter, FindsTheFaultWithinATopic) {
  for (const bool hits_all : {false, true}) {
    for (const Fault fault : {Fault::kLose, Fault::kRepeat, Fault::kCorrupt, Fault::kMisroute}) {
      SCOPED_TRACE(testing::Message()
                   << "fault " << static_cast<int>(fault) << (hits_all ? ", all" : ""));
      FaultyServer server({.fault = fault, .hits_all = hits_all});
      FanoutOptions options = Options(server);
      options.topics = 3;
      options.threads = 2;
      const FanoutReport report = Run(options);
      ASSERT_GT(server.injected(), 0u);
      Faults wanted;
      (fault == Fault::kLose      ? wanted.lost
       : fault == Fault::kRepeat  ? wanted.repeated
       : fault == Fault::kCorrupt ? wanted.corrupted
                                  : wanted.misrouted) = server.injected();
      ExpectFaults(report, wanted);
      EXPECT_EQ(report.deliveries_due, server.due());
    }
  }
}

TEST_P(Meter, ReportsEventsReorderedWithinATopic) {
  for (const bool hits_all : {false, true}) {
    FaultyServer server({.fault = Fault::kReorder, .every = 5, .hits_all = hits_all});
    FanoutOptions options = Options(server);
    options.topics = 3;
    const FanoutReport report = Run(options);
    ASSERT_GT(server.injected(), 0u);
    // The last events of the topics may still be held back: those are lost.
    EXPECT_LE(report.faults.lost, kSubscribers);
    ExpectFaults(report, {.lost = report.faults.lost, .reordered = server.injected()});
    EXPECT_EQ(report.deliveries + report.faults.lost, server.due());
  }
}

// One reader a topic: nobody else's order is there to compare with.
TEST_P(Meter, ReportsEventsReorderedForTheOnlyReader) {
  FaultyServer server({.fault = Fault::kReorder, .every = 5});
  FanoutOptions options = Options(server);
  options.topics = kSubscribers;
  const FanoutReport report = Run(options);
  ASSERT_GT(server.injected(), 0u);
  EXPECT_LE(report.faults.lost, kSubscribers);
  ExpectFaults(report, {.lost = report.faults.lost, .reordered = server.injected()});
}

TEST_P(Meter, JoinsTheSameTopicAgain) {
  FaultyServer server({.fault = Fault::kMisroute});
  FanoutOptions options = Options(server);
  options.topics = 3;
  options.churn = 100;
  options.has_storm = true;
  const FanoutReport report = Run(options);
  EXPECT_GT(report.reconnected, kSubscribers);
  // The newest may be the one that is gone: then nobody saw it.
  EXPECT_GT(report.faults.misrouted, 0u);
  EXPECT_LE(report.faults.misrouted, server.injected());
  ExpectFaults(report, {.misrouted = report.faults.misrouted});
}

TEST_P(Meter, ReportsAStreamThatEnds) {
  FaultyServer server({.fault = Fault::kHangUp, .every = 100});
  const FanoutReport report = Run(Options(server));
  ASSERT_EQ(server.injected(), 1u);
  EXPECT_EQ(report.disconnected, 1u);
  EXPECT_GT(report.faults.lost, 0u);
  EXPECT_FALSE(report.passed);
}

TEST_P(Meter, RefusesARunThatCouldNotBeMade) {
  FanoutOptions options;
  options.stream_url = "http://127.0.0.1:1/stream";
  options.publish_url = "http://127.0.0.1:1/broadcast";
  options.subscribers = 1;
  options.join_stall_s = 0.3;
  options.engine = GetParam();
  options.is_quiet = true;
  FanoutReport report;
  EXPECT_EQ(RunFanout(options, &report).code(), StatusCode::kUnavailable);
}

INSTANTIATE_TEST_SUITE_P(Engines, Meter, testing::Values("io_uring", "epoll"),
                         [](const auto& engine) { return std::string(engine.param); });

}  // namespace
}  // namespace sluice::bench
