// Goal: over real sockets, on each engine that this host offers and on several shards, GET /topics
// tells exactly who asks for what and what is held, page by page: each name on one page, while
// others come and go; it is told to those alone who may read /stats.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "engine/engine.h"
#include "gateway/offered_engine.h"
#include "gateway/test_client.h"
#include "sluice/gateway.h"

namespace sluice {
namespace {

using nlohmann::json;
using test::TestClient;

class TopicPagesTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.admin_listen = {"127.0.0.1:0"};
    options_.shards = 2;
    options_.engine = GetParam();
    options_.stop_spread_ms = 50;
  }
  void Start() {
    const Status status = Gateway::Start(options_, &gateway_);
    ASSERT_TRUE(status.ok()) << status.message();
    address_ = gateway_->addresses().front();
  }
  static std::string Request(const std::string& target, const std::string& lines = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n";
  }
  TestClient::Reply Get(const std::string& target, const std::string& lines = "") const {
    TestClient client(address_);
    client.Send(Request(target, lines));
    return client.ReadReply();
  }
  json Page(const std::string& query = "") const {
    const TestClient::Reply reply = Get("/topics" + query);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.status == 200 ? json::parse(reply.body)["data"] : json();
  }
  // All rows from this page on, by name; none twice, in order.
  std::map<std::string, json> Pages(std::string query, size_t* pages = nullptr) const {
    std::map<std::string, json> rows;
    for (json page;;) {
      page = Page(query);
      if (page.is_null()) return rows;
      for (const json& row : page["topics"]) {
        const std::string name = row["name"];
        EXPECT_TRUE(rows.empty() || rows.rbegin()->first < name) << name;
        rows[name] = row;
      }
      if (pages != nullptr) ++*pages;
      if (page["next"].is_null()) return rows;
      query = page["next"];
    }
  }
  std::unique_ptr<TestClient> Subscriber(const std::string& target) const {
    auto client = std::make_unique<TestClient>(address_);
    EXPECT_TRUE(client->Subscribe(target)) << target.substr(0, 80);
    return client;
  }
  std::string Publish(const std::string& target, const std::string& data = "1") const {
    TestClient client(address_);
    const TestClient::Reply reply = client.Post(data, target);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.status == 200 ? json::parse(reply.body)["data"]["id"] : "";
  }
  void AwaitSubscribers(uint64_t count) const {
    while (gateway_->subscribers() != count) std::this_thread::yield();
  }

  Options options_;
  std::unique_ptr<Gateway> gateway_;
  std::string address_;
};

