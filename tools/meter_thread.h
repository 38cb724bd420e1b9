// One thread of the meter: a loop with a share of the subscribers, and on one thread the publisher.
//
// A run goes through the phases in order; the threads look at the phase at least every kTurnNs.
//
// Thread: Run is the thread's body; the atomics may be read by any; all else once it has ended.
// Owner:  RunPlan and RunControl outlive it.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "publisher.h"
#include "socket_loop.h"
#include "stream_checker.h"
#include "target.h"

namespace sluice::bench {

enum class Phase : int {
  kConnect,  // subscribers join
  kMissed,   // events that others, who join later, will have missed: RunControl::missed
  kPublish,  // events are published, from RunControl::plan on
  kAfter,    // goes on, but the later window is over
  kDrain,    // what was accepted still arrives
  kProbe,    // stopped readers read on, to see which were cut off
  kStop,
};

struct RunPlan {
  Target target;
  LoopKind loop_kind = LoopKind::kIoUring;
  size_t payload_bytes = 0;
  uint32_t publishers = 0;
  double churn = 0;           // reconnects a second, of the whole run
  bool is_returning = false;  // they missed events: told is when each has caught up
  bool has_storm = false;     // all reconnect at once, in the middle of the window
  uint32_t subscribers = 0;   // of all threads, the stopped ones not counted
  uint32_t slow = 0;          // subscribers that stop reading
  uint32_t ahead_max = 0;     // events that readers may be behind before the publisher waits
  Topics topics;              // one, unless it has many
  uint32_t threads = 1;
  double join_stall_s = 15;     // without one more subscriber joined: given up
  uint32_t connecting_max = 0;  // connections being made at a time, a thread; 0: ChooseLoop's
  std::vector<int> cpus;
};

struct RunControl {
  std::atomic<Phase> phase{Phase::kConnect};
  // Constant once the threads run: the readers of each, and how many events the readers of the
  // thread furthest behind lack of what the publisher posted, on average. The publisher's thread.
  std::vector<ReaderRange> audiences;
  std::function<uint64_t(const Publisher&)> events_behind;
  // Constant once the phase is kMissed.
  Publisher::Plan missed;
  // Constant once the phase is kPublish.
  Publisher::Plan plan;
  Window window;
  Window later;
  // Constant once the phase is kAfter.
  int64_t later_end_ns = INT64_MAX;
  int64_t last_begin_ns = INT64_MAX;
  int64_t end_ns = INT64_MAX;  // constant once the phase is kDrain: of a plan that had no end
};

class MeterThread : SocketHandler {
 public:
  // `subscribers` of this thread, counted from `first` of the whole run; the last `slow` of them
  // stop reading once their stream has begun.
  struct Share {
    uint32_t index = 0;
    uint32_t first = 0;
    uint32_t subscribers = 0;
    uint32_t slow = 0;
    ReaderRange readers;      // those that read, and
    uint32_t slow_first = 0;  // those that stop, are counted apart: topics are dealt out to each
    bool has_publisher = false;
  };

  MeterThread(const RunPlan& plan, const RunControl& control, const PayloadFormat& format,
              const Share& share);
  void Run();

  // Live figures, for any thread.
  std::atomic<uint32_t> streaming{0};
  std::atomic<uint32_t> stopped{0};  // slow readers that have their head
  std::atomic<uint64_t> deliveries{0};
  std::atomic<uint64_t> deliveries_due{0};  // of what was accepted (the publisher's thread)
  std::atomic<uint64_t> posted_events{0};
  std::atomic<uint64_t> p99_ns{0};
  std::atomic<uint64_t> problems{0};
  std::atomic<uint32_t> cut_off{0};    // slow readers whose stream was found ended
  std::atomic<uint32_t> caught_up{0};  // of readers that came back
  std::atomic<int64_t> last_caught_up_ns{0};
  std::atomic<bool> publisher_is_connected{false};
  std::atomic<bool> publisher_is_done{false};
  std::atomic<bool> has_failed{false};  // the loop itself cannot work; see problem
  std::atomic<int64_t> cpu_ns{0};       // of this thread, refreshed each turn of the phase loop

