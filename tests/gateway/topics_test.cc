// Goal: over real sockets, on each engine that this host offers and on several shards, a reader
// gets exactly the events that its subscription wants, in the one order, while others come and go.
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/engine.h"
#include "event/subscription.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using test::TestClient;

class TopicsTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    Options options;
    options.listen = {"127.0.0.1:0"};
    options.shards = 2;
    options.engine = GetParam();
    options.stop_spread_ms = 50;
    // So small that an event for many channels is appended over several turns.
    options.sweep_appends_max = 5;
    const Status status = Gateway::Start(options, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }

  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

constexpr int kEvents = 600;

// Topics of event n; the last goes to all readers.
std::vector<std::string> TopicsOf(int n) {
  if (n == kEvents - 1) return {"all"};
  switch (n % 5) {
    case 0:
      return {"own/" + std::to_string(n % 30)};
    case 1:
      return {"a/b"};
    case 2:
      return {"a/b/c", "own/" + std::to_string(n % 30)};
    case 3:
      return {"all"};
    default:
      return {};
  }
}

TEST_P(TopicsTest, ReadersGetExactlyWhatTheirSubscriptionsWant) {
  std::vector<std::vector<std::string>> subscriptions;
  for (int i = 0; i < 30; ++i) subscriptions.push_back({"own/" + std::to_string(i), "all"});
  subscriptions.insert(
      subscriptions.end(),
      {{"a/*", "all"}, {"a/**", "all"}, {"*/*/c", "all", "a/b/c"}, {"**"}, {"own/*", "all"}});
  std::atomic<size_t> subscribed = 0;
  std::vector<std::vector<int>> seen(subscriptions.size());
  std::vector<std::thread> readers;
  for (size_t i = 0; i < subscriptions.size(); ++i) {
    readers.emplace_back([&, i] {
      TestClient client(address_);
      std::string target = "/stream";
      for (const std::string& pattern : subscriptions[i]) {
        target += (target == "/stream" ? "?topic=" : "&topic=") + pattern;
      }
      ASSERT_TRUE(client.Subscribe(target));
      ++subscribed;
      while (seen[i].empty() || seen[i].back() != kEvents - 1) {
        const auto data = client.NextData();
        ASSERT_TRUE(data);
        seen[i].push_back(std::stoi(*data));
      }
    });
  }
  while (subscribed < subscriptions.size()) std::this_thread::yield();
  std::atomic<bool> is_over = false;
  std::thread visitor([&] {  // joins channels that exist, and leaves, all the time
    for (int n = 0; !is_over; ++n) {
      TestClient client(address_);
      ASSERT_TRUE(client.Subscribe("/stream?topic=all&topic=own/" + std::to_string(n % 40)));
    }
  });
  TestClient publisher(address_);
  for (int n = 0; n < kEvents; ++n) {
    nlohmann::json event = {{"data", n}, {"topics", TopicsOf(n)}};
    ASSERT_EQ(publisher.Post(event.dump(), "/publish").status, 200);
  }
  for (std::thread& reader : readers) reader.join();
  is_over = true;
  visitor.join();
  for (size_t i = 0; i < subscriptions.size(); ++i) {
    const Subscription subscription(subscriptions[i]);
    std::vector<int> wanted;
    for (int n = 0; n < kEvents; ++n) {
      const std::vector<std::string> names = TopicsOf(n);
      if (subscription.Wants(std::vector<std::string_view>(names.begin(), names.end()))) {
        wanted.push_back(n);
      }
    }
    EXPECT_EQ(seen[i], wanted) << subscription.text();
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, TopicsTest,
                         testing::Values(EngineChoice::kIoUring, EngineChoice::kEpoll),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kIoUring ? "IoUring" : "Epoll";
                         });

}  // namespace
}  // namespace sluice
