// host_table.cc -- what finding the host of a request costs among many.
// links: headgate_routing
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "dataplane/routing/router.h"

int main() {
  using namespace headgate;
  using Clock = std::chrono::steady_clock;
  constexpr int kTurns = 2'000'000;
  for (const int count : {1, 100, 3000, 10000}) {
    std::vector<std::shared_ptr<const routing::VirtualHost>> hosts;
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) {
      names.push_back("shop-" + std::to_string(100000 + i) + ".example.com");
      hosts.push_back(std::make_shared<const routing::VirtualHost>(
          "web/" + names.back(), std::vector<std::string>{names.back()}, false, routing::VirtualHost::Order::kTree,
          std::vector<std::shared_ptr<const routing::Route>>()));
    }
    const routing::RouteTable table({.name = "web"}, hosts);
    size_t found = 0;
    uint32_t next = 1;
    const auto begin = Clock::now();
    for (int i = 0; i < kTurns; ++i) {
      next = next * 1664525U + 1013904223U;
      found += table.find_host(names[(next >> 8) % names.size()]) != nullptr ? 1 : 0;
    }
    const std::chrono::duration<double, std::nano> spent = Clock::now() - begin;
    std::printf("%6d hosts: %6.1f ns (%zu found)\n", count, spent.count() / kTurns, found);
  }
}
