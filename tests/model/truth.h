// What the story of a run says about its events: which there were, in what order, which the journal
// must have kept, and from when on one may be missing from the history. It is found once, from all
// that anybody saw; so what one reader had is what every other must have had too.
//
// Thread: a value.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/matcher.h"
#include "model/story.h"

namespace sluice::model {

class Truth {
 public:
  explicit Truth(const Story& story) : story_(story), facts_(story.sent.size()) {
    TakeAnswers();
    TakeBlocks();
    PlaceThoseSeenInARow();
    PlaceThoseThatFollow();
    Order();
    FindKept();
    FindSettled();
  }

  const std::vector<std::string>& faults() const { return faults_; }
  bool Exists(size_t number) const { return facts_[number].exists; }
  // 0: nobody could tell.
  uint64_t SequenceOf(size_t number) const { return facts_[number].sequence; }
  // It may have been there, and nobody can tell where.
  bool MayBeAnywhere(size_t number) const {
    return facts_[number].sequence == 0 &&
           (facts_[number].exists || story_.sent[number].fate != Fate::kRefused);
  }
  const std::string& IdOf(size_t number) const { return facts_[number].id; }
  // Of those that exist and have a known place.
  const std::map<uint64_t, size_t>& in_order() const { return in_order_; }
  size_t unplaced() const { return unplaced_; }

  // The event of a publisher's id; SIZE_MAX: there is none.
  size_t OfPublisherId(const std::string& id) const {
    const auto at = by_publisher_id_.find(id);
    return at == by_publisher_id_.end() ? SIZE_MAX : at->second;
  }
  // The sequence that an id stands for; 0: of nothing that was ever there, or nobody could tell.
  uint64_t PlaceOf(const std::string& id) const {
    if (const OwnId own = ParseOwnId(id); own.is_one) {
      return own.epoch == epoch_ ? own.sequence : 0;
    }
    const size_t number = OfPublisherId(id);
    return number == SIZE_MAX ? 0 : SequenceOf(number);
  }

  // It may have died with its life: it was never seen in a later one, nor promised to be kept.
  bool MayBeLost(size_t number, size_t life) const {
    const Sent& sent = story_.sent[number];
    return sent.life < life && facts_[number].sequence > kept_through_[sent.life];
  }
  // So many newer events may have come by then that the history, or a start, has let go of it.
  bool MayBeEvicted(size_t number, Tick at, size_t life) const {
    const Eviction& eviction = EvictionOf(number);
    return eviction.since < at || eviction.at_start_of <= life;
  }
  // All shards have drained this sequence by then, or have begun after it.
  uint64_t SettledBy(Tick at, size_t life) const {
    uint64_t settled = story_.lives[life].first_sequence - 1;
    const auto next = settled_.upper_bound(at);
    if (next != settled_.begin()) settled = std::max(settled, std::prev(next)->second);
    return settled;
  }

 private:
  struct Facts {
    bool exists = false;
    std::string id;
    uint64_t sequence = 0;
  };
  struct Eviction {
    Tick since = kNever;
    size_t at_start_of = SIZE_MAX;
  };

  void Fault(std::string words) { faults_.push_back(std::move(words)); }
  std::string Name(size_t number) const {
    return "event " + std::to_string(number) + " (" + facts_[number].id + ")";
  }

  void TakeId(size_t number, const std::string& id) {
    Facts& facts = facts_[number];
    facts.exists = true;
    if (!facts.id.empty() && facts.id != id) {
      Fault(Name(number) + " was published twice: also as " + id);
      return;
    }
    facts.id = id;
    const auto [at, is_new] = by_id_.emplace(id, number);
    if (at->second != number)
      Fault("id " + id + " is " + Name(at->second) + " and " + Name(number));
    if (!story_.sent[number].id.empty()) {
      if (id != story_.sent[number].id) Fault(Name(number) + " has not its publisher's id");
      by_publisher_id_[id] = number;
      return;
    }
    const OwnId own = ParseOwnId(id);
    if (!own.is_one || (!epoch_.empty() && epoch_ != own.epoch)) Fault("a strange id: " + id);
    epoch_ = own.epoch;
    Place(number, own.sequence);
  }

