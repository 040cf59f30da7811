// metrics_export.h -- the counters of all workers as one Prometheus text page.
// Spec: Prometheus text exposition format 0.0.4.   Thread: control (reads relaxed atomics).   Owner: called by admin.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/counters.h"

namespace headgate::control {

// A gauge or counter that is not in the table of base/counters: state of upstreams, the process itself.
struct MetricSample {
  std::string name;
  std::string help;
  MetricType type = MetricType::kGauge;
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;
};

// At most this many samples beside the table are exported; headgate_metrics_dropped_samples says how many were not.
inline constexpr size_t kMaxMetricSamples = 1500;

// Sums the workers' counters; samples of one name need not stand together.
std::string export_metrics(std::span<const Counters* const> workers, std::span<const MetricSample> samples);
// Content-Type of the page.
inline constexpr const char* kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// headgate_build_properties{version}, process start time, resident memory, open descriptors, CPU seconds.
std::vector<MetricSample> process_samples();

}  // namespace headgate::control
