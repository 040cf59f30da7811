// mailbox.h -- the only door between threads: a queue of tasks and a wake-up of the Loop that runs them.
// Thread: post() from any; run() and the descriptor belong to the Loop.
#pragma once

#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "dataplane/base/unique_fd.h"

namespace headgate::event {

class Task {
 public:
  virtual ~Task() = default;
  virtual void run() = 0;
};

template <typename Fn>
std::unique_ptr<Task> make_task(Fn&& fn) {
  class FnTask final : public Task {
   public:
    explicit FnTask(Fn&& f) : fn_(std::forward<Fn>(f)) {}
    void run() override { fn_(); }

   private:
    std::decay_t<Fn> fn_;
  };
  return std::make_unique<FnTask>(std::forward<Fn>(fn));
}

class Mailbox {
 public:
  Mailbox();

  void post(std::unique_ptr<Task> task);
  template <typename Fn>
  void post_fn(Fn&& fn) {
    post(make_task(std::forward<Fn>(fn)));
  }

  // Becomes readable when there is something to run.
  [[nodiscard]] int wake_fd() const { return wake_read_.get(); }
  // Runs what was posted before the call, in order.
  void run();

 private:
  void wake();          // mailbox_wake_eventfd.cc | mailbox_wake_kqueue.cc
  void drain_wakeups();
  void open_wake();

  std::mutex mutex_;
  std::vector<std::unique_ptr<Task>> tasks_;
  UniqueFd wake_read_;
  UniqueFd wake_write_;  // the same as wake_read_ with eventfd: then invalid
};

}  // namespace headgate::event
