#include "dataplane/base/process_cell.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/base/hash.h"

namespace headgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress ip(uint32_t number) { return IpAddress::v4(number); }

TEST(ConnectionCounts, LimitsAndPermits) {
  ConnectionCounts counts;
  const ConnectionLimits limits{.total = 3, .per_address = 2};
  ConnectionPermit a;
  ConnectionPermit b;
  ConnectionPermit c;
  ConnectionPermit d;
  EXPECT_EQ(counts.acquire(ip(1), limits, a), Admission::kAdmitted);
  EXPECT_EQ(counts.acquire(ip(1), limits, b), Admission::kAdmitted);
  EXPECT_EQ(counts.acquire(ip(1), limits, c), Admission::kAddressReached);
  EXPECT_EQ(counts.active(), 2U);
  EXPECT_EQ(counts.acquire(ip(2), limits, c), Admission::kAdmitted);
  EXPECT_EQ(counts.acquire(ip(3), limits, d), Admission::kTotalReached);
  EXPECT_EQ(counts.active_of(ip(1)), 2U);
  EXPECT_EQ(counts.active_of(ip(3)), 0U);
  b.release();
  b.release();
  EXPECT_EQ(counts.active(), 2U);
  EXPECT_EQ(counts.acquire(ip(1), limits, d), Admission::kAdmitted);
  ConnectionPermit moved(std::move(d));
  EXPECT_FALSE(d.held());
  a = std::move(moved);  // gives back what `a` held
  EXPECT_EQ(counts.active_of(ip(1)), 1U);
  a.release();
  c.release();
  EXPECT_EQ(counts.active(), 0U);
  EXPECT_TRUE(counts.idle());
}

TEST(ConnectionCounts, NoLimits) {
  ConnectionCounts counts;
  std::vector<ConnectionPermit> permits(1000);
  for (auto& permit : permits) EXPECT_EQ(counts.acquire(ip(7), {}, permit), Admission::kAdmitted);
  EXPECT_EQ(counts.active(), 1000U);
  EXPECT_EQ(counts.active_of(ip(7)), 0U);  // not counted while nobody limits it
}

TEST(ConnectionCounts, TableFullIsRefusedNotMiscounted) {
  ConnectionCounts counts;
  std::vector<ConnectionPermit> permits(ConnectionCounts::kMaxAddresses + 1000);
  size_t admitted = 0;
  for (uint32_t i = 0; i < permits.size(); ++i) {
    const Admission admission = counts.acquire(ip(i), {.per_address = 1}, permits[i]);
    ASSERT_TRUE(admission == Admission::kAdmitted || admission == Admission::kTableFull);
    if (admission == Admission::kAdmitted) ++admitted;
  }
  EXPECT_EQ(counts.active(), admitted);
  EXPECT_GT(admitted, ConnectionCounts::kMaxAddresses * 8 / 10);
  permits.clear();
  EXPECT_EQ(counts.active(), 0U);
  for (uint32_t i = 0; i < 1000; ++i) EXPECT_EQ(counts.active_of(ip(i)), 0U);
}

// Random acquires and releases over few and many addresses equal a plain map.
TEST(ConnectionCounts, EqualsAModel) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  for (const uint32_t addresses : {5U, 3000U, 60000U}) {
    ConnectionCounts counts;
    std::map<uint32_t, uint32_t> model;
    std::vector<std::pair<uint32_t, ConnectionPermit>> open;
    for (int step = 0; step < 60'000; ++step) {
      if (open.empty() || random() % 5 < 3) {
        const auto who = static_cast<uint32_t>(random() % addresses);
        ConnectionPermit permit;
        const Admission admission = counts.acquire(ip(who), {.per_address = 3}, permit);
        ASSERT_EQ(admission, model[who] < 3 ? Admission::kAdmitted : Admission::kAddressReached);
        if (admission != Admission::kAdmitted) continue;
        ++model[who];
        open.emplace_back(who, std::move(permit));
      } else {
        std::swap(open[random() % open.size()], open.back());
        --model[open.back().first];
        open.pop_back();
      }
    }
    for (const auto& [who, count] : model) ASSERT_EQ(counts.active_of(ip(who)), count);
    ASSERT_EQ(counts.active(), open.size());
  }
}

