// Goal: a disk that is full, slow or broken never holds the live stream up, shows in /stats,
// /readyz?for=publish and the log, and the journal becomes whole by itself. Method: the simulated
// disk, which stalls and fails when it is told to, and a small tmpfs that is really full.
#include <sys/mount.h>

#include <algorithm>
#include <fstream>

#include "gateway/journal_fixture.h"
#include "journal/simulated_store.h"

namespace sluice {
namespace {

using test::Reader;
using test::Received;

class GatewayJournalFaultTest : public test::GatewayJournalTest {
 protected:
  void SetUp() override {
    GatewayJournalTest::SetUp();
    change_journal_ = [this](JournalOptions* options) {
      options->open_store = [this](std::unique_ptr<JournalStore>* store) {
        *store = disk_.OpenStore();
        return Status::Ok();
      };
      options->retry_ns = 1'000'000;
      options->ceiling_block = ceiling_block_;
    };
  }
  void TearDown() override {
    disk_.Fail("");
    disk_.Stall(false);
    gateway_.reset();  // before the disk
  }
  std::string State() const { return JournalStats()["state"]; }
  // How many lines for the log there are with these words since the last call.
  long Logged(const std::string& words) {
    const auto lines = gateway_->Warnings();
    return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) {
      return line.find(words) != std::string::npos;
    });
  }

  SimulatedDisk disk_;
  uint64_t ceiling_block_ = uint64_t{1} << 32;
};

TEST_P(GatewayJournalFaultTest, AFullDiskIsToldAndStreamsGoOn) {
  Start();
  Reader live(address_, "/stream");
  const std::string first = Publish("/broadcast", "0");
  EXPECT_EQ(live.Next().id, first);
  EXPECT_EQ(Logged("journal"), 0);
  disk_.Fail("No space left on device");
  for (int n = 1; n < 100; ++n) {
    EXPECT_EQ(live.Next().id, Publish("/broadcast", std::to_string(n)));
  }
  Await([this] { return State() == "failed"; });
  EXPECT_EQ(JournalStats()["reason"], "No space left on device");
  EXPECT_EQ(Get("/readyz").status, 200);
  const auto ready = Get("/readyz?for=publish");
  EXPECT_EQ(ready.status, 503);
  EXPECT_NE(ready.body.find("journal_unavailable"), std::string::npos) << ready.body;
  EXPECT_NE(ready.head.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(Logged("No space left on device"), 1);  // once a change
  EXPECT_EQ(Logged("journal"), 0);

  disk_.Fail("");
  Await([this] { return State() == "ok"; });
  EXPECT_EQ(Get("/readyz?for=publish").status, 200);
  EXPECT_EQ(Logged("journal works again"), 1);
  // The queue had room for all of it, so nothing is missing.
  EXPECT_EQ(JournalStats()["holes_total"], 0u);
  live.Close();
  StopAndStart();
  Reader reader(address_, "/stream", first);
  for (int n = 1; n < 100; ++n) EXPECT_EQ(reader.Next().data, std::to_string(n));
}

TEST_P(GatewayJournalFaultTest, AStalledDiskCostsEventsOfTheJournalAndNotOfTheStream) {
  options_.journal_queue_bytes_max = 64 << 10;
  options_.frame_bytes_max = 4 << 10;
  Start();
  Reader live(address_, "/stream");
  const std::string first = Publish("/broadcast", "\"kept\"");
  EXPECT_EQ(live.Next().id, first);
  Await([this] { return JournalStats()["written_sequence"] == 1u; });
  disk_.Stall(true);
  const std::string data = '"' + std::string(1000, 'x') + '"';
  for (int n = 0; n < 200; ++n) ASSERT_EQ(live.Next().id, Publish("/broadcast", data));
  disk_.AwaitStalled();
  EXPECT_EQ(State(), "failed");
  EXPECT_GT(JournalStats()["events_lost_total"], 0u);
  EXPECT_EQ(Get("/readyz").status, 200);
  EXPECT_EQ(Get("/readyz?for=publish").status, 503);
  EXPECT_EQ(Logged("the queue is full"), 1);

  disk_.Stall(false);
  Await([this] { return State() == "ok"; });
  const std::string last = Publish("/broadcast", "\"whole\"");
  Await([this] { return JournalStats()["holes_total"] == 1u; });
  EXPECT_EQ(Logged("journal is whole again"), 1);
  // In this run the history has them all; the next one knows what it does not.
  Reader same_run(address_, "/stream", first);
  for (int n = 0; n < 200; ++n) ASSERT_EQ(same_run.Next().data, data);
  live.Close();
  same_run.Close();
  const uint64_t kept = 202 - JournalStats()["events_lost_total"].get<uint64_t>();
  StopAndStart();
  EXPECT_EQ(JournalStats()["events"], kept);
  Reader reader(address_, "/stream", first);
  EXPECT_EQ(reader.Next().type, "sluice.gap");
  for (uint64_t n = 0; n + 2 < kept; ++n) ASSERT_EQ(reader.Next().data, data);
  EXPECT_EQ(reader.Next().id, last);
  Reader whole(address_, "/stream", last);
  const std::string next = Publish("/broadcast", "1");
  EXPECT_EQ(whole.Next().id, next);
}

TEST_P(GatewayJournalFaultTest, NoSequenceIsGivenOutThatIsNotReserved) {
  ceiling_block_ = 64;
  Start();
  Reader live(address_, "/stream");
  disk_.Fail("Input/output error");
  int accepted = 0;
  test::TestClient::Reply refused;
  for (; accepted < 100; ++accepted) {
    refused = Post("/broadcast", std::to_string(accepted));
    if (refused.status != 200) break;
    EXPECT_EQ(live.Next().data, std::to_string(accepted));
  }
  EXPECT_LT(accepted, 65);
  EXPECT_GE(accepted, 32);
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("journal_unavailable"), std::string::npos) << refused.body;
  EXPECT_NE(refused.head.find("Retry-After: "), std::string::npos);
  std::string id;
  EXPECT_EQ(gateway_->Publish({.data = "0", .type = ""}, &id).code(), StatusCode::kUnavailable);
  EXPECT_EQ(Get("/readyz").status, 200);

  disk_.Fail("");
  Await([this] { return Post("/broadcast", "\"again\"").status == 200; });
  EXPECT_EQ(live.Next().data, "\"again\"");
  for (int n = 0; n < 300; ++n) {  // over several ceilings
    Await([&] { return Post("/broadcast", std::to_string(n)).status == 200; });
    ASSERT_EQ(live.Next().data, std::to_string(n));
  }
}