TEST_P(TopicPagesTest, TellsStreamsRatesAndHistoryOfEachTopic) {
  Start();
  EXPECT_EQ(Page()["topics"], json::array());
  std::vector<std::unique_ptr<TestClient>> streams;
  for (int i = 0; i < 12; ++i) {
    streams.push_back(Subscriber("/stream?topic=a&topic=a/*"));
    streams.push_back(Subscriber("/stream/a"));
    streams.push_back(Subscriber("/stream?topic=b/**"));
    streams.push_back(Subscriber("/stream?topic=**&topic=c"));  // the same as ** alone
    streams.push_back(Subscriber("/stream"));
  }
  const std::string first = Publish("/publish/a?topic=d");
  Publish("/publish/a");
  const std::string last = Publish("/publish/a?id=mine", "\"long\"");
  const std::string plain = Publish("/broadcast");
  // Readers that come back are streams from their request on.
  for (int i = 0; i < 3; ++i) streams.push_back(Subscriber("/stream/a?from=earliest"));
  const json page = Page();
  EXPECT_GE(page["rate_window_seconds"].get<double>(), 1.0);
  EXPECT_TRUE(page["next"].is_null());
  std::map<std::string, json> rows;
  for (const json& row : page["topics"]) rows[row["name"]] = row;
  ASSERT_EQ(rows.size(), 6u) << page;

  const json& a = rows["a"];
  EXPECT_EQ(a["kind"], "topic");
  EXPECT_EQ(a["subscribers"], 27);
  EXPECT_EQ(a["published_total"], 3);
  const double window = page["rate_window_seconds"];
  EXPECT_NEAR(a["rate"].get<double>(), 3 / window, 0.01);
  EXPECT_EQ(a["history"]["events"], 3);
  EXPECT_EQ(a["history"]["first_id"], first);
  const std::string last_id = a["history"]["last_id"];  // the gateway's own, not the publisher's
  EXPECT_EQ(last, "mine");
  EXPECT_EQ(json::parse(Get("/deliveries/mine").body)["data"]["sequence"],
            std::stoull(last_id.substr(last_id.find('-') + 1)));
  EXPECT_EQ(std::string(a["history"]["last_published"]).size(), 27u);
  const size_t id_bytes = first.size();
  EXPECT_EQ(a["history"]["bytes"], 2 * (std::string("data: 1\nid: \n\n").size() + id_bytes) +
                                       std::string("data: \"long\"\nid: mine\n\n").size());
  EXPECT_EQ(rows["d"]["subscribers"], 0);
  EXPECT_EQ(rows["d"]["history"]["events"], 1);
  EXPECT_EQ(rows["a/*"], json({{"name", "a/*"}, {"kind", "pattern"}, {"subscribers", 12}}));
  EXPECT_EQ(rows["b/**"]["subscribers"], 12);
  EXPECT_EQ(rows["**"]["subscribers"], 12);
  EXPECT_EQ(rows[""]["kind"], "no_topic");
  EXPECT_EQ(rows[""]["subscribers"], 12);
  EXPECT_EQ(rows[""]["history"]["first_id"], plain);

  const json stats = json::parse(Get("/stats").body);
  EXPECT_EQ(stats["subscribers"], 63);
  EXPECT_EQ(stats["history"]["events"], 4);
  streams.clear();
  AwaitSubscribers(0);
  rows = Pages("");
  EXPECT_EQ(rows.size(), 3u);  // what nobody asks for and nothing is held of is gone
  EXPECT_EQ(rows["a"]["subscribers"], 0);
  EXPECT_EQ(rows["a"]["published_total"], 3);
}

