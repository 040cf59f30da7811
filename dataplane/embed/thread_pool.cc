#include "dataplane/embed/thread_pool.h"

#include <pthread.h>

#include <algorithm>
#include <string>

#include "dataplane/embed/blocking_call.h"

namespace headgate::embed {

void ThreadPool::start() {
  {
    const std::lock_guard lock(mutex_);
    running_ = true;
  }
  for (uint32_t i = 0; i < thread_count_; ++i) threads_.emplace_back([this, i] { run(i); });
}

bool ThreadPool::submit(std::shared_ptr<BlockingCall> call) {
  {
    const std::lock_guard lock(mutex_);
    if (!running_ || queue_.size() >= queue_limit_) return false;
    queue_.push_back(std::move(call));
  }
  more_.notify_one();
  return true;
}

void ThreadPool::stop() {
  std::deque<std::shared_ptr<BlockingCall>> dropped;
  {
    const std::lock_guard lock(mutex_);
    running_ = false;
    dropped.swap(queue_);
  }
  more_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

bool ThreadPool::on_own_thread() const {
  return std::ranges::any_of(threads_, [](const std::thread& thread) { return thread.get_id() == std::this_thread::get_id(); });
}

void ThreadPool::run(uint32_t index) {
  ::pthread_setname_np(::pthread_self(), ("blocking-" + std::to_string(index)).substr(0, 15).c_str());
  for (;;) {
    std::shared_ptr<BlockingCall> call;
    {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [this] { return !running_ || !queue_.empty(); });
      if (!running_) return;
      call = std::move(queue_.front());
      queue_.pop_front();
    }
    call->run();
  }
}

}  // namespace headgate::embed
