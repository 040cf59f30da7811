#include "controlplane/identity/token_review.h"

#include <algorithm>

#include "controlplane/identity/certificate.h"
#include "controlplane/identity/spiffe.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "proto/json/json_text.h"

namespace headgate::identity {
namespace {

Error denied(const char* reason) { return {.code = Errc::kDenied, .detail = reason}; }

// One value, or none; more than one is nobody's honest token.
Result<std::string> single_extra(const TokenReview& review, const char* key) {
  const auto found = review.extra.find(key);
  if (found == review.extra.end() || found->second.empty()) return std::string();
  if (found->second.size() > 1) return denied("the token names several Pods");
  return found->second.front();
}

// RFC 4648 5 without padding.
std::optional<std::string> decode_base64url(std::string_view text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int value = c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : is_digit(c) ? c - '0' + 52
                      : c == '-' ? 62 : c == '_' ? 63 : -1;
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes.push_back(static_cast<char>(bits >> count & 0xff));
    }
  }
  return bytes;
}

bool is_token_text(std::string_view token) {
  return !token.empty() && std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

Result<TokenIdentity> judge_review(const TokenReview& review, const std::string& audience) {
  if (!review.authenticated || !review.error.empty()) return denied("the token is not valid");
  // An API server that does not know audiences would say yes to a token made for somebody else.
  if (std::ranges::find(review.audiences, audience) == review.audiences.end()) {
    return denied("the token was made for another audience");
  }
  const std::vector<std::string_view> parts = split(review.username, ':');
  if (parts.size() != 4 || parts[0] != "system" || parts[1] != "serviceaccount" || !is_namespace_name(parts[2]) ||
      !is_object_name(parts[3])) {
    return denied("the token is not of a ServiceAccount");
  }
  const std::string own_group = "system:serviceaccounts:" + std::string(parts[2]);
  for (const std::string& group : {std::string("system:serviceaccounts"), own_group}) {
    if (std::ranges::find(review.groups, group) == review.groups.end()) {
      return denied("the token is not of a ServiceAccount");
    }
  }
  TokenIdentity identity{.namespace_name = std::string(parts[2]), .service_account = std::string(parts[3])};
  auto pod = single_extra(review, "authentication.kubernetes.io/pod-name");
  if (!pod) return pod.error();
  auto uid = single_extra(review, "authentication.kubernetes.io/pod-uid");
  if (!uid) return uid.error();
  if (pod->empty() != uid->empty()) return denied("the token names half a Pod");
  if (!pod->empty() && (!is_object_name(*pod) || uid->size() > 64)) {
    return denied("the token names a Pod that cannot be");
  }
  identity.pod = *std::move(pod);
  identity.pod_uid = *std::move(uid);
  return identity;
}

std::optional<WallTime> token_expiry(std::string_view token) {
  const std::vector<std::string_view> parts = split(token, '.');
  if (parts.size() != 3) return std::nullopt;
  auto payload = decode_base64url(parts[1]);
  if (!payload) return std::nullopt;
  json::Document document;
  if (!document.read(*std::move(payload))) return std::nullopt;
  const json::NodeId node = document.find(document.root(), "exp");
  if (node == json::kNoNode || document.node(node).kind != json::NodeKind::kNumber) return std::nullopt;
  const auto seconds = parse_decimal<uint32_t>(document.node(node).text);
  if (!seconds) return std::nullopt;
  return WallTime(std::chrono::seconds(*seconds));
}

Result<TokenIdentity> TokenVerifier::verify(const std::string& token) {
  if (token.size() > kMaxTokenBytes || !is_token_text(token)) {
    counts_.denied.fetch_add(1, std::memory_order_relaxed);
    return denied("the token is not valid");
  }
  const std::string key = sha256(token);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = remembered_.find(key); found != remembered_.end()) {
      if (clock_.now() < found->second.until) {
        (found->second.outcome ? counts_.remembered : counts_.denied).fetch_add(1, std::memory_order_relaxed);
        return found->second.outcome;
      }
      remembered_.erase(found);
    }
    if (!take_turn()) {
      counts_.limited.fetch_add(1, std::memory_order_relaxed);
      return Error{.code = Errc::kOverloaded, .detail = "too many tokens to review"};
    }
  }
  counts_.reviews.fetch_add(1, std::memory_order_relaxed);
  const auto review = reviewer_.review(token, audience_);
  if (!review) {
    counts_.failed.fetch_add(1, std::memory_order_relaxed);
    // Whatever the reviewer says, no answer is not a denial.
    if (review.error().code == Errc::kDenied) return Error{.code = Errc::kUnreachable, .detail = review.error().detail};
    return review.error();
  }
  const Result<TokenIdentity> outcome = judge_review(*review, audience_);
  Duration how_long = outcome ? kRemember : kRememberDenial;
  if (!outcome) counts_.denied.fetch_add(1, std::memory_order_relaxed);
  if (const auto expiry = token_expiry(token); outcome && expiry) {
    how_long = std::min(how_long, *expiry - clock_.wall());
  }
  if (how_long > Duration(0)) remember(key, outcome, how_long);
  return outcome;
}

bool TokenVerifier::take_turn() {
  const MonotonicTime now = clock_.now();
  if (turns_at_ != MonotonicTime{}) {
    turns_ = std::min(kReviewBurst, turns_ + to_seconds(now - turns_at_) * kReviewsPerSecond);
  }
  turns_at_ = now;
  if (turns_ < 1) return false;
  turns_ -= 1;
  return true;
}

void TokenVerifier::remember(const std::string& key, const Result<TokenIdentity>& outcome, Duration how_long) {
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = clock_.now();
  if (remembered_.size() >= kMaxRemembered) {
    std::erase_if(remembered_, [now](const auto& entry) { return now >= entry.second.until; });
    if (remembered_.size() >= kMaxRemembered) remembered_.erase(remembered_.begin());
  }
  remembered_.insert_or_assign(key, Remembered{.outcome = outcome, .until = now + how_long});
}

}  // namespace headgate::identity
