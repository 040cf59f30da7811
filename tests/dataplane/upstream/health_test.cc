#include "dataplane/upstream/health.h"

#include <gtest/gtest.h>

#include <functional>

#include "dataplane/tls/context.h"
#include "tests/dataplane/upstream/loopback_server.h"
#include "tests/dataplane/upstream/upstream_builder.h"

namespace headgate::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready";
constexpr const char* kBad = "HTTP/1.1 500 Oops\r\n\r\n";

ActiveHealthCheck quick() {
  ActiveHealthCheck check;
  check.path = "/healthz";
  check.interval = milliseconds(30);
  check.timeout = milliseconds(150);
  return check;
}

struct Fixture {
  explicit Fixture(ProbeExtensions* extensions = nullptr) : prober(loop, extensions, &counters) {}
  std::shared_ptr<const Upstream> make(const std::vector<SocketAddress>& addresses,
                                       const std::function<void(UpstreamSettings&)>& adjust = {}) {
    std::vector<Endpoint> endpoints(addresses.size());
    for (size_t i = 0; i < addresses.size(); ++i) {
      endpoints[i].addresses = {addresses[i]};
      endpoints[i].finish();
      auto& cell = cells[endpoints[i].text];
      if (cell == nullptr) cell = std::make_shared<EndpointCell>();
      endpoints[i].cell = cell;
    }
    return std::make_shared<const Upstream>(make_settings(BalancePolicy::kRoundRobin,
                                                          [&](UpstreamSettings& settings) {
                                                            settings.health_check = quick();
                                                            if (adjust) adjust(settings);
                                                          }),
                                            0, std::move(endpoints));
  }
  void watch(const std::vector<std::shared_ptr<const Upstream>>& upstreams) { prober.set_upstreams(upstreams); }
  bool until(const std::function<bool()>& condition, Duration limit = seconds(5)) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop.run_once(milliseconds(10));
    }
    return true;
  }
  bool reaches(const Upstream& upstream, Health health, uint32_t index = 0) {
    return until([&] { return upstream.endpoint(index).cell->health() == health; });
  }

  std::unordered_map<std::string, std::shared_ptr<EndpointCell>> cells;
  event::Loop loop;
  Counters counters;
  HealthProber prober;
};

TEST(Health, LeavesAndComesBackByTheThresholds) {
  LoopbackServer server(kOk);
  Fixture f;
  const auto upstream = f.make({server.address()});
  f.watch({upstream});
  const uint32_t epoch = upstream->cell().epoch();
  ASSERT_TRUE(f.reaches(*upstream, Health::kHealthy));
  EXPECT_EQ(server.connections(), 1);  // the first success is enough
  EXPECT_NE(upstream->cell().epoch(), epoch);
  const std::string request = server.last_request();
  EXPECT_EQ(request.substr(0, request.find("\r\n")), "GET /healthz HTTP/1.1");
  EXPECT_NE(request.find("\r\nHost: " + server.address().to_string() + "\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nConnection: close\r\n"), std::string::npos);

  server.set(kBad);
  const int before = server.connections();
  upstream->endpoint(0).cell->ejections = 2;
  ASSERT_TRUE(f.reaches(*upstream, Health::kUnhealthy));
  EXPECT_GE(server.connections() - before, 3);
  EXPECT_GE(f.counters.value(Counter::kUpstreamHealthFailures), 3U);
  server.set(kOk);
  ASSERT_TRUE(f.reaches(*upstream, Health::kHealthy));
  EXPECT_EQ(upstream->endpoint(0).cell->ejections, 0U);  // passive failures are forgotten
  EXPECT_NE(upstream->endpoint(0).cell->slow_start_since_ns, 0);
}

