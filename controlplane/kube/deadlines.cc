#include "controlplane/kube/deadlines.h"

#include "controlplane/kube/connection.h"

namespace headgate::kube {

Deadlines::~Deadlines() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Deadlines::Guard::Guard(Deadlines& deadlines, Connection& connection, Duration limit) {
  if (limit <= Duration::zero()) return;
  deadlines_ = &deadlines;
  const std::lock_guard lock(deadlines.mutex_);
  entry_ = deadlines.entries_.emplace(system_clock().now() + limit, &connection);
  if (!deadlines.thread_.joinable()) deadlines.thread_ = std::thread([&deadlines] { deadlines.run(); });
  if (entry_ == deadlines.entries_.begin()) deadlines.changed_.notify_all();
}

Deadlines::Guard::~Guard() {
  if (deadlines_ == nullptr) return;
  const std::lock_guard lock(deadlines_->mutex_);
  deadlines_->entries_.erase(entry_);
}

void Deadlines::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    auto next = entries_.begin();
    while (next != entries_.end() && next->second->timed_out()) ++next;
    if (next == entries_.end()) {
      changed_.wait(lock);
    } else if (next->first > system_clock().now()) {
      changed_.wait_until(lock, std::chrono::time_point<std::chrono::steady_clock, Duration>(next->first));
    } else {
      next->second->expire();  // under the lock: the Guard, and with it the connection, outlives the call
    }
  }
}

}  // namespace headgate::kube
