// What the tests of a gateway with a journal share: a folder that goes away, a gateway in this
// process whose journal may be told otherwise, and readers that look at ids.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/scratch_folder.h"
#include "engine/engine.h"
#include "gateway/host_facts.h"
#include "gateway/offered_engine.h"
#include "gateway/running_gateway.h"
#include "gateway/test_client.h"

namespace sluice::test {

// An event as a reader got it.
struct Received {
  std::string id;
  std::string data;
  std::string type;
};

inline std::string FieldOf(const std::string& block, const std::string& name) {
  const size_t at = ("\n" + block).find("\n" + name + ": ");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 2;
  return block.substr(begin, block.find('\n', begin) - begin);
}

class Reader {
 public:
  Reader(const std::string& address, const std::string& target, const std::string& last_id = "")
      : client_(address) {
    std::string request =
        "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n";
    if (!last_id.empty()) request += "Last-Event-ID: " + last_id + "\r\n";
    client_.Send(request + "\r\n");
    const auto head = client_.ReadTo("\r\n\r\n");
    EXPECT_TRUE(head && head->find(" 200 ") != std::string::npos) << head.value_or("no reply");
    opened_at_ = FieldOf(client_.ReadTo("\n\n").value_or(""), "id");
  }
  void Close() { client_.Close(); }
  const std::string& opened_at() const { return opened_at_; }
  Received Next() {
    const std::string block = client_.ReadTo("\n\n").value_or("");
    return {FieldOf(block, "id"), FieldOf(block, "data"), FieldOf(block, "event")};
  }

 private:
  TestClient client_;
  std::string opened_at_;
};

class GatewayJournalTest : public testing::TestWithParam<EngineChoice> {
 protected:
  void SetUp() override {
    if (const auto why = test::WhyNotOffered(GetParam())) GTEST_SKIP() << *why;
    options_.listen = {"127.0.0.1:0"};
    options_.shards = 2;
    options_.engine = GetParam();
    options_.stop_spread_ms = 20;
    options_.stop_timeout_ms = 10'000;
    options_.journal_directory = folder_.path() + "/journal";
  }

  Status TryStart() {
    HostPlan plan;
    Status status = PlanForHost(options_, ReadHostFacts(), ProbeEngines(), &plan);
    if (!status.ok()) return status;
    gateway_ = std::make_unique<RunningGateway>(options_, plan);
    if (change_journal_) gateway_->ChangeJournal(change_journal_);
    status = gateway_->Start();
    if (status.ok()) address_ = gateway_->addresses().front();
    return status;
  }
  void Start() {
    const Status status = TryStart();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  void StopAndStart() {
    EXPECT_TRUE(gateway_->Stop());
    gateway_.reset();
    Start();
  }
  nlohmann::json Stats() const {
    return nlohmann::json::parse(static_cast<const Gateway&>(*gateway_).Stats(false));
  }
  nlohmann::json JournalStats() const { return Stats()["journal"]; }

  TestClient::Reply Post(const std::string& target, const std::string& data) const {
    TestClient client(address_);
    return client.Post(data, target);
  }
  std::string Publish(const std::string& target, const std::string& data) const {
    const auto reply = Post(target, data);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.status == 200 ? nlohmann::json::parse(reply.body)["data"]["id"] : "";
  }
  TestClient::Reply Get(const std::string& target) const {
    TestClient client(address_);
    client.Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return client.ReadReply();
  }
  static void Await(const std::function<bool()>& fact) {
    const int64_t until_ns = MonotonicNs() + 60 * kNsPerSecond;  // only ends a test that fails
    while (!fact()) {
      ASSERT_LT(MonotonicNs(), until_ns);
      std::this_thread::yield();
    }
  }

  ScratchFolder folder_;
  Options options_;
  std::function<void(JournalOptions*)> change_journal_;
  std::unique_ptr<RunningGateway> gateway_;
  std::string address_;
};

inline const auto kBothEngines = testing::Values(EngineChoice::kEpoll, EngineChoice::kIoUring);
inline const auto kEngineSuffix = [](const auto& tested) {
  return tested.param == EngineChoice::kEpoll ? "Epoll" : "IoUring";
};

}  // namespace sluice::test
