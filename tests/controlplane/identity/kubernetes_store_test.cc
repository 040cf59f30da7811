// kubernetes_store_test.cc -- Secrets of a (fake) API server as the place where the authority is kept.
#include "controlplane/identity/kubernetes_store.h"

#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::identity {
namespace {

class KubernetesStore : public kube::ApiTest {
 protected:
  KubernetesStore() {
    server.add_collection("/api/v1", "secrets", "Secret");
    store = make_kubernetes_secret_store(transport, "system");
  }
  kube::Transport transport{kube::config_of(server)};
  std::unique_ptr<SecretStore> store;
};

TEST_F(KubernetesStore, MakesReadsAndReplaces) {
  EXPECT_EQ(store->load("ca").error().code, Errc::kNotFound);
  ASSERT_TRUE(store->save("ca", {{"ca.crt", "one"}}, "").has_value());
  const auto loaded = store->load("ca");
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->data.at("ca.crt"), "one");
  ASSERT_TRUE(store->save("ca", {{"ca.crt", "two"}}, loaded->version).has_value());
  EXPECT_EQ(store->load("ca")->data.at("ca.crt"), "two");
}

// The chart makes the Secret without data, and gives no right to create any.
TEST_F(KubernetesStore, AnEmptySecretIsNoneAndIsFilled) {
  server.put("secrets", object("system", "ca"));
  EXPECT_EQ(store->load("ca").error().code, Errc::kNotFound);
  ASSERT_TRUE(store->save("ca", {{"ca.crt", "one"}}, "").has_value());
  EXPECT_EQ(store->load("ca")->data.at("ca.crt"), "one");
  EXPECT_EQ(server.count("POST "), 0U);
}

TEST_F(KubernetesStore, WhoeverWasFasterIsNotOverwritten) {
  ASSERT_TRUE(store->save("ca", {{"ca.crt", "theirs"}}, "").has_value());
  const auto late = store->save("ca", {{"ca.crt", "ours"}}, "");
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Errc::kExists);
  EXPECT_EQ(store->load("ca")->data.at("ca.crt"), "theirs");
}

}  // namespace
}  // namespace headgate::identity
