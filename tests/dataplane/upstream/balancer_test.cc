#include "dataplane/upstream/balancer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <deque>
#include <new>
#include <set>

#include "tests/dataplane/upstream/upstream_builder.h"

namespace headgate::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr BalancePolicy kAll[] = {BalancePolicy::kRoundRobin,   BalancePolicy::kRandom,   BalancePolicy::kIpHash,
                                  BalancePolicy::kConnHash,     BalancePolicy::kLeastConn, BalancePolicy::kRingHash,
                                  BalancePolicy::kLeastRequest, BalancePolicy::kPeakEwma};

TEST(RoundRobin, EqualWeightsTakeTurns) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(4));
  const uint32_t first = bench.next();
  for (uint32_t i = 1; i < 40; ++i) EXPECT_EQ(bench.next(), (first + i) % 4);
}

TEST(RoundRobin, WorkersStartAtDifferentEndpoints) {
  std::set<uint32_t> firsts;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    Bench bench(BalancePolicy::kRoundRobin, make_endpoints(4), {}, seed);
    firsts.insert(bench.next());
  }
  EXPECT_EQ(firsts.size(), 4U);
}

TEST(RoundRobin, WeightsAreExactAndSmooth) {
  const std::vector<std::vector<uint32_t>> cases = {
      {5, 1, 1}, {1, 2, 3, 4}, {100, 1}, {7, 7, 7, 1}, {1000, 999, 1, 500}, {3, 0, 1}};
  for (const auto& weights : cases) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      Bench bench(BalancePolicy::kRoundRobin, weighted(weights), {}, seed);
      uint32_t total = 0;
      for (const uint32_t weight : weights) total += weight;
      // Every window as long as the sum of weights holds each endpoint its weight times, give or take one.
      std::deque<uint32_t> window;
      std::vector<int64_t> counts(weights.size());
      for (uint32_t i = 0; i < 4 * total; ++i) {
        window.push_back(bench.next());
        ++counts.at(window.back());
        if (window.size() > total) {
          --counts[window.front()];
          window.pop_front();
        }
        if (window.size() < total) continue;
        for (size_t e = 0; e < weights.size(); ++e) {
          ASSERT_LE(std::abs(counts[e] - static_cast<int64_t>(weights[e])), weights[e] == 0 ? 0 : 1)
              << "endpoint " << e << " seed " << seed << " pick " << i;
        }
      }
    }
  }
}

TEST(Random, FollowsTheWeights) {
  for (const auto policy : {BalancePolicy::kRandom, BalancePolicy::kRingHash}) {  // the latter without a key
    const std::vector<uint32_t> weights = {1, 2, 3, 0, 4};
    Bench bench(policy, weighted(weights), {}, 7);
    const auto counts = bench.count(100000);
    for (size_t i = 0; i < weights.size(); ++i) {
      EXPECT_NEAR(static_cast<double>(counts[i]), 10000.0 * weights[i], 600) << i;
    }
    EXPECT_EQ(counts[3], 0U);
  }
}

TEST(LeastConn, TakesTheLeastLoadedRelativeToWeight) {
  Bench bench(BalancePolicy::kLeastConn, weighted({1, 2, 1}));
  for (int i = 0; i < 400; ++i) bench.load.start(*bench.upstream, bench.next());
  // Long connections that never end spread as the weights.
  EXPECT_EQ(bench.load.at(0).active, 100U);
  EXPECT_EQ(bench.load.at(1).active, 200U);
  EXPECT_EQ(bench.load.at(2).active, 100U);
  for (int i = 0; i < 30; ++i) bench.load.finish(bench.load.at(2));
  for (int i = 0; i < 30; ++i) {
    const uint32_t index = bench.next();
    EXPECT_EQ(index, 2U);
    bench.load.start(*bench.upstream, index);
  }
  EXPECT_EQ(bench.load.active(), 400U);
}

TEST(LeastConn, AnIdleSetIsServedByWeight) {
  Bench bench(BalancePolicy::kLeastConn, weighted({3, 1}));
  std::vector<int> counts(2);
  for (int i = 0; i < 400; ++i) {
    const uint32_t index = bench.next();
    ++counts[index];
    bench.load.finish(bench.load.start(*bench.upstream, index));
  }
  EXPECT_NEAR(counts[0], 300, 2);
}

