// backoff.h -- how long to wait before the next try: doubling, with jitter, forgotten after a quiet time.
// Thread: one owner; wait_for() any.
#pragma once

#include <stop_token>

#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

namespace headgate::kube {

struct BackoffLimits {
  Duration first = std::chrono::milliseconds(800);
  Duration most = std::chrono::seconds(30);  // before jitter, which adds up to as much again
  Duration calm = std::chrono::minutes(2);   // without a failure: the next one waits `first` again
};

class Backoff {
 public:
  explicit Backoff(const BackoffLimits& limits) : limits_(limits) {}

  // The wait that the failure at `now` costs.
  Duration next(MonotonicTime now);

 private:
  const BackoffLimits limits_;
  Random random_;
  Duration delay_ = Duration::zero();
  MonotonicTime last_failure_{};
};

// Sleeps. False: `stop` was requested, at once.
bool wait_for(Duration duration, const std::stop_token& stop);

}  // namespace headgate::kube
