// Reading: from the stores into a chunk.
#include <algorithm>
#include <vector>

#include "history/history.h"
#include "history/match_walk.h"

namespace sluice {
namespace {

using Walk = MatchWalk<true>;

// A store's part of a reading, with the sequence of its next event.
struct Part {
  Walk walk;
  uint64_t sequence = 0;

  void LookAtHead() { sequence = walk.is_at_end() ? UINT64_MAX : walk.place().sequence(); }
};

bool Fits(const Chunk& chunk, size_t bytes) {
  return chunk.bytes.empty() || chunk.bytes.size() + bytes <= History::kChunkBytes;
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

}  // namespace

void History::Read(Reading& reading, uint64_t after, uint64_t through, Chunk* chunk) const {
  chunk->after = after;
  chunk->last = after;
  chunk->bytes.clear();
  chunk->marks.clear();
  chunk->evicted = LastEvicted(reading, after);
  Looks looks;
  std::vector<Part> parts;
  parts.reserve(stores_.size());
  for (size_t i = 0; i < stores_.size(); ++i) {
    const Store& store = *stores_[i];
    parts.push_back(
        {Walk(store, i, reading, store.FirstAfter(after), store.FirstAfter(through), &looks)});
    parts.back().LookAtHead();
  }
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

size_t History::ReadValues(std::span<const ValueRef> values, Chunk* chunk) const {
  *chunk = Chunk();
  size_t done = 0;
  while (done < values.size()) {
    // An event may be the value of several topics, and still of one where it is not of another.
    const uint64_t sequence = values[done].sequence;
    const Value* value = nullptr;
    size_t end = done;
    for (; end < values.size() && values[end].sequence == sequence; ++end) {
      const Value& of_topic = values_[values[end].value];
      if (of_topic.sequence == sequence) value = &of_topic;
    }
    if (value != nullptr) {
      const std::string_view bytes =
          value->taken_over ? value->bytes() : stores_[value->store]->Find(value->ordinal).bytes();
      if (!Fits(*chunk, bytes.size())) break;
      chunk->bytes.append(bytes);
      chunk->marks.push_back(
          {static_cast<uint32_t>(chunk->bytes.size()), sequence, value->published_ns});
    }
    done = end;
  }
  chunk->is_complete = done == values.size();
  return done;
}

}  // namespace sluice
