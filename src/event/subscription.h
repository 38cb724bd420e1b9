// A subscription: the set of topics that a subscriber asks for. Equal ones are one object, however
// they were written: order and repeats do not count.
//
// Without any topic it asks for the events that have none; `**` asks for everything.
//
// Thread: a value.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

class Subscription {
 public:
  // For events without topics.
  Subscription() = default;
  // Each is valid (see CheckTopicPattern).
  explicit Subscription(std::vector<std::string> patterns);

  // In order, none twice.
  std::span<const std::string> patterns() const { return patterns_; }
  bool asks_for_everything() const { return asks_for_everything_; }
  // Is an event with these topics for it? The definition: what is fast must agree with it.
  bool Wants(std::span<const std::string_view> topics) const;
  // The same for an event without topics.
  bool WantsNoTopic() const { return patterns_.empty() || asks_for_everything_; }

  // Equal for equal subscriptions, and only for them: the patterns, an LF after each.
  const std::string& text() const { return text_; }
  bool operator==(const Subscription& other) const { return text_ == other.text_; }

 private:
  std::vector<std::string> patterns_;
  std::string text_;
  bool asks_for_everything_ = false;
};

}  // namespace sluice
