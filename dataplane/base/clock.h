// clock.h -- monotonic and wall time behind one small interface, so that tests own time.
// Thread: any for the clocks; a Loop caches now() once per turn.   Timers use monotonic time only.
#pragma once

#include <chrono>

namespace headgate {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall() const = 0;
};

// The kernel's clocks.
const Clock& system_clock();

// Stands still until told otherwise.
class FakeClock final : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }
  void advance(Duration by) {
    now_ += by;
    wall_ += by;
  }
  void step_wall(Duration by) { wall_ += by; }

 private:
  MonotonicTime now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::hours(24 * 365 * 50)};
};

inline double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace headgate
