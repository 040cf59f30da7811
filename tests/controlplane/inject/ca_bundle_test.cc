#include "controlplane/inject/ca_bundle.h"

#include <gtest/gtest.h>

#include <thread>

#include "controlplane/inject/base64.h"
#include "tests/support/fake_api_server.h"

namespace headgate::inject {
namespace {

using test::FakeApiServer;

Json webhook(const std::string& name, const std::string& bundle) {
  Json made = {{"name", name}, {"clientConfig", {{"service", {{"name", "hook"}}}}}};
  if (!bundle.empty()) made["clientConfig"]["caBundle"] = bundle;
  return made;
}

TEST(CaBundlePatch, OnlyOursAndOnlyWhatDiffers) {
  const Json configuration = {{"webhooks", {webhook("ns.injector.headgate.dev", ""), webhook("x.example", ""),
                                            webhook("pod.injector.headgate.dev", "b2xk"), webhook("z.headgate.dev", "bmV3")}}};
  const Json patch = ca_bundle_patch(configuration, "bmV3");
  EXPECT_EQ(patch.size(), 4U) << patch.dump(2);
  const Json after = configuration.patch(patch);
  EXPECT_EQ(after["webhooks"][0]["clientConfig"]["caBundle"], "bmV3");
  EXPECT_FALSE(after["webhooks"][1]["clientConfig"].contains("caBundle"));
  EXPECT_EQ(after["webhooks"][2]["clientConfig"]["caBundle"], "bmV3");
  EXPECT_TRUE(ca_bundle_patch(after, "bmV3").empty());
  Json reordered = configuration;
  std::swap(reordered["webhooks"][0], reordered["webhooks"][1]);
  EXPECT_ANY_THROW((void)reordered.patch(patch)) << "guarded by the names";
  for (const char* text : {"{}", "[]", R"({"webhooks":{}})", R"({"webhooks":[1,{"name":"a.headgate.dev"}]})"}) {
    EXPECT_TRUE(ca_bundle_patch(Json::parse(text), "x").empty()) << text;
  }
}

TEST(Base64, AsInTheRfc) {
  for (const auto& [bytes, text] : {std::pair<const char*, const char*>{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
                                    {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(encode_base64(bytes), text);
  }
  EXPECT_EQ(encode_base64("\xff\xfe\xfd"), "//79");
}

class CaBundleTest : public ::testing::Test {
 protected:
  CaBundleTest() : transport_(config()) {
    api_.add_collection("/apis/admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration");
    write("");
  }
  kube::Config config() const {
    kube::Config made;
    made.tls = false;
    made.host = "127.0.0.1";
    made.port = api_.port();
    return made;
  }
  void write(const std::string& bundle) {
    api_.put("mutatingwebhookconfigurations",
             {{"metadata", {{"name", "headgate-injector"}, {"labels", {{"headgate.dev/webhook", "true"}}}}},
              {"webhooks", {webhook("ns.injector.headgate.dev", bundle)}}});
  }
  [[nodiscard]] std::string bundle() const {
    const auto object = api_.find("mutatingwebhookconfigurations", "", "headgate-injector");
    const Json& client = (*object)["webhooks"][0]["clientConfig"];
    return client.contains("caBundle") ? client["caBundle"].get<std::string>() : "";
  }

  // Waits until the object has these roots.
  [[nodiscard]] bool becomes(const std::string& roots) const {
    for (int i = 0; i < 1000 && bundle() != encode_base64(roots); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return bundle() == encode_base64(roots);
  }

  FakeApiServer api_;
  kube::Transport transport_;
};

constexpr CaBundleOptions kQuick{.quick = std::chrono::milliseconds(5), .patience = std::chrono::hours(1)};

TEST_F(CaBundleTest, WritesMendsAndFollows) {
  CaBundle patcher(transport_, kQuick);
  ASSERT_TRUE(patcher.start());
  patcher.set_roots("first");
  ASSERT_TRUE(becomes("first"));
  // An upgrade of the chart blanks it.
  ASSERT_TRUE(api_.wait_for_watches(1));
  write("");
  ASSERT_TRUE(becomes("first"));
  patcher.set_roots("firstsecond");
  ASSERT_TRUE(becomes("firstsecond"));
  patcher.stop();
  EXPECT_EQ(patcher.counts().failed, 0U);
  EXPECT_EQ(api_.count("PATCH "), 3U) << "one for each change";
  EXPECT_NE(api_.requests().front().find("labelSelector=headgate.dev%2Fwebhook%3Dtrue"), std::string::npos) << api_.requests().front();
}

TEST_F(CaBundleTest, NothingIsWrittenWithoutRoots) {
  CaBundle patcher(transport_, kQuick);
  ASSERT_TRUE(patcher.start());
  patcher.stop();
  EXPECT_TRUE(api_.requests().empty());
}

TEST_F(CaBundleTest, TwoThatFightDoNotHammer) {
  api_.on_request([this](const std::string& line) {
    if (line.starts_with("GET ") && line.find("watch=1") == std::string::npos) write("b3RoZXI=");
  });
  CaBundle patcher(transport_, kQuick);
  ASSERT_TRUE(patcher.start());
  patcher.set_roots("ours");
  ASSERT_TRUE(api_.wait_for("PATCH ", CaBundle::kQuickTries));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(api_.count("PATCH "), static_cast<size_t>(CaBundle::kQuickTries));
  patcher.set_roots("new roots");
  ASSERT_TRUE(api_.wait_for("PATCH ", 2 * CaBundle::kQuickTries)) << "new roots are tried at once";
  patcher.stop();
}

TEST_F(CaBundleTest, RefusalsAreTriedAFewTimes) {
  api_.answer("PATCH ", 3, 403, "no");
  CaBundle patcher(transport_, kQuick);
  ASSERT_TRUE(patcher.start());
  patcher.set_roots("ours");
  ASSERT_TRUE(becomes("ours"));
  patcher.stop();
  EXPECT_EQ(api_.count("PATCH "), 4U);
  EXPECT_EQ(patcher.counts().failed, 3U);
}

}  // namespace
}  // namespace headgate::inject
