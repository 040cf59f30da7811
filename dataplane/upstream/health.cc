#include "dataplane/upstream/health.h"

#include <algorithm>
#include <utility>

#include "dataplane/base/log.h"

namespace headgate::upstream {
namespace {

constexpr Duration kFirstWithin = std::chrono::seconds(1);
constexpr double kJitter = 0.1;

}  // namespace

class HealthProber::Target final : public ListNode<>, public ProbeObserver {
 public:
  Target(HealthProber& prober, std::shared_ptr<const Upstream> upstream, const Endpoint& endpoint)
      : prober_(prober),
        timer_(prober.loop_.timers(), event::Timer::call<&Target::on_due>, this),
        upstream_(std::move(upstream)),
        endpoint_(&endpoint) {
    // Soon, but not all of 5,000 endpoints at once.
    const Duration within = std::min(kFirstWithin, check().interval);
    timer_.arm(Duration(static_cast<int64_t>(prober_.random_.unit() * static_cast<double>(within.count()))));
  }
  ~Target() {
    stop_probe();
    // Nobody looks any more: what was found must not stick.
    if (cell().health() == Health::kUnknown) return;
    cell().set_health(Health::kUnknown);
    upstream_->cell().touch();
  }

  void update(const std::shared_ptr<const Upstream>& upstream, const Endpoint& endpoint) {
    const bool same_check = *upstream->settings().health_check == check();
    // The cells are the same, so the endpoint's state is. A probe under way goes on with what it began with, or a
    // configuration that changes every second would keep slow failures from ever being noticed.
    upstream_ = upstream;
    endpoint_ = &endpoint;
    if (same_check) return;
    stop_probe();
    timer_.arm(Duration(0));
  }

  void start_probe() {
    unlink();
    ++prober_.running_;
    started_ = prober_.loop_.now();
    probed_ = upstream_;
    probe_ = std::make_unique<Probe>(prober_.loop_, *upstream_, *endpoint_, prober_.extensions_, *this);
    probe_->start();
  }

  bool checked = true;  // still, after what set_upstreams() has seen so far

 private:
  [[nodiscard]] const ActiveHealthCheck& check() const { return *upstream_->settings().health_check; }
  [[nodiscard]] EndpointCell& cell() const { return *endpoint_->cell; }

  void on_due() {
    prober_.waiting_.push_back(*this);
    prober_.start_waiting();
  }

  void stop_probe() {
    if (probe_ == nullptr) return;
    --prober_.running_;
    probe_.reset();
  }

  void on_probe_done(bool healthy, const char* reason, uint32_t status) override {
    // Deleted after this turn; what it refers to must live as long.
    prober_.loop_.defer_delete(std::make_unique<Finished>(std::move(probe_), std::move(probed_)));
    --prober_.running_;
    if (!healthy && prober_.counters_ != nullptr) prober_.counters_->add(Counter::kUpstreamHealthFailures);
    judge(healthy, reason, status);
    Duration wait = check().interval;
    if (cell().health() == Health::kUnknown) wait = std::min(wait, kFirstWithin);
    const double factor = 1 - kJitter + 2 * kJitter * prober_.random_.unit();
    timer_.arm_at(started_ + Duration(static_cast<int64_t>(static_cast<double>(wait.count()) * factor)));
    prober_.start_waiting();
  }

  void judge(bool healthy, const char* reason, uint32_t status) {
    successes_ = healthy ? successes_ + 1 : 0;
    failures_ = healthy ? 0 : failures_ + 1;
    const Health before = cell().health();
    if (healthy && before != Health::kHealthy && (before == Health::kUnknown || successes_ >= check().healthy)) {
      if (before == Health::kUnhealthy) {
        cell().clear_failures();
        cell().slow_start_since_ns.store(to_nanoseconds(prober_.loop_.now()), std::memory_order_relaxed);
        HG_LOG(kInfo, kHealth, "endpoint is healthy", {"upstream", upstream_->name()}, {"endpoint", endpoint_->text});
      }
      cell().set_health(Health::kHealthy);
      upstream_->cell().touch();
    }
    if (!healthy && before != Health::kUnhealthy && failures_ >= check().unhealthy) {
      cell().set_health(Health::kUnhealthy);
      upstream_->cell().touch();
      HG_LOG(kWarn, kHealth, "endpoint is unhealthy", {"upstream", upstream_->name()}, {"endpoint", endpoint_->text},
             {"reason", reason}, {"status", status});
    }
  }

  // A finished Probe together with the Upstream that it refers to.
  class Finished final : public event::Disposable {
   public:
    Finished(std::unique_ptr<Probe> probe, std::shared_ptr<const Upstream> upstream)
        : upstream_(std::move(upstream)), probe_(std::move(probe)) {}

   private:
    std::shared_ptr<const Upstream> upstream_;
    std::unique_ptr<Probe> probe_;
  };

  HealthProber& prober_;
  event::Timer timer_;
  std::shared_ptr<const Upstream> upstream_;
  const Endpoint* endpoint_;
  std::shared_ptr<const Upstream> probed_;  // what probe_ refers to
  std::unique_ptr<Probe> probe_;
  MonotonicTime started_{};
  uint32_t successes_ = 0;
  uint32_t failures_ = 0;
};

HealthProber::HealthProber(event::Loop& loop, ProbeExtensions* extensions, Counters* counters)
    : loop_(loop), extensions_(extensions), counters_(counters) {}

HealthProber::~HealthProber() { targets_.clear(); }

void HealthProber::set_upstreams(const UpstreamSlots& upstreams) {
  // First what leaves, then what comes: an Upstream may have moved to another slot with its endpoints.
  std::vector<const EndpointCell*> left;
  UpstreamSlots::changes_between(upstreams_, upstreams, [&](size_t, const auto& before, const auto&) {
    if (before == nullptr) return;
    for (const Endpoint& endpoint : before->endpoints()) {
      const auto target = targets_.find(endpoint.cell.get());
      if (target == targets_.end()) continue;
      target->second->checked = false;
      left.push_back(target->first);
    }
  });
  UpstreamSlots::changes_between(upstreams_, upstreams, [&](size_t, const auto&, const auto& upstream) {
    if (upstream == nullptr || !upstream->settings().health_check.has_value()) return;
    for (const Endpoint& endpoint : upstream->endpoints()) {
      if (endpoint.resolved()) update_target(upstream, endpoint);
    }
  });
  for (const EndpointCell* cell : left) {
    const auto target = targets_.find(cell);
    if (target != targets_.end() && !target->second->checked) targets_.erase(target);
  }
  upstreams_ = upstreams;
  start_waiting();
}

void HealthProber::update_target(const std::shared_ptr<const Upstream>& upstream, const Endpoint& endpoint) {
  auto& target = targets_[endpoint.cell.get()];
  if (target == nullptr) {
    target = std::make_unique<Target>(*this, upstream, endpoint);
  } else {
    target->update(upstream, endpoint);
  }
  target->checked = true;
}

void HealthProber::start_waiting() {
  while (running_ < kMaxRunning && !waiting_.empty()) waiting_.front()->start_probe();
}

}  // namespace headgate::upstream
