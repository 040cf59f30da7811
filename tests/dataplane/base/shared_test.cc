// SharedMap and SharedVector against std::map and std::vector, with random changes; copies stay as they were.
#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "dataplane/base/shared_map.h"
#include "dataplane/base/shared_vector.h"

namespace headgate {
namespace {

struct Entry {
  std::string key;
  int value = 0;
  bool operator==(const Entry&) const = default;
};
struct KeyOfItem {
  const std::string& operator()(const Entry& item) const { return item.key; }
};
using ItemMap = SharedMap<Entry, KeyOfItem>;
using Model = std::map<std::string, int>;

Model contents(const ItemMap& map) {
  Model all;
  std::string before;
  map.visit_all([&](const Entry& item) {
    EXPECT_LT(before, item.key) << "in order";
    before = item.key;
    all[item.key] = item.value;
  });
  EXPECT_EQ(map.size(), all.size());
  return all;
}

TEST(SharedMap, EqualsAnOrderedMapAndKeepsItsCopies) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const int names = seed % 2 == 0 ? 50 : 1000;
    ItemMap map;
    Model model;
    std::vector<std::pair<ItemMap, Model>> copies;
    for (int step = 0; step < 2000; ++step) {
      const std::string key = "k" + std::to_string(random() % static_cast<unsigned>(names));
      if (random() % 3 == 0) {
        EXPECT_EQ(map.erase(key), model.erase(key) == 1);
      } else {
        const int value = static_cast<int>(random() % 4);
        const bool same = model.contains(key) && model[key] == value;
        EXPECT_EQ(map.set({key, value}), !same);
        model[key] = value;
      }
      if (step % 100 == 0) copies.emplace_back(map, model);
    }
    EXPECT_EQ(contents(map), model);
    for (const auto& [copy, then] : copies) {
      EXPECT_EQ(contents(copy), then);
      Model changed = then;
      ItemMap::changes_between(copy, map, [&](const Entry* old, const Entry* now) {
        ASSERT_TRUE(old != nullptr || now != nullptr);
        ASSERT_FALSE(old != nullptr && now != nullptr && *old == *now) << "only what differs is told";
        if (now == nullptr) {
          changed.erase(old->key);
        } else {
          changed[now->key] = now->value;
        }
      });
      EXPECT_EQ(changed, model);
    }
    const std::string from = "k5";
    size_t seen = 0;
    map.visit_from(from, [&](const Entry& item) {
      EXPECT_GE(item.key, from);
      return ++seen < 10;
    });
    EXPECT_EQ(seen, std::min<size_t>(10, static_cast<size_t>(std::distance(model.lower_bound(from), model.end()))));
    const Entry* const found = map.find(from);
    EXPECT_EQ(found != nullptr, model.contains(from));
  }
}

TEST(SharedMap, WhatIsSharedIsNotLookedAt) {
  ItemMap map;
  for (int i = 0; i < 1000; ++i) map.set({"k" + std::to_string(10000 + i), 1});
  ItemMap other = map;
  other.set({"k10500", 2});
  size_t told = 0;
  ItemMap::changes_between(map, other, [&](const Entry* old, const Entry* now) {
    ++told;
    EXPECT_EQ(old->value, 1);
    EXPECT_EQ(now->value, 2);
  });
  EXPECT_EQ(told, 1U);
}

TEST(SharedVector, EqualsAVectorAndKeepsItsCopies) {
  std::mt19937 random(7);
  SharedVector<int> shared;
  std::vector<int> model;
  std::vector<std::pair<SharedVector<int>, std::vector<int>>> copies;
  for (int step = 0; step < 3000; ++step) {
    const size_t at = random() % 500;
    const int value = static_cast<int>(random() % 5);
    if (model.size() <= at) model.resize(at + 1);
    model[at] = value;
    shared.set(at, value);
    if (step % 300 == 0) copies.emplace_back(shared, model);
  }
  EXPECT_EQ(std::vector<int>(shared.begin(), shared.end()), model);
  EXPECT_EQ(shared.at_or_none(100'000), 0);
  copies.emplace_back(SharedVector<int>(), std::vector<int>());
  for (const auto& [copy, then] : copies) {
    EXPECT_EQ(std::vector<int>(copy.begin(), copy.end()), then);
    std::vector<int> changed = then;
    changed.resize(model.size());
    SharedVector<int>::changes_between(copy, shared, [&](size_t at, int old, int now) {
      EXPECT_EQ(changed[at], old);
      EXPECT_NE(old, now);
      changed[at] = now;
    });
    EXPECT_EQ(changed, model);
    SharedVector<int>::changes_between(shared, copy, [&](size_t at, int old, int now) {
      EXPECT_EQ(model[at], old);
      EXPECT_EQ(at < then.size() ? then[at] : 0, now);
    });
  }
}

}  // namespace
}  // namespace headgate
