// What a run may consist of, drawn from one seed: few names, keys and bounds, so that everything
// collides often.
//
// Thread: a value.
#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "model/story.h"

namespace sluice::model {

inline const std::vector<std::string>& Names() {
  static const std::vector<std::string> names = {"s/a",   "s/b", "s/a/x", "c/a", "c/b",
                                                 "c/a/x", "a",   "a/b",   "a/c"};
  return names;
}

class Plan {
 public:
  explicit Plan(uint64_t seed) : random_(seed) {}

  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  bool OneIn(uint32_t n) { return Below(n) == 0; }

  Setting DrawSetting(uint64_t seed) {
    Setting setting;
    setting.seed = seed;
    setting.shards = 1 + Below(3);
    setting.ring_events_max = 1u << (4 + Below(5));
    setting.has_rare_class = OneIn(2);
    setting.rare_events_max = OneIn(3) ? 100'000 : 5 + Below(100);
    setting.other_events_max = OneIn(3) ? 100'000 : 20 + Below(300);
    setting.goes_on_live = OneIn(4);
    setting.skip_events_max = 1 + Below(8);
    setting.conflate_events_max = 1 + Below(8);
    setting.table_events_max = OneIn(3) ? 4 + Below(10) : 1000;
    setting.syncs_each = !OneIn(4);
    setting.has_faults = OneIn(2);
    return setting;
  }

  const std::string& Name() { return Names()[Below(static_cast<uint32_t>(Names().size()))]; }

  std::vector<std::string> Patterns() {
    static const std::vector<std::string> kPatterns = {
        "s/*", "s/**", "c/*", "c/**", "*", "a/**", "*/a", "*/a/x", "c/a/*", "**", "none/*"};
    std::vector<std::string> patterns;
    const uint32_t kind = Below(9);
    if (kind == 0) return patterns;
    // Those of one policy.
    if (kind <= 4) return kind <= 2 ? OneOf({"s/*", "s/**", "s/a"}) : OneOf({"c/*", "c/**", "c/a"});
    for (uint32_t i = 1 + Below(3); i != 0; --i) {
      patterns.push_back(OneIn(2) ? Name()
                                  : kPatterns[Below(static_cast<uint32_t>(kPatterns.size()))]);
    }
    return patterns;
  }

  // The number is in its data, and in its id if it has one of its own.
  Sent DrawEvent(size_t number, uint32_t data_bytes_max) {
    Sent sent;
    for (uint32_t i = Below(8) == 0 ? 0 : 1 + Below(Below(3) == 0 ? 3 : 1); i != 0; --i) {
      const std::string& name = Name();
      if (std::find(sent.topics.begin(), sent.topics.end(), name) == sent.topics.end()) {
        sent.topics.push_back(name);
      }
    }
    if (!OneIn(3)) sent.key = "k" + std::to_string(Below(3));
    if (OneIn(4)) sent.id = "p" + std::to_string(number);
    if (OneIn(8)) sent.type = "kind" + std::to_string(Below(3));
    if (OneIn(10)) sent.retry_ms = 700;
    sent.data = "e" + std::to_string(number) + " ";
    sent.data += std::string(Below(OneIn(6) ? 6000 : data_bytes_max), 'x');
    if (OneIn(6)) sent.data += "\nof two lines";
    return sent;
  }

 private:
  std::vector<std::string> OneOf(const std::vector<std::string>& list) {
    return {list[Below(static_cast<uint32_t>(list.size()))]};
  }

  std::mt19937_64 random_;
};

}  // namespace sluice::model
