#include "dataplane/base/counters.h"

namespace headgate {
namespace {

constexpr CounterRow kCounterRows[] = {
#define HG_COUNTER(id, type, name, labels, help) {MetricType::type, name, labels, help},
#include "dataplane/base/counters.inc"
#undef HG_COUNTER
};

constexpr HistogramRow kHistogramRows[] = {
#define HG_HISTOGRAM(id, name, help) {name, help},
#include "dataplane/base/counters.inc"
#undef HG_HISTOGRAM
};

// The bounds as whole nanoseconds: most requests end within the first few.
constexpr auto kBoundNanoseconds = [] {
  std::array<int64_t, kDurationBounds.size()> bounds{};
  for (size_t i = 0; i < bounds.size(); ++i) bounds[i] = static_cast<int64_t>(kDurationBounds[i] * 1e9 + 0.5);
  return bounds;
}();

size_t bucket_of(std::chrono::nanoseconds duration) {
  size_t bucket = 0;
  while (bucket < kBoundNanoseconds.size() && duration.count() > kBoundNanoseconds[bucket]) ++bucket;
  return bucket;
}

void bump(std::atomic<uint64_t>& cell, uint64_t by) {
  cell.store(cell.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

}  // namespace

std::span<const CounterRow> counter_rows() { return kCounterRows; }
std::span<const HistogramRow> histogram_rows() { return kHistogramRows; }

void Counters::observe(Histogram histogram, std::chrono::nanoseconds duration) {
  Buckets& buckets = histograms_[static_cast<size_t>(histogram)];
  bump(buckets.counts[bucket_of(duration)], 1);
  bump(buckets.sum_nanoseconds, static_cast<uint64_t>(duration.count()));
}

}  // namespace headgate
