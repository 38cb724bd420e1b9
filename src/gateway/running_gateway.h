// The gateway at work: ring, shards, threads and listening sockets, and the phases of starting and
// stopping.
//
// Thread: see sluice/gateway.h.
// Owner:  everything; shards are destroyed only after their threads have ended.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "engine/listener.h"
#include "gateway/host_plan.h"
#include "gateway/statistics.h"
#include "shard/shard.h"
#include "sluice/gateway.h"

namespace sluice {

class RunningGateway : public Gateway, private http::Reports {
 public:
  // What the journal has at least for its last groups, be it past stop.timeout.
  static constexpr int64_t kJournalGraceNs = kNsPerSecond;

  RunningGateway(const Options& options, const HostPlan& plan);
  ~RunningGateway() override;

  // Before Start, for tests: has the last word on the journal's options, such as another store.
  void ChangeJournal(std::function<void(JournalOptions*)> change) {
    change_journal_ = std::move(change);
  }
  Status Start();

  Status Publish(const EventToPublish& event, std::string* id) override;
  bool Stop() override;
  std::vector<std::string> addresses() const override;
  std::string engine_name() const override;
  uint32_t shards() const override { return static_cast<uint32_t>(shards_.size()); }
  uint64_t subscribers() const override;
  std::string Stats(bool pretty) const override;
  std::vector<std::string> StartNotes() const override;
  std::vector<std::string> Warnings() override;

 private:
  // http::Reports
  http::DeliveryReport Delivery(std::string_view id) override;
  std::string Stats(bool pretty) override { return std::as_const(*this).Stats(pretty); }
  std::optional<Refusal> NotReady() override;
  std::optional<Refusal> NotReadyToPublish() override;

  Status Listen();
  Status OpenJournal();
  Status CreateShards();
  // After the shards' threads. The journal begins no group after `until_ns`.
  void CloseJournal(int64_t until_ns);
  void WarnOfJournal(std::vector<std::string>* lines);
  void RunShard(Shard* shard);
  void SetPhase(Phase phase);
  bool WaitForShards(int64_t until_ns);
  void Warn(const char* what, uint64_t total, const char* advice, std::vector<std::string>* lines);

  const Options options_;
  const HostPlan plan_;
  Epoch epoch_ = Epoch::Random();  // the journal's, if there is one
  const int64_t started_ns_;
  http::PublishKeys keys_;
  mutable IdempotencyTable idempotency_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SharedHistory> history_;  // null: none is kept
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<AckBoard> acks_;
  std::unique_ptr<TopicBoard> topics_;
  // atomic: the journal's thread tells it of progress, perhaps before there is one
  std::atomic<AckBoard*> told_by_journal_{nullptr};
  std::function<void(JournalOptions*)> change_journal_;
  JournalRecovery recovery_;
  std::unique_ptr<Journal> journal_;  // null: none is kept
  std::unique_ptr<JournalFeed> journal_feed_;
  std::vector<ListenAddress> listening_;
  uint32_t admin_listener_first_ = 0;
  std::vector<std::vector<int>> listening_fds_;  // by shard
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::thread> threads_;
  // atomic: the phase is set by the thread that stops and read by every shard that answers /readyz.
  std::atomic<Phase> phase_{Phase::kStarting};

  std::mutex mutex_;
  std::condition_variable shard_ended_;
  size_t shards_running_ = 0;
  Status shard_failure_;

  struct Warned {
    uint64_t total = 0;
    int64_t at_ns = 0;
  };
  std::map<std::string, Warned> warned_;
  std::vector<std::string> start_warnings_;
  bool journal_has_failed_ = false;  // as told last
};

}  // namespace sluice