  // How many events its readers lack if they are to have `posted` deliveries, on average.
  uint64_t events_behind(uint64_t posted) const {
    const uint64_t had = deliveries.load(std::memory_order_relaxed);
    const uint32_t readers_of_topic = share_.readers.count / plan_.topics.count();
    return (posted - std::min(had, posted)) / std::max(readers_of_topic, 1u);
  }

  const StreamChecker& checker() const { return checker_; }
  const Publisher* publisher() const { return publisher_.get(); }
  const std::string& problem() const { return problem_; }
  const Histogram& first_byte() const { return first_byte_; }  // connect begun to the head read
  const Histogram& catch_up() const { return catch_up_; }      // connect begun to caught up
  uint64_t disconnected() const { return disconnected_; }
  uint64_t reconnected() const { return reconnected_; }
  uint64_t connect_failures() const { return connect_failures_; }
  int64_t last_head_ns() const { return last_head_ns_; }
  // Judges every subscriber that reads; `accepted` events by topic. REQUIRES: Run has ended.
  Faults Settle(const Publisher& publisher, const std::vector<uint64_t>& accepted) const;
  uint32_t slow() const { return share_.slow; }

 private:
  static constexpr int64_t kTurnNs = 10'000'000;
  static constexpr int64_t kPublisherTurnNs = 100'000;
  static constexpr uint32_t kConnectFailuresMax = 1'000;
  static constexpr size_t kLogBytesMax = 96 << 20;

  enum class Place : uint8_t { kOut, kConnecting, kHead, kStreaming, kStopped, kEnded };

  void OnConnected(uint32_t slot, int error) override;
  void OnReceived(uint32_t slot, std::string_view bytes) override;
  void OnSent(uint32_t slot, int error) override;
  void OnClosed(uint32_t slot, int error) override;

  Status Start();
  bool OnPhase(Phase phase);  // false: stop
  void ConnectMore();
  void Connect(uint32_t slot);
  void Reconnect(uint32_t slot);
  int64_t Churn(int64_t now_ns);
  int64_t TurnPublisher(int64_t now_ns);
  void MakeRoom();
  void NoteCaughtUp(uint32_t slot, int64_t now_ns);
  void Publish(int64_t now_ns);
  bool is_slow(uint32_t slot) const { return slot >= share_.readers.count; }
  std::string_view RequestOf(uint32_t slot);

  const RunPlan& plan_;
  const RunControl& control_;
  const Share share_;
  StreamChecker checker_;
  const PayloadFormat& format_;
  const TopicTemplate stream_request_;
  // By slot, with topics: a request on its way. Until its OnSent, or until the slot's next
  // connection, before which the kernel was told to let go of it.
  std::unordered_map<uint32_t, std::string> requests_;
  std::unique_ptr<SocketLoop> loop_;
  std::unique_ptr<SocketLoop> publisher_loop_;
  std::unique_ptr<Publisher> publisher_;
  std::vector<StreamState> states_;
  std::vector<Place> places_;
  std::vector<int64_t> begun_ns_;  // when each began to connect
  std::vector<uint32_t> waiting_;  // to connect; taken from the back
  uint32_t connecting_ = 0;
  Phase phase_ = Phase::kConnect;
  bool is_joining_over_ = false;  // from now on a subscriber begins anywhere
  uint32_t churn_next_ = 0;
  uint64_t churned_ = 0;
  bool has_stormed_ = false;
  int64_t p99_due_ns_ = 0;
  std::vector<bool> has_caught_up_;
  Histogram first_byte_;
  Histogram catch_up_;
  uint64_t disconnected_ = 0;
  uint64_t reconnected_ = 0;
  uint64_t connect_failures_ = 0;
  int64_t last_head_ns_ = 0;
  std::string problem_;
};

}  // namespace sluice::bench
