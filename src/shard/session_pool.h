// The sessions of a shard's connections: taken for a connection, released when it becomes a stream
// or is closed, and in the order of their last activity, so that the one idle longest is at hand.
//
// Thread: its shard's.
// Owner:  a session stays where it is until DropSpare, also one that was released.
// Bounds: none of its own. A burst of requests leaves many behind that are not needed again:
//         DropSpare keeps kSpareMax of them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "http/session.h"
#include "http/site.h"

namespace sluice {

struct SessionSlot {
  explicit SessionSlot(http::Site& site) : session(site) {}
  http::Session session;
  ConnectionId connection;
  bool is_replying = false;  // on the list of those with a reply to be sent
  bool is_waiting = false;   // for its socket, to take what is left of a reply
  bool sums_up = false;      // while it waits: a stream of lines that is read from all the same
  bool is_held = false;      // on the list of those that wait for room on the ring
  bool has_page = false;     // on the list of those that wait for a page
  uint64_t awaited = 0;      // the sequence whose ack it waits for; 0: it does not
  http::PublishAck awaited_ack;
  int64_t waits_until_ns = 0;

 private:
  friend class SessionPool;
  // Neighbours in the order of last activity, longest idle first; index + 1.
  uint32_t before = 0;
  uint32_t after = 0;
};

class SessionPool {
 public:
  static constexpr uint32_t kSpareMax = 32;

  explicit SessionPool(http::Site& site) : site_(site) {}

  SessionSlot& operator[](uint32_t index) { return *slots_[index]; }
  // The index of one that is active now.
  uint32_t Take(ConnectionId connection);
  void Release(uint32_t index);
  // It is active now.
  void Touch(uint32_t index);
  // Only while nobody stands in a released session. True if there was one.
  bool DropSpare();

  size_t used() const { return used_; }
  // Those in use, longest idle first.
  std::vector<ConnectionId> IdlestFirst() const;
  // Only with one in use.
  ConnectionId idlest() const { return slots_[idlest_ - 1]->connection; }

 private:
  void Unlink(uint32_t index);

  http::Site& site_;
  std::vector<std::unique_ptr<SessionSlot>> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> empty_;  // indices without a slot
  size_t used_ = 0;
  uint32_t idlest_ = 0;  // index + 1
  uint32_t latest_ = 0;
};

}  // namespace sluice
