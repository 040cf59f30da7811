// The watches of a cluster: all of it, or the namespaces that were named and no others.
#include "controlplane/controller/kubernetes_source.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "controlplane/kube/config.h"
#include "kubernetes/networking.pb.h"
#include "tests/support/fake_api_server.h"

namespace headgate::controller {
namespace {

class KubernetesSourceTest : public testing::Test {
 protected:
  KubernetesSourceTest() {
    api_.add_collection("/apis/networking.k8s.io/v1", "ingresses", "Ingress");
    api_.add_collection("/apis/networking.k8s.io/v1", "ingressclasses", "IngressClass");
    api_.add_collection("/api/v1", "services", "Service");
    api_.add_collection("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice");
    api_.add_collection("/api/v1", "secrets", "Secret");
    api_.add_collection("/api/v1", "configmaps", "ConfigMap");
    for (const char* name_space : {"blue", "green", "red"}) put(name_space, "web");
    api_.on_request([this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      lines_ += line + "\n";
    });
  }

  void put(const std::string& name_space, const std::string& name) {
    api_.put("ingresses", {{"metadata", {{"name", name}, {"namespace", name_space}}}});
  }
  void start(std::vector<std::string> namespaces) {
    kube::Config config;
    config.tls = false;
    config.host = "127.0.0.1";
    config.port = api_.port();
    transport_.emplace(std::move(config));
    KubernetesSourceOptions options{.namespaces_watched = std::move(namespaces)};
    options.on_change = [this] {
      const std::lock_guard lock(mutex_);
      changed_.notify_all();
    };
    source_.emplace(*transport_, std::move(options));
    ASSERT_TRUE(source_->start());
  }
  std::set<std::string> ingresses() {
    std::set<std::string> names;
    source_->freeze().visit<kubernetes::Ingress>([&](const world::ObjectKey& key, const kubernetes::Ingress&) {
      names.insert(key.name_space + "/" + key.name);
    });
    return names;
  }
  bool wait(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::milliseconds(50));
    }
    return true;
  }
  bool asked(const std::string& part) {
    const std::lock_guard lock(mutex_);
    return lines_.find(part) != std::string::npos;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string lines_;
  test::FakeApiServer api_;
  std::optional<kube::Transport> transport_;
  std::optional<KubernetesSource> source_;
};

TEST_F(KubernetesSourceTest, EverythingUnlessNamespacesAreNamed) {
  start({});
  ASSERT_TRUE(wait([&] { return source_->synced(); }));
  EXPECT_EQ(ingresses(), (std::set<std::string>{"blue/web", "green/web", "red/web"}));
  source_->stop();
}

TEST_F(KubernetesSourceTest, SeveralNamespacesAndNoOthers) {
  start({"blue", "green"});
  ASSERT_TRUE(wait([&] { return source_->synced(); }));
  EXPECT_EQ(ingresses(), (std::set<std::string>{"blue/web", "green/web"}));
  put("red", "more");
  put("green", "more");
  EXPECT_TRUE(wait([&] { return ingresses().contains("green/more"); }));
  api_.remove("ingresses", "blue", "web");
  EXPECT_TRUE(wait([&] { return !ingresses().contains("blue/web"); }));
  EXPECT_EQ(ingresses(), (std::set<std::string>{"green/web", "green/more"}));
  EXPECT_TRUE(asked("/namespaces/blue/ingresses") && asked("/namespaces/green/secrets"));
  EXPECT_FALSE(asked("/api/v1/secrets")) << "a Role of these namespaces is enough";
  source_->stop();
}

}  // namespace
}  // namespace headgate::controller
