// wakeup.h -- what the controller's loop sleeps on: anybody may wake it, several calls are one.
// Thread: wake() any; wait() that of the loop.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

namespace headgate::controller {

class Wakeup {
 public:
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      woken_ = true;
    }
    changed_.notify_one();
  }
  // Returns when somebody called wake() since the last return, or after `longest`.
  void wait(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [this] { return woken_; });
    woken_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

}  // namespace headgate::controller
