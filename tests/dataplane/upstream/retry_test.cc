#include "dataplane/upstream/retry.h"

#include <gtest/gtest.h>

namespace headgate::upstream {
namespace {

using http::Method;
using std::chrono::milliseconds;
using std::chrono::seconds;
using enum FailureKind;
using enum RetryVerdict;

constexpr uint8_t kEverything = RetryPolicy::kConnectFailure | RetryPolicy::kReset | RetryPolicy::kTimeout |
                                RetryPolicy::kStatus | RetryPolicy::kRefusedStream;

TEST(Retry, Table) {
  const RetryPolicy usual;
  RetryPolicy all;
  all.on = kEverything;
  all.statuses = {503};
  RetryPolicy unsafe = all;
  unsafe.non_idempotent = true;
  RetryPolicy once = all;
  once.attempts = 1;
  RetryPolicy hurried = all;
  hurried.timeout = seconds(1);
  struct Case {
    int line;
    RetryQuestion question;
    RetryVerdict verdict;
  };
  const Case cases[] = {
      // policy, method, kind, status, attempts, sent, reused, answered, replayable, elapsed
      {__LINE__, {usual, Method::kGet, kConnect}, kRetry},
      {__LINE__, {usual, Method::kPost, kConnect}, kRetry},
      {__LINE__, {usual, Method::kPost, kRefusedStream, 0, 1, true}, kRetry},
      {__LINE__, {usual, Method::kGet, kReset, 0, 1, true}, kNotCovered},
      {__LINE__, {usual, Method::kGet, kReset, 0, 1, true, true}, kRetry},
      {__LINE__, {usual, Method::kPost, kReset, 0, 1, true, true}, kNotIdempotent},
      {__LINE__, {usual, Method::kPost, kReset, 0, 1, false, true}, kRetry},
      {__LINE__, {usual, Method::kOther, kReset, 0, 1, true, true}, kNotIdempotent},
      {__LINE__, {usual, Method::kGet, kTimeout, 0, 1, true}, kNotCovered},
      {__LINE__, {usual, Method::kGet, kOther}, kNotCovered},
      {__LINE__, {all, Method::kGet, kReset, 0, 1, true}, kRetry},
      {__LINE__, {all, Method::kGet, kTimeout, 0, 1, true}, kRetry},
      {__LINE__, {all, Method::kPost, kTimeout, 0, 1, true}, kNotIdempotent},
      {__LINE__, {unsafe, Method::kPost, kTimeout, 0, 1, true}, kRetry},
      {__LINE__, {all, Method::kGet, kStatus, 503, 1, true}, kRetry},
      {__LINE__, {all, Method::kGet, kStatus, 502, 1, true}, kNotCovered},
      {__LINE__, {all, Method::kPost, kStatus, 503, 1, false}, kNotIdempotent},
      {__LINE__, {all, Method::kGet, kConnect, 0, 2}, kAttemptsUsed},
      {__LINE__, {once, Method::kGet, kConnect}, kAttemptsUsed},
      {__LINE__, {all, Method::kGet, kReset, 0, 1, true, false, true}, kAnswered},
      {__LINE__, {all, Method::kPut, kReset, 0, 1, true, false, false, false}, kBodyGone},
      {__LINE__, {hurried, Method::kGet, kConnect, 0, 1, false, false, false, true, milliseconds(999)}, kRetry},
      {__LINE__, {hurried, Method::kGet, kConnect, 0, 1, false, false, false, true, seconds(1)}, kTooLate},
  };
  for (const Case& c : cases) {
    RetryBudget budget;
    EXPECT_EQ(decide_retry(c.question, budget, {}, MonotonicTime(seconds(100))), c.verdict)
        << "line " << c.line << ": "
        << verdict_name(decide_retry(c.question, budget, {}, MonotonicTime(seconds(100))));
  }
}

TEST(Retry, Classification) {
  struct Case {
    Errc code;
    Origin origin;
    AttemptStage stage;
    FailureKind kind;
  };
  for (const Case& c : {Case{Errc::kTimeout, Origin::kUpstream, AttemptStage::kConnecting, kConnect},
                        Case{Errc::kTls, Origin::kUpstream, AttemptStage::kConnecting, kConnect},
                        Case{Errc::kRefused, Origin::kUpstream, AttemptStage::kConnecting, kConnect},
                        Case{Errc::kRefused, Origin::kUpstream, AttemptStage::kWaiting, kRefusedStream},
                        Case{Errc::kTimeout, Origin::kUpstream, AttemptStage::kWaiting, kTimeout},
                        Case{Errc::kReset, Origin::kUpstream, AttemptStage::kSending, kReset},
                        Case{Errc::kClosed, Origin::kUpstream, AttemptStage::kWaiting, kReset},
                        Case{Errc::kReset, Origin::kUpstream, AttemptStage::kReceiving, kOther},
                        Case{Errc::kMalformed, Origin::kUpstream, AttemptStage::kWaiting, kOther},
                        Case{Errc::kReset, Origin::kDownstream, AttemptStage::kSending, kOther},
                        Case{Errc::kOverloaded, Origin::kLocal, AttemptStage::kConnecting, kOther}}) {
    EXPECT_EQ(classify_failure({.code = c.code, .origin = c.origin}, c.stage), c.kind) << errc_name(c.code);
  }
}

TEST(RetryBudget, AShareOfTheRequestsAndAFewInAnyCase) {
  RetryBudget budget;
  MonotonicTime now(seconds(1000));
  for (int i = 0; i < 1000; ++i) budget.count_request(now);
  int allowed = 0;
  while (budget.try_retry({20, 3, 1}, now)) ++allowed;
  EXPECT_EQ(allowed, 230);  // 20 % of 1000, and 3 a second for the 10 seconds of the window
  now += seconds(9);
  EXPECT_FALSE(budget.try_retry({20, 3, 1}, now));
  now += seconds(1);  // all of it has left the window
  allowed = 0;
  while (budget.try_retry({20, 3, 1}, now)) ++allowed;
  EXPECT_EQ(allowed, 30);
  EXPECT_FALSE(RetryBudget().try_retry({20, 0, 1}, now));
  RetryBudget shared;
  allowed = 0;
  while (shared.try_retry({0, 3, 64}, now)) ++allowed;
  EXPECT_EQ(allowed, 1);
}

TEST(RetryBudget, BoundsTheLoadOfAnOutage) {
  RetryBudget budget;
  const RetryPolicy policy;
  int requests = 0;
  int retries = 0;
  for (int second = 0; second < 60; ++second) {
    for (int i = 0; i < 500; ++i) {
      const MonotonicTime now = MonotonicTime(seconds(5000 + second)) + milliseconds(2 * i);
      budget.count_request(now);
      ++requests;
      if (decide_retry({policy, Method::kGet, kConnect}, budget, {}, now) == kRetry) ++retries;
    }
  }
  EXPECT_LE(retries, requests * 0.21 + 30);
  EXPECT_GE(retries, requests * 0.19);
}

TEST(RetryBudget, AStaleConnectionCostsNothing) {
  RetryBudget budget;
  const RetryPolicy policy;
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(decide_retry({policy, Method::kGet, kReset, 0, 1, true, true}, budget, {0, 0, 1}, MonotonicTime()),
              kRetry);
  }
}

TEST(Retry, DelayDoublesWithJitter) {
  Random random(3);
  const RetryPolicy policy;
  EXPECT_EQ(retry_delay(policy, 1, random), Duration(0));
  for (uint32_t attempts = 2; attempts < 20; ++attempts) {
    const Duration full = milliseconds(25) * (1 << std::min(attempts - 2, 5U));
    for (int i = 0; i < 50; ++i) {
      const Duration delay = retry_delay(policy, attempts, random);
      EXPECT_GE(delay, full / 2);
      EXPECT_LE(delay, full);
    }
  }
}

}  // namespace
}  // namespace headgate::upstream