TEST_P(GatewayJournalFaultTest, AStopWithABrokenDiskIsToldAndTheNextStartTellsReaders) {
  Start();
  const std::string first = Publish("/broadcast", "0");
  Await([this] { return JournalStats()["written_sequence"] == 1u; });
  disk_.Fail("Input/output error");
  const auto last = Epoch::Parse(Publish("/broadcast", "1"));
  EXPECT_TRUE(gateway_->Stop());
  EXPECT_EQ(Logged("the journal was not closed in order"), 1);
  gateway_.reset();
  disk_.Fail("");
  Start();
  Reader reader(address_, "/stream", first);
  EXPECT_EQ(reader.Next().type, "sluice.gap");
  const std::string next = Publish("/broadcast", "2");
  EXPECT_GT(Epoch::Parse(next)->sequence, last->sequence);
  EXPECT_EQ(reader.Next().id, next);
}

TEST_P(GatewayJournalFaultTest, PublishesThatWaitForTheDiskAreRefusedAndTheOthersAreNot) {
  options_.publish_ack = "synced";
  Start();
  Reader live(address_, "/stream");
  const std::string first = Publish("/broadcast", "0");
  EXPECT_EQ(live.Next().id, first);
  EXPECT_GE(JournalStats()["synced_sequence"], 1u);
  disk_.Fail("No space left on device");
  // The one that finds out is told that its event may be lost, those after it are not taken.
  const auto unlucky = Post("/broadcast", "1");
  EXPECT_EQ(unlucky.status, 503);
  EXPECT_EQ(live.Next().data, "1");
  for (int n = 2; n < 20; ++n) {
    const auto refused = Post("/broadcast", std::to_string(n));
    EXPECT_EQ(refused.status, 503);
    EXPECT_NE(refused.body.find("journal_unavailable"), std::string::npos) << refused.body;
    EXPECT_NE(refused.head.find("Retry-After: "), std::string::npos);
    EXPECT_EQ(live.Next().id, Publish("/broadcast?ack=memory", std::to_string(n)));
  }
  EXPECT_EQ(Get("/readyz").status, 200);
  disk_.Fail("");
  Await([this] { return Post("/broadcast", "20").status == 200; });
  EXPECT_EQ(live.Next().data, "20");
  EXPECT_EQ(State(), "ok");
  live.Close();
  StopAndStart();
  Reader reader(address_, "/stream", first);
  for (int n = 1; n <= 20; ++n) EXPECT_EQ(reader.Next().data, std::to_string(n));
}

TEST_P(GatewayJournalFaultTest, OneThatAsksForTheDiskItselfIsSyncedAtOnce) {
  options_.journal_sync_interval_ms = 3'600'000;
  Start();
  Publish("/broadcast", "1");
  Await([this] { return JournalStats()["written_sequence"] == 1u; });
  const uint64_t syncs = JournalStats()["syncs_total"];
  EXPECT_EQ(JournalStats()["synced_sequence"], 0u);
  const std::string id = Publish("/broadcast?ack=synced", "2");
  EXPECT_EQ(JournalStats()["synced_sequence"], Epoch::Parse(id)->sequence);
  EXPECT_EQ(JournalStats()["syncs_total"], syncs + 1);
}

