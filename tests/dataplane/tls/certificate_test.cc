#include "dataplane/tls/certificate.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "dataplane/tls/server_names.h"
#include "dataplane/tls/trust_store.h"
#include "tests/support/test_certificates.h"

namespace headgate::tls {
namespace {

using testing::CertificateSpec;
using testing::PemPair;
using testing::TestAuthority;

const WallTime kNow = system_clock().wall();

const TestAuthority& authority() {
  static const TestAuthority made("Test Root");
  return made;
}
CertificateSpec spec_of(std::vector<std::string> names) {
  CertificateSpec spec;
  spec.alternative_names = std::move(names);
  return spec;
}
std::shared_ptr<const Certificate> made(const CertificateSpec& spec) {
  const PemPair pair = authority().issue(spec);
  auto outcome = Certificate::parse(pair.chain, pair.key, {}, kNow);
  EXPECT_NE(outcome.certificate, nullptr) << outcome.problem;
  return outcome.certificate;
}

TEST(Certificate, NamesAreLowerCaseAndFromTheAlternativeNames) {
  auto spec = spec_of({"DNS:Shop.Example.COM", "DNS:*.example.org", "IP:192.0.2.1", "DNS:shop.example.com"});
  spec.common_name = "ignored.example.com";
  const auto certificate = made(spec);
  EXPECT_EQ(certificate->names(), (std::vector<std::string>{"shop.example.com", "*.example.org"}));
  EXPECT_EQ(certificate->key_kind(), KeyKind::kEcdsa);
  EXPECT_GT(certificate->not_after(), kNow);
}

TEST(Certificate, CommonNameOnlyWithoutAlternativeNames) {
  CertificateSpec spec;
  spec.common_name = "Old.example.com";
  EXPECT_EQ(made(spec)->names(), std::vector<std::string>{"old.example.com"});
  spec.common_name = "Some Company, Inc.";
  EXPECT_TRUE(made(spec)->names().empty());
}

TEST(Certificate, ProblemsAreNamed) {
  const PemPair a = authority().issue(spec_of({"DNS:a.example"}));
  const PemPair b = authority().issue(spec_of({"DNS:b.example"}));
  const auto problem = [&](std::string_view chain, const std::string& key) {
    auto outcome = Certificate::parse(chain, key, {}, kNow);
    EXPECT_EQ(outcome.certificate, nullptr);
    return outcome.problem;
  };
  EXPECT_EQ(problem(a.chain, b.key), "the private key does not belong to the certificate");
  EXPECT_NE(problem("", a.key).find("no certificate"), std::string::npos);
  EXPECT_NE(problem(a.chain, "").find("no private key"), std::string::npos);
  EXPECT_NE(problem(a.key, a.key).find("no certificate"), std::string::npos);
  std::string broken = a.chain;
  broken[broken.size() / 2] = '!';
  EXPECT_NE(problem(broken, a.key).find("certificate 1 cannot be read"), std::string::npos);
  EXPECT_NE(problem(a.chain + broken, a.key).find("certificate 2 cannot be read"), std::string::npos);
  std::string broken_key = a.key;
  broken_key[broken_key.size() / 2] = '!';
  EXPECT_NE(problem(a.chain, broken_key).find("cannot be read"), std::string::npos);
}

TEST(Certificate, EncryptedKeyIsRefusedWithoutAsking) {
  const PemPair pair = authority().issue(spec_of({"DNS:a.example"}));
  const OpensslPtr<bio_st> in(BIO_new_mem_buf(pair.key.data(), -1));
  const OpensslPtr<evp_pkey_st> key(PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr));
  const OpensslPtr<bio_st> out(BIO_new(BIO_s_mem()));
  unsigned char password[] = "secret";
  ASSERT_EQ(PEM_write_bio_PrivateKey(out.get(), key.get(), EVP_aes_128_cbc(), password, 6, nullptr, nullptr), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  const auto outcome = Certificate::parse(pair.chain, {text, static_cast<size_t>(size)}, {}, kNow);
  EXPECT_NE(outcome.problem.find("encrypted"), std::string::npos);
}

TEST(Certificate, WeakKeyIsRefused) {
  CertificateSpec spec = spec_of({"DNS:a.example"});
  spec.rsa = true;
  spec.rsa_bits = 1024;
  const PemPair pair = authority().issue(spec);
  EXPECT_NE(Certificate::parse(pair.chain, pair.key, {}, kNow).problem.find("1024 bits"), std::string::npos);
}

TEST(Certificate, DatesAndOrderAreWarnings) {
  CertificateSpec spec = spec_of({"DNS:a.example"});
  spec.begins = std::chrono::hours(-48);
  spec.ends = std::chrono::hours(-24);
  const PemPair old = authority().issue(spec);
  auto outcome = Certificate::parse(old.chain + authority().pem(), old.key, {}, kNow);
  ASSERT_NE(outcome.certificate, nullptr);
  ASSERT_EQ(outcome.warnings.size(), 1U);
  EXPECT_NE(outcome.warnings[0].find("expired at"), std::string::npos);
  spec.begins = std::chrono::hours(24);
  spec.ends = std::chrono::hours(48);
  const PemPair early = authority().issue(spec);
  outcome = Certificate::parse(early.chain + TestAuthority("Other").pem(), early.key, {}, kNow);
  ASSERT_EQ(outcome.warnings.size(), 2U);
  EXPECT_NE(outcome.warnings[0].find("not valid before"), std::string::npos);
  EXPECT_NE(outcome.warnings[1].find("did not issue"), std::string::npos);
}

TEST(Certificate, OcspResponseMustBeOne) {
  const PemPair pair = authority().issue(spec_of({"DNS:a.example"}));
  EXPECT_NE(Certificate::parse(pair.chain, pair.key, "garbage", kNow).problem.find("OCSP"), std::string::npos);
}

TEST(TrustStore, ReadsAuthoritiesAndLists) {
  const auto one = TrustStore::parse(authority().pem());
  ASSERT_NE(one.store, nullptr) << one.problem;
  const auto again = TrustStore::parse(authority().pem());
  EXPECT_EQ(one.store->digest(), again.store->digest());
  const auto listed = TrustStore::parse(authority().pem(), authority().revocation_list({}, std::chrono::hours(24)));
  ASSERT_NE(listed.store, nullptr) << listed.problem;
  EXPECT_NE(one.store->digest(), listed.store->digest());
  EXPECT_NE(TrustStore::parse("").problem.find("no certificate"), std::string::npos);
  EXPECT_NE(TrustStore::parse(authority().pem(), "x").problem.find("no revocation list"), std::string::npos);
  EXPECT_NE(TrustStore::system(), nullptr);
}

TEST(ServerNames, ExactBeforeWildcardBeforeDefault) {
  const auto exact = made(spec_of({"DNS:a.example.com"}));
  const auto wildcard = made(spec_of({"DNS:*.example.com"}));
  const auto other = made(spec_of({"DNS:other.test"}));
  const std::vector<CertificateBinding> bindings = {{other, {}, false}, {wildcard, {}, false}, {exact, {}, false}};
  std::string problem;
  std::vector<std::string> warnings;
  const auto names = ServerNames::build(bindings, problem, warnings);
  ASSERT_NE(names, nullptr) << problem;
  EXPECT_TRUE(warnings.empty());
  EXPECT_EQ(names->find("a.example.com")->ecdsa, exact.get());
  EXPECT_EQ(names->find("b.example.com")->ecdsa, wildcard.get());
  EXPECT_EQ(names->find("x.b.example.com"), nullptr);  // one label only
  EXPECT_EQ(names->find("example.com"), nullptr);
  EXPECT_EQ(names->find(""), nullptr);
  EXPECT_EQ(names->find(".example.com"), nullptr);
  EXPECT_EQ(names->default_entry().ecdsa, other.get());
}

TEST(ServerNames, BothKindsOfKeyAnswerOneName) {
  CertificateSpec spec = spec_of({"DNS:a.example.com"});
  const auto ecdsa = made(spec);
  spec.rsa = true;
  const auto rsa = made(spec);
  std::string problem;
  std::vector<std::string> warnings;
  const std::vector<CertificateBinding> both = {{rsa, {}, false}, {ecdsa, {}, false}};
  const auto names = ServerNames::build(both, problem, warnings);
  EXPECT_EQ(*names->find("a.example.com"), (ServerNames::Entry{ecdsa.get(), rsa.get()}));
  EXPECT_EQ(names->default_entry(), (ServerNames::Entry{ecdsa.get(), rsa.get()}));
  const std::vector<CertificateBinding> twice = {
      {rsa, {}, true}, {rsa, {"b.example.com"}, false}, {made(spec), {}, false}};
  const auto table = ServerNames::build(twice, problem, warnings);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("a.example.com"), std::string::npos);
  EXPECT_EQ(table->find("a.example.com")->rsa, rsa.get());
  EXPECT_EQ(table->find("b.example.com")->rsa, rsa.get());
}

TEST(ServerNames, RefusesWhatIsNoName) {
  const auto certificate = made(spec_of({"DNS:a.example.com"}));
  std::vector<std::string> warnings;
  for (const char* name : {"192.0.2.1", "*", "a b", "", "*.*.example.com", "::1"}) {
    std::string problem;
    const std::vector<CertificateBinding> bindings = {{certificate, {name}, false}};
    EXPECT_EQ(ServerNames::build(bindings, problem, warnings), nullptr) << name;
    EXPECT_NE(problem.find("server name"), std::string::npos);
  }
  std::string problem;
  EXPECT_EQ(ServerNames::build({}, problem, warnings), nullptr);
  EXPECT_FALSE(problem.empty());
}

TEST(ServerNames, TenThousandNamesAreFoundAtOnce) {
  const auto certificate = made(spec_of({"DNS:a.example.com"}));
  CertificateBinding binding{certificate, {}, false};
  for (int i = 0; i < 10'000; ++i) binding.names.push_back("host" + std::to_string(i) + ".example.com");
  std::string problem;
  std::vector<std::string> warnings;
  const auto names = ServerNames::build({&binding, 1}, problem, warnings);
  EXPECT_EQ(names->size(), 10'000U);
  EXPECT_NE(names->find("host9999.example.com"), nullptr);
  EXPECT_EQ(names->find("host10000.example.com"), nullptr);
}

}  // namespace
}  // namespace headgate::tls