TEST(Health, WhatCountsAsAFailure) {
  struct Case {
    const char* what;
    const char* answer;
    std::function<void(ActiveHealthCheck&)> adjust;
    Health health;
  };
  const Case cases[] = {
      {"time-out", "hang", {}, Health::kUnhealthy},
      {"closed", "", {}, Health::kUnhealthy},
      {"not HTTP", "220 mail ready\r\n", {}, Health::kUnhealthy},
      {"expected 500", kBad, [](auto& c) { c.expect = {{200, 200}, {500, 501}}; }, Health::kHealthy},
      {"body", kOk, [](auto& c) { c.body_contains = "ready"; }, Health::kHealthy},
      {"other body", kOk, [](auto& c) { c.body_contains = "steady"; }, Health::kUnhealthy},
      {"tcp", "", [](auto& c) { c.kind = ActiveHealthCheck::Kind::kTcp; }, Health::kHealthy},
  };
  for (const Case& c : cases) {
    LoopbackServer server(c.answer);
    Fixture f;
    const auto upstream = f.make({server.address()}, [&](UpstreamSettings& settings) {
      settings.health_check->unhealthy = 1;
      if (c.adjust) c.adjust(*settings.health_check);
    });
    f.watch({upstream});
    EXPECT_TRUE(f.until([&] { return upstream->endpoint(0).cell->health() != Health::kUnknown; })) << c.what;
    EXPECT_EQ(upstream->endpoint(0).cell->health(), c.health) << c.what;
  }
}

TEST(Health, RefusedConnectionsAndAnotherPort) {
  uint16_t closed_port = 0;
  {
    LoopbackServer gone(kOk);
    closed_port = gone.port();
  }
  LoopbackServer server(kOk);
  Fixture f;
  const auto address = SocketAddress::ip(IpAddress::v4(0x7f000001), closed_port);
  const auto upstream = f.make({address}, [](UpstreamSettings& settings) { settings.health_check->unhealthy = 1; });
  f.watch({upstream});
  EXPECT_TRUE(f.reaches(*upstream, Health::kUnhealthy));
  const auto with_port = f.make({address}, [&](UpstreamSettings& settings) {
    settings.health_check->port = server.port();
    settings.health_check->healthy = 1;
    settings.health_check->host = "shop.test";
  });
  f.watch({with_port});
  EXPECT_TRUE(f.reaches(*with_port, Health::kHealthy));
  EXPECT_NE(server.last_request().find("\r\nHost: shop.test\r\n"), std::string::npos);
}

TEST(Health, AReloadKeepsWhatIsKnown) {
  LoopbackServer good(kOk);
  LoopbackServer bad(kBad);
  Fixture f;
  const auto first = f.make({good.address(), bad.address()});
  f.watch({first});
  ASSERT_TRUE(f.reaches(*first, Health::kHealthy, 0));
  ASSERT_TRUE(f.reaches(*first, Health::kUnhealthy, 1));
  EXPECT_EQ(f.prober.targets(), 2U);

  // A new Upstream with the same addresses in another order and one more.
  LoopbackServer added("hang");
  const auto second = f.make({bad.address(), added.address(), good.address()});
  f.watch({second});
  EXPECT_EQ(f.prober.targets(), 3U);
  EXPECT_EQ(second->endpoint(0).cell->health(), Health::kUnhealthy);
  EXPECT_EQ(second->endpoint(2).cell->health(), Health::kHealthy);
  // Changes that come faster than a check takes do not keep it from ending.
  for (int i = 0; i < 200 && second->endpoint(1).cell->health() == Health::kUnknown; ++i) {
    f.until([] { return false; }, milliseconds(40));
    f.watch({f.make({bad.address(), added.address(), good.address()})});
  }
  EXPECT_EQ(second->endpoint(1).cell->health(), Health::kUnhealthy);

  // No longer checked: nothing is known any more.
  f.watch({f.make({good.address()})});
  EXPECT_EQ(f.prober.targets(), 1U);
  EXPECT_EQ(second->endpoint(0).cell->health(), Health::kUnknown);
  f.watch({});
  EXPECT_EQ(f.prober.targets(), 0U);
  f.until([] { return false; }, milliseconds(50));
  EXPECT_EQ(f.prober.running(), 0U);
}

