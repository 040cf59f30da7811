// thread.h -- a thread with a small stack: the controller has one for each kind it watches, asleep nearly always.
// Thread: start() and join() that of the owner.
#pragma once

#include <pthread.h>

#include <functional>

#include "dataplane/base/result.h"

namespace headgate::kube {

class Thread {
 public:
  Thread() = default;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  ~Thread() { join(); }

  // `name` is what ps shows, at most 15 characters. kSystem: the kernel gives no thread.
  Result<void> start(const char* name, std::function<void()> body);
  void join();
  [[nodiscard]] bool joinable() const { return running_; }

 private:
  static void* enter(void* self);

  std::function<void()> body_;
  pthread_t thread_{};
  bool running_ = false;
};

}  // namespace headgate::kube