TEST(LeastConn, EqualsAScanUnderRandomLoad) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Bench bench(BalancePolicy::kLeastConn, weighted({1, 3, 2, 5, 1, 1, 8}), {}, seed);
    Random script(seed * 977);
    std::vector<EndpointLoad*> open;
    for (int step = 0; step < 2000; ++step) {
      if (!open.empty() && script.below(100) < 48) {
        const size_t at = script.below(open.size());
        bench.load.finish(*open[at]);
        open[at] = open.back();
        open.pop_back();
        continue;
      }
      const uint32_t index = bench.next();
      double least = 1e9;
      for (uint32_t i = 0; i < 7; ++i) {
        least = std::min(least, static_cast<double>(bench.load.at(i).active) / bench.upstream->endpoint(i).weight);
      }
      ASSERT_NEAR(static_cast<double>(bench.load.at(index).active) / bench.upstream->endpoint(index).weight, least,
                  1e-6)
          << "seed " << seed << " step " << step;
      open.push_back(&bench.load.start(*bench.upstream, index));
    }
  }
}

TEST(LeastRequest, KeepsTheMaximumLow) {
  // 200 requests stay open on 100 endpoints: two choices give a maximum of a few, one choice about twice that.
  const auto maximum = [](BalancePolicy policy, uint64_t seed) {
    Bench bench(policy, make_endpoints(100), {}, seed);
    for (int i = 0; i < 200; ++i) bench.load.start(*bench.upstream, bench.next());
    uint32_t most = 0;
    for (uint32_t i = 0; i < 100; ++i) most = std::max(most, bench.load.at(i).active);
    return most;
  };
  double two = 0;
  double one = 0;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    two += maximum(BalancePolicy::kLeastRequest, seed);
    one += maximum(BalancePolicy::kRandom, seed);
  }
  EXPECT_LT(two / 50, 4.2);
  EXPECT_GT(one / 50, 5.5);
}

TEST(LeastRequest, OfTwoEndpointsAlwaysTheLessBusy) {
  Bench bench(BalancePolicy::kLeastRequest, make_endpoints(2));
  bench.load.refresh(*bench.upstream, bench.random, bench.now);
  bench.load.start(*bench.upstream, 0);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(bench.next(), 1U);
}

TEST(PeakEwma, AvoidsTheSlowUntilItIsForgotten) {
  Bench bench(BalancePolicy::kPeakEwma, make_endpoints(3));
  bench.next();
  for (uint32_t i = 0; i < 3; ++i) {
    WorkerLoad::record_latency(bench.load.at(i), i == 0 ? milliseconds(500) : milliseconds(5), bench.now);
  }
  EXPECT_EQ(bench.count(1000)[0], 0U);
  // The fast ones stay fast, the slow one is not heard of: after a while it gets another chance.
  for (int i = 0; i < 60; ++i) {
    bench.now += seconds(1);
    for (uint32_t e = 1; e < 3; ++e) WorkerLoad::record_latency(bench.load.at(e), milliseconds(5), bench.now);
  }
  EXPECT_GT(bench.count(1000)[0], 100U);
}

TEST(Hash, SpreadsEvenly) {
  Bench bench(BalancePolicy::kRingHash, make_endpoints(10));
  std::vector<double> counts(10);
  for (int i = 0; i < 100000; ++i) ++counts[*bench.pick_with(hash_key_of_text("user" + std::to_string(i)))];
  for (const double count : counts) EXPECT_NEAR(count, 10000, 3000);
}

TEST(Hash, FollowsTheWeights) {
  std::vector<uint32_t> weights;
  for (int i = 0; i < 16; ++i) weights.push_back(i % 2 == 0 ? 1 : 4);
  weights.push_back(0);
  Bench bench(BalancePolicy::kIpHash, weighted(weights));
  double light = 0;
  for (uint32_t i = 0; i < 100000; ++i) {
    const uint32_t index = *bench.pick_with(hash_key_of_ip(IpAddress::v4(0xc0000000U + i)));
    ASSERT_LT(index, 16U);
    if (index % 2 == 0) ++light;
  }
  EXPECT_NEAR(light, 20000, 3000);
}

// Share of 100,000 keys that are elsewhere with `after` than with `before`, by address.
double moved(std::vector<Endpoint> before, std::vector<Endpoint> after) {
  Bench a(BalancePolicy::kRingHash, std::move(before));
  Bench b(BalancePolicy::kRingHash, std::move(after));
  int differ = 0;
  for (uint64_t i = 0; i < 100000; ++i) {
    const uint64_t key = hash_key_of_text("client-" + std::to_string(i));
    if (a.upstream->endpoint(*a.pick_with(key)).text != b.upstream->endpoint(*b.pick_with(key)).text) ++differ;
  }
  return differ / 100000.0;
}

