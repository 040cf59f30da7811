// kubernetes_store_test.cc -- the API server as reviewer, keeper and publisher, over real sockets.
#include "controlplane/identity/kubernetes_store.h"

#include "controlplane/identity/authority.h"
#include "tests/controlplane/identity/identity_fixture.h"
#include "tests/support/fake_api_server.h"

namespace headgate::identity {
namespace {

using test::FakeApiServer;
using Json = FakeApiServer::Json;

class KubernetesStoreTest : public ::testing::Test {
 protected:
  KubernetesStoreTest() : transport_(config()), kept_(make_kubernetes_secret_store(transport_, "edge")), store_(*kept_) {
    api_.add_collection("/api/v1", "secrets", "Secret");
    api_.add_collection("/api/v1", "configmaps", "ConfigMap");
  }
  kube::Config config() const {
    kube::Config made;
    made.tls = false;
    made.host = "127.0.0.1";
    made.port = api_.port();
    return made;
  }

  FakeApiServer api_;
  kube::Transport transport_;
  std::unique_ptr<SecretStore> kept_;
  SecretStore& store_;
};

TEST_F(KubernetesStoreTest, ASecretIsMadeReadAndReplaced) {
  EXPECT_EQ(store_.load("ca").error().code, Errc::kNotFound);
  const std::string bytes("\0\xff key", 6);
  const auto first = store_.save("ca", {{"ca.key", bytes}, {"ca.crt", "c"}}, "");
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(store_.save("ca", {}, "").error().code, Errc::kExists);
  auto loaded = store_.load("ca");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->data, (SecretData{{"ca.key", bytes}, {"ca.crt", "c"}}));
  EXPECT_EQ(loaded->version, *first);

  Json object = *api_.find("secrets", "edge", "ca");
  EXPECT_EQ(object["type"], "Opaque");
  object["metadata"]["annotations"]["owner"] = "somebody";
  api_.put("secrets", object);
  EXPECT_EQ(store_.save("ca", {{"a", "b"}}, *first).error().code, Errc::kExists) << "it was changed meanwhile";
  loaded = store_.load("ca");
  ASSERT_TRUE(store_.save("ca", {{"a", "b"}}, loaded->version));
  EXPECT_EQ((*api_.find("secrets", "edge", "ca"))["metadata"]["annotations"]["owner"], "somebody");
  EXPECT_EQ(store_.load("ca")->data, (SecretData{{"a", "b"}}));
}

// The chart makes the Secret without data, and gives no right to create any.
TEST_F(KubernetesStoreTest, AnEmptySecretIsNoneAndIsFilled) {
  api_.put("secrets", {{"metadata", {{"name", "ca"}, {"namespace", "edge"}}}});
  EXPECT_EQ(store_.load("ca").error().code, Errc::kNotFound);
  ASSERT_TRUE(store_.save("ca", {{"ca.crt", "one"}}, ""));
  EXPECT_EQ(store_.load("ca")->data.at("ca.crt"), "one");
  EXPECT_EQ(api_.count("POST "), 0U);
}

TEST_F(KubernetesStoreTest, TheWriteItselfIsGuarded) {
  const auto first = store_.save("ca", {{"a", "1"}}, "");
  ASSERT_TRUE(first);
  bool changed = false;
  api_.on_request([&](const std::string& line) {
    if (!line.starts_with("PUT ") || std::exchange(changed, true)) return;
    Json object = *api_.find("secrets", "edge", "ca");
    object["data"]["a"] = "Mg==";
    api_.put("secrets", object);
  });
  EXPECT_EQ(store_.save("ca", {{"a", "3"}}, *first).error().code, Errc::kExists);
  EXPECT_EQ(store_.load("ca")->data.at("a"), "2");
}

TEST_F(KubernetesStoreTest, FailuresAreNotAnAbsence) {
  api_.answer("GET /api/v1/namespaces/edge/secrets/ca", 1, 403, "no");
  EXPECT_EQ(store_.load("ca").error().code, Errc::kDenied);
  api_.answer("GET /api/v1/namespaces/edge/secrets/ca", 1, 200, R"({"metadata":{"resourceVersion":"1"},"data":{"a":"%"}})");
  EXPECT_EQ(store_.load("ca").error().code, Errc::kMalformed);
  api_.stop();
  EXPECT_EQ(store_.load("ca").error().code, Errc::kRefused);
}

TEST_F(KubernetesStoreTest, AnAuthorityLivesInTheCluster) {
  AuthorityOptions options{.store = &store_, .publish = kubernetes_roots_publisher(transport_, "edge")};
  Authority leader(options);
  ASSERT_TRUE(leader.refresh(true));
  Authority other({.store = &store_});
  ASSERT_TRUE(other.refresh(false));
  EXPECT_EQ(other.roots_pem(), leader.roots_pem());
  EXPECT_EQ((*api_.find("configmaps", "edge", kRootsConfigMap))["data"]["ca.crt"], leader.roots_pem());
  leader.request_rotation();
  ASSERT_TRUE(leader.refresh(true));
  const std::string both = (*api_.find("configmaps", "edge", kRootsConfigMap))["data"]["ca.crt"];
  EXPECT_EQ(split_chain(both)->size(), 2U);
  EXPECT_EQ(both, leader.roots_pem());
  const auto stored = CertificateAuthority::parse(store_.load("headgate-ca")->data);
  EXPECT_TRUE(stored->has_next());
}

TEST_F(KubernetesStoreTest, ReviewsAreAskedAndRead) {
  const auto reviewer = make_kubernetes_token_reviewer(transport_);
  api_.answer("POST /apis/authentication.k8s.io/v1/tokenreviews", 1, 201, R"({"status":{"authenticated":true,
      "audiences":["headgate.dev/control"],"user":{"username":"system:serviceaccount:shop:web","uid":"u","groups":[
      "system:serviceaccounts","system:serviceaccounts:shop","system:authenticated"],"extra":{
      "authentication.kubernetes.io/pod-name":["web-0"],"authentication.kubernetes.io/pod-uid":["0f4f"],
      "authentication.kubernetes.io/node-name":["n1"]}}}})");
  const auto review = reviewer->review("t", kTokenAudience);
  ASSERT_TRUE(review);
  const auto identity = judge_review(*review, kTokenAudience);
  ASSERT_TRUE(identity) << identity.error().detail;
  EXPECT_EQ(identity->namespace_name + "/" + identity->pod + "/" + identity->pod_uid, "shop/web-0/0f4f");

  api_.answer("POST /apis/authentication.k8s.io/v1/tokenreviews", 1, 201, R"({"status":{"authenticated":false,"error":"bad"}})");
  EXPECT_EQ(judge_review(*reviewer->review("t", kTokenAudience), kTokenAudience).error().code, Errc::kDenied);
  for (const auto& [status, body] : {std::pair<int, const char*>{403, "no"}, {500, ""}, {201, "[]"}, {201, "{"}, {401, "x"}}) {
    api_.answer("POST /apis/authentication.k8s.io/v1/tokenreviews", 1, status, body);
    const auto failed = reviewer->review("t", kTokenAudience);
    ASSERT_FALSE(failed) << status;
    EXPECT_NE(failed.error().code, Errc::kDenied) << "no answer is no denial";
  }
}

}  // namespace
}  // namespace headgate::identity
