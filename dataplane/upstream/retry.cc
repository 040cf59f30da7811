#include "dataplane/upstream/retry.h"

#include <algorithm>

namespace headgate::upstream {
namespace {

// A kept-alive connection that the endpoint closed as we wrote to it, or was closing (GOAWAY).
bool is_stale_connection(const RetryQuestion& question) {
  return (question.kind == FailureKind::kReset || question.kind == FailureKind::kRefusedStream) &&
         question.connection_reused;
}

bool is_covered(const RetryQuestion& question) {
  const uint8_t on = question.policy.on;
  switch (question.kind) {
    case FailureKind::kConnect: return (on & RetryPolicy::kConnectFailure) != 0;
    case FailureKind::kReset:
      return (on & RetryPolicy::kReset) != 0 ||
             (question.connection_reused && (on & RetryPolicy::kConnectFailure) != 0);
    case FailureKind::kTimeout: return (on & RetryPolicy::kTimeout) != 0;
    case FailureKind::kStatus:
      return (on & RetryPolicy::kStatus) != 0 &&
             std::find(question.policy.statuses.begin(), question.policy.statuses.end(), question.status) !=
                 question.policy.statuses.end();
    case FailureKind::kRefusedStream: return (on & RetryPolicy::kRefusedStream) != 0;
    case FailureKind::kOther: return false;
  }
  return false;
}

bool may_have_been_processed(const RetryQuestion& question) {
  if (question.kind == FailureKind::kConnect || question.kind == FailureKind::kRefusedStream) return false;
  return question.sent || question.kind == FailureKind::kStatus;
}

}  // namespace

FailureKind classify_failure(const Error& error, AttemptStage stage) {
  // Whose fault it was matters first: a client that left, or a limit of ours, is no reason to ask another endpoint.
  if (error.origin == Origin::kDownstream || error.code == Errc::kCanceled) return FailureKind::kOther;
  if (stage == AttemptStage::kConnecting) {
    return error.code == Errc::kOverloaded ? FailureKind::kOther : FailureKind::kConnect;
  }
  if (stage == AttemptStage::kReceiving) return FailureKind::kOther;
  switch (error.code) {
    case Errc::kRefused: return FailureKind::kRefusedStream;
    case Errc::kTimeout: return FailureKind::kTimeout;
    case Errc::kSystem:
    case Errc::kClosed:
    case Errc::kReset:
    case Errc::kUnreachable:
    case Errc::kTls: return FailureKind::kReset;
    case Errc::kMalformed:
    case Errc::kTooLarge:
    case Errc::kHeadTooLarge:
    case Errc::kTargetTooLong:
    case Errc::kBodyTooLarge:
    case Errc::kLengthRequired:
    case Errc::kUnsupported:
    case Errc::kBadVersion:
    case Errc::kExpectation:
    case Errc::kNotFound:
    case Errc::kDenied:
    case Errc::kOverloaded:
    case Errc::kCanceled:
    case Errc::kExists:
    case Errc::kInvalid:
    case Errc::kInternal: return FailureKind::kOther;
  }
  return FailureKind::kOther;
}

RetryVerdict decide_retry(const RetryQuestion& question, RetryBudget& budget, const RetryBudget::Limits& limits,
                          MonotonicTime now) {
  const RetryPolicy& policy = question.policy;
  if (question.answered) return RetryVerdict::kAnswered;
  if (!is_covered(question)) return RetryVerdict::kNotCovered;
  if (may_have_been_processed(question) && !http::is_idempotent(question.method) && !policy.non_idempotent) {
    return RetryVerdict::kNotIdempotent;
  }
  if (!question.body_replayable) return RetryVerdict::kBodyGone;
  if (question.attempts >= policy.attempts) return RetryVerdict::kAttemptsUsed;
  if (policy.timeout.count() > 0 && question.elapsed >= policy.timeout) return RetryVerdict::kTooLate;
  if (is_stale_connection(question)) return RetryVerdict::kRetry;
  return budget.try_retry(limits, now) ? RetryVerdict::kRetry : RetryVerdict::kBudgetUsed;
}

Duration retry_delay(const RetryPolicy& policy, uint32_t attempts, Random& random) {
  if (attempts < 2 || policy.backoff.count() <= 0) return Duration(0);
  const Duration full = policy.backoff * (int64_t{1} << std::min<uint32_t>(attempts - 2, 5));
  return full / 2 + Duration(static_cast<int64_t>(random.below(static_cast<uint64_t>(full.count() / 2) + 1)));
}

std::string_view verdict_name(RetryVerdict verdict) {
  switch (verdict) {
    case RetryVerdict::kRetry: return "retry";
    case RetryVerdict::kNotCovered: return "not covered by the policy";
    case RetryVerdict::kAnswered: return "already answered";
    case RetryVerdict::kNotIdempotent: return "not idempotent and sent";
    case RetryVerdict::kBodyGone: return "request body not kept";
    case RetryVerdict::kAttemptsUsed: return "attempts used up";
    case RetryVerdict::kTooLate: return "too late";
    case RetryVerdict::kBudgetUsed: return "retry budget used up";
  }
  return "unknown";
}

}  // namespace headgate::upstream