// Workers that compete: never one too many, and a place that is free is always given to somebody.
TEST(ConnectionCounts, ExactOverThreads) {
  ConnectionCounts counts;
  constexpr uint32_t kTotal = 5;
  constexpr uint32_t kPerAddress = 3;
  std::atomic<uint32_t> inside{0};
  std::array<std::atomic<uint32_t>, 2> inside_of{};
  std::atomic<bool> wrong{false};
  std::atomic<uint64_t> admitted{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      std::vector<std::pair<uint32_t, ConnectionPermit>> mine;
      for (int i = 0; i < 30'000; ++i) {
        const uint32_t who = random() % 2;
        ConnectionPermit permit;
        if (counts.acquire(ip(who), {kTotal, kPerAddress}, permit) == Admission::kAdmitted) {
          if (inside.fetch_add(1) + 1 > kTotal) wrong = true;
          if (inside_of.at(who).fetch_add(1) + 1 > kPerAddress) wrong = true;
          ++admitted;
          mine.emplace_back(who, std::move(permit));
        }
        if (mine.size() > random() % 3) {
          --inside_of.at(mine.back().first);
          --inside;
          mine.pop_back();
        }
      }
      while (!mine.empty()) {
        --inside_of.at(mine.back().first);
        --inside;
        mine.pop_back();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_FALSE(wrong);
  EXPECT_GT(admitted, 10'000U);
  EXPECT_EQ(counts.active(), 0U);
  EXPECT_EQ(counts.active_of(ip(0)) + counts.active_of(ip(1)), 0U);
}

MonotonicTime at(Duration since) { return MonotonicTime(std::chrono::hours(3)) + since; }

TEST(RateBuckets, BurstThenRate) {
  RateBuckets buckets;
  const RateLimit limit = RateLimit::per(10, seconds(1), 3);
  for (uint32_t left : {2U, 1U, 0U}) {
    const RateVerdict verdict = buckets.take(42, limit, at(seconds(0)));
    EXPECT_TRUE(verdict.allowed);
    EXPECT_EQ(verdict.remaining, left);
  }
  const RateVerdict refused = buckets.take(42, limit, at(seconds(0)));
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, milliseconds(100));
  EXPECT_TRUE(buckets.take(43, limit, at(seconds(0))).allowed);  // another client
  EXPECT_FALSE(buckets.take(42, limit, at(milliseconds(99))).allowed);
  EXPECT_TRUE(buckets.take(42, limit, at(milliseconds(100))).allowed);
  EXPECT_FALSE(buckets.take(42, limit, at(milliseconds(100))).allowed);
  EXPECT_EQ(buckets.take(42, limit, at(seconds(60))).remaining, 2U);  // full again, not fuller
}

TEST(RateBuckets, CostAndExtremes) {
  RateBuckets buckets(1);
  const uint64_t kOne = stable_hash("one");
  const uint64_t kDaily = stable_hash("daily");
  const RateLimit limit = RateLimit::per(1, seconds(1), 5);
  EXPECT_FALSE(buckets.take(kOne, limit, at(seconds(0)), 6).allowed);
  EXPECT_TRUE(buckets.take(kOne, limit, at(seconds(0)), 5).allowed);
  EXPECT_FALSE(buckets.take(kOne, limit, at(seconds(0)), UINT32_MAX).allowed);
  EXPECT_FALSE(buckets.take(kOne, limit, at(seconds(4)), 5).allowed);
  EXPECT_TRUE(buckets.take(kOne, limit, at(seconds(5)), 5).allowed);
  EXPECT_TRUE(buckets.take(2, RateLimit{}, at(seconds(0))).allowed);            // no limit
  EXPECT_TRUE(buckets.take(2, RateLimit::per(0, seconds(1), 1), at(seconds(0))).allowed);
  const RateLimit daily = RateLimit::per(1, std::chrono::hours(24), 2);
  EXPECT_TRUE(buckets.take(kDaily, daily, at(seconds(0))).allowed);
  EXPECT_TRUE(buckets.take(kDaily, daily, at(seconds(0))).allowed);
  EXPECT_FALSE(buckets.take(kDaily, daily, at(std::chrono::hours(23))).allowed);
  EXPECT_TRUE(buckets.take(kDaily, daily, at(std::chrono::hours(24))).allowed);
}

// Over a month with the clock of the buckets coming round twice.
TEST(RateBuckets, LongIdleIsAFullBucket) {
  RateBuckets buckets;
  const RateLimit limit = RateLimit::per(1, seconds(1), 1);
  for (int day = 0; day < 30; ++day) {
    const auto now = at(std::chrono::hours(24 * day));
    EXPECT_TRUE(buckets.take(5, limit, now).allowed) << day;
    EXPECT_FALSE(buckets.take(5, limit, now).allowed) << day;
  }
}

// Against the definition in exact arithmetic (a reservoir that drains), random arrivals.
TEST(RateBuckets, EqualsATokenBucket) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  RateBuckets buckets;
  const RateLimit limit = RateLimit::per(1000, seconds(1), 20);  // 1 ms: exact in the unit of time
  int64_t tokens_us = 20'000;                                    // of 1,000 each
  int64_t last_us = 0;
  int64_t now_us = 0;
  for (int step = 0; step < 200'000; ++step) {
    now_us += static_cast<int64_t>(random() % 1900);
    if (random() % 1000 == 0) now_us += 50'000;
    tokens_us = std::min<int64_t>(20'000, tokens_us + now_us - last_us);
    last_us = now_us;
    const bool allowed = tokens_us >= 1000;
    if (allowed) tokens_us -= 1000;
    ASSERT_EQ(buckets.take(77, limit, at(std::chrono::microseconds(now_us))).allowed, allowed) << step;
  }
}

// A table too small forgets the ones nearest to full, and only grants more than it should to those.
TEST(RateBuckets, EvictsTheMostRefilled) {
  RateBuckets buckets(8);  // one set
  const RateLimit limit = RateLimit::per(1, seconds(1), 100);
  const uint64_t heavy = stable_hash("heavy");
  EXPECT_TRUE(buckets.take(heavy, limit, at(seconds(0)), 100).allowed);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(buckets.take(stable_hash("light" + std::to_string(i)), limit, at(milliseconds(i))).allowed);
  }
  EXPECT_FALSE(buckets.take(heavy, limit, at(milliseconds(999)), 2).allowed);
}

TEST(RateBuckets, ExactOverThreads) {
  for (int round = 0; round < 20; ++round) {
    RateBuckets buckets;
    const RateLimit limit = RateLimit::per(1, std::chrono::minutes(1), 500);
    std::atomic<int> allowed{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) {
          if (buckets.take(1, limit, at(seconds(0))).allowed) ++allowed;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(allowed, 500);
  }
}

TEST(CellRegistry, SameNameSameCell) {
  CellRegistry registry;
  const auto first = registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "listener/web");
  EXPECT_EQ(registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "listener/web"), first);
  EXPECT_NE(registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "listener/tls"), first);
  registry.find_or_make<RateBuckets>(CellKind::kRates, "listener/web", size_t{16});
  EXPECT_EQ(registry.size(), 3U);
}

