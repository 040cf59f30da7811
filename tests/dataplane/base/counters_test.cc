// counters and random.
#include "dataplane/base/counters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>

#include "dataplane/base/random.h"

namespace headgate {
namespace {

TEST(Counters, AddSubtractSet) {
  Counters counters;
  counters.add(Counter::kRequests);
  counters.add(Counter::kRequests, 4);
  counters.add(Counter::kRequestsActive, 3);
  counters.subtract(Counter::kRequestsActive);
  counters.set(Counter::kConfigTimestamp, 99);
  EXPECT_EQ(counters.value(Counter::kRequests), 5U);
  EXPECT_EQ(counters.value(Counter::kRequestsActive), 2U);
  EXPECT_EQ(counters.value(Counter::kConfigTimestamp), 99U);
  EXPECT_EQ(counters.value(Counter::kNoRoute), 0U);
}

TEST(Counters, Buckets) {
  Counters counters;
  const auto observe = [&](auto duration) { counters.observe(Histogram::kRequestDuration, duration); };
  observe(std::chrono::microseconds(250));  // on the bound: still in
  observe(std::chrono::microseconds(251));
  observe(std::chrono::seconds(30));
  observe(std::chrono::seconds(31));
  observe(std::chrono::nanoseconds(0));
  const auto& buckets = counters.buckets(Histogram::kRequestDuration);
  EXPECT_EQ(buckets.counts[0].load(), 2U);
  EXPECT_EQ(buckets.counts[1].load(), 1U);
  EXPECT_EQ(buckets.counts[kDurationBounds.size() - 1].load(), 1U);
  EXPECT_EQ(buckets.counts[kDurationBounds.size()].load(), 1U);
  EXPECT_EQ(buckets.sum_nanoseconds.load(), 61'000'501'000U);
  EXPECT_TRUE(std::is_sorted(kDurationBounds.begin(), kDurationBounds.end()));
}

TEST(Counters, TableIsConsistent) {
  ASSERT_EQ(counter_rows().size(), static_cast<size_t>(Counter::kCount));
  ASSERT_EQ(histogram_rows().size(), static_cast<size_t>(Histogram::kCount));
  std::set<std::string> series;
  std::map<std::string_view, std::pair<MetricType, std::string_view>> families;
  for (const CounterRow& row : counter_rows()) {
    EXPECT_TRUE(series.insert(std::string(row.name) + "{" + std::string(row.labels) + "}").second) << row.name;
    // One name has one type and one help text.
    const auto [family, added] = families.try_emplace(row.name, row.type, row.help);
    EXPECT_EQ(family->second, std::pair(row.type, row.help)) << row.name;
    (void)added;
  }
}

TEST(Random, SeededIsReproducible) {
  Random a(7);
  Random b(7);
  Random c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const uint64_t value = a.next();
    EXPECT_EQ(value, b.next());
    differs = differs || value != c.next();
  }
  EXPECT_TRUE(differs);
  Random kernel_one;
  Random kernel_two;
  EXPECT_NE(kernel_one.next(), kernel_two.next());
}

TEST(Random, BoundsAndEvenness) {
  Random random(1);
  std::array<int, 10> seen{};
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t value = random.below(10);
    ASSERT_LT(value, 10U);
    ++seen.at(value);
    const double unit = random.unit();
    ASSERT_GE(unit, 0.0);
    ASSERT_LT(unit, 1.0);
    ASSERT_EQ(random.below(1), 0U);
  }
  for (const int count : seen) EXPECT_NEAR(count, 10'000, 500);
  std::array<uint8_t, 300> bytes{};
  fill_secure_random(bytes);
  EXPECT_GT(std::set<uint8_t>(bytes.begin(), bytes.end()).size(), 100U);
}

}  // namespace
}  // namespace headgate
