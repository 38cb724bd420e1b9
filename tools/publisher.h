// Publishes the events of a run over keep-alive connections, one post under way on each.
//
// Closed loop (rate 0): every connection posts again as soon as it was answered. Open loop: event k
// is due at begin + (k + 1/2) / rate, whoever is free posts it, and its latency counts from when it
// was due: a server that stalls cannot hide behind a publisher that waits for it. (The half keeps
// the edges of the measured window off the events.)
//
// A connection numbers its own events and posts the next only after the last was answered, so their
// order is defined. 503 and 429 are posted again (same number) after kRetryNs. An event whose
// answer never came is of unknown fate: it may arrive or not. A connection that the server closes
// with an answer is opened anew for the next post.
//
// Each event goes to the topic that Topics draws for it.
//
// Thread: one, that of the loop whose slots it uses.
// Bounds: kPublishersMax connections; 1 byte an event for its fate.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "histogram.h"
#include "payload.h"
#include "socket_loop.h"
#include "target.h"
#include "topics.h"

namespace sluice::bench {

enum class Fate : uint8_t { kPending, kAccepted, kUnknown, kRefused };

// Finds the end of the answer that `text` begins with: its bytes and status, or 0 if it is not
// whole.
size_t AnswerEnd(const std::string& text, int* status);
// True if the server ends the connection after this answer.
bool AnswerCloses(std::string_view answer);

class Publisher : public SocketHandler {
 public:
  struct Counts {
    uint64_t posted = 0;             // events first posted
    uint64_t accepted = 0;           // answered 2xx
    uint64_t accepted_measured = 0;  // those due within the window
    uint64_t retried = 0;            // answers 503 or 429
    uint64_t errors = 0;             // other answers, and connections lost under a post
    uint64_t deliveries_due = 0;     // readers of the topics of accepted events, in all
  };
  struct Plan {
    double rate = 0;  // events a second; 0 is closed loop
    int64_t begin_ns = 0;
    int64_t end_ns = 0;  // no event is due from here on
    uint64_t events_max = UINT64_MAX;
    int64_t window_begin_ns = 0;
    int64_t window_end_ns = 0;
  };

  // `audiences` are the readers of each meter thread.
  Publisher(SocketLoop* loop, const Target& target, const PayloadFormat& format,
            uint32_t connections, const Topics& topics, const std::vector<ReaderRange>& audiences);

  Status Open();
  bool is_connected() const { return connected_ == posters_.size(); }
  // May be called again once the last plan is done.
  void Begin(const Plan& plan);
  // Ends a plan that had no end: plan and window end there, in the past.
  void EndAt(int64_t end_ns) { plan_.end_ns = plan_.window_end_ns = end_ns; }
  bool is_closed_loop() const { return is_begun_ && plan_.rate <= 0; }
  // Posts what is due; at full speed no more than `events_max`. Returns when it wants to be called
  // again.
  int64_t Turn(int64_t now_ns, uint64_t events_max);
  // Nothing is under way and nothing will be posted any more.
  bool is_done() const { return is_begun_ && under_way_ == 0 && is_over_; }

  bool awaits_answers() const { return under_way_ != 0 || !is_connected(); }

  // SocketHandler: slots of its own loop, one a connection.
  void OnConnected(uint32_t slot, int error) override;
  void OnReceived(uint32_t slot, std::string_view bytes) override;
  void OnSent(uint32_t slot, int error) override;
  void OnClosed(uint32_t slot, int error) override;

  const Counts& counts() const { return counts_; }
  // By meter thread: how many deliveries its readers are to have of what was posted.
  const std::vector<uint64_t>& posted_deliveries() const { return posted_deliveries_; }
  const Histogram& answer_time() const { return answer_time_; }  // post to answer
  const Histogram& lag() const { return lag_; }                  // due to posted: the meter's own
  uint64_t asked_measured() const;  // events that were due within the window
  const std::string& problem() const { return problem_; }
  // Whether the event must arrive. REQUIRES: is_done, or the publisher's own thread.
  bool IsAccepted(uint32_t publisher, uint32_t number) const {
    return publisher < posters_.size() && number < posters_[publisher].fates.size() &&
           posters_[publisher].fates[number] == Fate::kAccepted;
  }
  // Those that must arrive, by topic. REQUIRES: as IsAccepted.
  std::vector<uint64_t> AcceptedByTopic() const;

 private:
  static constexpr int64_t kRetryNs = 2'000'000;
  static constexpr int64_t kHeldBackNs = 100'000;
  enum class State : uint8_t { kClosed, kConnecting, kFree, kPosted, kRetrying };
  struct Poster {
    State state = State::kClosed;
    bool is_open = false;
    bool is_sent = false;  // the request has left: its bytes may change
    uint32_t number = 0;
    uint32_t failures = 0;  // to connect, in a row
    int64_t due_ns = 0;
    int64_t posted_ns = 0;
    int64_t retry_ns = 0;
    std::string request;
    std::string answer;
    std::vector<Fate> fates;
  };

  void Post(uint32_t index, int64_t due_ns, int64_t now_ns);
  void OnAnswer(uint32_t index, int status, int64_t now_ns);
  void Free(uint32_t index);
  void Reopen(uint32_t index);
  void Renew(uint32_t index);
  bool IsMeasured(int64_t due_ns) const {
    return due_ns >= plan_.window_begin_ns && due_ns < plan_.window_end_ns;
  }
  int64_t DueNs(uint64_t event) const {
    return plan_.begin_ns +
           static_cast<int64_t>((static_cast<double>(event) + 0.5) * 1e9 / plan_.rate);
  }

  SocketLoop* const loop_;
  const Target& target_;
  const PayloadFormat& format_;
  const Topics topics_;
  const std::vector<ReaderRange> audiences_;
  const TopicTemplate request_;
  const size_t payload_at_;  // within a request
  Plan plan_;
  bool is_begun_ = false;
  bool is_over_ = false;
  uint64_t next_event_ = 0;
  int64_t starved_ns_ = 0;  // when last an event was due and no connection was free
  size_t connected_ = 0;
  size_t under_way_ = 0;
  size_t retrying_ = 0;
  std::vector<Poster> posters_;
  std::vector<uint32_t> free_;
  Counts counts_;
  std::vector<uint64_t> posted_deliveries_;
  Histogram answer_time_;
  Histogram lag_;
  std::string problem_;
};

}  // namespace sluice::bench