TEST(CellRegistry, CollectsOnlyWhatNobodyUses) {
  CellRegistry registry;
  auto held = registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "held");
  ConnectionPermit permit;
  {
    const auto busy = registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "busy");
    ASSERT_EQ(busy->acquire(ip(1), {}, permit), Admission::kAdmitted);
  }
  registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "gone");
  EXPECT_EQ(registry.collect(), 0U);  // the first time is a warning
  EXPECT_EQ(registry.collect(), 1U);
  EXPECT_EQ(registry.size(), 2U);
  permit.release();
  EXPECT_EQ(registry.collect(), 0U);
  EXPECT_EQ(registry.collect(), 1U);
  held.reset();
  EXPECT_EQ(registry.collect(), 0U);
  held = registry.find_or_make<ConnectionCounts>(CellKind::kConnections, "held");  // came back in time
  held.reset();
  EXPECT_EQ(registry.collect(), 0U);
  EXPECT_EQ(registry.collect(), 1U);
}

TEST(WorkerOfKey, CoversAllEvenly) {
  std::array<int, 3> seen{};
  for (int i = 0; i < 3000; ++i) ++seen.at(worker_of_key(stable_hash(std::to_string(i)), 3));
  for (const int count : seen) EXPECT_GT(count, 800);
  EXPECT_EQ(worker_of_key(UINT64_MAX, 1), 0U);
  EXPECT_EQ(worker_of_key(UINT64_MAX, 7), 6U);
}

}  // namespace
}  // namespace headgate
