// Goal: the engine, the shards and their places follow from options and host as --help says, and
// --check tells a person what is not as it should be.
#include "gateway/host_plan.h"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <fstream>
#include <string>

namespace sluice {
namespace {

class HostPlanning : public testing::Test {
 protected:
  HostPlanning() {
    facts_.affinity = {2, 3, 5, 7};
    facts_.usable_cores = 4;
    facts_.open_files_soft = facts_.open_files_hard = 1'048'576;
    facts_.somaxconn = 4'096;
    facts_.memory_bytes = uint64_t{8} << 30;
    facts_.kernel = "6.1.0";
  }

  Status Plan() { return PlanForHost(options_, facts_, offers_, &plan_); }
  std::string Report() { return CheckReport(options_, "", facts_, offers_, plan_); }

  Options options_;
  HostFacts facts_;
  std::vector<EngineOffer> offers_{{EngineKind::kIoUring, true, ""},
                                   {EngineKind::kEpoll, true, ""}};
  HostPlan plan_;
};

TEST_F(HostPlanning, OneShardACorePinnedWhenTheyFillTheMask) {
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.engine, EngineKind::kIoUring);
  EXPECT_EQ(plan_.shards, 4u);
  EXPECT_EQ(plan_.pins, (std::vector<uint32_t>{2, 3, 5, 7}));
  EXPECT_TRUE(plan_.warnings.empty()) << plan_.warnings[0];
}

TEST_F(HostPlanning, FewerShardsThanTheMaskAreNotPinned) {
  facts_.usable_cores = 2;  // a quota
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.shards, 2u);
  EXPECT_TRUE(plan_.pins.empty());
}

TEST_F(HostPlanning, CpusGiveTheNumberAndThePlaces) {
  options_.cpus = {7, 3};
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.shards, 2u);
  EXPECT_EQ(plan_.pins, (std::vector<uint32_t>{7, 3}));
  options_.shards = 3;
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.pins, (std::vector<uint32_t>{7, 3, 7}));
}

TEST_F(HostPlanning, ShardsMayExceedTheCores) {
  options_.shards = 9;
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.shards, 9u);
  EXPECT_TRUE(plan_.pins.empty());
  ASSERT_EQ(plan_.warnings.size(), 1u);
}

TEST_F(HostPlanning, ProcessorOutsideTheMaskIsRefused) {
  options_.cpus = {4};
  const Status status = Plan();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("processor 4"), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("2-3,5,7"), std::string::npos) << status.message();
}

TEST_F(HostPlanning, ForcedEngineThatIsMissingIsRefused) {
  offers_[0] = {EngineKind::kIoUring, false, "kernel.io_uring_disabled is 2; set it to 0"};
  options_.engine = EngineChoice::kIoUring;
  const Status status = Plan();
  EXPECT_EQ(status.code(), StatusCode::kUnsupported);
  EXPECT_NE(status.message().find("io_uring_disabled is 2"), std::string::npos);
}

TEST_F(HostPlanning, AutomaticEngineFallsBackWithALine) {
  offers_[0] = {EngineKind::kIoUring, false, "kernel.io_uring_disabled is 2; set it to 0"};
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.engine, EngineKind::kEpoll);
  ASSERT_EQ(plan_.warnings.size(), 1u);
  EXPECT_NE(Report().find("io_uring: not available: kernel.io_uring_disabled"), std::string::npos);
}

TEST_F(HostPlanning, SmallLimitsAreWarnings) {
  options_.engine = EngineChoice::kEpoll;
  facts_.somaxconn = 128;
  facts_.open_files_hard = 4'096;
  facts_.memory_bytes = 256 << 20;
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.warnings.size(), 3u);
  const std::string report = Report();
  EXPECT_NE(report.find("somaxconn=4096"), std::string::npos) << report;
  EXPECT_NE(report.find("LimitNOFILE"), std::string::npos) << report;
  EXPECT_NE(report.find("lower log.bytes_max"), std::string::npos) << report;
}

TEST_F(HostPlanning, MoreSubscribersThanTheHostHasFilesOrTrackedConnections) {
  facts_.host_files_max = 1'000'000;
  facts_.tracked_max = 262'144;
  options_.subscribers_max = 300'000;
  ASSERT_TRUE(Plan().ok());
  ASSERT_EQ(plan_.warnings.size(), 1u);  // nothing is tracked
  EXPECT_NE(plan_.warnings[0].find("fs.file-max=2400000"), std::string::npos) << plan_.warnings[0];

  facts_.host_files_max = 2'000'000;
  facts_.tracked = 10;
  ASSERT_TRUE(Plan().ok());
  ASSERT_EQ(plan_.warnings.size(), 1u);
  EXPECT_NE(plan_.warnings[0].find("nf_conntrack_max is 262144"), std::string::npos);
  EXPECT_NE(Report().find("10 of 262144 entries in use"), std::string::npos) << Report();
}

TEST_F(HostPlanning, TrackingThatIsNearlyFullIsAWarning) {
  facts_.tracked_max = 1'000;
  facts_.tracked = 700;
  ASSERT_TRUE(Plan().ok());
  EXPECT_TRUE(plan_.warnings.empty());
  facts_.tracked = 900;
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.warnings.size(), 1u);
}

TEST_F(HostPlanning, KeyFileMustHoldAKeyThatOthersCannotRead) {
  options_.publish_key_file = testing::TempDir() + "no_such_keys";
  EXPECT_EQ(Plan().code(), StatusCode::kInvalidArgument);

  const std::string path = testing::TempDir() + "plan_keys";
  options_.publish_key_file = path;
  std::ofstream(path) << "# only a comment\n\n";
  EXPECT_EQ(Plan().code(), StatusCode::kInvalidArgument);

  std::ofstream(path) << "# ours\n0123456789abcdef01234567\n";
  chmod(path.c_str(), 0644);
  ASSERT_TRUE(Plan().ok());
  EXPECT_EQ(plan_.warnings.size(), 1u);
  chmod(path.c_str(), 0640);
  ASSERT_TRUE(Plan().ok());
  EXPECT_TRUE(plan_.warnings.empty());
}

TEST_F(HostPlanning, ReportSaysWhatIsSetAndWhat) {
  options_.stop_delay_ms = 10'000;
  ASSERT_TRUE(Plan().ok());
  const std::string report = Report();
  EXPECT_TRUE(report.starts_with("configuration OK (no file)\n")) << report;
  EXPECT_NE(report.find("stop.delay = 10s (default 0)"), std::string::npos) << report;
  EXPECT_NE(report.find("4, pinned to 2 3 5 7"), std::string::npos) << report;
  EXPECT_NE(report.find("0.0.0.0:8181"), std::string::npos) << report;
}

}  // namespace
}  // namespace sluice
