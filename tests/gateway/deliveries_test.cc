// Goal: over real sockets, on each engine that this host offers and on several shards,
// /deliveries/ID tells exactly what became of an event: who was matched had it, or lost it for a
// reason that is named; it is told to those alone who may read /stats.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "engine/engine.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using nlohmann::json;
using test::TestClient;

class DeliveriesTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.admin_listen = {"127.0.0.1:0"};
    options_.shards = 2;
    options_.engine = GetParam();
    options_.stop_spread_ms = 50;
    options_.publish_ack = "matched";
  }
  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }
  TestClient::Reply Get(const std::string& target, const std::string& lines = "") {
    TestClient client(address_);
    client.Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n");
    return client.ReadReply();
  }
  std::string Publish(TestClient* client, const std::string& data, const std::string& target) {
    const TestClient::Reply reply = client->Post(data, target);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return json::parse(reply.body)["data"]["id"];
  }
  json Account(const std::string& id) {
    const TestClient::Reply reply = Get("/deliveries/" + id);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.status == 200 ? json::parse(reply.body)["data"] : json();
  }
  // Once all who were matched have it, or have lost it.
  json Settled(const std::string& id) {
    json account;
    do {
      account = Account(id);
    } while (!account.is_null() && account["pending"] != 0);
    return account;
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

TEST_P(DeliveriesTest, TellsWhoHadAnEvent) {
  Start();
  std::vector<std::unique_ptr<TestClient>> readers;
  for (int i = 0; i < 9; ++i) {
    readers.push_back(std::make_unique<TestClient>(address_));
    ASSERT_TRUE(readers.back()->Subscribe(i < 6 ? "/stream?topic=a" : "/stream?topic=b"));
  }
  TestClient publisher(address_);
  const std::string id = Publish(&publisher, "1", "/publish/a");
  json account = Settled(id);
  EXPECT_EQ(account["id"], id);
  EXPECT_EQ(account["is_matched"], true);
  EXPECT_EQ(account["matched"], 6);
  EXPECT_EQ(account["handed"], 6);
  EXPECT_EQ(account["lost"], 0);
  EXPECT_EQ(account["lost_by"], json::object());
  EXPECT_EQ(account["replayed"], 0);
  EXPECT_TRUE(account["last_after_us"].is_number());
  EXPECT_EQ(std::string(account["published"]).size(), 27u) << account["published"];
  // A publisher's own id; nobody is there; and one that comes later.
  Publish(&publisher, "1", "/publish/c?id=mine");
  account = Settled("mine");
  EXPECT_EQ(account["matched"], 0);
  EXPECT_TRUE(account["last_after_us"].is_null());
  TestClient late(address_);
  ASSERT_TRUE(late.Subscribe("/stream?topic=c&from=earliest"));
  ASSERT_TRUE(late.NextData());
  account = Settled("mine");
  EXPECT_EQ(account["replayed"], 1);
  EXPECT_EQ(account["matched"], 0);
}

TEST_P(DeliveriesTest, CountsASlowReaderThatIsDroppedWithItsReason) {
  options_.lag_events_max = 20;
  Start();
  TestClient slow(address_, 4096);
  ASSERT_TRUE(slow.Subscribe("/stream?topic=a"));
  TestClient fast(address_);
  ASSERT_TRUE(fast.Subscribe("/stream?topic=a"));
  std::thread reading([&] { fast.ReadRest(); });
  TestClient publisher(address_);
  std::vector<std::string> ids;
  const std::string data = "\"" + std::string(8'000, 'x') + "\"";
  while (gateway_->subscribers() == 2) ids.push_back(Publish(&publisher, data, "/publish/a"));
  size_t lost = 0;
  for (const std::string& id : ids) {
    const json account = Settled(id);
    // The last ones may have come when it was gone.
    const int matched = account["matched"];
    EXPECT_TRUE(matched == 2 || (matched == 1 && id != ids.front())) << account;
    EXPECT_EQ(account["handed"].get<int>() + account["lost"].get<int>(), matched);
    if (account["lost"] == 0) continue;
    EXPECT_EQ(account["lost_by"], json({{"lag_events", 1}})) << account;
    ++lost;
  }
  EXPECT_GT(lost, 20u);
  EXPECT_LT(lost, ids.size());
  EXPECT_TRUE(gateway_->Stop());
  reading.join();
}

TEST_P(DeliveriesTest, SaysWhyItDoesNotKnow) {
  options_.ring_events_max = 2;
  options_.drain_events_max = 1;
  options_.ledger_events_max = 2;
  Start();
  TestClient publisher(address_);
  const std::string first = Publish(&publisher, "1", "/broadcast");
  std::string last;
  for (int i = 0; i < 20; ++i) last = Publish(&publisher, "1", "/broadcast");
  const TestClient::Reply forgotten = Get("/deliveries/" + first);
  EXPECT_EQ(forgotten.status, 404);
  EXPECT_NE(forgotten.body.find("\"error\":\"ledger_forgotten\""), std::string::npos);
  EXPECT_NE(forgotten.body.find("newest 8 events"), std::string::npos) << forgotten.body;
  EXPECT_EQ(Account(last)["is_matched"], true);
  const std::string to_come = last.substr(0, last.find('-')) + "-99999";
  for (const std::string& id : {std::string("nobodys"), to_come, std::string("0000000000001-1")}) {
    const TestClient::Reply reply = Get("/deliveries/" + id);
    EXPECT_EQ(reply.status, 404);
    EXPECT_NE(reply.body.find("\"error\":\"not_found\""), std::string::npos) << reply.body;
  }
}

TEST_P(DeliveriesTest, AsksTheAuthorityOfTheStats) {
  Start();
  TestClient publisher(address_);
  const std::string id = Publish(&publisher, "1", "/broadcast");
  EXPECT_EQ(Get("/deliveries/" + id, "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
  EXPECT_EQ(Get("/deliveries/" + id, "Origin: http://elsewhere.example\r\n").status, 403);
  address_ = gateway_->addresses().back();
  EXPECT_EQ(Get("/deliveries/" + id, "X-Forwarded-For: 10.0.0.1\r\n").status, 200);
  EXPECT_EQ(publisher.Post("1", "/deliveries/" + id).status, 405);
}

INSTANTIATE_TEST_SUITE_P(Engines, DeliveriesTest,
                         testing::Values(EngineChoice::kIoUring, EngineChoice::kEpoll),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kIoUring ? "IoUring" : "Epoll";
                         });

}  // namespace
}  // namespace sluice
