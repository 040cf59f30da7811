// balancer.cc -- nanoseconds and allocations per pick (and the start and finish of its request), and the cost of a
// change: the rebuild of a worker's view, and of an Upstream with its hash ring.
// links: headgate_upstream
// Prints figures; asserts nothing.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <new>
#include <vector>

#include "dataplane/upstream/balancer.h"

namespace {
uint64_t allocations = 0;
}

void* operator new(size_t size) {
  ++allocations;
  void* const memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace headgate;
using namespace headgate::upstream;

double nanoseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Endpoint> make_endpoints(uint32_t count, bool weighted) {
  std::vector<Endpoint> endpoints(count);
  for (uint32_t i = 0; i < count; ++i) {
    endpoints[i].addresses = {SocketAddress::ip(IpAddress::v4(0x0a000001U + i), 8080)};
    endpoints[i].weight = weighted ? 1 + i % 7 : 1;
    endpoints[i].finish();
  }
  return endpoints;
}

void measure(BalancePolicy policy, uint32_t count, bool weighted) {
  constexpr int kPicks = 2'000'000;
  constexpr size_t kInFlight = 64;
  auto settings = std::make_shared<UpstreamSettings>();
  settings->name = "app";
  settings->balance.policy = policy;
  const auto endpoints = make_endpoints(count, weighted);
  auto start = std::chrono::steady_clock::now();
  const Upstream upstream(settings, 0, endpoints);
  const double build_us = nanoseconds_since(start) / 1e3;
  WorkerLoad load;
  load.bind(upstream);
  Random random(1);
  PickInput input{kNoHashKey, nullptr, load, random, MonotonicTime(std::chrono::seconds(1))};
  pick(upstream, input);

  std::vector<EndpointLoad*> in_flight(kInFlight);
  for (EndpointLoad*& slot : in_flight) slot = &load.start(upstream, *pick(upstream, input));
  const uint64_t before = allocations;
  start = std::chrono::steady_clock::now();
  for (int i = 0; i < kPicks; ++i) {
    input.hash_key = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15U + 1;
    EndpointLoad*& slot = in_flight[static_cast<size_t>(i) % kInFlight];
    load.finish(*slot);
    slot = &load.start(upstream, *pick(upstream, input));
  }
  const double pick_ns = nanoseconds_since(start) / kPicks;
  const double per_pick = static_cast<double>(allocations - before) / kPicks;

  constexpr int kChanges = 200;
  const uint64_t before_changes = allocations;
  start = std::chrono::steady_clock::now();
  for (int i = 0; i < kChanges; ++i) {
    upstream.endpoint(0).cell->set_health(i % 2 == 0 ? Health::kUnhealthy : Health::kHealthy);
    upstream.cell().touch();
    pick(upstream, input);
  }
  std::printf("%-14s %5u %-9s %8.1f ns/pick %6.2f alloc %9.1f us/health change %5.2f alloc %10.1f us/build\n",
              std::string(balance_name(policy)).c_str(), count, weighted ? "weighted" : "equal", pick_ns, per_pick,
              nanoseconds_since(start) / 1e3 / kChanges,
              static_cast<double>(allocations - before_changes) / kChanges, build_us);
}

}  // namespace

int main() {
  for (const auto policy : {BalancePolicy::kRoundRobin, BalancePolicy::kRandom, BalancePolicy::kLeastConn,
                            BalancePolicy::kLeastRequest, BalancePolicy::kPeakEwma, BalancePolicy::kRingHash}) {
    for (const uint32_t count : {2U, 100U, 5000U}) {
      for (const bool weighted : {false, true}) measure(policy, count, weighted);
    }
  }
}