TEST(Hash, OneEndpointMoreOrLessMovesAFewKeys) {
  const double added = moved(make_endpoints(10), make_endpoints(11));
  EXPECT_LE(added, 0.15);
  EXPECT_GE(added, 0.05);
  auto without = make_endpoints(10);
  without.erase(without.begin() + 3);
  EXPECT_LE(moved(make_endpoints(10), without), 0.15);
  EXPECT_LE(moved(make_endpoints(256), make_endpoints(257)), 0.012);
  // The order of the list is nothing.
  auto shuffled = make_endpoints(10);
  std::reverse(shuffled.begin(), shuffled.end());
  EXPECT_EQ(moved(make_endpoints(10), shuffled), 0);
}

TEST(Hash, OnlyTheKeysOfAFailedEndpointMoveAndTheyComeBack) {
  Bench bench(BalancePolicy::kIpHash, make_endpoints(10));
  std::vector<uint32_t> before;
  const auto key = [](uint32_t i) { return hash_key_of_ip(IpAddress::v4(0x0b000000U + i)); };
  for (uint32_t i = 0; i < 10000; ++i) before.push_back(*bench.pick_with(key(i)));
  bench.set_health(4, Health::kUnhealthy);
  std::set<uint32_t> takers;
  for (uint32_t i = 0; i < 10000; ++i) {
    const uint32_t now = *bench.pick_with(key(i));
    EXPECT_NE(now, 4U);
    if (before[i] != 4) {
      EXPECT_EQ(now, before[i]);
    } else {
      takers.insert(now);
    }
  }
  EXPECT_EQ(takers.size(), 9U);  // spread over all others, not dumped on one
  bench.set_health(4, Health::kHealthy);
  for (uint32_t i = 0; i < 10000; ++i) EXPECT_EQ(*bench.pick_with(key(i)), before[i]);
}

TEST(Hash, PortsTellConnectionsApart) {
  Bench bench(BalancePolicy::kConnHash, make_endpoints(10));
  std::set<uint32_t> seen;
  for (uint16_t port = 1; port < 200; ++port) {
    const auto client = SocketAddress::ip(IpAddress::v4(0x7f000001), port);
    const uint32_t index = *bench.pick_with(hash_key_of_connection(client));
    EXPECT_EQ(*bench.pick_with(hash_key_of_connection(client)), index);
    seen.insert(index);
  }
  EXPECT_EQ(seen.size(), 10U);
}

TEST(Hash, ASubsetSharesAKey) {
  Bench bench(BalancePolicy::kRingHash, make_endpoints(20), [](UpstreamSettings& s) { s.balance.subset = 3; });
  for (int k = 0; k < 20; ++k) {
    std::set<uint32_t> seen;
    for (int i = 0; i < 100; ++i) seen.insert(*bench.pick_with(hash_key_of_text("k" + std::to_string(k))));
    EXPECT_EQ(seen.size(), 3U);
  }
}

TEST(Hash, FindsTheLastUsableOfMany) {
  Bench bench(BalancePolicy::kRingHash, make_endpoints(300));
  for (uint32_t i = 0; i < 300; ++i) bench.cell(i).set_health(i == 137 ? Health::kHealthy : Health::kUnhealthy);
  bench.upstream->cell().touch();
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(*bench.pick_with(hash_key_of_text(std::to_string(i))), 137U);
}

TEST(Pick, EveryPolicySkipsWhatIsNotUsable) {
  for (const BalancePolicy policy : kAll) {
    auto endpoints = make_endpoints(7);
    endpoints[0].weight = 0;
    endpoints[1].ready = false;
    endpoints[2].terminating = true;
    endpoints[3].addresses.clear();
    Bench bench(policy, endpoints);
    bench.set_health(4, Health::kUnhealthy);
    bench.cell(5).ejected_until_ns = to_nanoseconds(bench.now + seconds(5));
    bench.upstream->cell().touch();
    for (uint64_t i = 0; i < 200; ++i) {
      PickInput input{i, nullptr, bench.load, bench.random, bench.now};
      EXPECT_EQ(pick(*bench.upstream, input), 6U) << balance_name(policy);
    }
    bench.now += seconds(5);  // the ejection is over: nobody tells us
    std::set<uint32_t> seen;
    for (uint64_t i = 0; i < 200; ++i) seen.insert(*bench.pick_with(i * 7919));
    EXPECT_EQ(seen, (std::set<uint32_t>{5, 6})) << balance_name(policy);
  }
}

