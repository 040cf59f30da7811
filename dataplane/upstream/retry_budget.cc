#include "dataplane/upstream/retry_budget.h"

#include <algorithm>

namespace headgate::upstream {

void RetryBudget::advance(MonotonicTime now) {
  const auto second = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count());
  if (second <= current_) return;
  const uint64_t passed = std::min(second - current_, kSeconds);
  current_ = second;
  for (uint64_t i = 0; i < passed; ++i) {
    Second& oldest = seconds_[(second - i) % kSeconds];
    requests_ -= oldest.requests;
    retries_ -= oldest.retries;
    oldest = {};
  }
}

bool RetryBudget::try_retry(const Limits& limits, MonotonicTime now) {
  advance(now);
  // The part of this worker, at least one in the whole window so that many workers do not round it to nothing.
  const uint64_t always =
      limits.min_per_second == 0
          ? 0
          : std::max<uint64_t>(1, kSeconds * limits.min_per_second / std::max<uint32_t>(1, limits.workers));
  if (retries_ >= always + requests_ * limits.percent / 100) return false;
  ++retries_;
  ++seconds_[current_ % kSeconds].retries;
  return true;
}

}  // namespace headgate::upstream
