// Goal: over real sockets, on each engine that this host offers and on several shards, a publish
// that waits until it is matched is told the exact number of subscribers, whichever shard it is
// published on; others go on meanwhile; and a stop answers who waits.
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/engine.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using test::TestClient;

class AckTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.shards = 3;
    options_.engine = GetParam();
    options_.stop_spread_ms = 50;
    options_.publish_ack = "matched";
    // So small that an event for many channels is appended over several turns.
    options_.sweep_appends_max = 3;
  }
  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }
  std::unique_ptr<TestClient> Subscriber(const std::string& target) {
    auto client = std::make_unique<TestClient>(address_);
    EXPECT_TRUE(client->Subscribe(target));
    return client;
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

uint64_t Matched(const TestClient::Reply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  return nlohmann::json::parse(reply.body)["data"]["matched"];
}

TEST_P(AckTest, TellsExactlyHowManySubscribersWereMatched) {
  Start();
  std::vector<std::unique_ptr<TestClient>> subscribers;
  // 20 channels of one reader that want a, 7 readers of one that want a and b, 5 of everything.
  for (int i = 0; i < 20; ++i) {
    subscribers.push_back(Subscriber("/stream?topic=a&topic=own/" + std::to_string(i)));
  }
  for (int i = 0; i < 7; ++i) subscribers.push_back(Subscriber("/stream?topic=a&topic=b"));
  for (int i = 0; i < 5; ++i) subscribers.push_back(Subscriber("/stream?topic=**"));
  for (int i = 0; i < 3; ++i) subscribers.push_back(Subscriber("/stream"));
  // Connections of their own, so on all shards.
  for (int i = 0; i < 12; ++i) {
    TestClient publisher(address_);
    EXPECT_EQ(Matched(publisher.Post("1", "/publish/a")), 32u);
    EXPECT_EQ(Matched(publisher.Post("1", "/publish/b?topic=a")), 32u);
    EXPECT_EQ(Matched(publisher.Post("1", "/publish/b")), 12u);
    EXPECT_EQ(Matched(publisher.Post("1", "/publish/own/3")), 6u);
    EXPECT_EQ(Matched(publisher.Post("1", "/publish/nobody/else")), 5u);
    EXPECT_EQ(Matched(publisher.Post("1")), 8u);
    EXPECT_EQ(publisher.Post("1", "/broadcast?ack=memory").body.find("matched"), std::string::npos);
  }
}

TEST_P(AckTest, ARepeatGetsTheFirstAnswer) {
  Start();
  auto subscriber = Subscriber("/stream?topic=a");
  const std::string request =
      "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\r\n"
      "Content-Length: 1\r\n\r\n1";
  TestClient first(address_);
  first.Send(request);
  const TestClient::Reply answer = first.ReadReply();
  EXPECT_EQ(Matched(answer), 1u);
  auto another = Subscriber("/stream?topic=a");
  for (int i = 0; i < 6; ++i) {
    TestClient again(address_);
    again.Send(request);
    const TestClient::Reply repeat = again.ReadReply();
    EXPECT_EQ(repeat.body, answer.body);
    EXPECT_NE(repeat.head.find("Idempotency-Replayed: true"), std::string::npos);
  }
}

TEST_P(AckTest, ManyPublishersAndAStreamOfLinesAtOnce) {
  Start();
  constexpr int kEvents = 300;
  auto subscriber = Subscriber("/stream?topic=**");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> publishers;
  for (int i = 0; i < 4; ++i) {
    publishers.emplace_back([&] {
      TestClient publisher(address_);
      for (int n = 0; n < kEvents; ++n) {
        if (publisher.Post("1", "/publish/x").body.find("\"matched\":1}}") == std::string::npos) {
          ++wrong;
        }
      }
    });
  }
  publishers.emplace_back([&] {
    TestClient lines(address_);
    std::string body;
    for (int n = 0; n < kEvents; ++n) body += "{\"topics\":[\"y\"],\"data\":1}\n";
    lines.Send(
        "POST /publish HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        "Content-Type: application/x-ndjson\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string replies = lines.ReadRest();
    int matched = 0;
    for (size_t at = 0; (at = replies.find("\"matched\":1}}\n", at)) != std::string::npos; ++at) {
      ++matched;
    }
    if (matched != kEvents || !replies.ends_with("0\r\n\r\n")) ++wrong;
  });
  for (std::thread& publisher : publishers) publisher.join();
  EXPECT_EQ(wrong, 0);
  for (int n = 0; n < kEvents * 5; ++n) ASSERT_TRUE(subscriber->NextData());
}

// The stop begins while lines are on their way: each is answered with what it was matched, or with
// the word that it was not published.
TEST_P(AckTest, AStopAnswersWhoWaits) {
  Start();
  auto subscriber = Subscriber("/stream?topic=**");
  // It has to read, or its goodbye waits behind what it has not taken.
  std::thread reader([&] { subscriber->ReadRest(); });
  TestClient lines(address_);
  lines.Send(
      "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    while (!is_over && lines.Send("b\r\n{\"data\":1}\n\r\n")) {
    }
  });
  ASSERT_TRUE(lines.ReadTo("\"matched\":1"));
  std::thread stopper([&] { EXPECT_TRUE(gateway_->Stop()); });
  const std::string rest = lines.ReadRest();
  is_over = true;
  writer.join();
  stopper.join();
  reader.join();
  const size_t draining = rest.find("\"error\":\"draining\"");
  ASSERT_NE(draining, std::string::npos);
  EXPECT_TRUE(rest.ends_with("0\r\n\r\n"));
  EXPECT_EQ(rest.find("\"success\":true", draining), std::string::npos);
  EXPECT_EQ(rest.find("ack_"), std::string::npos);
}

TEST_P(AckTest, WrittenAndSyncedWaitForTheJournal) {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("sluice_ack_test." + std::to_string(getpid()));
  std::filesystem::remove_all(directory);
  options_.journal_directory = directory;
  options_.publish_ack = "synced";
  Start();
  auto subscriber = Subscriber("/stream");
  TestClient publisher(address_);
  for (const char* target : {"/broadcast", "/broadcast?ack=written", "/broadcast?ack=matched",
                             "/broadcast?ack=synced,matched"}) {
    const TestClient::Reply reply = publisher.Post("1", target);
    EXPECT_EQ(reply.status, 200) << reply.body;
    const bool asks = std::string_view(target).find("matched") != std::string_view::npos;
    EXPECT_EQ(reply.body.find("\"matched\":1}}") != std::string::npos, asks) << reply.body;
  }
  EXPECT_TRUE(gateway_->Stop());
  gateway_.reset();
  std::filesystem::remove_all(directory);
}

TEST_P(AckTest, WithoutAJournalNothingCanBeSynced) {
  Start();
  TestClient publisher(address_);
  const TestClient::Reply reply = publisher.Post("1", "/broadcast?ack=synced");
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("keeps no journal"), std::string::npos);
  Options options = options_;
  options.publish_ack = "written";
  std::unique_ptr<Gateway> gateway;
  EXPECT_NE(Gateway::Start(options, &gateway).message().find("journal.directory"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Engines, AckTest,
                         testing::Values(EngineChoice::kIoUring, EngineChoice::kEpoll),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kIoUring ? "IoUring" : "Epoll";
                         });

}  // namespace
}  // namespace sluice
