// loop.h -- one event loop per worker thread: readiness, timers, deferred calls, deferred destruction, mailbox.
//
// A turn: wait -> read the clock once -> ready descriptors -> due timers -> deferred calls -> deferred destruction.
// Thread: constructed anywhere, run and used by one; only mailbox() and stop() may be touched by others.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <utility>

#include "dataplane/base/clock.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/result.h"
#include "dataplane/event/mailbox.h"
#include "dataplane/event/poller.h"
#include "dataplane/event/timer_wheel.h"

namespace headgate::event {

class Loop;

// Told when a descriptor is ready; the bits are of `Ready`. May destroy or stop any watch, its own included.
class FdObserver {
 public:
  virtual void on_fd_ready(uint8_t ready) = 0;

 protected:
  ~FdObserver() = default;
};

// The registration of one descriptor; ends when destroyed or stopped. Does not own the descriptor.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(const FdWatch&) = delete;
  FdWatch& operator=(const FdWatch&) = delete;
  ~FdWatch() { stop(); }

  Result<void> start(Loop& loop, int fd, FdObserver& observer);
  // Must come before the descriptor is closed.
  void stop();
  // For a descriptor that is closed right after: closing takes it out of the poller, one system call is saved.
  void stop_before_close();
  [[nodiscard]] bool active() const { return loop_ != nullptr; }

 private:
  friend class Loop;
  Loop* loop_ = nullptr;
  FdObserver* observer_ = nullptr;
  int fd_ = -1;
};

// A call to be made later in this turn (or in the next one, when asked from a deferred call itself). Coalesces:
// scheduling twice runs once. Cancels itself when destroyed.
class DeferredCall : private ListNode<> {
 public:
  using Callback = void (*)(void*);
  DeferredCall(Loop& loop, Callback callback, void* argument)
      : loop_(&loop), callback_(callback), argument_(argument) {}

  void schedule();
  void cancel() { unlink(); }
  [[nodiscard]] bool scheduled() const { return linked(); }

 private:
  friend class Loop;
  friend class headgate::IntrusiveList<DeferredCall>;
  Loop* loop_;
  Callback callback_;
  void* argument_;
};

// Base of what is destroyed by defer_delete(): after the turn, when no caller further up the stack can touch it.
class Disposable {
 public:
  Disposable() = default;
  Disposable(const Disposable&) = delete;
  Disposable& operator=(const Disposable&) = delete;
  virtual ~Disposable() = default;
  // Destroys the object, or gives it back to where it came from.
  virtual void dispose() { delete this; }

 private:
  friend class Loop;
  Disposable* next_disposed_ = nullptr;
};

class Loop {
 public:
  explicit Loop(const Clock& clock = system_clock());
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  // Runs until stop().
  void run();
  // One turn, waiting at most `max_wait` (negative: as long as it takes). For tests and for run().
  void run_once(Duration max_wait);
  // From any thread.
  void stop();
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  [[nodiscard]] Mailbox& mailbox() { return mailbox_; }
  [[nodiscard]] TimerWheel& timers() { return timers_; }
  // Time at the start of this turn.
  [[nodiscard]] MonotonicTime now() const { return now_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }
  // Wall-clock time, read at most once a turn.
  [[nodiscard]] WallTime wall();
  // Turns so far: a heartbeat that other threads may read.
  [[nodiscard]] uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  // When the turn that is running began, or zero while waiting (nanoseconds of the monotonic clock). Any thread.
  [[nodiscard]] int64_t turn_began_ns() const { return turn_began_ns_.load(std::memory_order_relaxed); }

  void defer_delete(std::unique_ptr<Disposable> object);

 private:
  friend class FdWatch;
  friend class DeferredCall;

  // Runs posted tasks when the mailbox wakes the poller.
  class MailboxObserver final : public FdObserver {
   public:
    explicit MailboxObserver(Mailbox& mailbox) : mailbox_(mailbox) {}
    void on_fd_ready(uint8_t) override { mailbox_.run(); }

   private:
    Mailbox& mailbox_;
  };

  [[nodiscard]] int wait_timeout_ms(Duration max_wait) const;
  void run_deferred();
  void run_disposals();
  void withdraw_events(const FdWatch& watch);

  const Clock& clock_;
  Poller poller_;
  Mailbox mailbox_;
  MailboxObserver mailbox_observer_{mailbox_};
  FdWatch mailbox_watch_;
  MonotonicTime now_;
  WallTime wall_{};
  uint64_t wall_turn_ = UINT64_MAX;
  TimerWheel timers_;
  IntrusiveList<DeferredCall> deferred_;
  Disposable* disposals_ = nullptr;  // oldest first
  Disposable** last_disposal_ = &disposals_;
  std::array<ReadyEvent, 256> ready_{};
  size_t ready_count_ = 0;
  size_t ready_at_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> turns_{0};
  std::atomic<int64_t> turn_began_ns_{0};
};

}  // namespace headgate::event
