// counters.h -- everything we count, declared in one table (counters.cc) with type and help.
//
// Each worker owns one Counters and writes it with plain stores; a scrape reads all of them from the control thread,
// hence relaxed atomics (a load, an add, a store: no lock prefix). Process-wide cells of the same shape exist for
// control and log threads.
// Unit: in the metric's name.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>

namespace headgate {

enum class Counter : uint16_t {
#define HG_COUNTER(id, type, name, labels, help) id,
#include "dataplane/base/counters.inc"
#undef HG_COUNTER
  kCount
};

enum class Histogram : uint8_t {
#define HG_HISTOGRAM(id, name, help) id,
#include "dataplane/base/counters.inc"
#undef HG_HISTOGRAM
  kCount
};

enum class MetricType : uint8_t { kCounter, kGauge };

struct CounterRow {
  MetricType type;
  std::string_view name;    // headgate_<part>_<thing>_<unit>[_total]
  std::string_view labels;  // `code="2xx"` or empty
  std::string_view help;
};
struct HistogramRow {
  std::string_view name;
  std::string_view help;
};
std::span<const CounterRow> counter_rows();
std::span<const HistogramRow> histogram_rows();

// Upper bounds in seconds of the duration buckets; the last bucket is +Inf.
inline constexpr std::array<double, 16> kDurationBounds = {0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                           0.1,     0.25,   0.5,   1,      2.5,   5,    10,    30};

class Counters {
 public:
  void add(Counter counter, uint64_t by = 1) {
    auto& cell = cells_[static_cast<size_t>(counter)];
    cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  // Gauges only.
  void subtract(Counter counter, uint64_t by = 1) { add(counter, ~by + 1); }
  void set(Counter counter, uint64_t value) {
    cells_[static_cast<size_t>(counter)].store(value, std::memory_order_relaxed);
  }
  void observe(Histogram histogram, std::chrono::nanoseconds duration);

  [[nodiscard]] uint64_t value(Counter counter) const {
    return cells_[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
  }
  struct Buckets {
    std::array<std::atomic<uint64_t>, kDurationBounds.size() + 1> counts{};
    std::atomic<uint64_t> sum_nanoseconds{0};
  };
  [[nodiscard]] const Buckets& buckets(Histogram histogram) const {
    return histograms_[static_cast<size_t>(histogram)];
  }

 private:
  alignas(64) std::array<std::atomic<uint64_t>, static_cast<size_t>(Counter::kCount)> cells_{};
  std::array<Buckets, static_cast<size_t>(Histogram::kCount)> histograms_{};
};

}  // namespace headgate
