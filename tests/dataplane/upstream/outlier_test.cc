#include "dataplane/upstream/outlier.h"

#include <gtest/gtest.h>

#include <thread>

#include "dataplane/upstream/cell_registry.h"
#include "tests/dataplane/upstream/upstream_builder.h"

namespace headgate::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Outlier, EjectsAfterFailuresInARowWithinTheWindow) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(4));
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now));
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now));
  record_success(*bench.upstream, 1, bench.now);
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now));
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now));
  bench.now += seconds(11);  // the window is over: counting begins again
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now));
  EXPECT_FALSE(record_failure(*bench.upstream, 1, bench.now + seconds(9)));
  EXPECT_TRUE(record_failure(*bench.upstream, 1, bench.now + seconds(10)));
  bench.now += seconds(10);
  EXPECT_EQ(bench.count(300)[1], 0U);
  bench.now += milliseconds(9999);
  EXPECT_EQ(bench.count(300)[1], 0U);
  bench.now += milliseconds(1);
  EXPECT_EQ(bench.count(400)[1], 100U);
}

TEST(Outlier, BacksOffUntilASuccess) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(4));
  for (int i = 0; i < 3; ++i) record_failure(*bench.upstream, 0, bench.now);
  for (const int factor : {1, 2, 4, 8, 10, 10}) {
    EXPECT_EQ(from_nanoseconds(bench.cell(0).ejected_until_ns) - bench.now, seconds(10 * factor));
    record_success(*bench.upstream, 0, bench.now);  // an answer from before: changes nothing
    EXPECT_FALSE(record_failure(*bench.upstream, 0, bench.now));
    bench.now += seconds(10 * factor);
    EXPECT_TRUE(record_failure(*bench.upstream, 0, bench.now));  // on probation
  }
  bench.now += seconds(100);
  record_success(*bench.upstream, 0, bench.now);
  EXPECT_FALSE(record_failure(*bench.upstream, 0, bench.now));
  EXPECT_FALSE(record_failure(*bench.upstream, 0, bench.now));
  EXPECT_TRUE(record_failure(*bench.upstream, 0, bench.now));
  EXPECT_EQ(from_nanoseconds(bench.cell(0).ejected_until_ns) - bench.now, seconds(10));
}

TEST(Outlier, KeepsToTheCap) {
  struct Case {
    size_t endpoints;
    uint32_t percent;
    size_t ejected;
  };
  for (const Case& c : {Case{1, 50, 0}, Case{2, 50, 1}, Case{3, 50, 1}, Case{10, 50, 5}, Case{10, 0, 0},
                        Case{10, 100, 10}, Case{3, 10, 0}}) {
    Bench bench(BalancePolicy::kRoundRobin, make_endpoints(c.endpoints),
                [&](UpstreamSettings& settings) { settings.passive_health.max_ejected_percent = c.percent; });
    for (uint32_t i = 0; i < c.endpoints; ++i) {
      for (int failure = 0; failure < 5; ++failure) record_failure(*bench.upstream, i, bench.now);
    }
    size_t ejected = 0;
    for (uint32_t i = 0; i < c.endpoints; ++i) ejected += bench.cell(i).is_ejected(bench.now) ? 1 : 0;
    EXPECT_EQ(ejected, c.ejected) << c.endpoints << " at " << c.percent;
  }
}

TEST(Outlier, ZeroFailuresIsOff) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(4),
              [](UpstreamSettings& settings) { settings.passive_health.failures = 0; });
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(record_failure(*bench.upstream, 0, bench.now));
}

TEST(Outlier, StatusRanges) {
  PassiveHealthCheck health;
  EXPECT_FALSE(is_failure_status(health, 500));
  EXPECT_TRUE(is_failure_status(health, 502));
  EXPECT_TRUE(is_failure_status(health, 504));
  EXPECT_FALSE(is_failure_status(health, 505));
}

TEST(Outlier, TheCapHoldsOverAllWorkers) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(20));
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      for (uint32_t i = 0; i < 20; ++i) {
        for (int failure = 0; failure < 4; ++failure) record_failure(*bench.upstream, i, bench.now);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  int ejected = 0;
  for (uint32_t i = 0; i < 20; ++i) ejected += bench.cell(i).is_ejected(bench.now) ? 1 : 0;
  EXPECT_EQ(ejected, 10);
}

TEST(CellRegistry, HealthSurvivesAndReturnsAreFresh) {
  CellRegistry registry;
  const MonotonicTime now(seconds(100));
  auto endpoints = make_endpoints(3);
  const auto cell = registry.attach("app", endpoints, now);
  EXPECT_EQ(endpoints[0].cell->slow_start_since_ns, 0);  // all new: nothing to spare
  endpoints[1].cell->set_health(Health::kUnhealthy);
  endpoints[2].cell->ejections = 3;

  auto again = make_endpoints(4);
  again[2].ready = false;
  EXPECT_EQ(registry.attach("app", again, now), cell);
  EXPECT_EQ(again[1].cell, endpoints[1].cell);
  EXPECT_EQ(again[1].cell->health(), Health::kUnhealthy);
  EXPECT_EQ(again[3].cell->slow_start_since_ns, to_nanoseconds(now));
  EXPECT_EQ(again[2].cell->ejections, 3U);

  auto ready = make_endpoints(4);
  registry.attach("app", ready, now + seconds(5));
  EXPECT_EQ(ready[2].cell->ejections, 0U);  // it left and came back
  EXPECT_EQ(ready[2].cell->slow_start_since_ns, to_nanoseconds(now + seconds(5)));

  auto fewer = make_endpoints(2);
  registry.attach("app", fewer, now);
  EXPECT_EQ(registry.endpoints("app"), 4U);  // not published yet
  registry.retain(Upstream(make_settings(BalancePolicy::kRoundRobin), 0, fewer, cell));
  EXPECT_EQ(registry.endpoints("app"), 2U);
  auto other = make_endpoints(1);
  registry.attach("other", other, now);
  EXPECT_NE(other[0].cell, fewer[0].cell);  // the same address elsewhere is another matter
  registry.drop("app");
  EXPECT_EQ(registry.upstreams(), 1U);
}

}  // namespace
}  // namespace headgate::upstream
