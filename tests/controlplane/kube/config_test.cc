// config_test.cc -- what a Pod's mount and kubeconfig files say about the API server, and what is refused.
#include "controlplane/kube/config.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/temp_folder.h"

namespace headgate::kube {
namespace {

Environment environment(std::map<std::string, std::string> values) {
  return [values](const char* name) -> const char* {
    const auto found = values.find(name);
    return found == values.end() ? nullptr : found->second.c_str();
  };
}

constexpr const char* kPlain = R"(
apiVersion: v1
kind: Config
current-context: main
clusters:
- name: one
  cluster: {server: "https://api.example.test:6443/prefix/", certificate-authority: ca.crt, tls-server-name: kubernetes}
- name: six
  cluster: {server: "https://[2001:db8::1]:6443", insecure-skip-tls-verify: true}
contexts:
- name: main
  context: {cluster: one, user: admin, namespace: shop}
- name: bare
  context: {cluster: six}
- name: keys
  context: {cluster: six, user: keys}
users:
- name: admin
  user: {tokenFile: token, token: old}
- name: keys
  user: {client-certificate-data: Y2VydA==, client-key: /keys/key.pem}
)";

std::optional<Config> parse(const std::string& text, const std::string& context, std::string& problem) {
  return parse_kubeconfig({{text, "/folder"}}, context, problem);
}

TEST(Kubeconfig, CurrentContext) {
  std::string problem;
  const auto config = parse(kPlain, "", problem);
  ASSERT_TRUE(config) << problem;
  EXPECT_EQ(config->host, "api.example.test");
  EXPECT_EQ(config->port, 6443);
  EXPECT_EQ(config->path_prefix, "/prefix");
  EXPECT_TRUE(config->tls && config->verify);
  EXPECT_EQ(config->server_name, "kubernetes");
  EXPECT_EQ(config->authority.file, "/folder/ca.crt");
  EXPECT_EQ(config->token_file, "/folder/token");
  EXPECT_EQ(config->token, "old");
  EXPECT_EQ(config->name_space, "shop");
}

TEST(Kubeconfig, ChosenContexts) {
  std::string problem;
  const auto bare = parse(kPlain, "bare", problem);
  ASSERT_TRUE(bare) << problem;
  EXPECT_EQ(bare->host, "2001:db8::1");
  EXPECT_FALSE(bare->verify);
  EXPECT_EQ(bare->name_space, "default");
  EXPECT_TRUE(bare->token.empty() && bare->certificate.empty());
  const auto keys = parse(kPlain, "keys", problem);
  ASSERT_TRUE(keys) << problem;
  EXPECT_EQ(keys->certificate.text, "cert");
  EXPECT_EQ(keys->key.file, "/keys/key.pem");
}

TEST(Kubeconfig, FirstFileWins) {
  std::string problem;
  const std::string first = "current-context: b\nclusters: [{name: c, cluster: {server: 'http://first'}}]";
  const std::string second =
      "current-context: a\nclusters: [{name: c, cluster: {server: 'http://second'}}]\n"
      "contexts: [{name: b, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {tokenFile: t}}]";
  const auto config = parse_kubeconfig({{first, "/1"}, {second, "/2"}}, "", problem);
  ASSERT_TRUE(config) << problem;
  EXPECT_EQ(config->host, "first");
  EXPECT_FALSE(config->tls);
  EXPECT_EQ(config->port, 80);
  EXPECT_EQ(config->token_file, "/2/t");
}

TEST(Kubeconfig, RefusedWithItsReason) {
  const std::string head = "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n";
  const std::string cluster = "clusters: [{name: c, cluster: {server: 'https://h'}}]\n";
  const struct {
    std::string text;
    const char* reason;
  } kCases[] = {
      {head + cluster + "users: [{name: u, user: {exec: {command: aws}}}]", "exec plugins are not supported"},
      {head + cluster + "users: [{name: u, user: {auth-provider: {name: gcp}}}]", "auth-provider is not supported"},
      {head + cluster + "users: [{name: u, user: {as: root, token: t}}]", "impersonation (as) is not supported"},
      {head + cluster + "users: [{name: u, user: {client-certificate: c}}]", "need each other"},
      {head + cluster + "users: [{name: u, user: {client-key-data: '%', client-certificate: c}}]", "is not base64"},
      {head + cluster, "there is no user \"u\""},
      {head, "there is no cluster \"c\""},
      {"clusters: []", "no current-context"},
      {"current-context: x", "there is no context \"x\""},
      {"- 1\n- 2", "is a mapping"},
      {"a: [b", "kubeconfig: yaml-cpp"},
      {"current-context: a\ncontexts: 3", "there is no context"},
      {head + "clusters: [{name: c, cluster: {server: 'h:80'}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: 'https://h:0'}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: 'https://h:99999'}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: 'https://[::1'}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: \"https://h/a b\"}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: \"https://h\\r\\nX: y\"}}]", "is not a URL"},
      {head + "clusters: [{name: c, cluster: {server: 'https://h', proxy-url: 'http://p'}}]", "proxy-url"},
      {head + "clusters: [{name: c, cluster: {server: 'https://h', insecure-skip-tls-verify: true, "
              "certificate-authority: a}}]", "exclude each other"},
  };
  for (const auto& test : kCases) {
    std::string problem;
    EXPECT_FALSE(parse(test.text, "", problem)) << test.text;
    EXPECT_NE(problem.find(test.reason), std::string::npos) << test.text << "\n" << problem;
  }
}

TEST(FindConfig, TheListOfKubeconfigMayHaveGaps) {
  const test::TempFolder folder;
  folder.write("b", kPlain);
  std::string problem;
  const auto with = environment({{"KUBECONFIG", folder.at("a") + "::" + folder.at("b")}});
  const auto config = find_config("", "", problem, with);
  ASSERT_TRUE(config) << problem;
  EXPECT_EQ(config->token_file, folder.at("token"));
  EXPECT_FALSE(find_config("", "", problem, environment({{"KUBECONFIG", folder.at("a")}})));
  EXPECT_EQ(problem, "no file of KUBECONFIG exists");
  // A file that was named has to exist.
  EXPECT_FALSE(find_config(folder.at("a"), "", problem, with));
  EXPECT_FALSE(find_config("", "", problem, environment({})));
}

TEST(InCluster, AddressesAndFiles) {
  const test::TempFolder mount;
  mount.write("token", "t");
  mount.write("ca.crt", "c");
  mount.write("namespace", "headgate\n");
  std::string problem;
  const auto six = in_cluster_config(
      mount.path(), problem, environment({{"KUBERNETES_SERVICE_HOST", "fd00::1"}, {"KUBERNETES_SERVICE_PORT", "443"}}));
  ASSERT_TRUE(six) << problem;
  EXPECT_EQ(six->host, "fd00::1");
  EXPECT_EQ(six->name_space, "headgate");
  EXPECT_TRUE(six->tls && six->verify);
  EXPECT_EQ(six->authority.file, mount.at("ca.crt"));
  const auto bracketed = in_cluster_config(
      mount.path(), problem, environment({{"KUBERNETES_SERVICE_HOST", "[fd00::1]"}, {"KUBERNETES_SERVICE_PORT", "1"}}));
  ASSERT_TRUE(bracketed);
  EXPECT_EQ(bracketed->host, "fd00::1");
  EXPECT_FALSE(in_cluster_config(mount.path(), problem, environment({{"KUBERNETES_SERVICE_HOST", "h"}})));
  mount.remove("token");
  EXPECT_FALSE(in_cluster_config(mount.path(), problem,
                                 environment({{"KUBERNETES_SERVICE_HOST", "h"}, {"KUBERNETES_SERVICE_PORT", "1"}})));
  EXPECT_NE(problem.find("automountServiceAccountToken"), std::string::npos);
}

TEST(SmallFile, Limits) {
  const test::TempFolder folder;
  folder.write("big", std::string((1 << 20) + 1, 'x'));
  folder.write("fits", std::string(1 << 20, 'x'));
  EXPECT_EQ(read_small_file(folder.at("big")).error().code, Errc::kTooLarge);
  EXPECT_EQ(read_small_file(folder.at("fits"))->size(), 1U << 20);
  EXPECT_EQ(read_small_file(folder.at("none")).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace headgate::kube
