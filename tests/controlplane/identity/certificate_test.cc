#include "controlplane/identity/certificate.h"

#include "controlplane/identity/spiffe.h"
#include "dataplane/base/clock.h"
#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using std::chrono::hours;

class CertificateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    now_ = system_clock().wall();
    root_ = *make_root({.common_name = "test", .not_before = now_ - hours(1), .not_after = now_ + hours(24 * 3652)});
    folder_.write("root.pem", root_.chain_pem);
  }
  LeafSpec leaf() const { return {.not_before = now_ - hours(1), .not_after = now_ + hours(24)}; }

  test::TempFolder folder_;
  WallTime now_;
  KeyPair root_;
};

TEST_F(CertificateTest, OpensslTakesTheRootAndTheServer) {
  LeafSpec spec = leaf();
  spec.dns_names = {"headgate-controller.edge.svc", "headgate-controller"};
  spec.addresses = {"127.0.0.1", "2001:db8::7"};
  spec.server = true;
  const auto pair = issue(root_, spec);
  ASSERT_TRUE(pair);
  folder_.write("server.pem", pair->chain_pem);
  const std::string files = " -CAfile " + folder_.at("root.pem") + " " + folder_.at("server.pem");
  for (const char* name : {"-verify_hostname headgate-controller.edge.svc", "-verify_ip 127.0.0.1", "-verify_ip 2001:db8::7"}) {
    EXPECT_NE(run("openssl verify -x509_strict -purpose sslserver " + std::string(name) + files).find(": OK"), std::string::npos);
  }
  int status = 0;
  run("openssl verify -purpose sslserver -verify_hostname other" + files, &status);
  EXPECT_NE(status, 0);
  run("openssl verify -purpose sslclient" + files, &status);
  EXPECT_NE(status, 0) << "a server's certificate is none of a client";

  const std::string root_text = run("openssl x509 -noout -text -in " + folder_.at("root.pem"));
  EXPECT_NE(root_text.find("ASN1 OID: prime256v1"), std::string::npos) << root_text;
  EXPECT_NE(root_text.find("CA:TRUE, pathlen:0"), std::string::npos) << root_text;
  EXPECT_NE(root_text.find("Certificate Sign, CRL Sign"), std::string::npos) << root_text;
}

TEST_F(CertificateTest, ARequestCountsForItsKeyOnly) {
  LeafSpec spec = leaf();
  spec.uri = to_uri({"cluster.local", "shop", "web"});
  spec.pod_uid = "0f4f-77";
  spec.client = true;
  const auto chain = certify(root_, make_request(folder_), spec);
  ASSERT_TRUE(chain);
  folder_.write("client.pem", *chain);
  run("openssl verify -x509_strict -purpose sslclient -CAfile " + folder_.at("root.pem") + " " + folder_.at("client.pem"));
  const std::string text = run("openssl x509 -noout -subject -ext subjectAltName -in " + folder_.at("client.pem"));
  EXPECT_NE(text.find("URI:spiffe://cluster.local/ns/shop/sa/web"), std::string::npos) << text;
  EXPECT_NE(text.find("UID = 0f4f-77"), std::string::npos) << text;
  EXPECT_EQ(text.find("admin"), std::string::npos) << text;
  EXPECT_EQ(text.find("kube-system"), std::string::npos) << text;
  const std::string key = run("openssl pkey -pubout -in " + folder_.at("client.key"));
  EXPECT_EQ(run("openssl x509 -noout -pubkey -in " + folder_.at("client.pem")), key);

  const auto facts = verify_client(*chain, root_.chain_pem, now_);
  ASSERT_TRUE(facts) << facts.error().detail;
  EXPECT_EQ(facts->uris, std::vector<std::string>{spec.uri});
  EXPECT_EQ(facts->pod_uid, "0f4f-77");
  EXPECT_EQ(std::chrono::floor<std::chrono::seconds>(spec.not_after), facts->not_after);
}

TEST_F(CertificateTest, RequestsThatProveNothingAreRefused) {
  LeafSpec spec = leaf();
  spec.client = true;
  std::string request = make_request(folder_);
  EXPECT_EQ(certify(root_, request + "x", spec).error().code, Errc::kTls);
  EXPECT_EQ(certify(root_, request.substr(0, request.size() - 1), spec).error().code, Errc::kTls);
  EXPECT_EQ(certify(root_, "", spec).error().code, Errc::kTls);
  EXPECT_EQ(certify(root_, std::string(kMaxRequestBytes + 1, '\0'), spec).error().code, Errc::kTooLarge);
  // A name changed after it was signed.
  const size_t at = request.find("admin");
  ASSERT_NE(at, std::string::npos);
  request[at] = 'b';
  EXPECT_STREQ(certify(root_, request, spec).error().detail, "the certificate request is not signed with its key");

  EXPECT_TRUE(certify(root_, make_request(folder_, "rsa:2048"), spec));
  EXPECT_TRUE(certify(root_, make_request(folder_, "ed25519"), spec));
  for (const char* weak : {"rsa:1024", "ec -pkeyopt ec_paramgen_curve:secp256k1"}) {
    EXPECT_STREQ(certify(root_, make_request(folder_, weak), spec).error().detail,
                 "a key of a kind or size that is not certified")
        << weak;
  }
}

