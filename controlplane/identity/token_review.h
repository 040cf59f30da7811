// token_review.h -- who holds a ServiceAccount token? Asks the API server, remembers, and never guesses.
// Spec: authentication.k8s.io/v1 TokenReview; KEP 1205 (bound tokens).
// Thread: any; verify() may block on the reviewer.   Owner: main.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

namespace headgate::identity {

// What a dataplane's token is made for: nothing else accepts it, and we accept nothing else.
inline constexpr const char* kTokenAudience = "headgate.dev/control";

// The status of a TokenReview.
struct TokenReview {
  bool authenticated = false;
  std::string error;  // of the API server; empty: none
  std::string username;
  std::vector<std::string> groups;
  std::vector<std::string> audiences;
  std::map<std::string, std::vector<std::string>> extra;
};

class TokenReviewer {
 public:
  virtual ~TokenReviewer() = default;
  // An error means that nothing was learned (the API server cannot be reached): never that the token is bad.
  virtual Result<TokenReview> review(const std::string& token, const std::string& audience) = 0;
};

struct TokenIdentity {
  std::string namespace_name;
  std::string service_account;
  std::string pod;      // empty: the token is not bound to a Pod
  std::string pod_uid;  // empty with `pod`
};

// Does a review name a ServiceAccount that may speak to us? kDenied with the reason.
Result<TokenIdentity> judge_review(const TokenReview& review, const std::string& audience);
// `exp` of a JSON Web Token, which is not verified here; nullopt: none, or no such token.
std::optional<WallTime> token_expiry(std::string_view token);

class TokenVerifier {
 public:
  static constexpr Duration kRemember = std::chrono::seconds(60);
  static constexpr Duration kRememberDenial = std::chrono::seconds(10);
  static constexpr size_t kMaxRemembered = 20'000;
  static constexpr size_t kMaxTokenBytes = 16 * 1024;
  static constexpr double kReviewsPerSecond = 50;
  static constexpr double kReviewBurst = 500;  // a rollout of the whole cluster

  struct Counts {
    std::atomic<uint64_t> reviews{0};
    std::atomic<uint64_t> remembered{0};
    std::atomic<uint64_t> denied{0};
    std::atomic<uint64_t> failed{0};   // the API server did not answer
    std::atomic<uint64_t> limited{0};
  };

  explicit TokenVerifier(TokenReviewer& reviewer, std::string audience = kTokenAudience,
                         const Clock& clock = system_clock())
      : reviewer_(reviewer), audience_(std::move(audience)), clock_(clock) {}

  // kDenied: a bad token. kOverloaded: too many questions at once. Else: we could not find out.
  Result<TokenIdentity> verify(const std::string& token);
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  struct Remembered {
    Result<TokenIdentity> outcome;
    MonotonicTime until;
  };
  bool take_turn();
  void remember(const std::string& key, const Result<TokenIdentity>& outcome, Duration how_long);

  TokenReviewer& reviewer_;
  const std::string audience_;
  const Clock& clock_;
  Counts counts_;
  std::mutex mutex_;
  std::unordered_map<std::string, Remembered> remembered_;  // by SHA-256 of the token; tokens are not kept
  double turns_ = kReviewBurst;
  MonotonicTime turns_at_{};
};

}  // namespace headgate::identity