TEST_P(TopicPagesTest, PagesFollowOneAnother) {
  Start();
  std::vector<std::unique_ptr<TestClient>> streams;
  std::set<std::string> names = {""};
  for (int i = 0; i < 40; ++i) {
    const std::string number = std::to_string(i);
    streams.push_back(Subscriber("/stream?topic=own/" + number + "&topic=all&topic=t/*/" + number));
    Publish("/publish/held/" + number);
    names.insert({"own/" + number, "held/" + number, "all", "t/*/" + number});
  }
  Publish("/publish/a%26b%20%C3%A9");
  names.insert("a&b \xc3\xa9");
  Publish("/broadcast");
  for (const size_t limit : {1, 7, 121, 122, 123, 124, 1'000}) {
    size_t pages = 0;
    const auto rows = Pages("?limit=" + std::to_string(limit), &pages);
    ASSERT_EQ(rows.size(), names.size());
    for (const auto& [name, row] : rows) ASSERT_TRUE(names.contains(name)) << name;
    EXPECT_EQ(pages, (names.size() + limit - 1) / limit);
    EXPECT_EQ(rows.at("all")["subscribers"], 40);
    EXPECT_EQ(rows.at("own/39")["subscribers"], 1);
    EXPECT_EQ(rows.at("t/*/39")["subscribers"], 1);
    EXPECT_EQ(rows.at("held/39")["history"]["events"], 1);
  }
  EXPECT_EQ(Page()["topics"].size(), 100u);  // by default
  EXPECT_EQ(Pages("?prefix=own/3&limit=2").size(), 11u);
  EXPECT_EQ(Pages("?prefix=a%26b+&limit=1").size(), 1u);
  EXPECT_EQ(Pages("?prefix=nobody").size(), 0u);
  EXPECT_EQ(Pages("?prefix=own/3&after=own/38").size(), 1u);
  EXPECT_EQ(Pages("?after=t/*/9").size(), 0u);
  EXPECT_EQ(Pages("?after=").size(), names.size() - 1);  // behind the events without topics
}

// 60,000 names that streams ask for and 60,000 of which events are held, some of them the same,
// while others of the same kind come and go.
TEST_P(TopicPagesTest, OfAHundredThousandTopicsEachStandsOnOnePage) {
  constexpr size_t kTopicsAStream = 500;
  constexpr size_t kNames = 100'000;
  options_.topics_per_subscription_max = kTopicsAStream;
  options_.target_bytes_max = 64 * 1024;
  options_.header_bytes_max = 128 * 1024;
  options_.history_events_max = 1'000'000;
  options_.history_bytes_max = 1 << 30;
  options_.ring_bytes_max = 64 << 20;
  Start();
  // In an order of their own.
  const auto name_of = [](size_t i) { return "t/" + std::to_string(i * 7'919 % kNames); };
  std::vector<std::unique_ptr<TestClient>> streams;
  for (size_t from = 0; from < kNames * 6 / 10; from += kTopicsAStream) {
    std::string query;
    for (size_t i = from; i < from + kTopicsAStream; ++i) query += "&topic=" + name_of(i);
    streams.push_back(Subscriber("/stream?" + query.substr(1)));
  }
  TestClient publisher(address_);
  for (size_t from = kNames * 4 / 10; from < kNames; from += 1'000) {
    std::string events;
    for (size_t i = from; i < from + 1'000; ++i) {
      events += (events.empty() ? "[" : ",") + ("{\"topics\":[\"" + name_of(i) + "\"],\"data\":1}");
    }
    TestClient::Reply reply;
    do {
      reply = publisher.Post(events + "]", "/publish");
    } while (reply.status == 503);  // the ring is full
    ASSERT_EQ(reply.status, 200) << reply.body;
  }
  std::atomic<bool> is_over = false;
  std::atomic<int> rounds = 0;
  std::thread others([&] {
    for (int i = 0; !is_over; ++i, ++rounds) {
      const std::string name = "t/" + std::to_string(i * 7'919 % kNames) + "/other";
      Subscriber("/stream?topic=" + name + "&topic=t/*/" + std::to_string(i % 50));
      Publish("/publish/" + name);
    }
  });
  while (rounds == 0) std::this_thread::yield();
  const auto rows = Pages("?limit=1000");
  is_over = true;
  others.join();
  size_t found = 0;
  for (const auto& [name, row] : rows) {
    const bool is_other = name.ends_with("/other") || row["kind"] == "pattern";
    if (!is_other) ++found;
  }
  EXPECT_EQ(found, kNames);
  for (size_t i = 0; i < kNames; ++i) {
    const auto at = rows.find(name_of(i));
    ASSERT_NE(at, rows.end()) << name_of(i);
    ASSERT_EQ(at->second["subscribers"], i < kNames * 6 / 10 ? 1 : 0) << at->second;
    ASSERT_EQ(at->second["history"]["events"], i >= kNames * 4 / 10 ? 1 : 0) << at->second;
  }
}

TEST_P(TopicPagesTest, SaysWhatIsWrongWithAQuery) {
  Start();
  const std::string long_text(257, 'x');
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"limit=0", "limit is a number from 1 to 1000"},
      {"limit=1001", "limit is a number from 1 to 1000"},
      {"limit=", "limit is a number from 1 to 1000"},
      {"limit=-1", "limit is a number from 1 to 1000"},
      {"limit=10x", "limit is a number from 1 to 1000"},
      {"limit=99999999999999999999", "limit is a number from 1 to 1000"},
      {"limit=5&limit=5", "the parameter limit may stand only once"},
      {"after=a&after=a", "the parameter after may stand only once"},
      {"after=a//b", "after is the last name of a page, at byte 2"},
      {"after=" + long_text, "256 bytes at most"},
      {"after=%ff", "a topic is UTF-8"},
      {"prefix=%ff", "prefix is what names begin with"},
      {"prefix=" + long_text, "prefix is what names begin with"},
      {"after=%4", "two hexadecimal digits"},
      {"topic=a", "\\\"topic\\\" is no parameter of /topics: it takes limit, prefix and after"},
  };
  for (const auto& [query, detail] : wrong) {
    const TestClient::Reply reply = Get("/topics?" + query);
    EXPECT_EQ(reply.status, 400) << query;
    EXPECT_NE(reply.body.find("\"error\":\"invalid_parameter\""), std::string::npos) << reply.body;
    EXPECT_NE(reply.body.find(detail), std::string::npos) << reply.body;
  }
  EXPECT_EQ(Get("/topics?pretty&limit=5&&").status, 200);
  EXPECT_EQ(Get("/topics/").status, 404);
}

TEST_P(TopicPagesTest, AsksTheAuthorityOfTheStats) {
  Start();
  EXPECT_EQ(Get("/topics", "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
  EXPECT_EQ(Get("/topics", "Origin: http://elsewhere.example\r\n").status, 403);
  // Who may not ask is not told what would have been wrong.
  EXPECT_EQ(Get("/topics?limit=0", "X-Forwarded-For: 10.0.0.1\r\n").status, 403);
  EXPECT_EQ(TestClient(address_).Post("1", "/topics").status, 405);
  address_ = gateway_->addresses().back();
  EXPECT_EQ(Get("/topics", "X-Forwarded-For: 10.0.0.1\r\n").status, 200);
  EXPECT_EQ(Get("/topics?limit=0").status, 400);
}

TEST_P(TopicPagesTest, WithoutAHistoryOnlyStreamsAreTold) {
  options_.history_events_max = 0;
  Start();
  const auto stream = Subscriber("/stream?topic=a&topic=b/*");
  Publish("/publish/a");
  const auto rows = Pages("");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows.at("a"), json({{"name", "a"},
                                {"kind", "topic"},
                                {"subscribers", 1},
                                {"rate", nullptr},
                                {"published_total", nullptr},
                                {"history", nullptr}}));
}

TEST_P(TopicPagesTest, RepliesStayInTheOrderOfTheirRequests) {
  Start();
  Publish("/publish/a");
  TestClient client(address_);
  const std::string publish =
      "POST /publish/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1";
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    requests += Request("/topics?prefix=b") + publish + Request("/topics?limit=0");
  }
  client.Send(requests);
  for (int i = 0; i < 20; ++i) {
    const TestClient::Reply page = client.ReadReply();
    ASSERT_EQ(page.status, 200);
    const json topics = json::parse(page.body)["data"]["topics"];
    ASSERT_EQ(topics.size(), i == 0 ? 0u : 1u);
    // All that was acknowledged before.
    for (const json& topic : topics) ASSERT_EQ(topic["published_total"], i);
    ASSERT_NE(client.ReadReply().body.find("\"id\":"), std::string::npos);
    ASSERT_EQ(client.ReadReply().status, 400);
  }
}

// More than can be asked at once, some of whom do not wait for the answer; then a stop.
TEST_P(TopicPagesTest, ManyAskAtOnceAndAStopAnswersOrCloses) {
  options_.shards = 4;
  Start();
  for (int i = 0; i < 300; ++i) Publish("/publish/t/" + std::to_string(i));
  std::atomic<int> answered = 0;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back([&, i] {
      for (int n = 0;; ++n) {
        TestClient client(address_);
        if (!client.is_connected() || !client.Send(Request("/topics?limit=1000"))) return;
        if (i < 4 && n < 25) continue;  // gone
        if (i < 4) return;
        const TestClient::Reply reply = client.ReadReply();
        if (reply.status == 0) return;  // closed by the stop
        if (reply.status != 200 || json::parse(reply.body)["data"]["topics"].size() != 300) ++wrong;
        ++answered;
      }
    });
  }
  while (answered < 200) std::this_thread::yield();
  EXPECT_TRUE(gateway_->Stop());
  gateway_.reset();  // who has connected and was not accepted is reset
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, TopicPagesTest,
                         testing::Values(EngineChoice::kIoUring, EngineChoice::kEpoll),
                         [](const auto& tested) {
                           return tested.param == EngineChoice::kIoUring ? "IoUring" : "Epoll";
                         });

}  // namespace
}  // namespace sluice
