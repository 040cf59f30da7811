// retry.h -- may a failed attempt be made again? Pure policy over what was sent and what came back.
//
// A request that the endpoint may have begun to process is only repeated when its method is idempotent (RFC 9110 9.2.2)
// or the policy says that others may be, too. What was certainly not processed (never connected, nothing written,
// REFUSED_STREAM: RFC 9113 8.7) may always be repeated.
// Thread: worker.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/base/error.h"
#include "dataplane/base/random.h"
#include "dataplane/http/method.h"
#include "dataplane/upstream/retry_budget.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

enum class FailureKind : uint8_t {
  kConnect,        // not connected, TLS included: nothing was sent
  kReset,          // the connection was lost before the response head
  kTimeout,        // no response head in time
  kStatus,         // an answer whose status the policy names
  kRefusedStream,  // the endpoint says that it did not process it
  kOther,          // malformed answers, our own limits: no other endpoint would help, or we cannot know
};

enum class AttemptStage : uint8_t { kConnecting, kSending, kWaiting, kReceiving };

// Errc::kRefused after connecting stands for REFUSED_STREAM.
FailureKind classify_failure(const Error& error, AttemptStage stage);

struct RetryQuestion {
  const RetryPolicy& policy;
  http::Method method = http::Method::kOther;
  FailureKind kind = FailureKind::kOther;
  uint16_t status = 0;             // with kStatus
  uint32_t attempts = 1;           // made so far, the failed one included
  bool sent = false;               // any byte of the request was written
  bool connection_reused = false;  // it had served an earlier request
  bool answered = false;           // the client has got a byte of a response
  bool body_replayable = true;     // no body, nothing of it taken yet, or all that was taken is kept
  Duration elapsed{0};             // since the first attempt began
};

enum class RetryVerdict : uint8_t {
  kRetry,
  kNotCovered,     // the policy does not name this kind of failure
  kAnswered,
  kNotIdempotent,
  kBodyGone,
  kAttemptsUsed,
  kTooLate,
  kBudgetUsed,     // count kUpstreamRetriesDenied
};
std::string_view verdict_name(RetryVerdict verdict);

// With kRetry one retry has been taken from the budget, unless a reused connection turned out to be closed: repeating
// that adds no load to anyone.
RetryVerdict decide_retry(const RetryQuestion& question, RetryBudget& budget, const RetryBudget::Limits& limits,
                          MonotonicTime now);

// To wait before the attempt after `attempts` made: none before the second, then the policy's, doubling, up to 32 times
// it; with jitter between half and all of it.
Duration retry_delay(const RetryPolicy& policy, uint32_t attempts, Random& random);

}  // namespace headgate::upstream
