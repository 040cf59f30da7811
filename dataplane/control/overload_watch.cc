#include "dataplane/control/overload_watch.h"

#include <algorithm>
#include <fstream>

#include "dataplane/base/log.h"
#include "dataplane/base/number.h"

namespace headgate::control {
namespace {

constexpr double kShedAt = 0.90;
constexpr double kStopAt = 0.95;
constexpr double kEaseAt = 0.85;
// Version 1 writes "no limit" as a number near the largest one.
constexpr uint64_t kNoLimit = uint64_t{1} << 60;

std::optional<uint64_t> read_number(const std::string& path) {
  const auto line = read_first_line(path);
  if (!line) return std::nullopt;
  const auto value = parse_decimal<uint64_t>(*line);  // "max" is no number
  if (!value) return std::nullopt;
  return *value;
}

// "inactive_file 4096" in memory.stat: pages the kernel takes back before it kills anybody.
uint64_t reclaimable(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return parse_decimal<uint64_t>(std::string_view(line).substr(key.size() + 1)).value_or(0);
    }
  }
  return 0;
}

void raise(std::optional<double>& highest, std::optional<double> share) {
  if (share && (!highest || *share > *highest)) highest = share;
}

}  // namespace

MemoryGauge::MemoryGauge(const std::string& root) {
  for (CgroupDirectory& group : cgroup_directories(root, "memory")) {
    const std::string limit = group.path + (group.unified ? "/memory.max" : "/memory.limit_in_bytes");
    if (read_first_line(limit)) groups_.push_back(std::move(group));  // the limit itself may come later
  }
}

std::optional<double> MemoryGauge::share() const {
  std::optional<double> highest;
  for (const CgroupDirectory& group : groups_) raise(highest, share_of(group));
  return highest;
}

std::optional<double> MemoryGauge::share_of(const CgroupDirectory& group) const {
  const auto limit = read_number(group.path + (group.unified ? "/memory.max" : "/memory.limit_in_bytes"));
  if (!limit || *limit == 0 || *limit >= kNoLimit) return std::nullopt;
  const auto usage = read_number(group.path + (group.unified ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!usage) return std::nullopt;
  const std::string_view key = group.unified ? "inactive_file" : "total_inactive_file";
  const uint64_t spare = reclaimable(group.path + "/memory.stat", key);
  return static_cast<double>(*usage - std::min(*usage, spare)) / static_cast<double>(*limit);
}

MemoryPressure next_pressure(MemoryPressure before, std::optional<double> share) {
  if (!share) return MemoryPressure::kNone;
  if (*share >= kStopAt) return MemoryPressure::kStop;
  if (*share >= kShedAt) return MemoryPressure::kShed;
  return *share >= kEaseAt && before != MemoryPressure::kNone ? MemoryPressure::kShed : MemoryPressure::kNone;
}

bool LagGauge::look(uint64_t turns, bool busy, MonotonicTime now) {
  const bool first = window_began_ == MonotonicTime{};
  always_busy_ = always_busy_ && busy;
  if (!busy) lagging_ = false;
  if (first || now - window_began_ >= kWindow) {
    if (!first) lagging_ = always_busy_ && turns - window_turns_ < kTurns;
    window_began_ = now;
    window_turns_ = turns;
    always_busy_ = busy;
  }
  return lagging_;
}

OverloadWatch::OverloadWatch(event::Loop& loop, std::span<const std::unique_ptr<worker::Worker>> workers)
    : loop_(loop),
      workers_(workers),
      tick_(loop.timers(), event::Timer::call<&OverloadWatch::on_tick>, this),
      lag_(workers.size()) {
  tick_.arm(kTick);
}

void OverloadWatch::on_tick() {
  bool any_busy = false;
  for (size_t i = 0; i < workers_.size(); ++i) {
    worker::Worker& worker = *workers_[i];
    const bool busy = worker.loop().turn_began_ns() != 0;
    any_busy = any_busy || busy;
    const bool lagging = lag_[i].look(worker.loop().turns(), busy, loop_.now());
    if (lagging == worker.overload().lagging.exchange(lagging, std::memory_order_relaxed)) continue;
    HG_LOG(kWarn, kCore, lagging ? "a worker's loop lags: new requests are refused" : "the worker's loop is fast again",
           {"worker", worker.index()});
  }
  measure_memory();
  tick_.arm(any_busy || pressure_ != MemoryPressure::kNone ? kTick : kIdleTick);
}

void OverloadWatch::measure_memory() {
  const std::optional<double> share = memory_.share();
  const MemoryPressure next = next_pressure(pressure_, share);
  if (next == pressure_) return;
  const char* const what = next == MemoryPressure::kNone   ? "memory suffices again"
                           : next == MemoryPressure::kShed ? "memory is short: new requests are refused"
                                                           : "memory is short: nothing is accepted";
  HG_LOG(kWarn, kCore, what, {"used_percent", share.value_or(0) * 100});
  pressure_ = next;
  for (const auto& worker : workers_) worker->set_memory_pressure(next);
}

}  // namespace headgate::control
