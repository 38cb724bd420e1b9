// Goal: the order of a NameOrder is that of its names, whatever comes and goes. Method: std::map
// beside it; names that come in order, against it and at random; steps from a seed.
#include "base/name_order.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace sluice {
namespace {

class Named {
  auto Before(const std::string& name) const {
    return [this, &name](uint32_t number) { return names_[number] < name; };
  }

 public:
  void Add(const std::string& name) {
    if (model_.contains(name)) return;
    const uint32_t number = static_cast<uint32_t>(names_.size());
    names_.push_back(name);
    model_[name] = number;
    order_.Insert(number, Before(name));
  }
  void Remove(const std::string& name) {
    const auto at = model_.find(name);
    if (at == model_.end()) return;
    order_.Erase(at->second, Before(name));
    model_.erase(at);
  }
  std::vector<std::string> From(const std::string& name, size_t count) const {
    std::vector<std::string> found;
    for (auto at = order_.Seek(Before(name)); at.has_number() && found.size() < count; at.Next()) {
      found.push_back(names_[at.number()]);
    }
    return found;
  }
  void Check(const std::string& name, size_t count) const {
    std::vector<std::string> wanted;
    for (auto at = model_.lower_bound(name); at != model_.end() && wanted.size() < count; ++at) {
      wanted.push_back(at->first);
    }
    ASSERT_EQ(From(name, count), wanted);
    ASSERT_EQ(order_.size(), model_.size());
  }
  const std::map<std::string, uint32_t>& model() const { return model_; }
  const NameOrder& order() const { return order_; }

 private:
  std::vector<std::string> names_;
  std::map<std::string, uint32_t> model_;
  NameOrder order_;
};

TEST(NameOrder, IsEmptyAtFirst) {
  Named named;
  EXPECT_TRUE(named.From("", 10).empty());
  named.Add("b");
  EXPECT_EQ(named.From("", 10), std::vector<std::string>{"b"});
  EXPECT_EQ(named.From("b", 10), std::vector<std::string>{"b"});
  EXPECT_TRUE(named.From("c", 10).empty());
  named.Remove("b");
  EXPECT_EQ(named.order().size(), 0u);
  EXPECT_TRUE(named.From("", 10).empty());
}

TEST(NameOrder, PropertyKeepsTheOrderOfTheModel) {
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Named named;
    const uint32_t range = 1u << (4 + seed);
    const auto name = [&] { return std::to_string(random() % range); };
    for (int phase = 0; phase < 6; ++phase) {
      const uint32_t adds_of_ten = phase % 2 == 0 ? 8 : 1;  // grows, then shrinks
      for (int step = 0; step < 6'000; ++step) {
        if (random() % 10 < adds_of_ten) {
          named.Add(name());
        } else if (!named.model().empty()) {
          const auto at = named.model().lower_bound(name());
          named.Remove(at == named.model().end() ? named.model().begin()->first : at->first);
        }
        if (step % 50 == 0) named.Check(name(), 1 + random() % 700);
      }
      named.Check("", SIZE_MAX);
    }
    while (!named.model().empty()) named.Remove(named.model().begin()->first);
    EXPECT_LE(named.order().bytes_held(), 65'536u);
  }
}

TEST(NameOrder, TakesFourBytesInOrderAndAtMostNineAtRandom) {
  Named in_order;
  Named at_random;
  std::mt19937 random(1);
  for (uint32_t i = 0; i < 100'000; ++i) {
    in_order.Add(std::to_string(1'000'000 + i));
    at_random.Add(std::to_string(random()));
  }
  EXPECT_LE(in_order.order().bytes_held(), in_order.order().size() * 45 / 10);
  EXPECT_LE(at_random.order().bytes_held(), at_random.order().size() * 9);
}

}  // namespace
}  // namespace sluice
