// The handlers of datagram listeners over loopback sockets: what e2e/local cannot count, allocations and exact caps.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/handlers/datagram_forward.h"
#include "dataplane/handlers/dns_server.h"
#include "dataplane/net/datagram_link.h"
#include "dataplane/net/datagram_socket.h"
#include "tests/dataplane/handlers/layer4_fixture.h"
#include "tests/support/allocations.h"

namespace headgate::handlers {
namespace {

struct Client final : net::DatagramLinkObserver {
  Client(WorkerContext& worker, const SocketAddress& to) : link(worker, *this) {
    EXPECT_TRUE(link.open(to).has_value());
  }
  void on_link_datagram(std::span<char> payload) override {
    ++count;
    last_size = payload.size();
  }
  void on_link_failed(const Error&) override { failed = true; }
  net::DatagramLink link;
  size_t count = 0;
  size_t last_size = 0;
  bool failed = false;
};

// A listener with a handler, on any port of 127.0.0.1.
struct Listener {
  Listener(Worker& worker, const net::DatagramHandler& handler) {
    auto fd = net::bind_socket(SocketAddress::ip(IpAddress::v4(kLoopback), 0), {.transport = net::Transport::kDatagram});
    EXPECT_TRUE(fd.has_value());
    socket = std::make_unique<net::DatagramSocket>(worker.context, std::move(*fd));
    run = handler.start(*socket, worker.context);
    EXPECT_TRUE(socket->start(*run).has_value());
  }
  ~Listener() { run.reset(); }
  [[nodiscard]] const SocketAddress& address() const { return socket->local_address(); }
  std::unique_ptr<net::DatagramSocket> socket;
  std::unique_ptr<net::DatagramRun> run;
};

struct EchoRun final : net::DatagramRun {
  void on_datagrams(std::span<net::Datagram> batch) override {
    for (const net::Datagram& one : batch) socket->send(one.peer, one.local, {one.payload.data(), one.payload.size()});
  }
  void drain(MonotonicTime) override {}
  net::DatagramSocket* socket = nullptr;
};
struct EchoHandler final : net::DatagramHandler {
  std::unique_ptr<net::DatagramRun> start(net::DatagramSocket& socket, WorkerContext&) const override {
    auto run = std::make_unique<EchoRun>();
    run->socket = &socket;
    return run;
  }
};

// Sends and waits for the answer, without allocating on the way.
void exchange(Worker& worker, Client& client, std::string_view payload) {
  const size_t before = client.count;
  ASSERT_TRUE(client.link.send(payload));
  for (int turn = 0; client.count == before && turn < 1000; ++turn) worker.loop.run_once(std::chrono::milliseconds(5));
  ASSERT_EQ(client.count, before + 1);
}

TEST(DnsServer, NoAllocationPerQuery) {
  Worker worker;
  const auto server = std::make_shared<const DnsServer>(
      DnsServer::Options{.listener = "names", .zones = zones(), .responses_per_second = 0});
  Listener listener(worker, *server);
  Client client(worker.context, listener.address());
  for (int i = 0; i < 20; ++i) exchange(worker, client, kQuery);
  EXPECT_EQ(client.last_size, kQuery.size() + 16);
  const uint64_t before = test::allocations();
  for (int i = 0; i < 500; ++i) exchange(worker, client, kQuery);
  const uint64_t made = test::allocations() - before;
  EXPECT_EQ(test::allocations_counted() ? made : 0, 0U);
  EXPECT_EQ(worker.counters.value(Counter::kDnsNoError), 520U);
}

struct Forward {
  explicit Forward(Worker& worker, const SocketAddress& target, uint32_t flows_per_client = 4) {
    worker.target(upstream::Protocol::kDatagram, {target});
    ForwardRule rule = to_target();
    rule.timeout = std::chrono::milliseconds(300);
    DatagramForward::Options options{.listener = "l", .flows_per_client = flows_per_client, .flow_counts = counts};
    options.rules.push_back(std::move(rule));
    handler = std::make_shared<const DatagramForward>(std::move(options));
  }
  std::shared_ptr<ConnectionCounts> counts = std::make_shared<ConnectionCounts>();
  std::shared_ptr<const DatagramForward> handler;
};

TEST(DatagramForward, NoAllocationPerDatagram) {
  Worker worker;
  Listener target(worker, EchoHandler());
  Forward forward(worker, target.address());
  Listener listener(worker, *forward.handler);
  Client client(worker.context, listener.address());
  for (int i = 0; i < 20; ++i) exchange(worker, client, "move");
  const uint64_t before = test::allocations();
  for (int i = 0; i < 500; ++i) exchange(worker, client, "move");
  const uint64_t made = test::allocations() - before;
  EXPECT_EQ(test::allocations_counted() ? made : 0, 0U);
  EXPECT_EQ(worker.counters.value(Counter::kDatagramFlows), 1U);
}

TEST(DatagramForward, TheCapPerClientIsExactAndExpiryMakesRoom) {
  Worker worker;
  Listener target(worker, EchoHandler());
  Forward forward(worker, target.address(), 3);
  Listener listener(worker, *forward.handler);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(std::make_unique<Client>(worker.context, listener.address()));
    ASSERT_TRUE(clients.back()->link.send("x"));
  }
  worker.run_until([] { return false; }, 100);
  EXPECT_EQ(worker.counters.value(Counter::kDatagramFlowsActive), 3U);
  EXPECT_EQ(worker.counters.value(Counter::kDatagramFlowsRefused), 2U);
  EXPECT_EQ(forward.counts->active(), 3U);
  ASSERT_TRUE(worker.run_until([&] { return worker.counters.value(Counter::kDatagramFlowsActive) == 0; }, 3000));
  EXPECT_EQ(forward.counts->active(), 0U);
  EXPECT_TRUE(listener.run->empty());
  exchange(worker, *clients[4], "y");
}

}  // namespace
}  // namespace headgate::handlers
