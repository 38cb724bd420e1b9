// Goal: over real sockets, on each engine that this host offers, a reader that comes back to any
// shard gets what it missed and then the live stream, each event once, or is told of the gap.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/engine.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using test::TestClient;

class GatewayHistoryTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.shards = 2;
    options_.engine = GetParam();
    options_.stop_spread_ms = 50;
  }

  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }
  nlohmann::json Stats() const { return nlohmann::json::parse(gateway_->Stats(false)); }

  // Subscribes; returns the greeting.
  static std::string Open(TestClient* client, const std::string& target,
                          const std::string& last_id = "") {
    std::string request =
        "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n";
    if (!last_id.empty()) request += "Last-Event-ID: " + last_id + "\r\n";
    client->Send(request + "\r\n");
    const auto head = client->ReadTo("\r\n\r\n");
    EXPECT_TRUE(head && head->find(" 200 ") != std::string::npos);
    return client->ReadTo("\n\n").value_or("");
  }
  static std::string Field(const std::string& block, const std::string& name) {
    const size_t at = ("\n" + block).find("\n" + name + ": ");
    if (at == std::string::npos) return "";
    const size_t begin = at + name.size() + 2;
    return block.substr(begin, block.find('\n', begin) - begin);
  }
  std::string Publish(const std::string& target, const std::string& data) {
    TestClient client(address_);
    const auto reply = client.Post(data, target);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return nlohmann::json::parse(reply.body)["data"]["id"];
  }

  // All shards and the history have all that was published.
  void WaitForHistory() const {
    while (Stats()["ring"]["events"] != 0) std::this_thread::yield();
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

TEST_P(GatewayHistoryTest, AReaderThatComesBackGetsWhatItMissedOfItsTopics) {
  Start();
  const std::string first = Publish("/publish/a", "0");
  std::vector<std::string> missed;
  for (int n = 1; n < 300; ++n) {
    Publish(n % 3 == 0 ? "/publish/a" : "/publish/b", std::to_string(n));
    if (n % 3 == 0) missed.push_back(std::to_string(n));
  }
  // Several times, so that both shards are asked.
  for (int time = 0; time < 8; ++time) {
    TestClient client(address_);
    EXPECT_EQ(Field(Open(&client, "/stream?topic=a", first), "id"), first);  // not the newest
    missed.push_back(std::to_string(1000 + time));
    Publish("/publish/b", "\"not for it\"");
    Publish("/publish/a", missed.back());
    for (const std::string& data : missed) {
      ASSERT_EQ(Field(client.ReadTo("\n\n").value_or(""), "data"), data);
    }
  }
}

TEST_P(GatewayHistoryTest, AnIdOfAnotherRunIsToldToBeUnknown) {
  Start();
  const std::string before = Publish("/broadcast", "0");
  gateway_.reset();
  Start();
  const std::string held = Publish("/broadcast", "1");
  WaitForHistory();
  TestClient client(address_);
  EXPECT_EQ(Field(Open(&client, "/stream", before), "id"), "");
  const std::string gap = client.ReadTo("\n\n").value_or("");
  EXPECT_EQ(Field(gap, "event"), "sluice.gap");
  EXPECT_NE(gap.find("\"reason\":\"unknown\",\"after\":\"" + before + "\""), std::string::npos)
      << gap;
  EXPECT_EQ(Field(client.ReadTo("\n\n").value_or(""), "id"), held);
  EXPECT_EQ(Stats()["history"]["gaps_total"]["unknown"], 1u);
}

TEST_P(GatewayHistoryTest, ReplayAndLiveJoinWithoutAMissingOrDoubledEventUnderLoad) {
  constexpr int kReaders = 6;
  constexpr int kEvents = 20'000;
  options_.ring_events_max = 512;
  Start();
  std::vector<std::thread> threads;
  std::atomic<int> subscribed = 0;
  std::atomic<uint64_t> resumed = 0;
  for (int r = 0; r < kReaders; ++r) {
    threads.emplace_back([&, r] {
      std::string last_id;
      for (int next = 0; next < kEvents;) {
        TestClient client(address_);
        const std::string opening = Open(&client, "/stream", last_id);
        if (last_id.empty()) {
          last_id = Field(opening, "id");
          ++subscribed;
        } else {
          ASSERT_EQ(Field(opening, "id"), last_id);
          ++resumed;
        }
        for (int left = 1 + (next * 7 + r * 13) % 900; left != 0 && next < kEvents; --left) {
          const auto block = client.ReadTo("\n\n");
          ASSERT_TRUE(block);
          if (Field(*block, "data") == "") continue;
          ASSERT_EQ(Field(*block, "data"), std::to_string(next)) << *block;
          last_id = Field(*block, "id");
          ++next;
        }
      }
    });
  }
  while (subscribed < kReaders) std::this_thread::yield();
  for (int n = 0; n < kEvents;) {
    std::string id;
    const std::string data = std::to_string(n);
    const Status status = gateway_->Publish({.data = data, .type = ""}, &id);
    if (status.ok()) {
      ++n;
    } else {
      std::this_thread::yield();  // the ring is full
    }
  }
  for (std::thread& thread : threads) thread.join();
  WaitForHistory();
  const auto history = Stats()["history"];
  EXPECT_GT(resumed, 100u);
  EXPECT_GT(history["replays_total"], 0u);
  EXPECT_EQ(history["gaps_total"]["evicted"], 0u);
  EXPECT_EQ(history["events"], uint64_t{kEvents});
}

TEST_P(GatewayHistoryTest, WhatIsGoneIsToldOnceAndNothingElse) {
  options_.history_events_max = 10;
  options_.history_policies = {{.topics = "quiet/**", .events_max = 5}};
  Start();
  const std::string quiet = Publish("/publish/quiet/a", "0");
  const std::string first = Publish("/publish/busy", "1");
  std::string last_gone;
  std::string last;
  for (int n = 0; n < 50; ++n) {
    last = Publish("/publish/busy", std::to_string(n));
    if (n == 39) last_gone = last;
  }
  WaitForHistory();
  TestClient client(address_);
  EXPECT_EQ(Field(Open(&client, "/stream?topic=busy", first), "id"), first);
  const std::string gap = client.ReadTo("\n\n").value_or("");
  EXPECT_NE(gap.find("\"reason\":\"evicted\",\"after\":\"" + first + "\""), std::string::npos)
      << gap;
  EXPECT_NE(gap.find("\"last\":\"" + last_gone + "\""), std::string::npos) << gap;
  for (int n = 40; n < 50; ++n) {
    EXPECT_EQ(Field(client.ReadTo("\n\n").value_or(""), "data"), std::to_string(n));
  }
  // From the gap's id on it is not told again; nor is a reader of a topic that was quiet so long.
  TestClient again(address_);
  Open(&again, "/stream?topic=busy", last_gone);
  EXPECT_EQ(Field(again.ReadTo("\n\n").value_or(""), "data"), "40");
  TestClient patient(address_);
  Open(&patient, "/stream?topic=quiet/a", quiet);
  const std::string next = Publish("/publish/quiet/a", "\"next\"");
  EXPECT_EQ(Field(patient.ReadTo("\n\n").value_or(""), "id"), next);
  const auto history = Stats()["history"];
  EXPECT_EQ(history["gaps_total"]["evicted"], 1u);
  EXPECT_EQ(history["evicted_total"], 41u);
}

TEST_P(GatewayHistoryTest, AStreamStartsWhereItAsksTo) {
  Start();
  for (int n = 0; n < 20; ++n) {
    Publish("/publish/a?key=" + std::to_string(n % 4) + "&id=own." + std::to_string(n),
            std::to_string(n));
  }
  const auto expect = [&](const std::string& query, std::vector<int> numbers) {
    WaitForHistory();
    TestClient client(address_);
    Open(&client, "/stream?topic=a&" + query);
    const int live = 1000 + static_cast<int>(query.size());
    Publish("/publish/a", std::to_string(live));
    numbers.push_back(live);
    for (const int number : numbers) {
      EXPECT_EQ(Field(client.ReadTo("\n\n").value_or(""), "data"), std::to_string(number)) << query;
    }
  };
  expect("from=values", {16, 17, 18, 19});
  expect("last_event_id=own.17", {18, 19, 1011});
  expect("from=-2", {1011, 1020});
  expect("from=now", {});
}

TEST_P(GatewayHistoryTest, WithoutAHistoryWhoMissedEventsIsToldSo) {
  options_.history_events_max = 0;
  options_.shards = 1;  // with more, one that has not drained the event sends it live
  Start();
  const std::string first = Publish("/broadcast", "0");
  const std::string last = Publish("/broadcast", "1");
  TestClient client(address_);
  Open(&client, "/stream", first);
  const std::string gap = client.ReadTo("\n\n").value_or("");
  EXPECT_NE(gap.find("\"reason\":\"evicted\",\"after\":\"" + first + "\""), std::string::npos)
      << gap;
  EXPECT_EQ(Field(gap, "id"), last);
  TestClient newest(address_);
  Open(&newest, "/stream", last);
  const std::string next = Publish("/broadcast", "2");
  EXPECT_EQ(Field(newest.ReadTo("\n\n").value_or(""), "id"), next);
}

INSTANTIATE_TEST_SUITE_P(Engines, GatewayHistoryTest,
                         testing::Values(EngineChoice::kEpoll, EngineChoice::kIoUring),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kEpoll ? "Epoll" : "IoUring";
                         });

}  // namespace
}  // namespace sluice
