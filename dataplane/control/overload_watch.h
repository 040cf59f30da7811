// overload_watch.h -- measures memory and the lag of the workers' loops, and tells the workers when to shed load.
//
// Memory: the working set of the control group and of those above it, against their limits (what the kernel kills for);
// the highest share counts. From 90 % on new requests are answered 503, from 95 % on nothing is accepted; both end below
// 85 %. Without a limit nothing is measured.
// Lag: a loop that was at work whenever it was looked at for a second, and made fewer than ten turns in it, is too slow
// for those who wait: turns took more than 100 ms on average. It sheds until a second was better.
// Thread: control.   Owner: Supervisor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/overload.h"
#include "dataplane/control/cgroup.h"
#include "dataplane/event/loop.h"
#include "dataplane/worker/worker.h"

namespace headgate::control {

class MemoryGauge {
 public:
  // `root`: "" or, for tests, where /proc and /sys are.
  explicit MemoryGauge(const std::string& root = "");
  // Used share of the limit that is nearest; nullopt: there is none.
  [[nodiscard]] std::optional<double> share() const;

 private:
  [[nodiscard]] std::optional<double> share_of(const CgroupDirectory& group) const;

  std::vector<CgroupDirectory> groups_;
};

MemoryPressure next_pressure(MemoryPressure before, std::optional<double> share);

class LagGauge {
 public:
  static constexpr Duration kWindow = std::chrono::seconds(1);
  static constexpr uint64_t kTurns = 10;

  // What event::Loop says of itself at `now`; true while it lags.
  bool look(uint64_t turns, bool busy, MonotonicTime now);

 private:
  MonotonicTime window_began_{};
  uint64_t window_turns_ = 0;
  bool always_busy_ = false;
  bool lagging_ = false;
};

class OverloadWatch {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(100);
  static constexpr Duration kIdleTick = std::chrono::milliseconds(500);  // while no loop is at work

  OverloadWatch(event::Loop& loop, std::span<const std::unique_ptr<worker::Worker>> workers);

 private:
  void on_tick();
  void measure_memory();

  event::Loop& loop_;
  std::span<const std::unique_ptr<worker::Worker>> workers_;
  event::Timer tick_;
  MemoryGauge memory_;
  MemoryPressure pressure_ = MemoryPressure::kNone;
  std::vector<LagGauge> lag_;
};

}  // namespace headgate::control
