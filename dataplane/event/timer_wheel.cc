#include "dataplane/event/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace headgate::event {

void Timer::arm_at(MonotonicTime when) {
  cancel();
  deadline_ = when;
  wheel_->insert(*this);
}

void Timer::arm(Duration from_now) { arm_at(wheel_->now() + from_now); }

void Timer::cancel() {
  if (linked()) wheel_->forget(*this);
}

uint64_t TimerWheel::tick_of(MonotonicTime time) const {
  if (time <= origin_) return 0;
  const auto elapsed = (time - origin_).count();
  return static_cast<uint64_t>((elapsed + kTick.count() - 1) / kTick.count());
}

void TimerWheel::insert(Timer& timer) {
  // What is due already fires on the next tick, never inside the call that armed it.
  const uint64_t due = std::max(tick_of(timer.deadline_), tick_ + 1);
  const uint64_t distance = due - tick_;
  int level = 0;
  while (level < kLevels - 1 && distance >= (uint64_t{1} << (kSlotBits * (level + 1)))) ++level;
  uint64_t at = due >> (kSlotBits * level);
  // Beyond the horizon: wait in the farthest slot and be placed again when it comes round.
  const uint64_t horizon = (tick_ >> (kSlotBits * level)) + kSlots - 1;
  if (level == kLevels - 1) at = std::min(at, horizon);
  timer.level_ = static_cast<uint8_t>(level);
  timer.slot_ = static_cast<uint8_t>(at & (kSlots - 1));
  slots_[timer.level_][timer.slot_].push_back(timer);
  occupied_[timer.level_] |= uint64_t{1} << timer.slot_;
  ++armed_;
}

void TimerWheel::forget(Timer& timer) {
  timer.unlink();
  --armed_;
  if (slots_[timer.level_][timer.slot_].empty()) occupied_[timer.level_] &= ~(uint64_t{1} << timer.slot_);
}

void TimerWheel::advance(MonotonicTime now) {
  now_ = std::max(now_, now);
  // Rounded down: a tick has passed only when all of it has.
  const auto target = static_cast<uint64_t>((now_ - origin_).count() / kTick.count());
  while (tick_ < target) {
    if (armed_ == 0) {
      tick_ = target;
      return;
    }
    // Skip ticks in which nothing can happen: no timer in the lowest level before the next cascade.
    const uint64_t to_cascade = kSlots - (tick_ & (kSlots - 1));
    if (occupied_[0] == 0) {
      tick_ += std::min(to_cascade, target - tick_);
    } else {
      ++tick_;
    }
    for (int level = 1; level < kLevels; ++level) {
      if ((tick_ & ((uint64_t{1} << (kSlotBits * level)) - 1)) != 0) break;
      cascade(level);
    }
    fire_slot(tick_ & (kSlots - 1));
  }
}

void TimerWheel::cascade(int level) {
  const uint64_t slot = (tick_ >> (kSlotBits * level)) & (kSlots - 1);
  IntrusiveList<Timer> moving;
  moving.splice_back(slots_[level][slot]);
  occupied_[level] &= ~(uint64_t{1} << slot);
  while (Timer* timer = moving.pop_front()) {
    --armed_;
    if (tick_of(timer->deadline_) <= tick_) {
      // Due on this very tick: into the slot that is about to fire.
      timer->level_ = 0;
      timer->slot_ = static_cast<uint8_t>(tick_ & (kSlots - 1));
      slots_[0][timer->slot_].push_back(*timer);
      occupied_[0] |= uint64_t{1} << timer->slot_;
      ++armed_;
    } else {
      insert(*timer);
    }
  }
}

void TimerWheel::fire_slot(uint64_t slot) {
  if ((occupied_[0] & (uint64_t{1} << slot)) == 0) return;
  // Timers armed by the callbacks go to later ticks, so this list only shrinks.
  while (Timer* timer = slots_[0][slot].front()) {
    if (tick_of(timer->deadline_) > tick_) break;
    forget(*timer);
    timer->callback_(timer->argument_);
  }
  if (slots_[0][slot].empty()) occupied_[0] &= ~(uint64_t{1} << slot);
}

std::optional<MonotonicTime> TimerWheel::next_expiry() const {
  if (armed_ == 0) return std::nullopt;
  uint64_t best = UINT64_MAX;
  for (int level = 0; level < kLevels; ++level) {
    if (occupied_[level] == 0) continue;
    const uint64_t base = tick_ >> (kSlotBits * level);
    // Rotate so that bit 0 is the next slot to come.
    const int start = static_cast<int>((base + 1) & (kSlots - 1));
    const int ahead = std::countr_zero(std::rotr(occupied_[level], start));
    best = std::min(best, (base + 1 + static_cast<uint64_t>(ahead)) << (kSlotBits * level));
  }
  return origin_ + kTick * static_cast<int64_t>(best);
}

}  // namespace headgate::event
