// timer_wheel.h -- timers with O(1) arm, cancel and expiry; four levels of 64 slots, 10 ms tick.
//
// A Timer never fires early and at most one tick late (upper levels cascade down as their time comes).
// `next_expiry` is exact to a tick for what is due in the lowest level and a lower bound beyond, so an idle Loop sleeps
// until something can be due, and for ever when nothing is armed.
// Thread: that of the Loop.   Owner: each Timer is a member of what it times and cancels itself when destroyed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/base/clock.h"
#include "dataplane/base/intrusive_list.h"

namespace headgate::event {

class TimerWheel;

class Timer : private ListNode<> {
 public:
  using Callback = void (*)(void*);

  Timer(TimerWheel& wheel, Callback callback, void* argument)
      : wheel_(&wheel), callback_(callback), argument_(argument) {}
  ~Timer() { cancel(); }

  // Timer(wheel, Timer::call<&Session::on_deadline>, this)
  template <auto Method>
  static void call(void* object) {
    call_method(Method, object);
  }

  void arm_at(MonotonicTime when);
  void arm(Duration from_now);
  void cancel();
  [[nodiscard]] bool armed() const { return linked(); }
  [[nodiscard]] MonotonicTime deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  friend class headgate::IntrusiveList<Timer>;
  template <typename T>
  static void call_method(void (T::*method)(), void* object) {
    (static_cast<T*>(object)->*method)();
  }

  TimerWheel* wheel_;
  Callback callback_;
  void* argument_;
  MonotonicTime deadline_{};
  uint8_t level_ = 0;
  uint8_t slot_ = 0;
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(10);

  explicit TimerWheel(MonotonicTime now) : now_(now), origin_(now) {}

  // Moves time forward without firing: what is armed from now on counts from `now`.
  void tell_time(MonotonicTime now) { now_ = now > now_ ? now : now_; }
  // Moves time forward and fires what is due. A callback may arm, cancel and destroy any timer.
  void advance(MonotonicTime now);
  [[nodiscard]] std::optional<MonotonicTime> next_expiry() const;
  [[nodiscard]] MonotonicTime now() const { return now_; }
  [[nodiscard]] bool empty() const { return armed_ == 0; }

 private:
  friend class Timer;
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 6;
  static constexpr uint64_t kSlots = 1U << kSlotBits;

  void insert(Timer& timer);
  void forget(Timer& timer);
  [[nodiscard]] uint64_t tick_of(MonotonicTime time) const;  // rounded up
  void fire_slot(uint64_t slot);
  void cascade(int level);

  MonotonicTime now_;
  MonotonicTime origin_;
  uint64_t tick_ = 0;  // all slots up to and including this tick have fired
  size_t armed_ = 0;
  std::array<uint64_t, kLevels> occupied_{};  // one bit per slot that may hold a timer
  std::array<std::array<IntrusiveList<Timer>, kSlots>, kLevels> slots_;
};

}  // namespace headgate::event