TEST(Pick, FallsBackInOrder) {
  for (const bool fail_open : {true, false}) {
    auto endpoints = make_endpoints(4);
    endpoints[1].terminating = true;
    endpoints[1].ready = false;
    Bench bench(BalancePolicy::kRoundRobin, endpoints,
                [&](UpstreamSettings& settings) { settings.fail_open = fail_open; });
    bench.cell(2).ejected_until_ns = to_nanoseconds(bench.now + seconds(1000));
    bench.set_health(3, Health::kUnhealthy);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(bench.next(), 0U);
    bench.set_health(0, Health::kUnhealthy);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(bench.next(), 1U);  // serving
    bench.set_health(1, Health::kUnhealthy);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(bench.next(), 2U);  // ejected
    bench.set_health(2, Health::kUnhealthy);
    std::set<uint32_t> seen;
    for (int i = 0; i < 8; ++i) seen.insert(bench.next());
    EXPECT_EQ(seen, fail_open ? (std::set<uint32_t>{0, 1, 2, 3}) : std::set<uint32_t>{UINT32_MAX});
  }
}

TEST(Pick, NoEndpointAtAll) {
  for (const BalancePolicy policy : kAll) {
    Bench bench(policy, {});
    EXPECT_EQ(bench.next(), UINT32_MAX);
    EXPECT_EQ(bench.pick_with(42), std::nullopt);
  }
}

TEST(Pick, TheNextPriorityGroupHelpsWhenTheFirstIsOut) {
  for (const BalancePolicy policy : kAll) {
    auto endpoints = make_endpoints(4);
    endpoints[2].priority = endpoints[3].priority = 5;
    Bench bench(policy, endpoints);
    const auto seen = [&] {
      std::set<uint32_t> set;
      for (uint64_t i = 1; i < 300; ++i) set.insert(*bench.pick_with(i * 104729));
      return set;
    };
    EXPECT_EQ(seen(), (std::set<uint32_t>{0, 1}));
    bench.set_health(0, Health::kUnhealthy);
    EXPECT_EQ(seen(), (std::set<uint32_t>{1}));
    bench.set_health(1, Health::kUnhealthy);
    EXPECT_EQ(seen(), (std::set<uint32_t>{2, 3}));
    bench.set_health(0, Health::kHealthy);
    EXPECT_EQ(seen(), (std::set<uint32_t>{0}));
  }
}

TEST(Pick, EachIsTriedOnce) {
  for (const BalancePolicy policy : kAll) {
    for (const bool weights : {false, true}) {
      auto endpoints = make_endpoints(6);
      endpoints[4].priority = endpoints[5].priority = 1;
      if (weights) endpoints[1].weight = 1000;
      Bench bench(policy, endpoints);
      bench.set_health(3, Health::kUnhealthy);
      TriedSet tried;
      std::set<uint32_t> first;
      std::set<uint32_t> then;
      for (int i = 0; i < 3; ++i) {
        const auto index = bench.pick_with(99, &tried);
        ASSERT_TRUE(index.has_value());
        first.insert(*index);
        tried.add(bench.cell(*index));
      }
      EXPECT_EQ(first, (std::set<uint32_t>{0, 1, 2})) << balance_name(policy);
      for (int i = 0; i < 2; ++i) {  // now the other group
        const auto index = bench.pick_with(99, &tried);
        ASSERT_TRUE(index.has_value());
        then.insert(*index);
        tried.add(bench.cell(*index));
      }
      EXPECT_EQ(then, (std::set<uint32_t>{4, 5})) << balance_name(policy);
      EXPECT_EQ(bench.pick_with(99, &tried), std::nullopt);  // the one that fails its checks is not asked
    }
  }
}

TEST(Pick, PrefersTheLocalZoneWhileItIsStrongEnough) {
  auto endpoints = make_endpoints(8);
  for (size_t i = 0; i < 8; ++i) endpoints[i].zone = i < 4 ? "a" : "b";
  Bench bench(BalancePolicy::kRoundRobin, endpoints, [](UpstreamSettings& settings) {
    settings.zones = {"a", true, 70};
  });
  const auto far = [&] {
    const auto counts = bench.count(80);
    return counts[4] + counts[5] + counts[6] + counts[7];
  };
  EXPECT_EQ(far(), 0U);
  bench.set_health(0, Health::kUnhealthy);  // 75 % left
  EXPECT_EQ(far(), 0U);
  bench.set_health(1, Health::kUnhealthy);  // 50 %
  EXPECT_NEAR(static_cast<double>(far()), 80.0 * 4 / 6, 2);
}

