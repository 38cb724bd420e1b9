// Reading: from the stores into a chunk.
#include <algorithm>
#include <vector>

#include "history/history.h"
#include "history/match_walk.h"

namespace sluice {
namespace {

using Walk = MatchWalk<true>;

// With something to send, no more are looked at: it is read again from where the socket stops.
constexpr uint32_t kNewestLooks = 2048;

// A store's part of a reading, with the sequence of its next event.
struct Part {
  Walk walk;
  uint64_t sequence = 0;
  size_t values_hint = 0;

  void LookAtHead() { sequence = walk.is_at_end() ? UINT64_MAX : walk.place().sequence(); }
};

bool Fits(const Chunk& chunk, size_t bytes, size_t bytes_max = History::kChunkBytes) {
  return chunk.bytes.empty() || chunk.bytes.size() + bytes <= bytes_max;
}

void PutMark(Chunk* chunk, size_t end, const Store::Place& place) {
  chunk->marks.push_back({static_cast<uint32_t>(end), place.sequence(), place.published_ns()});
}

// Copies, in one piece, the events of the part that stand side by side in a block, the next one
// first, below `bound`. False if the chunk is full.
bool CopyRun(Part* part, uint64_t bound, Chunk* chunk) {
  Store::Place place = part->walk.place();
  const Store::Block& block = *place.block;
  if ((place.record().topics & Store::Record::kIsLarge) != 0) {
    if (!Fits(*chunk, place.bytes().size())) return false;
    chunk->bytes.append(place.bytes());
    PutMark(chunk, chunk->bytes.size(), place);
    part->walk.Next();
    part->LookAtHead();
    return true;
  }
  const uint32_t begin = block.begin(place.index);
  const size_t base = chunk->bytes.size();
  uint32_t end = begin;
  bool has_room = true;
  while (true) {
    const uint32_t next_end = place.record().end();
    has_room = base == 0 && end == begin ? true : base + next_end - begin <= History::kChunkBytes;
    if (!has_room) break;
    end = next_end;
    PutMark(chunk, base + end - begin, place);
    const uint64_t ordinal = part->walk.ordinal();
    part->walk.Next();
    if (part->walk.is_at_end() || part->walk.is_paused()) break;
    if (part->walk.ordinal() != ordinal + 1 || place.index + 1 == block.count) break;
    ++place.index;
    if (place.sequence() >= bound) break;
    if ((place.record().topics & Store::Record::kIsLarge) != 0) break;
  }
  chunk->bytes.append(block.data + begin, end - begin);
  part->LookAtHead();
  return has_room;
}

// A part of each store, at its first event.
std::vector<Part> PartsOf(const std::vector<std::unique_ptr<Store>>& stores, Reading& reading,
                          uint64_t after, uint64_t through, Looks* looks) {
  std::vector<Part> parts;
  parts.reserve(stores.size());
  for (size_t i = 0; i < stores.size(); ++i) {
    const Store& store = *stores[i];
    parts.push_back(
        {Walk(store, i, reading, store.FirstAfter(after), store.FirstAfter(through), looks)});
    parts.back().LookAtHead();
  }
  return parts;
}

}  // namespace

void History::Begin(Reading& reading, uint64_t after, Chunk* chunk) const {
  chunk->after = after;
  chunk->last = after;
  chunk->bytes.clear();
  chunk->marks.clear();
  chunk->evicted_by.clear();
  uint64_t newest = lost_through_;
  for (size_t i = 0; i < stores_.size(); ++i) {
    chunk->evicted_by.push_back(LastEvicted(i, reading, after));
    newest = std::max(newest, chunk->evicted_by.back());
  }
  chunk->evicted = newest > after ? newest : 0;
}

void History::Read(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) const {
  Begin(reading, after, chunk);
  Looks looks;
  std::vector<Part> parts = PartsOf(stores_, reading, after, through, &looks);
  while (true) {
    Part* least = &parts[0];
    uint64_t bound = UINT64_MAX;  // the next of another store
    for (size_t i = 1; i < parts.size(); ++i) {
      bound = std::min(bound, std::max(parts[i].sequence, least->sequence));
      if (parts[i].sequence < least->sequence) least = &parts[i];
    }
    if (least->sequence == UINT64_MAX) {
      chunk->last = std::max(after, through);
      break;
    }
    chunk->last = least->sequence - 1;
    if (least->walk.is_paused() || !CopyRun(least, bound, chunk)) {
      if (!chunk->marks.empty()) chunk->last = std::max(chunk->last, chunk->marks.back().sequence);
      break;
    }
  }
  chunk->is_complete = chunk->last >= through;
}

void History::ReadNewest(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) const {
  Begin(reading, after, chunk);
  Looks looks;
  std::vector<Part> parts = PartsOf(stores_, reading, after, through, &looks);
  while (true) {
    const auto least =
        std::min_element(parts.begin(), parts.end(),
                         [](const Part& a, const Part& b) { return a.sequence < b.sequence; });
    if (least->sequence == UINT64_MAX) {
      chunk->last = std::max(after, through);
      break;
    }
    chunk->last = least->sequence - 1;
    if (least->walk.is_paused()) break;
    const Store::Place place = least->walk.place();
    const bool has_key = (place.record().topics & Store::Record::kHasKey) != 0;
    const auto store = static_cast<uint16_t>(least - parts.begin());
    if (!has_key || !values_.IsReplaced(store, place.sequence(), &least->values_hint)) {
      const std::string_view bytes = place.bytes();
      if (!Fits(*chunk, bytes.size(), kNewestBytes)) break;
      chunk->bytes.append(bytes);
      PutMark(chunk, chunk->bytes.size(), place);
    }
    // It has been looked at, so that each call goes on by one at least.
    chunk->last = place.sequence();
    looks.Use(1);
    const bool has_enough = !chunk->marks.empty() && looks.left + kNewestLooks <= Looks::kMax;
    if (has_enough || looks.are_used_up()) break;
    least->walk.Next();
    least->LookAtHead();
  }
  chunk->is_complete = chunk->last >= through;
}

size_t History::ReadValues(std::span<const ValueRef> values, Chunk* chunk) const {
  *chunk = Chunk();
  size_t done = 0;
  while (done < values.size()) {
    const ValueRef& ref = values[done];
    const Value& value = values_[ref.value];
    if (value.sequence != ref.sequence) {
      ++done;
      continue;
    }
    const std::string_view bytes =
        value.taken_over ? value.bytes() : stores_[value.store]->Find(value.ordinal).bytes();
    if (!Fits(*chunk, bytes.size())) break;
    chunk->bytes.append(bytes);
    chunk->marks.push_back(
        {static_cast<uint32_t>(chunk->bytes.size()), value.sequence, value.published_ns});
    // It comes once, of however many topics it is the value.
    while (done < values.size() && values[done].sequence == value.sequence) ++done;
  }
  chunk->is_complete = done == values.size();
  return done;
}

}  // namespace sluice