TEST_F(CertificateTest, ClientsAreVerifiedByChainDateAndUse) {
  LeafSpec spec = leaf();
  spec.client = true;
  const KeyPair client = *issue(root_, spec);
  EXPECT_TRUE(verify_client(client.chain_pem, root_.chain_pem, now_));
  EXPECT_STREQ(verify_client(client.chain_pem, root_.chain_pem, now_ + hours(25)).error().detail, "certificate has expired");
  EXPECT_STREQ(verify_client(client.chain_pem, root_.chain_pem, now_ - hours(2)).error().detail, "certificate is not yet valid");
  const KeyPair other = *make_root({.common_name = "test", .not_before = now_ - hours(1), .not_after = now_ + hours(24)});
  EXPECT_FALSE(verify_client(client.chain_pem, other.chain_pem, now_)) << "same name, another key";
  EXPECT_TRUE(verify_client(client.chain_pem, other.chain_pem + root_.chain_pem, now_));
  EXPECT_FALSE(verify_client("", root_.chain_pem, now_));
  EXPECT_FALSE(verify_client(client.chain_pem, "", now_));
  EXPECT_FALSE(verify_client(client.chain_pem + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", root_.chain_pem, now_));
  spec.client = false;
  spec.server = true;
  EXPECT_FALSE(verify_client(issue(root_, spec)->chain_pem, root_.chain_pem, now_)) << "a server's certificate";
  // A leaf signs nothing.
  spec.client = true;
  EXPECT_FALSE(verify_client(issue(client, spec)->chain_pem + client.chain_pem, root_.chain_pem, now_));
}

TEST_F(CertificateTest, NothingOutlivesItsIssuer) {
  const KeyPair root = *make_root({.common_name = "short", .not_before = now_ - hours(1), .not_after = now_ + hours(2)});
  LeafSpec spec = leaf();
  spec.client = true;
  EXPECT_EQ(inspect(issue(root, spec)->chain_pem)->not_after, inspect(root.chain_pem)->not_after);
  spec.not_before = now_ + hours(3);
  EXPECT_STREQ(issue(root, spec).error().detail, "the authority has expired");
  EXPECT_FALSE(issue({.chain_pem = root.chain_pem, .key_pem = root_.key_pem}, leaf())) << "the key of another";
}

TEST_F(CertificateTest, SerialsDiffer) {
  LeafSpec spec = leaf();
  spec.client = true;
  EXPECT_NE(inspect(issue(root_, spec)->chain_pem)->fingerprint, inspect(issue(root_, spec)->chain_pem)->fingerprint);
  folder_.write("a.pem", issue(root_, spec)->chain_pem);
  folder_.write("b.pem", issue(root_, spec)->chain_pem);
  const std::string first = run("openssl x509 -noout -serial -in " + folder_.at("a.pem"));
  EXPECT_NE(first, run("openssl x509 -noout -serial -in " + folder_.at("b.pem")));
  EXPECT_EQ(first.size(), std::string("serial=\n").size() + 32);
}

TEST(Spiffe, OneShape) {
  const WorkloadName name{"cluster.local", "shop", "web.v1"};
  EXPECT_EQ(to_uri(name), "spiffe://cluster.local/ns/shop/sa/web.v1");
  EXPECT_EQ(parse_workload_uri(to_uri(name)), name);
  for (const char* wrong :
       {"", "spiffe://", "spiffe://cluster.local", "spiffe://cluster.local/ns/shop/sa/", "spiffe://cluster.local/ns//sa/web",
        "spiffe://cluster.local/ns/shop/sa/web/", "spiffe://cluster.local/ns/shop/sa/web/x", "https://cluster.local/ns/shop/sa/web",
        "spiffe://Cluster.local/ns/shop/sa/web", "spiffe://cluster.local:80/ns/shop/sa/web", "spiffe://cluster.local/ns/a.b/sa/web",
        "spiffe://cluster.local/sa/shop/ns/web", "spiffe://cluster.local/ns/shop/sa/%77eb", "spiffe://cluster.local/ns/shop/sa/web?x"}) {
    EXPECT_FALSE(parse_workload_uri(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace headgate::identity
