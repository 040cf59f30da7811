// Tickets: resumed where they belong, and a full handshake everywhere else.
#include <gtest/gtest.h>

#include "dataplane/tls/context.h"
#include "tests/dataplane/tls/tls_party.h"

namespace headgate::tls {
namespace {

class ResumptionTest : public TlsTest {
 protected:
  static ServerSettings settings(std::string listener = "web") {
    ServerSettings made;
    made.listener = std::move(listener);
    return made;
  }
  // Gets a ticket from `first` under one name, offers it to `second` under another.
  bool resumes(const std::shared_ptr<ServerContext>& first, const std::string& first_name,
               const std::shared_ptr<ServerContext>& second, const std::string& second_name, int version,
               std::shared_ptr<const Certificate> certificate = nullptr) {
    PlainClient client;
    client.server_name = first_name;
    client.max_version = client.min_version = version;
    client.certificate = std::move(certificate);
    Party server;
    const auto one = run_plain(server, first, client);
    EXPECT_TRUE(one.connected) << one.error;
    EXPECT_FALSE(one.resumed);
    if (one.session == nullptr) return false;
    client.server_name = second_name;
    client.session = one.session.get();
    Party again;
    const auto two = run_plain(again, second, client);
    EXPECT_TRUE(two.connected) << two.error;
    EXPECT_EQ(again.facts().resumed, two.resumed);
    // TLS 1.3 tickets are for one use: a resumed connection brings the next.
    EXPECT_TRUE(!two.resumed || version != TLS1_3_VERSION || two.session != nullptr);
    return two.resumed;
  }

