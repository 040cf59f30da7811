// thread_pool.h -- a fixed number of threads that run what blocks, behind a bounded queue.
// Thread: submit() any; start() and stop() that of the Server.   Owner: Server.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace headgate::embed {

class BlockingCall;

class ThreadPool {
 public:
  // At most `queue` calls wait for one of `threads` threads.
  ThreadPool(uint32_t threads, uint32_t queue) : thread_count_(threads), queue_limit_(queue) {}
  ~ThreadPool() { stop(); }

  void start();
  // False: the queue is full, or the pool has stopped.
  bool submit(std::shared_ptr<BlockingCall> call);
  // Drops what waits, lets what runs return, joins.
  void stop();
  // Is the caller one of ours?
  [[nodiscard]] bool on_own_thread() const;

 private:
  void run(uint32_t index);

  const uint32_t thread_count_;
  const uint32_t queue_limit_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::shared_ptr<BlockingCall>> queue_;
  bool running_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace headgate::embed
