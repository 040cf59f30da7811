// layer4_fixture.h -- a worker with pools, an Upstream of socket addresses, a zone, a client connection: what the tests
// of handlers below HTTP share.
// Thread: the test's.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/dns/zone_builder.h"
#include "dataplane/handlers/dns_forward.h"
#include "dataplane/handlers/forward_rule.h"
#include "dataplane/net/stream_handler.h"
#include "dataplane/upstream/pool_set.h"
#include "tests/dataplane/net/loopback.h"

namespace headgate::handlers {

inline constexpr uint32_t kLoopback = 0x7f000001;

struct Worker : net::TestWorker {
  Worker() { context.pools = &pools; }
  ~Worker() {
    if (context.release_dns_forwarders != nullptr) context.release_dns_forwarders(context);
    for (int i = 0; i < 3; ++i) loop.run_once(Duration(0));
  }
  // Binds slot 0 to these addresses.
  void target(upstream::Protocol protocol, const std::vector<SocketAddress>& addresses) {
    auto settings = std::make_shared<upstream::UpstreamSettings>();
    settings->name = "target";
    settings->protocol = protocol;
    std::vector<upstream::Endpoint> endpoints(addresses.size());
    for (size_t i = 0; i < addresses.size(); ++i) {
      endpoints[i].addresses = {addresses[i]};
      endpoints[i].finish();
    }
    upstreams.emplace_back(std::vector{std::make_shared<const upstream::Upstream>(settings, 0, std::move(endpoints))});
    pools.bind(upstreams.back());
  }
  upstream::PoolSet pools{context};
  std::list<upstream::UpstreamSlots> upstreams;
};

// To slot 0.
inline ForwardRule to_target() {
  ForwardRule rule;
  rule.name = "rule";
  rule.targets = {{.slot = 0, .weight = 1}};
  rule.total_weight = 1;
  rule.counts = std::make_shared<ConnectionCounts>();
  return rule;
}

inline std::shared_ptr<const dns::ZoneSet> zones() {
  dns::ZoneSetBuilder builder;
  const auto name = dns::Name::parse("shop.test");
  EXPECT_TRUE(builder.add(name->view(), dns::kTypeA, 60, dns::make_address(IpAddress::v4(0xc0000201))).has_value());
  std::vector<dns::ZoneProblem> problems;
  auto built = builder.build(problems);
  EXPECT_TRUE(built.has_value());
  return std::make_shared<const dns::ZoneSet>(std::move(*built));
}

// A of shop.test; the answer has 16 bytes more.
inline constexpr std::string_view kQuery("\x12\x34\0\0\0\1\0\0\0\0\0\0\4shop\4test\0\0\1\0\1", 27);

// A client's connection that a handler has taken, seen from the client. The worker outlives it.
class Connection final : private net::StreamRunOwner {
 public:
  Connection(Worker& worker, const net::StreamHandler& handler) : worker_(worker) {
    auto [client, server] = net::tcp_pair();
    client_ = std::move(client);
    run_ = handler.start(net::as_stream(worker.loop, std::move(server)), *this, worker.context);
  }
  void send(std::string_view bytes) const {
    EXPECT_EQ(::send(client_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void finish_sending() const { ::shutdown(client_.get(), SHUT_WR); }
  void drop() { client_.reset(); }
  // What came until there are `size` bytes, or the end; "reset" when that was one.
  std::string receive(size_t size) {
    std::string got;
    worker_.run_until([&] {
      char bytes[4096];
      const ssize_t count = ::recv(client_.get(), bytes, std::min(sizeof(bytes), size - got.size()), MSG_DONTWAIT);
      if (count > 0) got.append(bytes, static_cast<size_t>(count));
      if (count < 0 && errno == ECONNRESET) got = "reset";
      return got.size() >= size || count == 0 || got == "reset";
    });
    return got;
  }
  // The handler is done with the connection.
  bool ended() {
    return worker_.run_until([this] { return ended_ > 0; }) && ended_ == 1;
  }
  [[nodiscard]] bool is_over() const { return ended_ > 0; }
  [[nodiscard]] net::StreamRun& run() const { return *run_; }

 private:
  void on_run_ended() override { ++ended_; }

  Worker& worker_;
  UniqueFd client_;
  std::unique_ptr<net::StreamRun> run_;
  int ended_ = 0;
};

}  // namespace headgate::handlers
