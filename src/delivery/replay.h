// Readers that begin behind the tail: what Delivery keeps of each while it reads from the history.
//
// A replaying reader stands in a chunk, which it shares with all who are at the same place; it is
// sent that, goes on after the chunk's last sequence, and once it has all that the shard has
// drained it attaches at its channel's tail, in the same turn. It belongs to no channel until then.
//
// What was there when it came is replayed in full. From then on it is a live reader like others,
// only that it is served from the history: if its socket is too slow, its channel's policy counts.
// To skip, it goes on before the newest event. To conflate, it enters the channel's table at once
// and reads up to there only what is still the newest of its key; then it goes on in the table.
//
// Thread: its shard's.
// Owner:  a chunk lives while a reader or the shard's cache holds it.
// Bounds: see DeliveryLimits; a reader that waits for its socket holds a chunk of its own only
//         while all those together are within replay_held_bytes_max, else the rest of one event.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/fifo.h"
#include "base/reason.h"
#include "engine/engine.h"
#include "event/subscription.h"
#include "history/chunk_cache.h"
#include "history/reading.h"
#include "history/start.h"

namespace sluice {

struct ReplayingReader {
  ConnectionId connection;
  Subscription subscription;
  uint64_t after = 0;  // what comes after this sequence is still to be read
  uint64_t told = 0;   // evictions up to this one are told
  // Of one without a place when it came: up to where each class had evicted events, or it is told.
  std::vector<uint64_t> gone;
  std::vector<ValueRef> values;
  size_t values_done = 0;

  std::shared_ptr<const Chunk> chunk;  // null: to be read
  size_t sent = 0;                     // of its bytes
  uint32_t mark = 0;                   // the first event not wholly sent
  bool is_values = false;              // the chunk is of values: `after` stays, it is not let go
  uint32_t channel = 0;                // that of its subscription, which it will attach to
  // Events after `joined` are owed to it: those that it has had, or lost, of the channel's (see
  // owed.h).
  bool is_early = false;  // nothing is owed to it yet
  bool is_owed = false;
  uint64_t joined = 0;
  uint64_t had_events = 0;
  uint64_t had_bytes = 0;
  bool is_slow = false;    // past `joined` its socket took less than it was offered
  bool is_behind = false;  // past a bound: it leaves its place once its event is whole
  // It conflates: what comes after this sequence is in its channel's table.
  bool is_conflating = false;
  uint64_t table_after = 0;
  uint64_t table_index = 0;  // in the log, of the first event after it
  uint64_t table_owed = 0;   // events up to there that it has not had
  uint64_t rest_of = 0;      // the event whose rest the aside begins with; 0: none
  size_t rest_bytes = 0;     // of the aside
  size_t rest_whole_bytes = 0;
  int64_t rest_published_ns = 0;
  Disconnect ending_reason = Disconnect::kDraining;

  std::string aside;
  size_t aside_sent = 0;
  size_t aside_at = 0;  // the aside goes when so much of the chunk is sent

  bool is_listed = false;   // on one of the lists
  bool is_waiting = false;  // for its socket
  bool is_ending = false;
  bool is_used = false;
  int64_t waiting_since_ns = 0;

  bool has_aside() const { return aside_sent < aside.size(); }
  size_t chunk_bytes() const { return chunk == nullptr ? 0 : chunk->bytes.size(); }
  // Of the chunk, to be sent before an aside, or in all.
  size_t chunk_end() const { return has_aside() ? aside_at : is_ending ? sent : chunk_bytes(); }
  // Where the event that it is in ends.
  size_t FrameEnd() const {
    if (chunk == nullptr || mark == chunk->marks.size()) return sent;
    const size_t begin = mark == 0 ? 0 : chunk->marks[mark - 1].end;
    return sent == begin ? sent : chunk->marks[mark].end;
  }
  // It has had all up to here that it was to have.
  uint64_t had_through() const {
    if (rest_of != 0) return rest_of - 1;
    return chunk == nullptr || is_values || mark == 0 ? after : chunk->marks[mark - 1].sequence;
  }
  // It has all that was there when it came.
  bool is_past_joined() const {
    if (is_values || !values.empty()) return false;
    if (chunk == nullptr) return after >= joined;
    const bool has_next = mark < chunk->marks.size();
    return (has_next ? chunk->marks[mark].sequence - 1 : chunk->last) >= joined;
  }
  // When the event that it stands at was published; 0: that is not known, it is to be read.
  int64_t PublishedNs() const {
    if (rest_of != 0) return rest_published_ns;
    const bool has_next = chunk != nullptr && mark < chunk->marks.size();
    return has_next ? chunk->marks[mark].published_ns : 0;
  }
  // Returns how many events that finishes.
  uint64_t Advance(size_t bytes) {
    sent += bytes;
    const uint32_t first = mark;
    while (mark < chunk->marks.size() && chunk->marks[mark].end <= sent) ++mark;
    return mark - first;
  }
  void SetChunk(std::shared_ptr<const Chunk> to) {
    chunk = std::move(to);
    sent = aside_at = 0;
    mark = 0;
  }
  // Gives the chunk up, for the rest of the event that it is in; what comes after is read again.
  void LetGo() {
    const size_t end = FrameEnd();
    const std::string rest = chunk->bytes.substr(sent, end - sent);
    if (!rest.empty()) {
      rest_of = chunk->marks[mark].sequence;
      rest_published_ns = chunk->marks[mark].published_ns;
      rest_bytes = rest.size();
      rest_whole_bytes = end - (mark == 0 ? 0 : chunk->marks[mark - 1].end);
      ++mark;
    }
    // What stands between is not wanted.
    after = mark < chunk->marks.size() ? chunk->marks[mark].sequence - 1 : chunk->last;
    aside = rest + aside.substr(aside_sent);
    aside_sent = 0;
    SetChunk(nullptr);
  }
};

// Those of a shard, by index; an index is used again when it stands on no list.
struct Replays {
  std::vector<ReplayingReader> readers;
  std::vector<uint32_t> free;
  size_t count = 0;
  size_t ending_count = 0;
  size_t ending_from = 0;              // those before it were ending when last ended
  Fifo<uint32_t> ready;                // have something to be sent
  std::vector<uint32_t> active;        // go before those: they stay with it until they have all
  std::vector<uint32_t> unowed;        // begin after an event that is to come: nothing is owed yet
  std::vector<uint32_t> ahead;         // begin after what the shard has drained
  std::unique_ptr<ChunkCache> chunks;  // null: there is no history

  bool HasWork() const { return !ready.empty() || !active.empty(); }
};

}  // namespace sluice
