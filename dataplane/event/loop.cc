#include "dataplane/event/loop.h"

#include <algorithm>

namespace headgate::event {

Result<void> FdWatch::start(Loop& loop, int fd, FdObserver& observer) {
  HG_DCHECK(loop_ == nullptr);
  HG_TRY(loop.poller_.add(fd, *this));
  loop_ = &loop;
  observer_ = &observer;
  fd_ = fd;
  return {};
}

void FdWatch::stop() {
  if (loop_ == nullptr) return;
  loop_->poller_.remove(fd_);
  stop_before_close();
}

void FdWatch::stop_before_close() {
  if (loop_ == nullptr) return;
  loop_->withdraw_events(*this);
  loop_ = nullptr;
}

void DeferredCall::schedule() {
  if (!linked()) loop_->deferred_.push_back(*this);
}

Loop::Loop(const Clock& clock) : clock_(clock), now_(clock.now()), timers_(now_) {
  HG_CHECK(poller_.open().has_value());
  HG_CHECK(mailbox_watch_.start(*this, mailbox_.wake_fd(), mailbox_observer_).has_value());
}

Loop::~Loop() {
  mailbox_watch_.stop();
  run_disposals();
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  mailbox_.post_fn([] {});
}

void Loop::run() {
  while (!stopping()) run_once(Duration(-1));
}

int Loop::wait_timeout_ms(Duration max_wait) const {
  if (!deferred_.empty() || disposals_ != nullptr) return 0;
  Duration wait = max_wait;
  if (const auto next = timers_.next_expiry()) {
    const Duration until = std::max(*next - now_, Duration(0));
    wait = wait < Duration(0) ? until : std::min(wait, until);
  }
  if (wait < Duration(0)) return -1;
  // Rounded up: waking a fraction early would spin until the timer is due.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
  return static_cast<int>(std::min<int64_t>(ms, 3'600'000));
}

void Loop::run_once(Duration max_wait) {
  turn_began_ns_.store(0, std::memory_order_relaxed);
  ready_count_ = poller_.wait(ready_, wait_timeout_ms(max_wait));
  now_ = clock_.now();
  // Before anything runs: a timer armed by a ready descriptor counts from now, not from before a long wait.
  timers_.tell_time(now_);
  turn_began_ns_.store(now_.time_since_epoch().count(), std::memory_order_relaxed);
  turns_.store(turns_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  for (ready_at_ = 0; ready_at_ < ready_count_; ++ready_at_) {
    const ReadyEvent event = ready_[ready_at_];
    if (event.watch != nullptr) event.watch->observer_->on_fd_ready(event.ready);
  }
  ready_count_ = 0;
  timers_.advance(now_);
  run_deferred();
  run_disposals();
}

void Loop::run_deferred() {
  // Only what is queued now: a call that schedules again waits for the next turn, so no one starves the others.
  IntrusiveList<DeferredCall> batch;
  batch.splice_back(deferred_);
  while (DeferredCall* call = batch.pop_front()) call->callback_(call->argument_);
}

void Loop::run_disposals() {
  while (disposals_ != nullptr) {
    Disposable* object = std::exchange(disposals_, nullptr);
    last_disposal_ = &disposals_;
    while (object != nullptr) {
      Disposable* next = object->next_disposed_;
      object->dispose();
      object = next;
    }
  }
}

WallTime Loop::wall() {
  const uint64_t turn = turns();
  if (wall_turn_ != turn) {
    wall_ = clock_.wall();
    wall_turn_ = turn;
  }
  return wall_;
}

void Loop::defer_delete(std::unique_ptr<Disposable> object) {
  if (object == nullptr) return;
  Disposable* raw = object.release();
  raw->next_disposed_ = nullptr;
  *last_disposal_ = raw;
  last_disposal_ = &raw->next_disposed_;
}

// An event of this watch may still wait in the current batch.
void Loop::withdraw_events(const FdWatch& watch) {
  for (size_t i = ready_at_ + 1; i < ready_count_; ++i) {
    if (ready_[i].watch == &watch) ready_[i].watch = nullptr;
  }
}

}  // namespace headgate::event
