#include "controlplane/admin/admin.h"

#include <utility>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace headgate::admin {

namespace {

// The loop turns at least once a second.
constexpr Duration kDead = std::chrono::seconds(30);

void add(std::vector<prometheus::MetricFamily>& families, const Admin::Sample& sample) {
  if (families.empty() || families.back().name != sample.name) {
    families.push_back({.name = sample.name,
                        .help = sample.help,
                        .type = sample.counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge,
                        .metric = {}});
  }
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : sample.labels) metric.label.push_back({name, value});
  (sample.counter ? metric.counter.value : metric.gauge.value) = sample.value;
  families.back().metric.push_back(std::move(metric));
}

std::string proxies_text(const Admin::State& state) {
  std::string text;
  for (const publish::FactsPtr& facts : state.proxies) {
    text += facts->node().id() + "  set=" + (facts->node().config().empty() ? "-" : facts->node().config()) +
            "  version=" + facts->node().version() + "  digest=" + std::to_string(facts->digest()) +
            "  rejects=" + std::to_string(facts->rejects_size()) + "\n";
    for (const control::v1::Reject& reject : facts->rejects()) {
      text += "    " + control::v1::Kind_Name(reject.key().kind()) + " " + reject.key().name() + ": " +
              reject.field_path() + ": " + reject.message() +
              (reject.kept_previous() ? " (the previous one serves)" : "") + "\n";
    }
  }
  return text.empty() ? "no dataplane is connected\n" : text;
}

}  // namespace

bool Admin::is_alive() const {
  const MonotonicTime turned{Duration(counts_.turned_at_ns.load(std::memory_order_relaxed))};
  return system_clock().now() - turned < kDead;
}

std::string Admin::metrics() const {
  const State state = state_();
  const auto load = [](const std::atomic<uint64_t>& count) {
    return static_cast<double>(count.load(std::memory_order_relaxed));
  };
  double rejects = 0;
  for (const publish::FactsPtr& facts : state.proxies) rejects += facts->rejects_size();
  std::vector<Sample> samples = {
      {"headgate_controller_translations_total", "Translations of the cluster's objects.", true, {},
       load(counts_.translations)},
      {"headgate_controller_translate_seconds_total", "Time they took.", true, {},
       load(counts_.translate_nanoseconds) / 1e9},
      {"headgate_controller_resources", "Resources of the last translation.", false, {}, load(counts_.resources)},
      {"headgate_controller_notes", "Objects' problems that stand.", false, {}, load(counts_.notes)},
      {"headgate_controller_file_reads_total", "Reads of the configuration file.", true, {}, load(counts_.file_reads)},
      {"headgate_controller_file_failures_total", "Those that kept the old one.", true, {},
       load(counts_.file_failures)},
      {"headgate_controller_dataplanes", "Dataplanes that are connected here or to another replica.", false, {},
       static_cast<double>(state.proxies.size())},
      {"headgate_controller_rejects", "Resources that some dataplane cannot use.", false, {}, rejects},
      {"headgate_controller_leads", "1: this replica writes.", false, {}, state.leads ? 1.0 : 0.0},
  };
  samples.insert(samples.end(), state.samples.begin(), state.samples.end());
  std::vector<prometheus::MetricFamily> families;
  for (const Sample& sample : samples) add(families, sample);
  return prometheus::TextSerializer().Serialize(families);
}

std::string Admin::start(const std::string& address) {
  server_ = std::make_unique<Server>(ServerOptions{.workers = 1, .limits = {.connections = 200}});
  server_->on("GET", "/livez", [this](const RequestView&, Response& response) {
    const bool alive = is_alive();
    response.set_status(alive ? 200 : 503).set_body(alive ? "ok\n" : "the loop stands still\n");
  });
  server_->on("GET", "/readyz", [this](const RequestView&, Response& response) {
    const State state = state_();
    response.set_status(state.ready ? 200 : 503)
        .set_body(state.ready ? "ok\n" : "waiting for " + state.waiting_for + "\n");
  });
  server_->on("GET", "/metrics", [this](const RequestView&, Response& response) {
    response.set_body(metrics(), "text/plain; version=0.0.4; charset=utf-8");
  });
  server_->on("GET", "/debug/proxies", [this](const RequestView&, Response& response) {
    response.set_body(proxies_text(state_()));
  });
  if (!server_->listen(address) || !server_->start()) return server_->problem();
  return {};
}

void Admin::stop() {
  if (server_ != nullptr) server_->stop(std::chrono::seconds(1));
}

}  // namespace headgate::admin
