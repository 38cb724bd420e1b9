// Goal: over real sockets, on each engine that this host offers, a reader that takes a tenth of
// what is published gets what the policy of its topics says, and costs no more the longer it lasts.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/engine.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using test::TestClient;

class GatewaySlowReaderTest : public testing::TestWithParam<EngineChoice> {
 protected:
  static constexpr int kKeys = 40;

  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.shards = 1;
    options_.engine = GetParam();
    options_.stop_spread_ms = 50;
    options_.history_events_max = 0;
    options_.lag_policies = {
        {.topics = "prices/**", .policy = "conflate", .events_max = 200, .age_max_ms = 1'000},
        {.topics = "news/**", .policy = "skip", .events_max = 200}};
  }
  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    publisher_ = std::make_unique<TestClient>(gateway_->addresses().front());
  }
  nlohmann::json Stats() const { return nlohmann::json::parse(gateway_->Stats(false)); }

  // Fifty events of 2 KiB, the keys in turn.
  void PublishSome(const std::string& topic) {
    std::string lines = "[";
    for (int i = 0; i < 50; ++i) {
      const int n = published_++;
      const std::string key = std::to_string(n * 7 % kKeys);
      newest_[key] = n;
      lines += (i == 0 ? "" : ",") + (R"({"topics":[")" + topic + R"("],"key":")" + key) +
               R"(","data":{"n":)" + std::to_string(n) + R"(,"key":")" + key + R"(","pad":")" +
               std::string(2000, 'x') + "\"}}";
    }
    while (true) {
      publisher_->Send(
          "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
          "application/json\r\nContent-Length: " +
          std::to_string(lines.size() + 1) + "\r\n\r\n" + lines + "]");
      const auto reply = publisher_->ReadReply();
      if (reply.status == 200) return;
      ASSERT_EQ(reply.status, 503) << reply.body;
    }
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<TestClient> publisher_;
  int published_ = 0;
  std::map<std::string, int> newest_;
};

TEST_P(GatewaySlowReaderTest, WhoConflatesGetsTheNewestOfEachKeyAndMemoryStaysFlat) {
  Start();
  TestClient reader(gateway_->addresses().front(), 8192);
  ASSERT_TRUE(reader.Subscribe("/stream?topic=prices/*"));
  std::map<std::string, int> seen;
  int received = 0;
  int last = -1;
  const auto read_one = [&] {
    const auto data = reader.NextData();
    ASSERT_TRUE(data);
    const auto event = nlohmann::json::parse(*data);
    ASSERT_TRUE(event.contains("n")) << *data;  // no gap
    ASSERT_GT(event["n"], last);                // in order, none twice
    last = event["n"];
    seen[event["key"]] = last;
    ++received;
  };
  uint64_t highest_early = 0;
  for (int round = 0; round < 400; ++round) {
    PublishSome("prices/a");
    for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(read_one());
    if (round == 200) highest_early = Stats()["log"]["highest_bytes"];
  }
  const auto stats = Stats();
  const auto& lag = stats["lag"]["by_topics"][0];
  EXPECT_EQ(lag["topics"], "prices/**");
  EXPECT_GT(lag["conflations_total"], 0u);
  EXPECT_GT(lag["conflated_events_total"], 10'000u);
  EXPECT_LE(lag["table_highest_events"], 200u + 50);
  EXPECT_EQ(stats["lag"]["by_policy"]["conflate"]["conflations_total"], lag["conflations_total"]);
  EXPECT_LE(stats["log"]["highest_bytes"], highest_early * 5 / 4);
  while (seen != newest_) ASSERT_NO_FATAL_FAILURE(read_one());
  EXPECT_LT(received, published_ / 5);
  // And it goes on live.
  PublishSome("prices/a");
  while (seen != newest_) ASSERT_NO_FATAL_FAILURE(read_one());
  EXPECT_EQ(Stats()["history"]["gaps_total"]["skipped"], 0u);
}

TEST_P(GatewaySlowReaderTest, WhoSkipsIsToldOfEachGapAndEndsWithTheNewest) {
  Start();
  TestClient reader(gateway_->addresses().front(), 8192);
  ASSERT_TRUE(reader.Subscribe("/stream?topic=news/*"));
  int next = 0;
  int gaps = 0;
  const auto sequence = [](const std::string& id) {
    return std::stoi(id.substr(id.find('-') + 1));
  };
  const auto read_one = [&] {
    const auto data = reader.NextData();
    ASSERT_TRUE(data);
    const auto event = nlohmann::json::parse(*data);
    if (event.contains("reason")) {
      ++gaps;
      ASSERT_EQ(event["reason"], "skipped");
      ASSERT_EQ(sequence(event["first"]), next + 1);  // the n-th has sequence n + 1
      next = sequence(event["last"]);
    } else {
      ASSERT_EQ(event["n"], next);
      ++next;
    }
  };
  for (int round = 0; round < 200; ++round) {
    PublishSome("news/a");
    for (int i = 0; i < 5; ++i) ASSERT_NO_FATAL_FAILURE(read_one());
  }
  while (next != published_) ASSERT_NO_FATAL_FAILURE(read_one());
  EXPECT_GT(gaps, 0);
  const auto stats = Stats();
  EXPECT_EQ(stats["history"]["gaps_total"]["skipped"], gaps);
  EXPECT_EQ(stats["lag"]["by_topics"][1]["skips_total"],
            stats["lag"]["by_policy"]["skip"]["skips_total"]);
  EXPECT_GT(stats["lag"]["by_policy"]["skip"]["skipped_events_total"], 0u);
}

INSTANTIATE_TEST_SUITE_P(Engines, GatewaySlowReaderTest,
                         testing::Values(EngineChoice::kEpoll, EngineChoice::kIoUring),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kEpoll ? "Epoll" : "IoUring";
                         });

}  // namespace
}  // namespace sluice
