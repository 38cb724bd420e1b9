// Where a stream starts in the history, and what it must be told that it cannot have.
//
// Thread: values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/frame.h"

namespace sluice {

// What the reader asks for.
struct StreamStart {
  enum class From : uint8_t { kNow, kEarliest, kNewest, kValues };

  std::string last_id = {};  // goes before `from`; empty: none
  From from = From::kNow;
  uint32_t newest_count = 0;  // of kNewest
};

enum class GapReason : uint8_t {
  kEvicted,  // events after the reader's place are gone
  kUnknown,  // its place is: the id is not of this gateway's run, or of no event held
  kSkipped,  // it was too slow, and its policy is to skip
};
inline constexpr size_t kGapReasonCount = 3;
std::string_view Word(GapReason reason);

// Events that the reader wants and does not get. Sequences; 0 is none.
struct HistoryGap {
  GapReason reason = GapReason::kEvicted;
  std::string after;   // the id that the reader came with, as it wrote it
  uint64_t first = 0;  // the first that may be missing; 0 when its place is unknown
  uint64_t last = 0;   // the last that is missing
  // What the gap event itself has as its id. `last`, unless events that are not missing stand
  // before it (in a class with larger bounds): then what is before all of those, so that a reader
  // that is cut off between the gap and them does not lose them.
  uint64_t resume = 0;
};

// The block that tells of it (see event/aside.h).
void AppendGap(std::string* out, const HistoryGap& gap, const Epoch& epoch);

struct ValueRef {
  uint64_t sequence;
  uint32_t value;
};

struct Start {
  bool is_complete = false;  // else: ask again, it goes on where it stopped
  uint64_t after = 0;        // the stream goes on with what comes after this sequence
  // Evictions up to this sequence are told, or are none of the reader's business: a chunk whose
  // `evicted` is higher tells of another gap.
  uint64_t told = 0;
  // Of one that came without a place, and so is told nothing of what was gone before: up to where
  // each class had evicted events. Empty: `told` holds for all.
  std::vector<uint64_t> gone;
  std::optional<HistoryGap> gap;  // to be told first
  // What the greeting of the stream carries if there is no gap: a reader that is cut off before its
  // first event goes on from here and misses none, and is told of no gap that was none.
  uint64_t opens_at = 0;
  // To be sent first, in this order (History::ReadValues); an event of several topics stands there
  // for each of them, and is sent once.
  std::vector<ValueRef> values;

  // How far the search for the newest ones is.
  bool is_searching = false;
  uint64_t search_below = 0;
  uint64_t search_left = 0;
};

}  // namespace sluice