  void Place(size_t number, uint64_t sequence) {
    Facts& facts = facts_[number];
    if (facts.sequence == sequence) return;
    if (facts.sequence != 0) {
      Fault(Name(number) + " has the sequences " + std::to_string(facts.sequence) + " and " +
            std::to_string(sequence));
    }
    facts.sequence = sequence;
    const auto [at, is_new] = in_order_.emplace(sequence, number);
    if (!is_new) Fault(Name(number) + " has the sequence of " + Name(at->second));
    const size_t life = story_.sent[number].life;
    const bool is_in_life =
        sequence >= story_.lives[life].first_sequence &&
        (life + 1 == story_.lives.size() || sequence < story_.lives[life + 1].first_sequence);
    if (!is_in_life)
      Fault(Name(number) + " has a sequence of another life than " + std::to_string(life));
  }

  void TakeAnswers() {
    for (size_t number = 0; number < facts_.size(); ++number) {
      const Sent& sent = story_.sent[number];
      if (sent.fate == Fate::kAccepted) TakeId(number, sent.told_id);
    }
  }

  template <typename OnBlock>
  void ForEachBlock(OnBlock&& on_block) const {
    for (const Reader& reader : story_.readers) {
      for (const Connection& connection : reader.connections) {
        for (const Block& block : connection.blocks) on_block(reader, connection, block);
      }
    }
  }

  void TakeBlocks() {
    ForEachBlock([&](const Reader&, const Connection& connection, const Block& block) {
      const size_t number = NumberOf(block.text);
      if (number >= facts_.size()) return;
      TakeId(number, FieldOf(block.text, "id"));
      if (story_.sent[number].fate == Fate::kRefused) Fault(Name(number) + " had been refused");
      if (connection.life > story_.sent[number].life) seen_later_.insert(number);
    });
    // Who comes with a publisher's id is told the place of that event.
    ForEachBlock([&](const Reader&, const Connection& connection, const Block& block) {
      if (!IsOf(block.text, "sluice.open") || connection.last_id.empty()) return;
      const size_t number = OfPublisherId(connection.last_id);
      const OwnId own = ParseOwnId(FieldOf(block.text, "id"));
      if (number != SIZE_MAX && own.is_one) Place(number, own.sequence);
    });
  }

  // Who asks for everything gets each sequence of a life, but for those in a gap: so a publisher's
  // id has the place after that of the event before it.
  void PlaceThoseSeenInARow() {
    for (const Reader& reader : story_.readers) {
      if (reader.patterns != std::vector<std::string>{"**"}) continue;
      for (const Connection& connection : reader.connections) {
        if (connection.from == From::kNow || !connection.last_id.empty()) PlaceRow(connection);
      }
    }
  }
  void PlaceRow(const Connection& connection) {
    const uint64_t first = story_.lives[connection.life].first_sequence;
    uint64_t before = 0;
    uint64_t gap_last = 0;
    for (const Block& block : connection.blocks) {
      const size_t number = NumberOf(block.text);
      if (number >= facts_.size()) {
        before = ParseOwnId(FieldOf(block.text, "id")).sequence;
        if (const OwnId last = ParseOwnId(GapField(block.text, "last")); last.is_one) {
          gap_last = std::max(gap_last, last.sequence);
        }
        continue;
      }
      const bool is_next = before != 0 && before + 1 >= first && before >= gap_last &&
                           story_.sent[number].life == connection.life;
      if (facts_[number].sequence == 0 && is_next) Place(number, before + 1);
      before = facts_[number].sequence;
    }
  }

  // Of an array: neighbours.
  void PlaceThoseThatFollow() {
    for (size_t number = 1; number < facts_.size(); ++number) {
      if (!story_.sent[number].follows || !facts_[number].exists) continue;
      const uint64_t before = facts_[number - 1].sequence;
      if (before != 0) Place(number, before + 1);
    }
    for (size_t number = facts_.size(); number-- > 1;) {
      if (!story_.sent[number].follows || !facts_[number - 1].exists) continue;
      const uint64_t after = facts_[number].sequence;
      if (after != 0) Place(number - 1, after - 1);
    }
  }

