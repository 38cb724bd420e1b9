// Goal: after kill -9 of the program at any moment, under load, every event that was acknowledged
// under --ack synced is replayed to a reader with a Last-Event-ID from before, in order, once, with
// the same id; and no id is given out twice, not even to events that nobody was told were kept.
//
// Method: publishers and a live reader at full speed against `sluice` as a process of its own,
// which is killed (every fifth time: stopped) after a random number of acknowledgements, or while
// it starts. The next start is asked for all since the last check, and is then the next victim. At
// the end the journal itself is compared with all that was ever acknowledged.
//
// SLUICE_GATEWAY_KILLS is the number of rounds, an engine (5).
#include <atomic>
#include <map>
#include <mutex>
#include <random>

#include "gateway/journal_fixture.h"
#include "gateway/program.h"
#include "journal/journal.h"

namespace sluice {
namespace {

using test::Program;
using test::Reader;
using test::Received;
using test::TestClient;

// What publishers and readers were told, over all rounds.
class Ledger {
 public:
  void Acknowledged(const std::string& id, const std::string& data) {
    const std::lock_guard lock(mutex_);
    acknowledged_[Epoch::Parse(id)->sequence] = data;
    SeenLocked(id, data);
    ++count_;
  }
  void Seen(const std::string& id, const std::string& data) {
    const std::lock_guard lock(mutex_);
    SeenLocked(id, data);
  }
  uint64_t count() const { return count_; }
  // After the publishers.
  const std::map<uint64_t, std::string>& acknowledged() const { return acknowledged_; }

 private:
  void SeenLocked(const std::string& id, const std::string& data) {
    const auto [at, is_new] = by_id_.emplace(id, data);
    EXPECT_EQ(at->second, data) << "id " << id << " is given out twice";
  }

  std::mutex mutex_;
  std::map<std::string, std::string> by_id_;
  std::map<uint64_t, std::string> acknowledged_;
  std::atomic<uint64_t> count_{0};
};

// Publishes numbers of its own until the program is gone; every third time an array of three.
void PublishUntilGone(const std::string& address, const std::string& name, uint64_t* next,
                      Ledger* ledger) {
  TestClient client(address);
  while (client.is_connected()) {
    std::vector<std::string> data;
    for (uint64_t i = *next % 3 == 0 ? 3 : 1; i > 0; --i) {
      data.push_back('[' + name + ',' + std::to_string((*next)++) + ']');
    }
    TestClient::Reply reply;
    if (data.size() == 1) {
      reply = client.Post(data[0], "/publish/kill");
    } else {
      std::string events;
      for (const std::string& one : data) {
        events += (events.empty() ? "[" : ",") + std::string("{\"topics\":[\"kill\"],\"data\":") +
                  one + "}";
      }
      reply = client.Post(events + "]", "/publish");
    }
    const auto envelope = nlohmann::json::parse(reply.body, nullptr, false);
    if (reply.status == 0 || envelope.is_discarded()) return;
    if (reply.status != 200) continue;  // it stops, or has no room
    if (data.size() == 1) {
      ledger->Acknowledged(envelope["data"]["id"], data[0]);
    } else {
      for (size_t i = 0; i < data.size(); ++i) {
        ledger->Acknowledged(envelope["data"]["ids"][i], data[i]);
      }
    }
  }
}

void ReadUntilGone(const std::string& address, Ledger* ledger) {
  TestClient client(address);
  if (!client.Subscribe("/stream?topic=kill")) return;
  while (const auto block = client.ReadTo("\n\n")) {
    const std::string data = test::FieldOf(*block, "data");
    if (!data.empty() && !block->starts_with("event: ")) {
      ledger->Seen(test::FieldOf(*block, "id"), data);
    }
  }
}

class GatewayJournalKillTest : public test::GatewayJournalTest {
 protected:
  static constexpr size_t kPublishers = 4;

  std::vector<std::string> Arguments() const {
    return {"--listen",      "127.0.0.1:0",
            "--shards",      "2",
            "--engine",      GetParam() == EngineChoice::kEpoll ? "epoll" : "io_uring",
            "--journal",     options_.journal_directory,
            "--ack",         "synced",
            "--stop-delay",  "0",
            "--stop-spread", "0"};
  }

