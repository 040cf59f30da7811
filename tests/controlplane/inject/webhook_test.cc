// webhook_test.cc -- the webhook asked by curl over HTTPS, and the reviews themselves.
#include "controlplane/inject/webhook.h"

#include <atomic>
#include <cstdio>
#include <thread>

#include "tests/controlplane/inject/inject_fixture.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

namespace headgate::inject {
namespace {

std::string decode_base64(const std::string& text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (value == std::string::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if ((count += 6) >= 8) bytes.push_back(static_cast<char>(bits >> (count -= 8) & 0xff));
  }
  return bytes;
}

Json review_of(const Json& pod, bool dry_run = false) {
  return {{"apiVersion", "admission.k8s.io/v1"},
          {"kind", "AdmissionReview"},
          {"request",
           {{"uid", "705ab4f5"},
            {"kind", {{"group", ""}, {"version", "v1"}, {"kind", "Pod"}}},
            {"operation", "CREATE"},
            {"namespace", "shop"},
            {"dryRun", dry_run},
            {"object", pod},
            {"oldObject", nullptr}}}};
}

Answer ask(const Json& review) {
  return answer_review(review.dump(), {.image = "i"}, [](const std::string& name) { return NamespaceFacts{.name = name}; },
                       [](const auto&, const auto&, const auto&) { return ConfigMapText{}; });
}

const Json& golden_pod(const std::string& name) {
  static std::map<std::string, Json> pods;
  return pods.try_emplace(name, Json::parse(read_text(kGolden / (name + ".pod.json")))).first->second;
}

TEST(Admission, APatchThatApplies) {
  const Answer answer = ask(review_of(golden_pod("preset-tls")));
  ASSERT_EQ(answer.status, 200);
  const Json body = Json::parse(answer.body);
  EXPECT_EQ(body["apiVersion"], "admission.k8s.io/v1");
  EXPECT_EQ(body["kind"], "AdmissionReview");
  const Json& response = body["response"];
  EXPECT_EQ(response["uid"], "705ab4f5");
  EXPECT_EQ(response["allowed"], true);
  EXPECT_EQ(response["patchType"], "JSONPatch");
  const Json pod = golden_pod("preset-tls").patch(Json::parse(decode_base64(response["patch"])));
  EXPECT_EQ(pod["spec"]["initContainers"][0]["name"], "headgate-proxy");
}

TEST(Admission, ARefusalSaysWhy) {
  const Json response = Json::parse(ask(review_of(golden_pod("config-broken"))).body)["response"];
  EXPECT_EQ(response["allowed"], false);
  EXPECT_FALSE(response.contains("patch"));
  EXPECT_EQ(response["status"]["code"], 403);
  const std::string message = response["status"]["message"];
  EXPECT_NE(message.find("headgate.dev/config:3:30: error: $.dispatch[0].listener"), std::string::npos) << message;
}

TEST(Admission, WhatIsNotForUsIsAllowed) {
  Json review = review_of(golden_pod("not-requested"));
  EXPECT_EQ(Json::parse(ask(review).body)["response"], Json::parse(R"({"uid":"705ab4f5","allowed":true})"));
  for (const auto& [path, value] : std::map<std::string, std::string>{
           {"/request/operation", "UPDATE"}, {"/request/kind/kind", "Service"}, {"/request/kind/version", "v2"},
           {"/request/kind/group", "x"}, {"/request/subResource", "status"}}) {
    Json other = review_of(golden_pod("preset-tls"));
    other[Json::json_pointer(path)] = value;
    const Answer answer = ask(other);
    EXPECT_EQ(answer.review.mutation.reason, "NotAPodCreation") << path;
    EXPECT_EQ(Json::parse(answer.body)["response"], Json::parse(R"({"uid":"705ab4f5","allowed":true})"));
  }
}

TEST(Admission, NonsenseIsABadRequest) {
  const auto status = [](const std::string& body) {
    return answer_review(body, {}, [](const std::string&) { return NamespaceFacts{}; },
                         [](const auto&, const auto&, const auto&) { return ConfigMapText{}; })
        .status;
  };
  Json old = review_of({});
  old["apiVersion"] = "admission.k8s.io/v1beta1";
  Json without_uid = review_of({});
  without_uid["request"].erase("uid");
  for (const std::string& body :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("{}"), old.dump(), without_uid.dump(),
        review_of("text").dump(), std::string(100'000, '['), std::string(kMaxReview + 1, ' ')}) {
    EXPECT_EQ(status(body), 400) << body.substr(0, 60);
  }
  EXPECT_EQ(status(review_of(Json::object()).dump()), 200) << "an empty Pod is skipped";
}

TEST(Admission, WarningsAreShort) {
  Json pod = golden_pod("config-map-missing");
  pod["metadata"]["annotations"]["headgate.dev/config-map"] = std::string(250, 'a') + ":" + std::string(250, 'b');
  const Json response = Json::parse(ask(review_of(pod)).body)["response"];
  ASSERT_EQ(response["warnings"].size(), 1U) << response.dump(2);
  EXPECT_LE(response["warnings"][0].get<std::string>().size(), 256U);
}

// --- over HTTPS ---

class WebhookTest : public ::testing::Test {
 protected:
  WebhookTest() : webhook_({.image = "i"}, {.find_namespace = [this](const std::string& name) {
                                              if (throws_) throw std::runtime_error("cache is gone");
                                              return NamespaceFacts{.name = name};
                                            },
                                            .find_config_map = [](const auto&, const auto&, const auto&) { return ConfigMapText{}; },
                                            .report = [this](const Review& review) {
                                              const std::lock_guard lock(mutex_);
                                              reported_.push_back(review);
                                            }}) {}

  void SetUp() override {
    folder_.write("ca.pem", authority_.pem());
    std::string problem;
    const auto port = webhook_.start("127.0.0.1:0", issue(), problem);
    ASSERT_TRUE(port) << problem;
    url_ = "https://hook.edge.svc:" + std::to_string(*port);
    resolve_ = "--resolve hook.edge.svc:" + std::to_string(*port) + ":127.0.0.1";
  }
  WebhookCertificate issue() const {
    const auto pair = authority_.issue({.common_name = "hook", .alternative_names = {"DNS:hook.edge.svc"}, .key_usage = "serverAuth"});
    return {.chain_pem = pair.chain, .key_pem = pair.key};
  }
  // What curl prints; `format` after the body.
  std::string curl(const std::string& options, const std::string& body, const std::string& format = "%{http_code}") {
    folder_.write("body", body);
    const std::string command = "curl -sS --max-time 20 --cacert " + folder_.at("ca.pem") + " " + resolve_ + " -w '" + format + "' " +
                                "-H 'Content-Type: " + content_type_ + "' --data-binary @" + folder_.at("body") + " " + options + " " +
                                url_ + "/inject?timeout=5s 2>&1";
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    std::string output;
    char piece[4096];
    while (const size_t count = std::fread(piece, 1, sizeof(piece), pipe)) output.append(piece, count);
    ::pclose(pipe);
    return output;
  }

  test::TempFolder folder_;
  testing::TestAuthority authority_{"webhook test"};
  std::atomic<bool> throws_ = false;
  std::mutex mutex_;
  std::vector<Review> reported_;
  std::string url_;
  std::string resolve_;
  std::string content_type_ = "application/json";
  Webhook webhook_;
};

TEST_F(WebhookTest, AnswersTheApiServer) {
  const std::string body = curl("", review_of(golden_pod("preset-tls")).dump(), "");
  const Json response = Json::parse(body, nullptr, false);
  ASSERT_TRUE(response.is_object()) << body;
  EXPECT_EQ(response["response"]["allowed"], true);
  curl("", review_of(golden_pod("preset-broken")).dump());
  curl("", review_of(golden_pod("preset-tls"), true).dump());
  curl("", review_of(golden_pod("host-network")).dump());
  const Webhook::Counts expected = {
      {{"injected", "Injected"}, 2}, {{"refused", "BadPreset"}, 1}, {{"skipped", "HostNetwork"}, 1}};
  EXPECT_EQ(webhook_.counts(), expected);
  webhook_.stop();
  ASSERT_EQ(reported_.size(), 2U) << "neither the dry run nor the Pod that was left alone";
  EXPECT_EQ(reported_[0].mutation.reason, "Injected");
  EXPECT_EQ(reported_[1].mutation.reason, "BadPreset");
}

TEST_F(WebhookTest, TheOwnerIsNamed) {
  Json pod = golden_pod("preset-broken");
  pod["metadata"]["ownerReferences"] = Json::parse(
      R"([{"apiVersion":"v1","kind":"X","name":"no-controller","uid":"a"},
          {"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-7d9c","uid":"b","controller":true}])");
  curl("", review_of(pod).dump());
  webhook_.stop();
  ASSERT_EQ(reported_.size(), 1U);
  EXPECT_EQ(reported_[0].owner.kind + "/" + reported_[0].owner.name + "/" + reported_[0].owner.uid, "ReplicaSet/web-7d9c/b");
  EXPECT_EQ(reported_[0].owner.name_space, "shop");
}

TEST_F(WebhookTest, LimitsAndErrors) {
  EXPECT_EQ(curl("", "{", "%{http_code}"), "the body is no JSON\n400");
  content_type_ = "text/plain";
  EXPECT_TRUE(curl("", "{}").ends_with("415"));
  content_type_ = "application/json; charset=utf-8";
  EXPECT_TRUE(curl("-X GET", "").ends_with("405"));
  EXPECT_TRUE(curl("", std::string(kMaxReview + 1, ' ')).ends_with("413"));
  EXPECT_TRUE(curl("", std::string(kMaxReview - 1, ' ')).ends_with("400")) << "3 MiB are read";
  throws_ = true;
  EXPECT_TRUE(curl("", review_of(golden_pod("preset-tls")).dump()).ends_with("500"));
  throws_ = false;
  EXPECT_TRUE(curl("", review_of(golden_pod("preset-tls")).dump()).ends_with("200"));
  const Webhook::Counts counts = webhook_.counts();
  EXPECT_EQ(counts.at({"error", "400"}), 2U);
  EXPECT_EQ(counts.at({"error", "415"}), 1U);
  EXPECT_EQ(counts.at({"error", "500"}), 1U);
}

TEST_F(WebhookTest, CertificatesAreSwappedWhileItRuns) {
  const std::string body = review_of(golden_pod("preset-tls")).dump();
  const testing::TestAuthority next("next");
  const auto pair = next.issue({.common_name = "hook", .alternative_names = {"DNS:hook.edge.svc"}, .key_usage = "serverAuth"});
  EXPECT_FALSE(webhook_.set_certificate({.chain_pem = pair.chain, .key_pem = issue().key_pem})) << "the key of another";
  EXPECT_FALSE(webhook_.set_certificate({}));
  EXPECT_TRUE(curl("", body).ends_with("200")) << "the one before stays";
  // Requests without a pause, while the certificate changes under them: none fails.
  std::atomic<bool> done = false;
  std::atomic<int> failed = 0;
  folder_.write("both.pem", authority_.pem() + next.pem());
  folder_.write("steady", body);
  const std::string steady = "curl -sS --max-time 20 -o /dev/null -w '%{http_code}' --cacert " + folder_.at("both.pem") + " " + resolve_ +
                             " -H 'Content-Type: application/json' --data-binary @" + folder_.at("steady") + " " + url_ + "/inject 2>&1";
  std::thread client([&] {
    while (!done) {
      std::FILE* const pipe = ::popen(steady.c_str(), "r");
      char text[200] = {};
      const size_t count = std::fread(text, 1, sizeof(text) - 1, pipe);
      ::pclose(pipe);
      if (std::string(text, count) != "200") ++failed;
    }
  });
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(webhook_.set_certificate(i % 2 == 0 ? WebhookCertificate{.chain_pem = pair.chain, .key_pem = pair.key} : issue()));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_TRUE(webhook_.set_certificate({.chain_pem = pair.chain, .key_pem = pair.key}));
  done = true;
  client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_NE(curl("", body).find("SSL certificate problem"), std::string::npos) << "its old roots verify it no more";
  folder_.write("ca.pem", next.pem());
  EXPECT_TRUE(curl("", body).ends_with("200"));
}

TEST(WebhookStart, NeedsACertificate) {
  Webhook webhook({}, {});
  std::string problem;
  EXPECT_FALSE(webhook.start("127.0.0.1:0", {}, problem));
  EXPECT_EQ(problem, "the webhook needs a certificate and its key");
  EXPECT_FALSE(webhook.start("127.0.0.1:0", {.chain_pem = "x", .key_pem = "y"}, problem));
  EXPECT_FALSE(problem.empty());
}

}  // namespace
}  // namespace headgate::inject