TEST(Pick, SlowStartGrowsTheShare) {
  Bench bench(BalancePolicy::kRoundRobin, make_endpoints(2),
              [](UpstreamSettings& settings) { settings.balance.slow_start = seconds(10); });
  bench.cell(1).slow_start_since_ns = to_nanoseconds(bench.now);
  bench.upstream->cell().touch();
  double previous = 0;
  for (int second = 0; second < 10; ++second) {
    const double share = static_cast<double>(bench.count(1000)[1]) / 1000;
    const double weight = std::max(0.1, second / 10.0);
    EXPECT_NEAR(share, weight / (1 + weight), 0.02) << second;
    EXPECT_GE(share, previous - 0.01);
    previous = share;
    bench.now += seconds(1);
  }
  EXPECT_EQ(bench.count(1000)[1], 500U);
}

TEST(WorkerLoad, SurvivesANewUpstream) {
  auto endpoints = make_endpoints(3);
  for (auto& endpoint : endpoints) endpoint.cell = std::make_shared<EndpointCell>();
  Bench bench(BalancePolicy::kLeastConn, endpoints);
  bench.next();
  EndpointLoad& gone = bench.load.start(*bench.upstream, 0);
  EndpointLoad& kept = bench.load.start(*bench.upstream, 2);
  // The first goes, the others move up, one is new.
  std::vector<Endpoint> changed(endpoints.begin() + 1, endpoints.end());
  changed.push_back(make_endpoints(4)[3]);
  auto next = std::make_unique<Upstream>(bench.upstream->shared_settings(), 0, changed, bench.upstream->shared_cell());
  bench.load.bind(*next);
  const auto old = std::move(bench.upstream);
  bench.upstream = std::move(next);
  std::set<uint32_t> seen;
  for (int i = 0; i < 2; ++i) {
    const uint32_t index = bench.next();
    seen.insert(index);
    bench.load.start(*bench.upstream, index);
  }
  EXPECT_EQ(seen, (std::set<uint32_t>{0, 2}));  // index 1 is the busy one
  EXPECT_EQ(&bench.load.at(1), &kept);
  EXPECT_EQ(gone.index, EndpointLoad::kUnbound);
  bench.load.finish(gone);
  bench.load.finish(kept);
  EXPECT_EQ(bench.load.active(), 2U);
  // An exchange that still holds the old one: any usable endpoint of that, and the count ends up at the same address.
  PickInput input{kNoHashKey, nullptr, bench.load, bench.random, bench.now};
  std::set<uint32_t> from_old;
  for (int i = 0; i < 200; ++i) from_old.insert(*pick(*old, input));
  EXPECT_EQ(from_old.size(), 3U);
  EXPECT_EQ(&bench.load.start(*old, 2), &kept);
  EXPECT_EQ(kept.active, 1U);
}

TEST(WorkerLoads, KeepALoadWhileAnythingIsInFlight) {
  const auto upstream = std::make_shared<const Upstream>(make_settings(BalancePolicy::kLeastConn), 3, make_endpoints(2));
  WorkerLoads loads;
  loads.bind(3, upstream.get());
  Random random(1);
  PickInput input{kNoHashKey, nullptr, loads.of(*upstream), random, MonotonicTime(seconds(1))};
  EndpointLoad& load = input.load.start(*upstream, *pick(*upstream, input));
  loads.bind(3, nullptr);
  loads.collect();
  EXPECT_EQ(&loads.of(*upstream), &input.load);
  EXPECT_TRUE(pick(*upstream, input).has_value());
  input.load.finish(load);
  EXPECT_EQ(input.load.active(), 0U);
  loads.collect();
  loads.bind(3, upstream.get());
  EXPECT_EQ(loads.of(*upstream).bound(), upstream.get());
}

TEST(HashRing, FindIsTheNextPointOfASortedScan) {
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back("10.1.0." + std::to_string(i) + ":80");
  std::vector<HashRing::Member> members;
  for (uint32_t i = 0; i < names.size(); ++i) members.push_back({names[i], 1 + i % 3, i});
  HashRing ring;
  ring.build(members);
  // A walk around the ring passes every point once, and the next key's point is never behind.
  std::vector<size_t> points(names.size());
  for (uint32_t position = 0, i = 0; i < ring.size(); ++i, position = ring.next(position)) {
    ++points[ring.index_at(position)];
  }
  for (uint32_t i = 0; i < names.size(); ++i) EXPECT_EQ(points[i], HashRing::kPointsPerEndpoint * (1 + i % 3) / 3);
  HashRing one;
  one.build({{"a", 1, 0}});
  EXPECT_EQ(one.size(), size_t{HashRing::kPointsPerEndpoint});
  for (uint64_t key = 0; key < 1000; ++key) EXPECT_EQ(one.index_at(one.find(key)), 0U);
}

}  // namespace
}  // namespace headgate::upstream
