#include "dataplane/upstream/outlier.h"

#include <algorithm>

#include "dataplane/base/log.h"

namespace headgate::upstream {
namespace {

constexpr uint32_t kMaxBackOff = 10;

bool eject(const Upstream& upstream, uint32_t index, MonotonicTime now) {
  const PassiveHealthCheck& health = upstream.settings().passive_health;
  const Endpoint& endpoint = upstream.endpoint(index);
  EndpointCell& cell = *endpoint.cell;
  const std::lock_guard lock(upstream.cell().ejection);
  if (cell.is_ejected(now)) return false;  // another worker was faster
  uint64_t takes_traffic = 0;
  uint64_t ejected = 0;
  for (const Endpoint& other : upstream.endpoints()) {
    if (other.weight == 0 || !other.resolved() || (!other.ready && !other.serving)) continue;
    ++takes_traffic;
    if (other.cell->is_ejected(now)) ++ejected;
  }
  // The failures stay counted: it goes as soon as another comes back.
  if ((ejected + 1) * 100 > takes_traffic * health.max_ejected_percent) return false;

  const uint32_t before = cell.ejections.load(std::memory_order_relaxed);
  const uint32_t factor = std::min(before < 4 ? 1U << before : kMaxBackOff, kMaxBackOff);
  const int64_t until = to_nanoseconds(now + health.eject_for * factor);
  cell.ejections.store(before + 1, std::memory_order_relaxed);
  cell.consecutive_failures.store(0, std::memory_order_relaxed);
  cell.slow_start_since_ns.store(until, std::memory_order_relaxed);
  cell.ejected_until_ns.store(until, std::memory_order_relaxed);
  upstream.cell().touch();
  HG_LOG(kWarn, kHealth, "endpoint ejected", {"upstream", upstream.name()}, {"endpoint", endpoint.text},
         {"seconds", to_seconds(health.eject_for * factor)});
  return true;
}

}  // namespace

void forget_failures(const Upstream& upstream, uint32_t index, MonotonicTime now) {
  EndpointCell& cell = *upstream.endpoint(index).cell;
  if (cell.consecutive_failures.load(std::memory_order_relaxed) != 0) {
    cell.consecutive_failures.store(0, std::memory_order_relaxed);
  }
  // While it is ejected, an answer is one to a request from before.
  if (cell.ejections.load(std::memory_order_relaxed) == 0 || cell.is_ejected(now)) return;
  cell.ejections.store(0, std::memory_order_relaxed);
  HG_LOG(kInfo, kHealth, "endpoint answers again", {"upstream", upstream.name()},
         {"endpoint", upstream.endpoint(index).text});
}

bool record_failure(const Upstream& upstream, uint32_t index, MonotonicTime now) {
  const PassiveHealthCheck& health = upstream.settings().passive_health;
  EndpointCell& cell = *upstream.endpoint(index).cell;
  if (health.failures == 0 || cell.is_ejected(now)) return false;
  if (cell.ejections.load(std::memory_order_relaxed) > 0) return eject(upstream, index, now);  // probation
  const int64_t first = cell.first_failure_ns.load(std::memory_order_relaxed);
  if (cell.consecutive_failures.load(std::memory_order_relaxed) == 0 ||
      from_nanoseconds(first) + health.fail_window < now) {
    cell.first_failure_ns.store(to_nanoseconds(now), std::memory_order_relaxed);
    cell.consecutive_failures.store(0, std::memory_order_relaxed);
  }
  const uint32_t failures = cell.consecutive_failures.fetch_add(1, std::memory_order_relaxed) + 1;
  return failures >= health.failures && eject(upstream, index, now);
}

}  // namespace headgate::upstream
