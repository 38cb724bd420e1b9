// Goal: the whole gateway over real sockets, on each engine that this host offers: every subscriber
// on every shard sees every acknowledged event once, in one order; slow readers are cut off and
// delay nobody; stopping ends streams after a whole event.
#include "sluice/gateway.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "engine/engine.h"
#include "gateway/test_client.h"

namespace sluice {
namespace {

using test::TestClient;

struct GatewayCase {
  EngineChoice engine;
  uint32_t shards;
};

class GatewayTest : public testing::TestWithParam<GatewayCase> {
 protected:
  void SetUp() override {
    for (const EngineOffer& offer : ProbeEngines()) {
      if (offer.kind == EngineKind::kIoUring && !offer.is_available &&
          GetParam().engine == EngineChoice::kIoUring) {
        GTEST_SKIP() << offer.reason;
      }
    }
    options_.listen = {"127.0.0.1:0"};
    options_.shards = GetParam().shards;
    options_.engine = GetParam().engine;
    options_.stop_spread_ms = 50;
  }

  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }

  nlohmann::json Stats() const { return nlohmann::json::parse(gateway_->Stats(false)); }

  // One reader stops, another has every event before the next is published, until the first is cut.
  void ExpectStoppedReaderIsCut(const char* reason) {
    TestClient stopped(address_, 4096);
    ASSERT_TRUE(stopped.Subscribe());
    TestClient reader(address_);
    ASSERT_TRUE(reader.Subscribe());
    const std::string data = "\"" + std::string(8000, 'x') + "\"";
    TestClient publisher(address_);
    uint64_t cut = 0;
    for (int n = 0; n < 4000 && cut == 0; ++n) {
      const auto reply = publisher.Post(data);
      ASSERT_EQ(reply.status, 200) << reply.body;
      ASSERT_EQ(reader.NextData(), data);
      cut = Stats()["disconnects_total"][reason];
    }
    EXPECT_EQ(cut, 1u);
    EXPECT_EQ(Stats()["subscribers"], 1);
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

TEST_P(GatewayTest, RunsTheEngineThatWasAskedFor) {
  Start();
  const bool is_io_uring = GetParam().engine == EngineChoice::kIoUring;
  EXPECT_EQ(gateway_->engine_name(), is_io_uring ? "io_uring" : "epoll");
  const nlohmann::json stats = Stats();
  EXPECT_EQ(stats["shards"].size(), GetParam().shards);
  for (const auto& shard : stats["shards"]) {
    EXPECT_EQ(shard["engine"], is_io_uring ? "io_uring" : "epoll");
  }
}

TEST_P(GatewayTest, AllSubscribersSeeEveryEventOnceInOneOrder) {
  constexpr int kSubscribers = 24;
  constexpr int kPublishers = 4;
  constexpr int kEventsEach = 400;
  Start();
  std::vector<std::vector<std::string>> seen(kSubscribers);
  std::vector<std::thread> threads;
  std::atomic<int> subscribed = 0;
  for (int s = 0; s < kSubscribers; ++s) {
    threads.emplace_back([&, s] {
      TestClient client(address_);
      ASSERT_TRUE(client.Subscribe());
      ++subscribed;
      while (seen[s].size() < size_t{kPublishers} * kEventsEach) {
        const auto data = client.NextData();
        ASSERT_TRUE(data);
        seen[s].push_back(*data);
      }
    });
  }
  while (subscribed < kSubscribers) std::this_thread::yield();
  std::vector<std::thread> publishers;
  for (int p = 0; p < kPublishers; ++p) {
    publishers.emplace_back([&, p] {
      TestClient client(address_);
      for (int n = 0; n < kEventsEach; ++n) {
        ASSERT_EQ(client.Post("[" + std::to_string(p) + "," + std::to_string(n) + "]").status, 200);
      }
    });
  }
  for (auto& thread : publishers) thread.join();
  for (auto& thread : threads) thread.join();
  std::vector<int> next(kPublishers, 0);
  for (const std::string& data : seen[0]) {
    const auto value = nlohmann::json::parse(data);
    EXPECT_EQ(value[1], next[value[0]]++);
  }
  for (int s = 1; s < kSubscribers; ++s) EXPECT_EQ(seen[s], seen[0]) << s;
  // The last send is counted once the kernel has taken it, when its reader may have it already.
  constexpr int kDeliveries = kSubscribers * kPublishers * kEventsEach;
  for (int tries = 0; tries < 10'000 && Stats()["deliveries_total"] != kDeliveries; ++tries) {
    std::this_thread::yield();
  }
  EXPECT_EQ(Stats()["deliveries_total"], kDeliveries);
}

// The kernel is left to read the bytes where they are, on io_uring; on loopback it copies them
// later.
TEST_P(GatewayTest, LargeEventsArriveWholeWithoutBeingCopied) {
  options_.zero_copy_bytes_min = 1024;
  options_.zero_copy_always = true;
  // Nobody is cut off, however busy the machine is.
  options_.lag_bytes_max = 40 << 20;
  options_.lag_age_max_ms = options_.user_timeout_ms;
  Start();
  constexpr int kEvents = 30;
  const auto data_of = [](int n) {
    std::string data(n % 10 == 9 ? 1'000'000 : n % 3 == 0 ? 100 : 256 * 1024, ' ');
    for (size_t i = 0; i < data.size(); ++i) {
      data[i] = static_cast<char>('a' + (i + i / 4096 + static_cast<size_t>(n)) % 26);
    }
    return "\"" + data + "\"";
  };
  std::vector<std::thread> threads;
  std::atomic<int> subscribed = 0;
  for (int s = 0; s < 8; ++s) {
    threads.emplace_back([&, s] {
      // Some take little at a time, and meet the end of a socket's buffer within an event.
      TestClient client(address_, s % 2 == 0 ? 0 : 32 * 1024);
      ASSERT_TRUE(client.Subscribe());
      ++subscribed;
      for (int n = 0; n < kEvents; ++n) {
        const auto data = client.NextData();
        ASSERT_TRUE(data);
        ASSERT_TRUE(*data == data_of(n)) << n;
      }
    });
  }
  while (subscribed < 8) std::this_thread::yield();
  TestClient publisher(address_);
  for (int n = 0; n < kEvents; ++n) ASSERT_EQ(publisher.Post(data_of(n)).status, 200);
  for (std::thread& thread : threads) thread.join();
  if (GetParam().engine == EngineChoice::kIoUring) {
    EXPECT_GT(Stats()["zero_copy"]["sends_total"], 8 * kEvents / 3);
  } else {
    EXPECT_EQ(Stats()["zero_copy"]["sends_total"], 0);
  }
  while (Stats()["zero_copy"]["held_bytes"] != 0) std::this_thread::yield();
}

TEST_P(GatewayTest, SubscribersThatComeAndGoSeeAnUnbrokenRun) {
  Start();
  std::atomic<bool> is_over = false;
  std::thread publisher([&] {
    TestClient client(address_);
    for (int n = 0; !is_over; ++n) client.Post(std::to_string(n));
  });
  std::vector<std::thread> visitors;
  for (int v = 0; v < 4; ++v) {
    visitors.emplace_back([&, v] {
      for (int visit = 0; visit < 25; ++visit) {
        TestClient client(address_);
        ASSERT_TRUE(client.Subscribe());
        int64_t last = -1;
        for (int i = 0; i < 3 + (v * 7 + visit) % 20; ++i) {
          const auto data = client.NextData();
          ASSERT_TRUE(data);
          const int64_t n = std::stoll(*data);
          if (last >= 0) {
            EXPECT_EQ(n, last + 1);
          }
          last = n;
        }
      }
    });
  }
  for (auto& visitor : visitors) visitor.join();
  is_over = true;
  publisher.join();
}

TEST_P(GatewayTest, AReaderThatStopsIsCutOffAndDelaysNobody) {
  options_.lag_bytes_max = 256 * 1024;
  options_.frame_bytes_max = 64 * 1024;
  Start();
  ExpectStoppedReaderIsCut("lag_bytes");
}

TEST_P(GatewayTest, AFullLogCutsTheReaderFurthestBehind) {
  options_.shards = 1;
  options_.log_bytes_max = 1024 * 1024;
  options_.lag_bytes_max = 1000 * 1024;  // just under: the segments held are more than the lag
  options_.frame_bytes_max = 64 * 1024;
  Start();
  ExpectStoppedReaderIsCut("log_budget");
  EXPECT_LE(Stats()["log"]["highest_bytes"], 1024 * 1024 + 256 * 1024);
  EXPECT_FALSE(gateway_->Warnings().empty());
  EXPECT_TRUE(gateway_->Warnings().empty());  // told once
}

TEST_P(GatewayTest, LargeEventsPassWhole) {
  Start();
  TestClient reader(address_);
  ASSERT_TRUE(reader.Subscribe());
  TestClient publisher(address_);
  for (const size_t bytes : {1000, 20'000, 300'000, 1'000'000}) {
    const std::string data = "\"" + std::string(bytes, 'y') + "\"";
    ASSERT_EQ(publisher.Post(data).status, 200);
    ASSERT_EQ(reader.NextData(), data);
  }
  EXPECT_EQ(publisher.Post("\"" + std::string(2'000'000, 'z') + "\"").status, 413);
}

TEST_P(GatewayTest, StoppingEndsStreamsAfterAWholeEventWithAGoodbye) {
  Start();
  std::vector<std::unique_ptr<TestClient>> readers;
  for (int i = 0; i < 10; ++i) {
    readers.push_back(std::make_unique<TestClient>(address_));
    ASSERT_TRUE(readers.back()->Subscribe());
  }
  TestClient publisher(address_);
  for (int n = 0; n < 50; ++n) ASSERT_EQ(publisher.Post(std::to_string(n)).status, 200);
  std::thread stopping([&] { EXPECT_TRUE(gateway_->Stop()); });
  std::set<std::string> retries;
  for (auto& reader : readers) {
    const std::string rest = reader->ReadRest();
    EXPECT_NE(rest.find("data: 49\n"), std::string::npos);
    const size_t goodbye = rest.find(": goodbye\nretry: ");
    EXPECT_NE(goodbye, std::string::npos) << rest;
    if (goodbye == std::string::npos) continue;
    EXPECT_EQ(rest.substr(goodbye - 2, 2), "\n\n");
    retries.insert(rest.substr(goodbye));
    reader->Close();
  }
  EXPECT_GT(retries.size(), 1u);
  publisher.Close();
  stopping.join();
}

// Its timer once was that of the session alone, which waits for nothing more: it stayed for ever.
TEST_P(GatewayTest, APeerThatDoesNotTakeItsRepliesIsClosed) {
  options_.request_timeout_ms = 300;
  Start();
  TestClient client(address_, 4096);
  std::string requests;
  for (int i = 0; i < 2000; ++i) requests += "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  send(client.fd(), requests.data(), requests.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (Stats()["connections_accepted_total"] == 0 || Stats()["connections"] != 0) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::yield();
  }
}

TEST_P(GatewayTest, EmbeddersPublishDirectly) {
  Start();
  TestClient reader(address_);
  ASSERT_TRUE(reader.Subscribe());
  std::string id;
  ASSERT_TRUE(gateway_->Publish({.data = "hello", .type = "greeting"}, &id).ok());
  EXPECT_EQ(reader.ReadTo("\n\n"), "event: greeting\ndata: hello\nid: " + id);
}

TEST_P(GatewayTest, AFullGatewayRefusesStreamsInAWayThatEventSourceRetries) {
  options_.subscribers_max = 1;
  options_.shards = 1;
  Start();
  TestClient first(address_);
  ASSERT_TRUE(first.Subscribe());
  TestClient second(address_);
  second.Send("GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
  const std::string reply = second.ReadRest();
  EXPECT_NE(reply.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_NE(reply.find("event: sluice.error\ndata: {\"error\":\"subscribers_full\""),
            std::string::npos);
  EXPECT_NE(reply.find("retry: "), std::string::npos);
  TestClient other(address_);
  other.Send("GET /stream HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
  EXPECT_EQ(other.ReadReply().status, 503);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, GatewayTest,
    testing::Values(GatewayCase{EngineChoice::kIoUring, 1}, GatewayCase{EngineChoice::kIoUring, 3},
                    GatewayCase{EngineChoice::kEpoll, 1}, GatewayCase{EngineChoice::kEpoll, 3}),
    [](const auto& tested) {
      return std::string(tested.param.engine == EngineChoice::kEpoll ? "Epoll" : "IoUring") +
             "Shards" + std::to_string(tested.param.shards);
    });

}  // namespace
}  // namespace sluice
