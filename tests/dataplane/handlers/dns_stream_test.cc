// DNS over a stream, and questions passed on to a resolver.
#include <gtest/gtest.h>

#include "dataplane/handlers/dns_server.h"
#include "tests/dataplane/handlers/layer4_fixture.h"
#include "tests/dataplane/upstream/dns_responder.h"

namespace headgate::handlers {
namespace {

using std::chrono::milliseconds;
using upstream::DnsResponder;

std::string framed(std::string_view message) {
  return std::string{static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 0xff)}.append(message);
}

std::string question(const char* name, uint16_t id, bool recursion = true) {
  const auto parsed = dns::Name::parse(name);
  const auto bytes = dns::build_query(parsed->view(), dns::kTypeA, id, recursion);
  return framed(as_text(bytes));
}

// The next answer on the connection.
dns::Message answer(Connection& client) {
  const std::string length = client.receive(2);
  if (length.size() != 2) return {};
  const size_t size = static_cast<uint8_t>(length[0]) * 256U + static_cast<uint8_t>(length[1]);
  const std::string bytes = client.receive(size);
  auto message = dns::parse_message(as_bytes(bytes));
  EXPECT_TRUE(message.has_value());
  return message ? *message : dns::Message();
}

std::shared_ptr<const DnsServer> server(DnsServer::Options options = {}) {
  options.listener = "names";
  options.zones = zones();
  return std::make_shared<const DnsServer>(std::move(options));
}

TEST(DnsStream, AnswersInTheOrderOfTheQuestionsHoweverTheyCome) {
  Worker worker;
  const auto dns = server();
  Connection client(worker, *dns);
  std::string all;
  for (uint16_t id = 1; id <= 20; ++id) all += question(id % 2 == 0 ? "shop.test" : "none.test", id);
  for (const char byte : all) client.send({&byte, 1});
  for (uint16_t id = 1; id <= 20; ++id) {
    const dns::Message message = answer(client);
    EXPECT_EQ(message.id, id);
    EXPECT_EQ(message.rcode, id % 2 == 0 ? dns::kRcodeNoError : dns::kRcodeRefused);
  }
  EXPECT_EQ(worker.counters.value(Counter::kDnsQueries), 20U);
}

TEST(DnsStream, WhoHasAskedEverythingIsAnsweredAndLeft) {
  Worker worker;
  const auto dns = server();
  Connection client(worker, *dns);
  client.send(framed(kQuery));
  client.finish_sending();
  EXPECT_EQ(client.receive(100).size(), 2 + kQuery.size() + 16);
  EXPECT_TRUE(client.ended());
}

TEST(DnsStream, ResponsesAreNotAnsweredAndIdleConnectionsEnd) {
  Worker worker;
  const auto dns = server({.idle = milliseconds(100)});
  Connection client(worker, *dns);
  std::string response(kQuery);
  response[2] = static_cast<char>(0x80);
  client.send(framed(response));
  EXPECT_EQ(client.receive(1), "");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(worker.counters.value(Counter::kDnsDropped), 1U);
}

TEST(DnsStream, ADrainAnswersWhatWasAsked) {
  Worker worker;
  const auto dns = server();
  Connection client(worker, *dns);
  client.send(framed(kQuery));
  EXPECT_EQ(answer(client).answers.size(), 1U);
  client.run().drain(worker.loop.now() + std::chrono::seconds(5));
  EXPECT_EQ(client.receive(1), "");
  client.finish_sending();
  EXPECT_TRUE(client.ended());
}

struct Forwarding {
  explicit Forwarding(Duration timeout = std::chrono::seconds(2)) {
    auto made = std::make_shared<DnsForwardSettings>();
    made->resolvers = {resolver.address()};
    made->query_timeout = timeout;
    dns = server({.forward = made});
    resolver.set("up.test", {.a = {"192.0.2.99"}});
  }
  DnsResponder resolver;
  std::shared_ptr<const DnsServer> dns;
};

TEST(DnsForward, EqualQuestionsAreOneAndTheAnswerIsKept) {
  Forwarding forwarding;
  Worker worker;
  Connection one(worker, *forwarding.dns);
  Connection two(worker, *forwarding.dns);
  one.send(question("up.test", 1) + question("shop.test", 2));
  two.send(question("UP.test", 3));
  EXPECT_EQ(answer(one).id, 2);  // ours does not wait for the resolver
  const dns::Message first = answer(one);
  EXPECT_EQ(first.id, 1);
  ASSERT_EQ(first.answers.size(), 1U);
  EXPECT_TRUE(first.recursion_available);
  const dns::Message second = answer(two);
  EXPECT_EQ(second.id, 3);
  EXPECT_EQ(second.questions[0].name.to_string(), "UP.test.");
  EXPECT_EQ(forwarding.resolver.udp_queries(), 1);
  two.send(question("up.test", 4));
  EXPECT_EQ(answer(two).answers.size(), 1U);
  EXPECT_EQ(forwarding.resolver.udp_queries(), 1);
  EXPECT_EQ(worker.counters.value(Counter::kDnsForwarded), 1U);
  EXPECT_GE(worker.counters.value(Counter::kDnsCacheHits), 1U);
}

TEST(DnsForward, TruncatedAnswersAreFetchedOverTcp) {
  Forwarding forwarding;
  forwarding.resolver.set_mode(DnsResponder::Mode::kTruncate);
  Worker worker;
  Connection client(worker, *forwarding.dns);
  client.send(question("up.test", 1));
  EXPECT_EQ(answer(client).answers.size(), 1U);
  EXPECT_EQ(forwarding.resolver.tcp_queries(), 1);
}

TEST(DnsForward, ForgedAnswersAreNotBelieved) {
  Forwarding forwarding;
  forwarding.resolver.set_mode(DnsResponder::Mode::kForge);
  Worker worker;
  Connection client(worker, *forwarding.dns);
  client.send(question("up.test", 1));
  const dns::Message message = answer(client);
  EXPECT_EQ(message.rcode, dns::kRcodeNoError);
  EXPECT_EQ(message.answers.size(), 1U);
}

TEST(DnsForward, SilenceIsAServfailAndNoRecursionIsRefused) {
  Forwarding forwarding(milliseconds(100));
  forwarding.resolver.set_mode(DnsResponder::Mode::kSilent);
  Worker worker;
  Connection client(worker, *forwarding.dns);
  client.send(question("up.test", 1));
  EXPECT_EQ(answer(client).rcode, dns::kRcodeServFail);
  client.send(question("up.test", 2, false));
  EXPECT_EQ(answer(client).rcode, dns::kRcodeRefused);
}

TEST(DnsForward, WhoLeavesWithdrawsItsQuestion) {
  Forwarding forwarding(milliseconds(200));
  forwarding.resolver.set_mode(DnsResponder::Mode::kSilent);
  Worker worker;
  {
    Connection client(worker, *forwarding.dns);
    client.send(question("up.test", 1));
    ASSERT_TRUE(worker.run_until([&] { return worker.counters.value(Counter::kDnsForwarded) == 1; }));
  }
  Connection other(worker, *forwarding.dns);
  other.send(question("up.test", 2));
  EXPECT_EQ(answer(other).rcode, dns::kRcodeServFail);
}

}  // namespace
}  // namespace headgate::handlers