  // Everything since the last check, by its Last-Event-ID.
  void Check(const std::string& address, bool was_stopped) {
    TestClient client(address);
    const std::string end = "\"end " + std::to_string(++checks_) + '"';
    const auto reply = client.Post(end, "/publish/kill");
    ASSERT_EQ(reply.status, 200) << reply.body;
    const std::string end_id = nlohmann::json::parse(reply.body)["data"]["id"];
    ledger_.Acknowledged(end_id, end);
    Reader reader(address, "/stream?topic=kill&from=earliest", checked_id_);
    auto expected = ledger_.acknowledged().upper_bound(checked_sequence_);
    std::map<std::string, uint64_t> newest_of;  // of each publisher
    while (!HasFailure()) {
      const Received next = reader.Next();
      ASSERT_NE(next.id, "") << "the stream ended before " << end_id;
      if (next.type == "sluice.gap") {
        EXPECT_FALSE(was_stopped) << next.data;
        continue;
      }
      const uint64_t sequence = Epoch::Parse(next.id)->sequence;
      ASSERT_GT(sequence, checked_sequence_) << "out of order, or twice: " << next.data;
      checked_sequence_ = sequence;
      checked_id_ = next.id;
      ledger_.Seen(next.id, next.data);
      ASSERT_TRUE(expected == ledger_.acknowledged().end() || sequence <= expected->first)
          << expected->second << " was acknowledged as " << expected->first << " and is missing";
      if (expected != ledger_.acknowledged().end() && sequence == expected->first) ++expected;
      if (next.id == end_id) break;
      const size_t comma = next.data.find(',');
      const uint64_t number = std::stoull(next.data.substr(comma + 1));
      uint64_t& newest = newest_of[next.data.substr(0, comma)];
      ASSERT_TRUE(newest == 0 || number > newest) << next.data << " comes after " << newest;
      newest = number;
    }
    EXPECT_TRUE(HasFailure() || expected == ledger_.acknowledged().end());
  }

  void Load(const std::string& address, Program* program, bool stops) {
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kPublishers; ++i) {
      threads.emplace_back(PublishUntilGone, address, std::to_string(i), &next_[i], &ledger_);
    }
    threads.emplace_back(ReadUntilGone, address, &ledger_);
    const uint64_t until = ledger_.count() + 1 + random_() % 400;
    Await([&] { return ledger_.count() >= until; });
    program->End(stops ? SIGTERM : SIGKILL);
    for (std::thread& thread : threads) thread.join();
  }

  // The whole journal, whatever the history holds.
  void CheckJournal() {
    JournalOptions options;
    options.directory = options_.journal_directory;
    JournalRecovery recovery;
    std::unique_ptr<Journal> journal;
    ASSERT_TRUE(Journal::Open(options, &recovery, &journal).ok());
    auto expected = ledger_.acknowledged().begin();
    uint64_t looked_at = 0;
    const auto look = [&](const JournalRecord& record) {
      if (record.kind != RecordKind::kEvent) return true;
      const std::string wire(record.wire);
      ledger_.Seen(test::FieldOf(wire, "id"), test::FieldOf(wire, "data"));
      if (expected != ledger_.acknowledged().end() && expected->first == record.first) ++expected;
      return true;
    };
    ASSERT_TRUE(journal->ForEach(0, UINT64_MAX, look, &looked_at).ok());
    EXPECT_TRUE(expected == ledger_.acknowledged().end())
        << expected->second << " was acknowledged as " << expected->first << " and is missing";
  }

  std::mt19937_64 random_{GetParam() == EngineChoice::kEpoll ? 1u : 2u};
  Ledger ledger_;
  uint64_t next_[kPublishers] = {};
  int checks_ = 0;
  std::string checked_id_;
  uint64_t checked_sequence_ = 0;
};

TEST_P(GatewayJournalKillTest, WhatIsAcknowledgedAsSyncedIsReplayedOnceWithItsId) {
  const char* variable = std::getenv("SLUICE_GATEWAY_KILLS");
  const int rounds = variable == nullptr ? 5 : std::atoi(variable);
  bool was_stopped = true;
  for (int round = 0; round < rounds && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    if (round % 7 == 3) {  // while it starts
      Program early(Arguments());
      for (uint64_t yields = random_() % 20'000; yields > 0; --yields) std::this_thread::yield();
      early.End(SIGKILL);
      was_stopped = false;
    }
    Program program(Arguments());
    const std::string address = program.AwaitAddress();
    ASSERT_NE(address, "") << program.log();
    Check(address, was_stopped);
    was_stopped = round % 5 == 4;
    Load(address, &program, was_stopped);
  }
  if (!HasFailure()) {
    Program program(Arguments());
    Check(program.AwaitAddress(), was_stopped);
    program.End(SIGTERM);
    CheckJournal();
  }
  EXPECT_GT(ledger_.count(), static_cast<uint64_t>(rounds));
}

INSTANTIATE_TEST_SUITE_P(Engines, GatewayJournalKillTest, test::kBothEngines, test::kEngineSuffix);

}  // namespace
}  // namespace sluice
