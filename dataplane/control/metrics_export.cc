#include "dataplane/control/metrics_export.h"

#include <dirent.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <limits>
#include <map>

#include "dataplane/base/log.h"

namespace headgate::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

prometheus::MetricType to_prometheus(MetricType type) {
  return type == MetricType::kCounter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
}

void set_value(ClientMetric& metric, MetricType type, double value) {
  if (type == MetricType::kCounter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
}

// `code="2xx",reason="limit"` as written in the table; values have no quotes inside.
std::vector<ClientMetric::Label> parse_labels(std::string_view text) {
  std::vector<ClientMetric::Label> labels;
  while (!text.empty()) {
    const size_t equals = text.find("=\"");
    if (equals == std::string_view::npos) break;
    const size_t end = text.find('"', equals + 2);
    if (end == std::string_view::npos) break;
    labels.push_back({std::string(text.substr(0, equals)), std::string(text.substr(equals + 2, end - equals - 2))});
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return labels;
}

// Families keep the order in which their first sample came.
class Families {
 public:
  MetricFamily& find_or_make(const std::string& name, std::string_view help, prometheus::MetricType type) {
    const auto [position, added] = places_.try_emplace(name, families_.size());
    if (added) families_.push_back({.name = name, .help = std::string(help), .type = type, .metric = {}});
    return families_[position->second];
  }
  [[nodiscard]] const std::vector<MetricFamily>& all() const { return families_; }

 private:
  std::vector<MetricFamily> families_;
  std::map<std::string, size_t> places_;
};

void add_counters(Families& families, std::span<const Counters* const> workers) {
  const auto rows = counter_rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    const CounterRow& row = rows[i];
    uint64_t sum = 0;  // gauges too: one worker may have counted up what another counts down
    for (const Counters* worker : workers) sum += worker->value(static_cast<Counter>(i));
    ClientMetric metric;
    metric.label = parse_labels(row.labels);
    // A gauge read while it moves between workers may be below zero for a moment.
    const auto value = row.type == MetricType::kGauge ? std::max<int64_t>(static_cast<int64_t>(sum), 0) : 0;
    set_value(metric, row.type, row.type == MetricType::kGauge ? static_cast<double>(value) : static_cast<double>(sum));
    families.find_or_make(std::string(row.name), row.help, to_prometheus(row.type)).metric.push_back(std::move(metric));
  }
}

void add_histograms(Families& families, std::span<const Counters* const> workers) {
  const auto rows = histogram_rows();
  for (size_t i = 0; i < rows.size(); ++i) {
    ClientMetric metric;
    uint64_t cumulative = 0;
    for (size_t b = 0; b <= kDurationBounds.size(); ++b) {
      for (const Counters* worker : workers) {
        cumulative += worker->buckets(static_cast<Histogram>(i)).counts[b].load(std::memory_order_relaxed);
      }
      const double bound = b < kDurationBounds.size() ? kDurationBounds[b] : std::numeric_limits<double>::infinity();
      metric.histogram.bucket.push_back({cumulative, bound});
    }
    uint64_t nanoseconds = 0;
    for (const Counters* worker : workers) {
      nanoseconds += worker->buckets(static_cast<Histogram>(i)).sum_nanoseconds.load(std::memory_order_relaxed);
    }
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum = static_cast<double>(nanoseconds) / 1e9;
    families.find_or_make(std::string(rows[i].name), rows[i].help, prometheus::MetricType::Histogram)
        .metric.push_back(std::move(metric));
  }
}

void add_samples(Families& families, std::span<const MetricSample> samples) {
  for (const MetricSample& sample : samples.first(std::min(samples.size(), kMaxMetricSamples))) {
    ClientMetric metric;
    for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
    set_value(metric, sample.type, sample.value);
    families.find_or_make(sample.name, sample.help, to_prometheus(sample.type)).metric.push_back(std::move(metric));
  }
  const size_t dropped = samples.size() > kMaxMetricSamples ? samples.size() - kMaxMetricSamples : 0;
  ClientMetric metric;
  metric.gauge.value = static_cast<double>(dropped);
  families
      .find_or_make("headgate_metrics_dropped_samples", "Samples left out of this page because there are too many.",
                    prometheus::MetricType::Gauge)
      .metric.push_back(std::move(metric));
}

MetricSample gauge(const char* name, const char* help, double value) {
  return {.name = name, .help = help, .value = value};
}

double open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -3;  // ".", ".." and the descriptor that reads
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total_pages = 0;
  double resident_pages = 0;
  file >> total_pages >> resident_pages;
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string export_metrics(std::span<const Counters* const> workers, std::span<const MetricSample> samples) {
  Families families;
  add_counters(families, workers);
  add_histograms(families, workers);
  add_samples(families, samples);
  try {
    return prometheus::TextSerializer().Serialize(families.all());
  } catch (const std::exception& error) {
    HG_LOG(kError, kAdmin, "cannot write metrics", {"error", error.what()});
    return "";
  }
}

std::vector<MetricSample> process_samples() {
  static const auto started = std::chrono::system_clock::now();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  std::vector<MetricSample> samples;
  samples.push_back(gauge("headgate_build_properties", "1, with the version as a label.", 1));
  samples.back().labels = {{"version", HEADGATE_VERSION}};
  samples.push_back(gauge("headgate_process_start_time_seconds", "Unix time at which this process started.",
                          std::chrono::duration<double>(started.time_since_epoch()).count()));
  samples.push_back(gauge("headgate_process_resident_memory_bytes", "Resident memory.", resident_bytes()));
  samples.push_back(gauge("headgate_process_open_fds", "Open file descriptors.", open_descriptors()));
  samples.push_back(
      {.name = "headgate_process_cpu_seconds_total", .help = "CPU time used.", .type = MetricType::kCounter, .value = cpu});
  return samples;
}

}  // namespace headgate::control