  void Order() {
    for (const Facts& facts : facts_) unplaced_ += facts.exists && facts.sequence == 0;
  }

  // The journal keeps the events of a life from its first to some last one.
  void FindKept() {
    kept_through_.assign(story_.lives.size(), 0);
    for (const auto& [sequence, number] : in_order_) {
      const Sent& sent = story_.sent[number];
      const Ending ending = story_.lives[sent.life].ending;
      const bool is_promised = sent.fate == Fate::kAccepted &&
                               (sent.reach == Reach::kSynced ||
                                (sent.reach == Reach::kWritten && ending == Ending::kKill));
      if (ending == Ending::kStop || is_promised || seen_later_.contains(number)) {
        kept_through_[sent.life] = std::max(kept_through_[sent.life], sequence);
      }
    }
  }

  void FindSettled() {
    uint64_t highest = 0;
    std::vector<std::pair<Tick, uint64_t>> matched;
    for (const auto& [sequence, number] : in_order_) {
      const Sent& sent = story_.sent[number];
      if (sent.is_matched) matched.emplace_back(sent.answered_at, sequence);
    }
    std::sort(matched.begin(), matched.end());
    for (const auto& [at, sequence] : matched) settled_[at] = highest = std::max(highest, sequence);
  }

  bool IsRare(const Sent& sent) const {
    return story_.setting.has_rare_class && Wants({kRareClass}, sent.topics);
  }

  // Counts all that may have been newer, be it that nobody ever saw it.
  const Eviction& EvictionOf(size_t number) const {
    const auto [at, is_new] = evictions_.try_emplace(number);
    Eviction& eviction = at->second;
    if (!is_new) return eviction;
    const Setting& setting = story_.setting;
    const Sent& sent = story_.sent[number];
    const bool is_rare = IsRare(sent);
    std::vector<Tick> of_class;
    std::vector<uint64_t> of_life(story_.lives.size());
    for (size_t other = 0; other < facts_.size(); ++other) {
      const Sent& newer = story_.sent[other];
      if (other == number || (newer.fate == Fate::kRefused && !facts_[other].exists)) continue;
      const uint64_t place = facts_[other].sequence;
      const bool is_newer = place != 0 ? place > facts_[number].sequence : newer.life >= sent.life;
      if (!is_newer) continue;
      ++of_life[newer.life];
      if (IsRare(newer) == is_rare) of_class.push_back(newer.sent_at);
    }
    const uint64_t held = is_rare ? setting.rare_events_max : setting.other_events_max;
    if (of_class.size() >= held) {
      const auto nth = of_class.begin() + static_cast<ptrdiff_t>(held - 1);
      std::nth_element(of_class.begin(), nth, of_class.end());
      eviction.since = *nth;
    }
    // A start reads the newest of all classes together.
    const uint64_t read =
        setting.other_events_max + (setting.has_rare_class ? setting.rare_events_max : 0);
    uint64_t newer = 0;
    for (size_t life = 0; life < of_life.size(); ++life) {
      newer += of_life[life];
      if (newer >= read && life >= sent.life) {
        eviction.at_start_of = life + 1;
        break;
      }
    }
    return eviction;
  }

  const Story& story_;
  std::vector<Facts> facts_;
  std::vector<std::string> faults_;
  std::string epoch_;
  std::map<std::string, size_t> by_id_;
  std::map<std::string, size_t> by_publisher_id_;
  std::map<uint64_t, size_t> in_order_;
  std::set<size_t> seen_later_;
  size_t unplaced_ = 0;
  std::vector<uint64_t> kept_through_;
  std::map<Tick, uint64_t> settled_;
  mutable std::map<size_t, Eviction> evictions_;
};

}  // namespace sluice::model
