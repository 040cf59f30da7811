#include "controlplane/identity/token_review.h"

#include <functional>

#include "tests/controlplane/identity/identity_fixture.h"

namespace headgate::identity {
namespace {

using std::chrono::seconds;

TEST(JudgeReview, NamesTheServiceAccountAndItsPod) {
  const auto identity = judge_review(good_review(), kTokenAudience);
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->namespace_name, "shop");
  EXPECT_EQ(identity->service_account, "web");
  EXPECT_EQ(identity->pod, "web-0");
  EXPECT_EQ(identity->pod_uid, "0f4f-77");
  TokenReview without_pod = good_review();
  without_pod.extra.clear();
  EXPECT_EQ(judge_review(without_pod, kTokenAudience)->pod_uid, "");
}

TEST(JudgeReview, DeniesWhatIsNotQuiteOne) {
  const std::vector<std::pair<const char*, std::function<void(TokenReview&)>>> kCases = {
      {"not authenticated", [](auto& r) { r.authenticated = false; }},
      {"an error beside it", [](auto& r) { r.error = "expired"; }},
      {"no audience", [](auto& r) { r.audiences.clear(); }},
      {"another audience", [](auto& r) { r.audiences = {"https://kubernetes.default.svc"}; }},
      {"a person", [](auto& r) { r.username = "system:admin"; }},
      {"a node", [](auto& r) { r.username = "system:node:a:b"; }},
      {"five parts", [](auto& r) { r.username += ":x"; }},
      {"an empty name", [](auto& r) { r.username = "system:serviceaccount:shop:"; }},
      {"a namespace that cannot be", [](auto& r) { r.username = "system:serviceaccount:sh/op:web"; }},
      {"no group", [](auto& r) { r.groups.erase(r.groups.begin()); }},
      {"the group of another namespace", [](auto& r) { r.groups[1] = "system:serviceaccounts:other"; }},
      {"two Pods", [](auto& r) { r.extra["authentication.kubernetes.io/pod-name"] = {"a", "b"}; }},
      {"a name without UID", [](auto& r) { r.extra.erase("authentication.kubernetes.io/pod-uid"); }},
      {"a Pod that cannot be", [](auto& r) { r.extra["authentication.kubernetes.io/pod-name"] = {"../x"}; }},
  };
  for (const auto& [what, change] : kCases) {
    TokenReview review = good_review();
    change(review);
    const auto identity = judge_review(review, kTokenAudience);
    ASSERT_FALSE(identity) << what;
    EXPECT_EQ(identity.error().code, Errc::kDenied) << what;
  }
}

// header {"alg":"none"}, payload as given, signature "x".
std::string token_with(const std::string& payload_base64url) { return "eyJhbGciOiJub25lIn0." + payload_base64url + ".x"; }

TEST(TokenExpiry, ReadsExp) {
  EXPECT_EQ(token_expiry(token_with("eyJleHAiOjE4MDAwMDAwMDB9")), WallTime(seconds(1'800'000'000)));  // {"exp":1800000000}
  for (const char* payload : {"", "e30", "eyJleHAiOiIxIn0" /* "1" */, "eyJleHAiOi0xfQ" /* -1 */, "!!!!", "bm8"}) {
    EXPECT_FALSE(token_expiry(token_with(payload))) << payload;
  }
  EXPECT_FALSE(token_expiry("opaque"));
}

class TokenVerifierTest : public ::testing::Test {
 protected:
  TokenVerifierTest() { reviewer_.answers["good"] = good_review(); }
  ScriptedReviewer reviewer_;
  FakeClock clock_;
  TokenVerifier verifier_{reviewer_, kTokenAudience, clock_};
};

TEST_F(TokenVerifierTest, RemembersForAMinute) {
  EXPECT_EQ(verifier_.verify("good")->pod, "web-0");
  EXPECT_EQ(reviewer_.last_audience, "headgate.dev/control");
  clock_.advance(seconds(59));
  EXPECT_TRUE(verifier_.verify("good"));
  EXPECT_EQ(reviewer_.calls, 1);
  reviewer_.answers.clear();  // revoked
  clock_.advance(seconds(1));
  EXPECT_EQ(verifier_.verify("good").error().code, Errc::kDenied);
  EXPECT_EQ(reviewer_.calls, 2);
}

TEST_F(TokenVerifierTest, NeverLongerThanTheTokenLives) {
  clock_.step_wall(WallTime(seconds(1'800'000'000 - 20)) - clock_.wall());
  const std::string token = token_with("eyJleHAiOjE4MDAwMDAwMDB9");
  reviewer_.answers[token] = good_review();
  EXPECT_TRUE(verifier_.verify(token));
  clock_.advance(seconds(19));
  EXPECT_TRUE(verifier_.verify(token));
  EXPECT_EQ(reviewer_.calls, 1);
  clock_.advance(seconds(1));
  EXPECT_TRUE(verifier_.verify(token));
  EXPECT_EQ(reviewer_.calls, 2) << "it is the API server that says whether an expired token is good";
}

TEST_F(TokenVerifierTest, FailsClosed) {
  reviewer_.is_down = true;
  EXPECT_EQ(verifier_.verify("good").error().code, Errc::kUnreachable);
  reviewer_.is_down = false;
  EXPECT_TRUE(verifier_.verify("good")) << "a failure is not remembered";
  EXPECT_EQ(verifier_.counts().failed, 1U);
}

TEST_F(TokenVerifierTest, DenialsAreRememberedShortly) {
  EXPECT_FALSE(verifier_.verify("bad"));
  EXPECT_FALSE(verifier_.verify("bad"));
  EXPECT_EQ(reviewer_.calls, 1);
  clock_.advance(TokenVerifier::kRememberDenial);
  EXPECT_FALSE(verifier_.verify("bad"));
  EXPECT_EQ(reviewer_.calls, 2);
}

TEST_F(TokenVerifierTest, WhatIsNoTokenIsNotAskedAbout) {
  for (const std::string& text : {std::string(), std::string("a b"), std::string("a\n"), std::string(TokenVerifier::kMaxTokenBytes + 1, 'a')}) {
    EXPECT_EQ(verifier_.verify(text).error().code, Errc::kDenied);
  }
  EXPECT_EQ(reviewer_.calls, 0);
}

TEST_F(TokenVerifierTest, QuestionsAreLimited) {
  int asked = 0;
  for (; asked < 2000; ++asked) {
    const auto outcome = verifier_.verify("guess" + std::to_string(asked));
    if (!outcome && outcome.error().code == Errc::kOverloaded) break;
  }
  EXPECT_EQ(asked, static_cast<int>(TokenVerifier::kReviewBurst));
  EXPECT_EQ(reviewer_.calls, asked);
  EXPECT_EQ(verifier_.verify("good").error().code, Errc::kOverloaded);
  clock_.advance(std::chrono::milliseconds(20));
  EXPECT_TRUE(verifier_.verify("good"));
}

}  // namespace
}  // namespace headgate::identity