TEST(Health, AtMostSixtyFourAtATime) {
  // It serves one connection at a time: the others wait for an answer until their time-out.
  LoopbackServer server("hang");
  Fixture f;
  std::vector<Endpoint> endpoints(150);
  for (size_t i = 0; i < endpoints.size(); ++i) {
    endpoints[i].addresses = {server.address()};
    endpoints[i].text = "endpoint " + std::to_string(i);
  }
  const auto upstream = std::make_shared<const Upstream>(
      make_settings(BalancePolicy::kRoundRobin, [](UpstreamSettings& s) { s.health_check = quick(); }), 0, endpoints);
  f.watch({upstream});
  size_t most = 0;
  f.until([&] {
    most = std::max(most, f.prober.running());
    return false;
  }, milliseconds(500));
  EXPECT_EQ(most, HealthProber::kMaxRunning);
}

// Stands in for TLS: hands the plain stream on after a turn, or fails.
class FakeTls final : public ProbeExtensions {
 public:
  explicit FakeTls(event::Loop& loop) : loop_(loop) {}
  std::unique_ptr<event::Disposable> secure(std::unique_ptr<net::ByteStream> plain, const Upstream&, const Endpoint&,
                                            net::ConnectObserver& observer) override {
    ++secured;
    return std::make_unique<Handshake>(loop_, std::move(plain), observer, fail);
  }
  std::unique_ptr<event::Disposable> check_http2(std::unique_ptr<net::ByteStream>, const Upstream&, const Endpoint&,
                                                 ProbeObserver&) override {
    return nullptr;
  }
  bool fail = false;
  int secured = 0;

 private:
  class Handshake final : public event::Disposable {
   public:
    Handshake(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, net::ConnectObserver& observer, bool fail)
        : stream_(std::move(stream)), observer_(observer), fail_(fail),
          later_(loop, event::Timer::call<&Handshake::end>, this) {
      later_.schedule();
    }

   private:
    void end() {
      if (fail_) {
        observer_.on_connect_failed({.code = Errc::kTls, .detail = "test"});
      } else {
        observer_.on_connected(std::move(stream_));
      }
    }
    std::unique_ptr<net::ByteStream> stream_;
    net::ConnectObserver& observer_;
    bool fail_;
    event::DeferredCall later_;
  };
  event::Loop& loop_;
};

TEST(Health, TlsByTheInjectedFactory) {
  LoopbackServer server(kOk);
  const auto with_tls = [](UpstreamSettings& settings) {
    settings.tls = std::make_shared<tls::ClientSettings>();
    settings.health_check->unhealthy = 1;
  };
  {
    Fixture f;  // no factory: never taken for healthy
    const auto upstream = f.make({server.address()}, with_tls);
    f.watch({upstream});
    EXPECT_TRUE(f.reaches(*upstream, Health::kUnhealthy));
  }
  event::Loop loop;
  Counters counters;
  FakeTls tls(loop);
  HealthProber prober(loop, &tls, &counters);
  Fixture maker;
  const auto upstream = maker.make({server.address()}, [&](UpstreamSettings& settings) {
    with_tls(settings);
    settings.health_check->healthy = 1;
  });
  prober.set_upstreams(std::vector{upstream});
  const auto reaches = [&](Health health) {
    for (int i = 0; i < 500 && upstream->endpoint(0).cell->health() != health; ++i) loop.run_once(milliseconds(10));
    return upstream->endpoint(0).cell->health() == health;
  };
  EXPECT_TRUE(reaches(Health::kHealthy));
  tls.fail = true;
  EXPECT_TRUE(reaches(Health::kUnhealthy));
  EXPECT_GE(tls.secured, 2);
}

}  // namespace
}  // namespace headgate::upstream
