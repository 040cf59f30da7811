// retry_budget.h -- how many retries an Upstream may get: a share of its requests over the last ten seconds, and a few
// in any case.
//
// Thread: worker.   Owner: WorkerLoad (per worker and Upstream).
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/clock.h"

namespace headgate::upstream {

class RetryBudget {
 public:
  // `min_per_second` counts for all workers together: each has its part.
  struct Limits {
    uint32_t percent = 20;
    uint32_t min_per_second = 3;
    uint32_t workers = 1;
  };

  // A first attempt was made.
  void count_request(MonotonicTime now) {
    advance(now);
    ++requests_;
    ++seconds_[current_ % kSeconds].requests;
  }
  // Takes one retry from the budget, or says that it is used up.
  bool try_retry(const Limits& limits, MonotonicTime now);

 private:
  static constexpr uint64_t kSeconds = 10;
  struct Second {
    uint32_t requests = 0;
    uint32_t retries = 0;
  };
  void advance(MonotonicTime now);

  std::array<Second, kSeconds> seconds_{};
  uint64_t current_ = 0;  // second of the monotonic clock that seconds_[current_ % kSeconds] is for
  uint64_t requests_ = 0;
  uint64_t retries_ = 0;
};

}  // namespace headgate::upstream
