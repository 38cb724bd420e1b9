// One HTTP/1.1 connection until it ends or becomes a stream: a pure state machine, bytes in, bytes
// out. It knows no socket, no engine and no clock but the one it is told.
//
// Thread: its shard's.
// Owner:  pooled by the shard; `Begin` makes it fresh. It is given back when the stream begins, so
// an
//         idle subscriber holds no parser and no buffer.
// Bounds: see Options (header_bytes_max, body_bytes_max ...); replies not yet taken by the peer
// stop
//         further parsing (next() is kPaused) beyond a small bound.
// Errors: every refusal is a reply in the envelope; next() then says whether to close.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "http/publish_ack.h"
#include "http/services.h"

namespace sluice::http {

class Site;  // what all sessions of a shard share: routes, keys, CORS, page, counters (site.h)

enum class Next : uint8_t {
  kReceive,       // send output() if any, and read on
  kPaused,        // send output(); call Resume once all of it is taken
  kWaitsForRoom,  // the ring is full: send output() if any, read no more, and call RetryRoom in a
                  // later turn of the loop, until this changes
  kWaitsForAck,   // an accepted publish waits for its ack: send output() if any, and call RetryAcks
                  // when there is news of it; read on, while takes_more()
  kWaitsForPage,  // a report is gathered: send output() if any, and call GoOnPage in turns to come;
                  // read on, while takes_more()
  kStream,        // send output() (the stream's head, whole) and attach to the channel
  kClose,         // send output(), then end: shutdown, discard what still comes, close
};

struct PeerFacts {
  bool is_loopback = false;
  bool is_admin_listener = false;
};

class Session {
 public:
  explicit Session(Site& site);
  ~Session();

  // Starts over for a new connection.
  void Begin(const PeerFacts& peer, int64_t now_ns);
  // Any split of the bytes gives the same replies. Ignored after kClose or kStream.
  void Receive(std::span<const char> bytes, int64_t now_ns);
  // The peer will send nothing more.
  void ReceiveEnd(int64_t now_ns);
  // All output was taken: parses what was held back while paused.
  void Resume(int64_t now_ns);
  // kWaitsForRoom: publishes what was held back, if there is room now.
  void RetryRoom(int64_t now_ns);
  // What the reply that comes next waits for, if it waits; kReceive with it is a stream of lines.
  const AckWait* ack_wait() const;
  // Replies to what waited and does no more.
  void RetryAcks(int64_t now_ns);
  // kWaitsForPage: a share of a turn's work.
  void GoOnPage(int64_t now_ns);
  // Null: it waits for none.
  const TopicsPage* page() const;
  // The connection is gone: lets go of what it has others gather.
  void LetGo();
  // kWaitsForAck, kWaitsForPage: there is room for bytes that are received meanwhile.
  bool takes_more() const;
  // The peer does not take output() now. True if it is to be read from all the same: a stream of
  // lines, whose replies are then summed up.
  bool OnOutputHeld(int64_t now_ns);
  // The gateway stops: a stream of lines ends here (true), once those that wait have their acks;
  // anything else goes on to its own end.
  bool EndLines(int64_t now_ns);

  // Reply bytes to be sent, and how many of them the peer has taken.
  std::string_view output() const;
  void Consume(size_t bytes);

  Next next() const;
  // What the stream is of; once next() is kStream.
  const StreamRequest& stream_request() const;
  // When OnDeadline is to be called: the request's time or the idle time runs out.
  int64_t deadline_ns() const;
  // Replies 408 (inside a request) or just closes (between requests).
  void OnDeadline(int64_t now_ns);
  // True between requests with nothing to send: may be closed without harm.
  bool is_idle() const;
  // See OnOutputHeld.
  bool sums_up_replies() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::http