// The disk fails while publishers wait for it, alone and with a line of many.
TEST_P(GatewayJournalFaultTest, WhoWaitsForADiskThatFailsIsToldThatItMayBeLost) {
  options_.publish_ack = "synced";
  options_.publish_ack_timeout_ms = 3'600'000;
  Start();
  Reader live(address_, "/stream?topic=**");
  disk_.Stall(true);
  test::TestClient one(address_);
  one.Send("POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1");
  const std::string id = live.Next().id;  // delivered, whatever the disk does
  test::TestClient lines(address_);
  lines.Send(
      "POST /publish?ack=written HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"data\":2}\n\r\n");
  const std::string id_of_line = live.Next().id;
  disk_.AwaitStalled();
  disk_.Fail("Input/output error");
  disk_.Stall(false);
  const auto answer = one.ReadReply();
  EXPECT_EQ(answer.status, 503) << answer.body;
  EXPECT_NE(answer.body.find("\"error\":\"ack_lost\""), std::string::npos) << answer.body;
  EXPECT_NE(answer.body.find("\"data\":{\"id\":\"" + id + '"'), std::string::npos) << answer.body;
  EXPECT_EQ(answer.head.find("\nRetry-After"), std::string::npos);
  const std::string line = lines.ReadTo("}\n").value_or("");
  EXPECT_NE(line.find("\"error\":\"ack_lost\""), std::string::npos) << line;
  EXPECT_NE(line.find(id_of_line), std::string::npos) << line;
  EXPECT_EQ(Stats()["refusals_total"]["ack_lost"], 2u);
  disk_.Fail("");
  Await([this] { return State() == "ok"; });
  EXPECT_EQ(Post("/broadcast", "3").status, 200);
}

// The group under way is waited for; past the time of the stop no other is begun.
TEST_P(GatewayJournalFaultTest, AStopKeepsToItsTimeWithASlowDisk) {
  options_.stop_timeout_ms = 200;
  Start();
  disk_.Stall(true);
  const std::string data = '"' + std::string(100'000, 'x') + '"';
  for (int n = 0; n < 50; ++n) Publish("/broadcast", data);
  disk_.AwaitStalled();
  std::thread slow([this] {
    const int64_t until_ns = MonotonicNs() + 200 * kNsPerMs + RunningGateway::kJournalGraceNs;
    while (MonotonicNs() < until_ns + 200 * kNsPerMs) std::this_thread::yield();
    disk_.Stall(false);
  });
  const uint64_t commits = disk_.commits();
  EXPECT_TRUE(gateway_->Stop());
  EXPECT_EQ(Logged("the journal was not closed in order"), 1);
  EXPECT_LE(disk_.commits(), commits + 1);
  slow.join();
}

class GatewayFullDiskTest : public test::GatewayJournalTest {
 protected:
  void SetUp() override {
    GatewayJournalTest::SetUp();
    if (IsSkipped()) return;
    if (mount("sluice", folder_.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
      GTEST_SKIP() << "mounting a small file system needs root";
    }
    is_mounted_ = true;
  }
  void TearDown() override {
    gateway_.reset();
    if (is_mounted_) umount2(folder_.path().c_str(), MNT_DETACH);
  }
  std::string FillerPath() const { return folder_.path() + "/filler"; }
  void FillDisk() const {
    std::ofstream file(FillerPath());
    const std::string page(4096, 'x');
    while (file.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
  }

 private:
  bool is_mounted_ = false;
};

TEST_P(GatewayFullDiskTest, APublishGoesOnAndTheJournalRecoversWithItsRoom) {
  Start();
  const std::string first = Publish("/broadcast", "\"first\"");
  Reader live(address_, "/stream");
  FillDisk();
  const std::string data = '"' + std::string(20'000, 'x') + '"';
  int events = 0;
  Await([&] {
    EXPECT_EQ(live.Next().id, Publish("/broadcast", data));
    ++events;
    return JournalStats()["state"] == "failed";
  });
  EXPECT_NE(JournalStats()["reason"].get<std::string>().find("No space left on device"),
            std::string::npos)
      << JournalStats()["reason"];
  EXPECT_EQ(Get("/readyz").status, 200);
  EXPECT_EQ(Get("/readyz?for=publish").status, 503);
  std::filesystem::remove(FillerPath());
  Await([this] { return JournalStats()["state"] == "ok"; });
  EXPECT_EQ(Get("/readyz?for=publish").status, 200);
  live.Close();
  StopAndStart();
  Reader reader(address_, "/stream", first);
  for (int n = 0; n < events; ++n) ASSERT_EQ(reader.Next().data, data);
}

TEST_P(GatewayFullDiskTest, AStartOnAFullDiskSaysWhatToDo) {
  FillDisk();
  const Status status = TryStart();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_NE(status.message().find("No space left on device"), std::string::npos)
      << status.message();
  EXPECT_NE(status.message().find("make room"), std::string::npos) << status.message();
  gateway_.reset();
  std::filesystem::remove(FillerPath());
  Start();
}

INSTANTIATE_TEST_SUITE_P(Engines, GatewayJournalFaultTest, test::kBothEngines, test::kEngineSuffix);
INSTANTIATE_TEST_SUITE_P(Engines, GatewayFullDiskTest, test::kBothEngines, test::kEngineSuffix);

}  // namespace
}  // namespace sluice
