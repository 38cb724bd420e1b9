#include "delivery/topic_index.h"

#include <algorithm>

#include "base/check.h"
#include "event/topic.h"

namespace sluice {
namespace {

// Of the edge from `node` by a segment of this hash.
uint64_t EdgeHash(uint32_t node, uint64_t segment_hash) {
  return (segment_hash ^ (uint64_t{node} << 17)) * 0x9e3779b97f4a7c15 + node;
}

uint32_t TakeNumber(std::vector<uint32_t>* free, uint32_t* end) {
  if (free->empty()) return (*end)++;
  const uint32_t number = free->back();
  free->pop_back();
  return number;
}

}  // namespace

void TopicIndex::List::Push(const Entry& entry) {
  if (size == capacity) {
    Entry* larger = new Entry[size_t{capacity} * 2];
    std::copy(entries(), entries() + size, larger);
    Free();
    many = larger;
    capacity *= 2;
  }
  entries()[size++] = entry;
}

void TopicIndex::List::Free() {
  if (capacity != 1) delete[] many;
}

TopicIndex::TopicIndex() {
  nodes_.At(kRoot);
  nodes_end_ = 1;
}

TopicIndex::~TopicIndex() {
  for (uint32_t i = 0; i < names_end_; ++i) names_[i].channels.Free();
  for (uint32_t i = 0; i < nodes_end_; ++i) {
    nodes_[i].here.Free();
    nodes_[i].rest.Free();
  }
}

TopicIndex::List& TopicIndex::At(ListId list) {
  switch (list.kind()) {
    case ListKind::kName:
      return names_[list.of()].channels;
    case ListKind::kHere:
      return nodes_[list.of()].here;
    default:
      return nodes_[list.of()].rest;
  }
}

// --- Subscriptions come and go
// -------------------------------------------------------------------

void TopicIndex::Add(uint32_t channel, std::span<const std::string> patterns) {
  SLUICE_CHECK(first_interest_.At(channel) == 0);
  for (const std::string& pattern : patterns) {
    const ListId id = IsTopicPattern(pattern) ? PatternList(pattern) : NameList(pattern);
    uint32_t number = interests_end_;
    if (interests_free_ != 0) {
      number = interests_free_ - 1;
      interests_free_ = interests_[number].next_of_channel;
    } else {
      ++interests_end_;
    }
    List& list = At(id);
    if (list.size == 0) order_.Insert(id.value, IsBefore{this, pattern});
    Interest& interest = interests_.At(number);
    interest.list = id;
    interest.position = list.size;
    interest.next_of_channel = first_interest_[channel];
    first_interest_[channel] = number + 1;
    list.Push({channel, number});
  }
}

void TopicIndex::Remove(uint32_t channel) {
  for (uint32_t at = first_interest_.At(channel); at != 0;) {
    Interest& interest = interests_[at - 1];
    Take(interest);
    const uint32_t next = interest.next_of_channel;
    interest.next_of_channel = interests_free_;
    interests_free_ = at;
    at = next;
  }
  first_interest_[channel] = 0;
}

// The last of the list takes its place.
void TopicIndex::Take(const Interest& interest) {
  List& list = At(interest.list);
  const Entry last = list.entries()[--list.size];
  list.entries()[interest.position] = last;
  interests_[last.interest].position = interest.position;
  if (list.size != 0) return;
  const std::string text(TextOf(interest.list));
  order_.Erase(interest.list.value, IsBefore{this, text});
  RemoveIfEmpty(interest.list);
}

void TopicIndex::CountStreams(uint32_t channel, int change) {
  for (uint32_t at = first_interest_.At(channel); at != 0;) {
    const Interest& interest = interests_[at - 1];
    At(interest.list).streams += static_cast<uint32_t>(change);
    at = interest.next_of_channel;
  }
}

std::string_view TopicIndex::TextOf(ListId list) const {
  if (list.kind() == ListKind::kName) return names_[list.of()].text;
  std::vector<const std::string*> segments;
  for (uint32_t node = list.of(); node != kRoot; node = nodes_[node].parent) {
    segments.push_back(&nodes_[node].segment);
  }
  pattern_text_.clear();
  for (size_t i = segments.size(); i-- != 0;) {
    pattern_text_.append(*segments[i]).append(i == 0 ? "" : "/");
  }
  if (list.kind() == ListKind::kRest) {
    pattern_text_.append(segments.empty() ? "" : "/").append(kAnyRest);
  }
  return pattern_text_;
}

TopicIndex::ListId TopicIndex::NameList(std::string_view text) {
  const uint64_t hash = TopicHash(text);
  uint32_t number =
      name_index_.Find(hash, [&](uint32_t name) { return names_[name].text == text; });
  if (number == kNone) {
    number = TakeNumber(&names_free_, &names_end_);
    Name& name = names_.At(number);
    name.text = text;
    name_index_.Insert(hash, number);
  }
  return {ListKind::kName, number};
}

TopicIndex::ListId TopicIndex::PatternList(std::string_view pattern) {
  uint32_t node = kRoot;
  while (!pattern.empty()) {
    const std::string_view segment = TakeTopicSegment(&pattern);
    if (segment == kAnyRest) return {ListKind::kRest, node};
    node = MakeChild(node, segment);
  }
  return {ListKind::kHere, node};
}

uint32_t TopicIndex::Child(uint32_t node, std::string_view segment, uint64_t edge) const {
  return edges_.Find(edge, [&](uint32_t child) {
    return nodes_[child].parent == node && nodes_[child].segment == segment;
  });
}

uint32_t TopicIndex::MakeChild(uint32_t node, std::string_view segment) {
  const bool is_any = segment == kAnySegment;
  const uint64_t edge = is_any ? 0 : EdgeHash(node, TopicHash(segment));
  uint32_t child = is_any ? nodes_[node].any : Child(node, segment, edge);
  if (child != kNone) return child;
  child = TakeNumber(&nodes_free_, &nodes_end_);
  Node& made = nodes_.At(child);
  made.hash = edge;
  made.parent = node;
  made.segment = segment;
  ++nodes_[node].children;
  if (is_any) {
    nodes_[node].any = child;
  } else {
    edges_.Insert(edge, child);
  }
  return child;
}

// A name without channels goes, and a node with neither channels nor children, up to the root.
void TopicIndex::RemoveIfEmpty(ListId list) {
  if (list.kind() == ListKind::kName) {
    Name& name = names_[list.of()];
    name_index_.Erase(TopicHash(name.text), list.of());
    name.channels.Free();
    name = Name();
    names_free_.push_back(list.of());
    return;
  }
  for (uint32_t number = list.of(); number != kRoot;) {
    Node& node = nodes_[number];
    if (node.children != 0 || node.here.size != 0 || node.rest.size != 0) return;
    const uint32_t parent = node.parent;
    if (nodes_[parent].any == number) {
      nodes_[parent].any = kNone;
    } else {
      edges_.Erase(node.hash, number);
    }
    --nodes_[parent].children;
    node.here.Free();
    node.rest.Free();
    node = Node();
    nodes_free_.push_back(number);
    number = parent;
  }
}

// --- Matching
// --------------------------------------------------------------------------------------

void TopicIndex::Match(const Frame& frame, std::vector<uint32_t>* channels) {
  frame.ForEachTopic([&](const FrameTopic& topic) { Match(topic, channels); });
}

void TopicIndex::Match(const FrameTopic& topic, std::vector<uint32_t>* channels) {
  const uint32_t name = name_index_.Find(
      topic.hash, [&](uint32_t number) { return names_[number].text == topic.name; });
  if (name != kNone) Collect(names_[name].channels, channels);
  if (nodes() > 1 || nodes_[kRoot].rest.size != 0) MatchPatterns(topic.name, channels);
}

void TopicIndex::Collect(List& list, std::vector<uint32_t>* channels) {
  const Entry* entries = list.entries();
  for (uint32_t i = 0; i < list.size; ++i) channels->push_back(entries[i].channel);
}

void TopicIndex::MatchPatterns(std::string_view name, std::vector<uint32_t>* channels) {
  at_.assign(1, kRoot);
  while (!name.empty() && !at_.empty()) {
    const std::string_view segment = TakeTopicSegment(&name);
    const uint64_t hash = TopicHash(segment);
    next_.clear();
    for (const uint32_t number : at_) {
      Node& node = nodes_[number];
      if (node.rest.size != 0) Collect(node.rest, channels);
      if (node.any != kNone) next_.push_back(node.any);
      if (node.children == (node.any != kNone ? 1u : 0u)) continue;
      const uint32_t child = Child(number, segment, EdgeHash(number, hash));
      if (child != kNone) next_.push_back(child);
    }
    at_.swap(next_);
  }
  for (const uint32_t number : at_) {
    Node& node = nodes_[number];
    if (node.here.size != 0) Collect(node.here, channels);
    if (node.rest.size != 0) Collect(node.rest, channels);
  }
}

}  // namespace sluice
