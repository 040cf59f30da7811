// Who is let in: client certificates at our listeners, and server certificates of our upstreams.
#include <gtest/gtest.h>

#include "tests/dataplane/tls/tls_party.h"

namespace headgate::tls {
namespace {

class VerificationTest : public TlsTest {
 protected:
  // The reason why our client refused a server that shows `pair`; empty: accepted.
  std::string refusal(const PemPair& pair, const std::string& name, ClientSettings settings = {}) {
    auto outcome = Certificate::parse(pair.chain, pair.key, {}, system_clock().wall());
    EXPECT_NE(outcome.certificate, nullptr) << outcome.problem;
    Party server;
    Party client;
    connect(server, client, server_context({}, table({outcome.certificate})), client_context(std::move(settings)),
            {"10.0.0.1:443", name});
    if (client.done) return "";
    EXPECT_EQ(client.error.code, Errc::kTls);
    EXPECT_EQ(client.error.origin, Origin::kUpstream);
    EXPECT_EQ(client.error.retry, name.empty() ? Retry::kNo : Retry::kYes);  // without a name no endpoint will do
    return client.error.detail;
  }
  static CertificateSpec spec_of(std::vector<std::string> names) {
    CertificateSpec spec;
    spec.alternative_names = std::move(names);
    return spec;
  }

