// Connections through StreamForward and MessageRelay over loopback sockets: their states, limits and ends.
#include "dataplane/handlers/stream_forward.h"

#include <gtest/gtest.h>

#include "dataplane/net/datagram_socket.h"
#include "tests/dataplane/handlers/layer4_fixture.h"

namespace headgate::handlers {
namespace {

using std::chrono::milliseconds;

std::shared_ptr<const StreamForward> forward(std::vector<ForwardRule> rules, Duration hello = std::chrono::seconds(5)) {
  return std::make_shared<const StreamForward>(
      StreamForward::Options{.listener = "l", .rules = std::move(rules), .hello_timeout = hello});
}

// A TCP server that the test plays itself.
struct Target {
  Target() {
    auto fd = net::bind_socket(SocketAddress::ip(IpAddress::v4(kLoopback), 0), {});
    EXPECT_TRUE(fd.has_value());
    listener = std::move(*fd);
    address = *net::local_address(listener.get());
  }
  bool accept(Worker& worker) {
    return worker.run_until([&] {
      connection.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      return connection.valid();
    });
  }
  std::string receive(Worker& worker, size_t size) {
    std::string got;
    worker.run_until([&] {
      char bytes[4096];
      const ssize_t count = ::recv(connection.get(), bytes, sizeof(bytes), 0);
      if (count > 0) got.append(bytes, static_cast<size_t>(count));
      return got.size() >= size || count == 0;
    });
    return got;
  }
  void send(std::string_view bytes) const { ::send(connection.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  UniqueFd listener;
  UniqueFd connection;
  SocketAddress address;
};

// A datagram server that answers in capitals.
struct Shouter final : net::DatagramRun {
  explicit Shouter(Worker& worker) {
    auto fd = net::bind_socket(SocketAddress::ip(IpAddress::v4(kLoopback), 0), {.transport = net::Transport::kDatagram});
    EXPECT_TRUE(fd.has_value());
    socket = std::make_unique<net::DatagramSocket>(worker.context, std::move(*fd));
    EXPECT_TRUE(socket->start(*this).has_value());
  }
  void on_datagrams(std::span<net::Datagram> batch) override {
    for (const net::Datagram& one : batch) {
      std::string text(one.payload.data(), one.payload.size());
      got.push_back(text);
      for (char& letter : text) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
      socket->send(one.peer, one.local, text);
    }
  }
  void drain(MonotonicTime) override {}
  std::unique_ptr<net::DatagramSocket> socket;
  std::vector<std::string> got;
};

TEST(StreamForward, BytesGoBothWaysAndEachSideEndsByItself) {
  Worker worker;
  Target target;
  worker.target(upstream::Protocol::kStream, {target.address});
  const auto handler = forward({to_target()});
  Connection client(worker, *handler);
  client.send("question");
  client.finish_sending();
  ASSERT_TRUE(target.accept(worker));
  EXPECT_EQ(target.receive(worker, 100), "question");  // and the end
  EXPECT_EQ(worker.counters.value(Counter::kForwardActive), 1U);
  EXPECT_FALSE(client.is_over());
  target.send("answer");
  EXPECT_EQ(client.receive(6), "answer");
  target.connection.reset();
  EXPECT_EQ(client.receive(1), "");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(worker.counters.value(Counter::kForwardConnections), 1U);
}

TEST(StreamForward, TheCountOfActiveOnesFollowsTheRun) {
  Worker worker;
  Target target;
  worker.target(upstream::Protocol::kStream, {target.address});
  const auto handler = forward({to_target()});
  {
    Connection client(worker, *handler);
    ASSERT_TRUE(target.accept(worker));
    EXPECT_EQ(worker.counters.value(Counter::kForwardActive), 1U);
  }  // the owner may give it up at any time
  EXPECT_EQ(worker.counters.value(Counter::kForwardActive), 0U);
}

TEST(StreamForward, AnotherEndpointIsTriedWhenOneRefuses) {
  Worker worker;
  Target target;
  const SocketAddress dead = Target().address;
  worker.target(upstream::Protocol::kStream, {dead, target.address});
  const auto handler = forward({to_target()});
  for (int i = 0; i < 4; ++i) {  // whichever is picked first
    Connection client(worker, *handler);
    client.send("x");
    ASSERT_TRUE(target.accept(worker));
    EXPECT_EQ(target.receive(worker, 1), "x");
  }
  EXPECT_GE(worker.counters.value(Counter::kUpstreamRetries), 1U);
}

TEST(StreamForward, NobodyAtTheTargetIsAReset) {
  Worker worker;
  worker.target(upstream::Protocol::kStream, {Target().address});
  const auto handler = forward({to_target()});
  Connection client(worker, *handler);
  EXPECT_EQ(client.receive(1), "reset");
  EXPECT_TRUE(client.ended());
  EXPECT_GE(worker.counters.value(Counter::kUpstreamConnectErrors), 1U);
}

TEST(StreamForward, PlacesAreGivenBack) {
  Worker worker;
  Target target;
  worker.target(upstream::Protocol::kStream, {target.address});
  ForwardRule rule = to_target();
  rule.max_connections = 1;
  const auto counts = rule.counts;
  const auto handler = forward({std::move(rule)});
  Connection first(worker, *handler);
  ASSERT_TRUE(target.accept(worker));
  Connection second(worker, *handler);
  EXPECT_TRUE(second.ended());
  EXPECT_EQ(worker.counters.value(Counter::kForwardRefused), 1U);
  EXPECT_EQ(counts->active(), 1U);
  first.drop();
  target.connection.reset();
  EXPECT_TRUE(first.ended());
  EXPECT_EQ(counts->active(), 0U);
  Connection third(worker, *handler);
  EXPECT_TRUE(target.accept(worker));
}

TEST(StreamForward, ASilentClientIsLeftToTheRulesWithoutNames) {
  Worker worker;
  Target target;
  worker.target(upstream::Protocol::kStream, {target.address});
  ForwardRule named = to_target();
  named.sni = {"a.test"};
  named.total_weight = 0;  // nothing comes out of it
  const auto handler = forward({std::move(named), to_target()}, milliseconds(50));
  Connection client(worker, *handler);
  ASSERT_TRUE(target.accept(worker));
  target.send("220 the server speaks first");
  EXPECT_EQ(client.receive(27), "220 the server speaks first");
  // What is no ClientHello is known at once, and nothing of it is lost.
  Connection other(worker, *forward({to_target()}));
  other.send("SSH-2.0-x\r\n");
  ASSERT_TRUE(target.accept(worker));
  EXPECT_EQ(target.receive(worker, 11), "SSH-2.0-x\r\n");
}

TEST(StreamForward, NoRuleForTheClient) {
  Worker worker;
  worker.target(upstream::Protocol::kStream, {Target().address});
  ForwardRule rule = to_target();
  rule.source.add(*Cidr::parse("192.0.2.0/24"));
  Connection client(worker, *forward({std::move(rule)}));
  EXPECT_EQ(client.receive(1), "");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(worker.counters.value(Counter::kForwardConnections), 0U);
}

TEST(StreamForward, ADrainEndsAtItsDeadline) {
  Worker worker;
  Target target;
  worker.target(upstream::Protocol::kStream, {target.address});
  const auto handler = forward({to_target()});
  Connection client(worker, *handler);
  ASSERT_TRUE(target.accept(worker));
  client.run().drain(worker.loop.now() + milliseconds(200));
  client.send("still");
  EXPECT_EQ(target.receive(worker, 5), "still");
  EXPECT_FALSE(client.is_over());
  EXPECT_TRUE(client.ended());
}

TEST(MessageRelay, LinesAreDatagramsAndBack) {
  Worker worker;
  Shouter shouter(worker);
  worker.target(upstream::Protocol::kDatagram, {shouter.socket->local_address()});
  ForwardRule rule = to_target();
  rule.framing = net::Framing::kLine;
  Connection client(worker, *forward({std::move(rule)}));
  client.send("on");
  client.send("e\ntwo\n");
  EXPECT_EQ(client.receive(8), "ONE\nTWO\n");
  EXPECT_EQ(shouter.got, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(worker.counters.value(Counter::kDatagramsUp), 2U);
  EXPECT_EQ(worker.counters.value(Counter::kDatagramsDown), 2U);
}

TEST(MessageRelay, WhatWasAskedLastIsStillAnswered) {
  Worker worker;
  Shouter shouter(worker);
  worker.target(upstream::Protocol::kDatagram, {shouter.socket->local_address()});
  ForwardRule rule = to_target();
  rule.framing = net::Framing::kLength;
  rule.timeout = milliseconds(300);
  Connection client(worker, *forward({std::move(rule)}));
  client.send(std::string_view("\0\0\0\3end", 7));  // one empty message, one of three bytes
  client.finish_sending();
  EXPECT_EQ(client.receive(7), std::string("\0\0\0\3END", 7));
  EXPECT_TRUE(client.ended());
}

TEST(MessageRelay, ARefusalEndsTheConnection) {
  Worker worker;
  SocketAddress nobody;
  {
    const Shouter gone(worker);
    nobody = gone.socket->local_address();
  }
  worker.target(upstream::Protocol::kDatagram, {nobody});
  ForwardRule rule = to_target();
  rule.framing = net::Framing::kLine;
  Connection client(worker, *forward({std::move(rule)}));
  client.send("x\n");
  EXPECT_TRUE(client.ended());
}

TEST(MessageRelay, IdleConnectionsEnd) {
  Worker worker;
  Shouter shouter(worker);
  worker.target(upstream::Protocol::kDatagram, {shouter.socket->local_address()});
  ForwardRule rule = to_target();
  rule.timeout = milliseconds(50);
  Connection client(worker, *forward({std::move(rule)}));
  client.send("x");
  EXPECT_EQ(client.receive(1), "X");
  EXPECT_EQ(client.receive(1), "");
  EXPECT_TRUE(client.ended());
}

TEST(ForwardRule, ChoosesByWeight) {
  ForwardRule rule;
  rule.targets = {{.slot = 4, .weight = 3}, {.slot = 9, .weight = 1}};
  rule.total_weight = 4;
  Random random(7);
  int first = 0;
  for (int i = 0; i < 4000; ++i) {
    const auto slot = rule.choose(random);
    ASSERT_TRUE(slot == 4U || slot == 9U);
    first += slot == 4U ? 1 : 0;
  }
  EXPECT_NEAR(first, 3000, 150);
  EXPECT_FALSE(ForwardRule().choose(random).has_value());
}

}  // namespace
}  // namespace headgate::handlers