  const std::shared_ptr<const ServerNames> names_ = table({issue({"DNS:a.example.com", "DNS:b.example.com"})});
};

class ResumptionByVersion : public ResumptionTest, public ::testing::WithParamInterface<int> {};

TEST_P(ResumptionByVersion, SameNameResumes) {
  const auto context = server_context(settings(), names_);
  EXPECT_TRUE(resumes(context, "a.example.com", context, "a.example.com", GetParam()));
  EXPECT_TRUE(resumes(context, "", context, "", GetParam()));
}

// A client that thinks for a while costs no turns of the loop, whatever was said before.
TEST_P(ResumptionByVersion, WaitingDoesNotSpin) {
  const auto context = server_context(settings(), names_);
  PlainClient client;
  client.max_version = client.min_version = GetParam();
  auto server = std::make_unique<Party>();
  const auto first = run_plain(*server, context, client);
  ASSERT_NE(first.session, nullptr);
  server.reset();
  client.session = first.session.get();
  Party again;
  const uint64_t before = loop.turns();
  const auto second = run_plain(again, context, client, [](SSL*) { ::usleep(300'000); });
  EXPECT_TRUE(second.connected) << second.error;
  EXPECT_LT(loop.turns() - before, 400U);  // one each two milliseconds, and some for the handshake
}

TEST_P(ResumptionByVersion, AnotherWorkerOrReplicaResumes) {
  const auto one = server_context(settings(), names_);
  const auto other = server_context(settings(), names_);
  EXPECT_TRUE(resumes(one, "a.example.com", other, "A.example.com", GetParam()));
}

TEST_P(ResumptionByVersion, AnotherNameIsAFullHandshake) {
  const auto context = server_context(settings(), names_);
  EXPECT_FALSE(resumes(context, "a.example.com", context, "b.example.com", GetParam()));
  EXPECT_FALSE(resumes(context, "a.example.com", context, "", GetParam()));
  EXPECT_FALSE(resumes(context, "", context, "a.example.com", GetParam()));
}

TEST_P(ResumptionByVersion, AnotherListenerIsAFullHandshake) {
  const auto one = server_context(settings("one"), names_);
  const auto other = server_context(settings("other"), names_);
  EXPECT_FALSE(resumes(one, "a.example.com", other, "a.example.com", GetParam()));
}

TEST_P(ResumptionByVersion, AnotherClientAuthorityIsAFullHandshake) {
  const TestAuthority other_root("Other Root");
  auto strict = settings();
  strict.client_certificate = ClientCertificate::kRequired;
  strict.client_ca = TrustStore::parse(test_authority().pem()).store;
  auto optional = strict;
  optional.client_certificate = ClientCertificate::kOptional;
  auto other = strict;
  other.client_ca = TrustStore::parse(test_authority().pem() + other_root.pem()).store;
  const auto client = issue({});
  const auto a = server_context(strict, names_);
  EXPECT_TRUE(resumes(a, "a.example.com", a, "a.example.com", GetParam(), client));
  EXPECT_FALSE(resumes(a, "a.example.com", server_context(other, names_), "a.example.com", GetParam(), client));
  EXPECT_FALSE(resumes(server_context(optional, names_), "a.example.com", a, "a.example.com", GetParam(), client));
  EXPECT_FALSE(resumes(server_context(settings(), names_), "a.example.com", a, "a.example.com", GetParam(), client));
}

TEST_P(ResumptionByVersion, ClientCertificateIsKnownAfterResumption) {
  auto strict = settings();
  strict.client_certificate = ClientCertificate::kRequired;
  strict.client_ca = TrustStore::parse(test_authority().pem()).store;
  const auto context = server_context(strict, names_);
  PlainClient client;
  client.max_version = GetParam();
  client.certificate = issue({"DNS:client"});
  Party server;
  const auto one = run_plain(server, context, client);
  client.session = one.session.get();
  Party again;
  EXPECT_TRUE(run_plain(again, context, client).resumed);
  EXPECT_TRUE(again.facts().client_certificate);
  EXPECT_EQ(again.facts().client_fingerprint, server.facts().client_fingerprint);
  EXPECT_EQ(again.facts().client_subject, "CN=DNS:client");
}

TEST_P(ResumptionByVersion, KeysRotate) {
  FakeClock clock;
  clock.step_wall(system_clock().wall() - clock.wall());
  const auto context = server_context(settings(), names_, clock);
  auto current = TicketKeys::make(clock.wall());
  context->set_ticket_keys(current);
  PlainClient client;
  client.server_name = "a.example.com";
  client.max_version = client.min_version = GetParam();
  Party server;
  const auto one = run_plain(server, context, client);
  ASSERT_NE(one.session, nullptr);
  const auto resumed_after = [&](std::chrono::minutes by) {
    clock.advance(by);
    current = TicketKeys::rotate(current, clock.wall());
    context->set_ticket_keys(current);
    // A copy: OpenSSL's client spoils a session once it got the next.
    const OpensslPtr<ssl_session_st> offered(SSL_SESSION_dup(one.session.get()));
    client.session = offered.get();
    Party again;
    return run_plain(again, context, client).resumed;
  };
  EXPECT_TRUE(resumed_after(std::chrono::minutes(0)));
  EXPECT_TRUE(resumed_after(std::chrono::minutes(60)));   // the previous key
  EXPECT_FALSE(resumed_after(std::chrono::minutes(60)));  // dropped
}

TEST_P(ResumptionByVersion, NoKeysNoTickets) {
  const auto context = server_context(settings(), names_);
  context->set_ticket_keys(nullptr);
  EXPECT_FALSE(resumes(context, "a.example.com", context, "a.example.com", GetParam()));
  auto off = settings();
  off.tickets = false;
  const auto without = server_context(off, names_);
  EXPECT_FALSE(resumes(without, "a.example.com", without, "a.example.com", GetParam()));
  context->set_ticket_keys(TicketKeys::make(system_clock().wall() - std::chrono::hours(10)));
  EXPECT_FALSE(resumes(context, "a.example.com", context, "a.example.com", GetParam()));
}

TEST_P(ResumptionByVersion, OurClientResumesPerTargetAndName) {
  const auto context = server_context(settings(), names_);
  ClientSettings client_settings;
  client_settings.protocol.min_version = client_settings.protocol.max_version =
      GetParam() == TLS1_3_VERSION ? TlsVersion::kTls13 : TlsVersion::kTls12;
  const auto clients = client_context(client_settings);
  const auto resumed = [&](const std::string& address, const std::string& name) {
    Party server;
    Party client;
    connect(server, client, context, clients, {address, name});
    EXPECT_TRUE(client.done && server.done);
    server.send("x");  // brings the ticket along
    run_until([&] { return !client.received.empty(); });
    EXPECT_EQ(client.facts().resumed, server.facts().resumed);
    return client.facts().resumed;
  };
  EXPECT_FALSE(resumed("10.0.0.1:443", "a.example.com"));
  EXPECT_TRUE(resumed("10.0.0.1:443", "a.example.com"));
  EXPECT_TRUE(resumed("10.0.0.1:443", "a.example.com"));
  EXPECT_FALSE(resumed("10.0.0.1:443", "b.example.com"));
  EXPECT_FALSE(resumed("10.0.0.2:443", "a.example.com"));
}

INSTANTIATE_TEST_SUITE_P(Versions, ResumptionByVersion, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         [](const auto& row) { return row.param == TLS1_3_VERSION ? "Tls13" : "Tls12"; });

TEST_F(ResumptionTest, TicketOfOneVersionIsNoGoodInTheOther) {
  const auto context = server_context(settings(), names_);
  PlainClient client;
  client.max_version = TLS1_2_VERSION;
  Party server;
  const auto one = run_plain(server, context, client);
  client.max_version = TLS1_3_VERSION;
  client.session = one.session.get();
  Party again;
  const auto two = run_plain(again, context, client);
  EXPECT_TRUE(two.connected) << two.error;
}

TEST_F(ResumptionTest, OurClientKeepsABoundedNumberOfSessions) {
  const auto clients = client_context();
  for (int i = 0; i < 1000; ++i) {
    OpensslPtr<ssl_session_st> session(SSL_SESSION_new());
    clients->keep_session("key" + std::to_string(i % 500), std::move(session));
  }
  EXPECT_EQ(clients->take_session("key0"), nullptr);
  EXPECT_EQ(clients->take_session("unknown"), nullptr);
}

}  // namespace
}  // namespace headgate::tls