  ServerSettings asking(ClientCertificate policy) const {
    ServerSettings settings;
    settings.client_certificate = policy;
    settings.client_ca = TrustStore::parse(test_authority().pem()).store;
    return settings;
  }
  const std::shared_ptr<const ServerNames> names_ = table({issue({"DNS:a.example.com"})});
};

TEST_F(VerificationTest, UpstreamNames) {
  const PemPair pair = test_authority().issue(spec_of({"DNS:a.example.com", "DNS:*.w.example.com", "IP:192.0.2.1"}));
  EXPECT_EQ(refusal(pair, "a.example.com"), "");
  EXPECT_EQ(refusal(pair, "A.Example.COM."), "");
  EXPECT_EQ(refusal(pair, "x.w.example.com"), "");
  EXPECT_EQ(refusal(pair, "192.0.2.1"), "");
  EXPECT_EQ(refusal(pair, "b.example.com"), "hostname mismatch");
  EXPECT_EQ(refusal(pair, "x.y.w.example.com"), "hostname mismatch");
  EXPECT_EQ(refusal(pair, "192.0.2.2"), "IP address mismatch");
  EXPECT_EQ(refusal(pair, ""), "no name to verify");
}

TEST_F(VerificationTest, CommonNameIsNotEnough) {
  CertificateSpec spec;
  spec.common_name = "a.example.com";
  EXPECT_EQ(refusal(test_authority().issue(spec), "a.example.com"), "hostname mismatch");
}

TEST_F(VerificationTest, UpstreamChains) {
  auto spec = spec_of({"DNS:a.example.com"});
  EXPECT_NE(refusal(TestAuthority("Unknown Root").issue(spec), "a.example.com"), "");
  EXPECT_EQ(refusal(TestAuthority::self_signed(spec), "a.example.com"), "self-signed certificate");
  spec.begins = std::chrono::hours(-48);
  spec.ends = std::chrono::hours(-24);
  EXPECT_EQ(refusal(test_authority().issue(spec), "a.example.com"), "certificate has expired");
  spec.begins = std::chrono::hours(24);
  spec.ends = std::chrono::hours(48);
  EXPECT_EQ(refusal(test_authority().issue(spec), "a.example.com"), "certificate is not yet valid");
  spec = spec_of({"DNS:a.example.com"});
  spec.key_usage = "clientAuth";
  EXPECT_EQ(refusal(test_authority().issue(spec), "a.example.com"), "unsuitable certificate purpose");
  spec.key_usage = "serverAuth";
  EXPECT_EQ(refusal(test_authority().issue(spec), "a.example.com"), "");
}

TEST_F(VerificationTest, SystemAuthoritiesDoNotKnowOurs) {
  ClientSettings settings;
  settings.authorities = TrustStore::system();
  EXPECT_NE(refusal(test_authority().issue(spec_of({"DNS:a.example.com"})), "a.example.com", settings), "");
}

TEST_F(VerificationTest, PinnedSelfSignedCertificateIsItsOwnAuthority) {
  const PemPair pair = TestAuthority::self_signed(spec_of({"DNS:a.example.com"}));
  ClientSettings settings;
  settings.authorities = TrustStore::parse(pair.chain).store;
  EXPECT_EQ(refusal(pair, "a.example.com", settings), "");
  EXPECT_EQ(refusal(pair, "b.example.com", settings), "hostname mismatch");
}

TEST_F(VerificationTest, VerificationCanBeTurnedOff) {
  ClientSettings settings;
  settings.verify = false;
  EXPECT_EQ(refusal(TestAuthority::self_signed(spec_of({"DNS:other"})), "a.example.com", settings), "");
  EXPECT_EQ(refusal(TestAuthority::self_signed(spec_of({"DNS:other"})), "", settings), "");
}

TEST_F(VerificationTest, AlternativeNames) {
  const PemPair pair = test_authority().issue(spec_of({"DNS:a.example.com", "URI:spiffe://cluster/ns/a/sa/b"}));
  ClientSettings settings;
  settings.alternative_names = {"spiffe://cluster/ns/a/sa/b"};
  EXPECT_EQ(refusal(pair, "10.1.2.3", settings), "");
  settings.alternative_names = {"spiffe://cluster/ns/a/sa"};
  EXPECT_EQ(refusal(pair, "a.example.com", settings), "hostname mismatch");  // instead of the name, not beside it
  settings.alternative_names = {"spiffe://x", "a.example.com"};
  EXPECT_EQ(refusal(pair, "whatever", settings), "");
  settings.alternative_names = {"b.example.com", "a.example.com"};
  EXPECT_EQ(refusal(pair, "whatever", settings), "");
  settings.alternative_names = {"b.example.com"};
  EXPECT_EQ(refusal(pair, "a.example.com", settings), "hostname mismatch");
  // The chain still counts.
  settings.alternative_names = {"spiffe://cluster/ns/a/sa/b"};
  EXPECT_NE(refusal(TestAuthority("Unknown").issue(spec_of({"URI:spiffe://cluster/ns/a/sa/b"})), "x", settings), "");
  std::string problem;
  settings.alternative_names = {"not a name"};
  EXPECT_EQ(ClientContext::make(settings, problem), nullptr);
  EXPECT_NE(problem.find("not a name"), std::string::npos);
}

TEST_F(VerificationTest, RevokedServerIsRefused) {
  const PemPair good = test_authority().issue(spec_of({"DNS:a.example.com"}));
  const PemPair bad = test_authority().issue(spec_of({"DNS:a.example.com"}));
  ClientSettings settings;
  const std::string list = test_authority().revocation_list({bad.chain}, std::chrono::hours(24));
  settings.authorities = TrustStore::parse(test_authority().pem(), list).store;
  EXPECT_EQ(refusal(good, "a.example.com", settings), "");
  EXPECT_EQ(refusal(bad, "a.example.com", settings), "certificate revoked");
  // A stale list never lets through.
  settings.authorities =
      TrustStore::parse(test_authority().pem(), test_authority().revocation_list({}, std::chrono::hours(-1))).store;
  EXPECT_EQ(refusal(good, "a.example.com", settings), "CRL has expired");
}

TEST_F(VerificationTest, ClientCertificateRequired) {
  const auto context = server_context(asking(ClientCertificate::kRequired), names_);
  PlainClient client;
  {
    Party server;
    const auto result = run_plain(server, context, client);
    EXPECT_TRUE(server.failed);
    EXPECT_STREQ(server.error.detail, "peer did not return a certificate");
    EXPECT_NE(result.error.find("certificate required"), std::string::npos) << result.error;
  }
  client.certificate = issue({"DNS:client"}, false, TestAuthority("Unknown Root"));
  {
    Party server;
    run_plain(server, context, client);
    EXPECT_TRUE(server.failed);
    EXPECT_STREQ(server.error.detail, "unable to get local issuer certificate");
  }
  client.certificate = issue({"DNS:client"});
  {
    Party server;
    EXPECT_TRUE(run_plain(server, context, client).connected);
    EXPECT_TRUE(server.done);
    EXPECT_TRUE(server.facts().client_certificate);
    EXPECT_EQ(server.facts().client_subject, "CN=DNS:client");
    EXPECT_EQ(server.facts().client_fingerprint, hex_text(client.certificate->fingerprint()));
    EXPECT_FALSE(server.facts().client_serial.empty());
  }
}

TEST_F(VerificationTest, ClientCertificateOptional) {
  const auto context = server_context(asking(ClientCertificate::kOptional), names_);
  PlainClient client;
  Party none;
  EXPECT_TRUE(run_plain(none, context, client).connected);
  EXPECT_FALSE(none.facts().client_certificate);
  client.certificate = issue({}, false, TestAuthority("Unknown Root"));
  Party wrong;
  run_plain(wrong, context, client);
  EXPECT_TRUE(wrong.failed);
  client.certificate = issue({});
  Party right;
  EXPECT_TRUE(run_plain(right, context, client).connected);
  EXPECT_TRUE(right.facts().client_certificate);
}

TEST_F(VerificationTest, ClientCertificateJudgedLater) {
  const auto context = server_context(asking(ClientCertificate::kJudged), names_);
  PlainClient client;
  client.certificate = issue({}, false, TestAuthority("Unknown Root"));
  Party wrong;
  const auto first = run_plain(wrong, context, client);
  EXPECT_TRUE(first.connected);
  ASSERT_TRUE(wrong.done);
  EXPECT_FALSE(wrong.facts().client_certificate);
  client.session = first.session.get();
  Party resumed;  // a ticket does not make it better
  EXPECT_TRUE(run_plain(resumed, context, client).connected);
  EXPECT_FALSE(resumed.facts().client_certificate);
  client.session = nullptr;
  client.certificate = issue({});
  Party right;
  EXPECT_TRUE(run_plain(right, context, client).connected);
  EXPECT_TRUE(right.facts().client_certificate);
}

TEST_F(VerificationTest, OurClientShowsItsCertificate) {
  ClientSettings settings;
  settings.certificate = issue({"DNS:me"});
  Party server;
  Party client;
  connect(server, client, server_context(asking(ClientCertificate::kRequired), names_), client_context(settings),
          {"10.0.0.1:443", "a.example.com"});
  EXPECT_TRUE(server.done && client.done);
  EXPECT_EQ(server.facts().client_subject, "CN=DNS:me");
}

TEST_F(VerificationTest, ServerNameIsSentUnlessItIsAnAddressOrUnwanted) {
  const auto context = server_context({}, table({issue({"DNS:a.example.com", "IP:192.0.2.1"})}));
  const auto sent = [&](const std::string& name, bool send) {
    ClientSettings settings;
    settings.send_sni = send;
    Party server;
    Party client;
    connect(server, client, context, client_context(settings), {"10.0.0.1:443", name});
    EXPECT_TRUE(server.done && client.done);
    return server.facts().server_name;
  };
  EXPECT_EQ(sent("a.example.com", true), "a.example.com");
  EXPECT_EQ(sent("a.example.com", false), "");
  EXPECT_EQ(sent("192.0.2.1", true), "");
}

}  // namespace
}  // namespace headgate::tls
