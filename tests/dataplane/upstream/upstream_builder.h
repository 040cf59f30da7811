// upstream_builder.h -- small Upstreams for tests.
// Thread: the test's.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/upstream/balancer.h"

namespace headgate::upstream {

// "10.0.0.1:80", "10.0.0.2:80" ...
inline std::vector<Endpoint> make_endpoints(size_t count) {
  std::vector<Endpoint> endpoints(count);
  for (size_t i = 0; i < count; ++i) {
    const auto number = static_cast<uint32_t>(i + 1);
    endpoints[i].addresses = {SocketAddress::ip(IpAddress::v4(0x0a000000U + number), 80)};
    endpoints[i].finish();
  }
  return endpoints;
}

inline std::shared_ptr<const UpstreamSettings> make_settings(BalancePolicy policy,
                                                             const std::function<void(UpstreamSettings&)>& adjust = {}) {
  auto settings = std::make_shared<UpstreamSettings>();
  settings->name = "app";
  settings->balance.policy = policy;
  if (adjust) adjust(*settings);
  return settings;
}

inline std::vector<Endpoint> weighted(const std::vector<uint32_t>& weights) {
  auto endpoints = make_endpoints(weights.size());
  for (size_t i = 0; i < weights.size(); ++i) endpoints[i].weight = weights[i];
  return endpoints;
}

// An Upstream, one worker's load for it, and a clock.
struct Bench {
  explicit Bench(BalancePolicy policy, std::vector<Endpoint> endpoints,
                 const std::function<void(UpstreamSettings&)>& adjust = {}, uint64_t seed = 1)
      : upstream(std::make_unique<Upstream>(make_settings(policy, adjust), 0, std::move(endpoints))), random(seed) {
    load.bind(*upstream);
  }
  std::optional<uint32_t> pick_with(uint64_t key, const TriedSet* tried = nullptr) {
    PickInput input{key, tried, load, random, now};
    return pick(*upstream, input);
  }
  // UINT32_MAX when there is none.
  uint32_t next(const TriedSet* tried = nullptr) { return pick_with(kNoHashKey, tried).value_or(UINT32_MAX); }
  std::vector<size_t> count(size_t picks) {
    std::vector<size_t> counts(upstream->endpoints().size());
    for (size_t i = 0; i < picks; ++i) ++counts.at(next());
    return counts;
  }
  EndpointCell& cell(uint32_t index) { return *upstream->endpoint(index).cell; }
  void set_health(uint32_t index, Health health) {
    cell(index).set_health(health);
    upstream->cell().touch();
  }

  std::unique_ptr<Upstream> upstream;
  WorkerLoad load;
  Random random;
  MonotonicTime now{std::chrono::hours(1)};
};

}  // namespace headgate::upstream
