#include "controlplane/kube/backoff.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>

namespace headgate::kube {

Duration Backoff::next(MonotonicTime now) {
  const bool calm = delay_ == Duration::zero() || now - last_failure_ > limits_.calm;
  delay_ = calm ? limits_.first : std::min(delay_ * 2, limits_.most);
  last_failure_ = now;
  return delay_ + std::chrono::duration_cast<Duration>(delay_ * random_.unit());
}

bool wait_for(Duration duration, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, duration, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace headgate::kube
