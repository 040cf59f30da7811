// endpoint.h -- one address of an Upstream, and what the process knows about its health.
//
// An Endpoint is an immutable value inside an Upstream. Its EndpointCell and the Upstream's UpstreamCell are process
// cells: they outlive Snapshots, are keyed by (upstream name, address text) in cell_registry.h, and are shared by all
// workers, the prober and control. Whoever changes something that decides whether an endpoint may be picked calls
// UpstreamCell::touch() after it; workers rebuild their view of the Upstream when the epoch has moved.
// Thread: values const after the Upstream is built; cells any (atomics, relaxed on the hot path).
// Unit: times are nanoseconds of the monotonic clock, 0 = never.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"

namespace headgate::upstream {

inline int64_t to_nanoseconds(MonotonicTime time) { return time.time_since_epoch().count(); }
inline MonotonicTime from_nanoseconds(int64_t ns) { return MonotonicTime(Duration(ns)); }

// A count over all workers with an optional limit (0: none).
class SharedCount {
 public:
  // False when `limit` is reached; nothing is counted then.
  bool try_add(uint32_t limit) {
    const uint32_t before = value_.fetch_add(1, std::memory_order_relaxed);
    if (limit == 0 || before < limit) return true;
    value_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  void subtract() { value_.fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] uint32_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> value_{0};
};

// What is shared by all endpoints of one Upstream name.
class UpstreamCell {
 public:
  // Something changed that a picker must see.
  void touch() { epoch_.fetch_add(1, std::memory_order_release); }
  [[nodiscard]] uint32_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  alignas(64) SharedCount connections;  // CircuitLimits::connections
  SharedCount requests;                 // CircuitLimits::requests
  SharedCount pending;                  // CircuitLimits::pending
  // Ejections are rare and must keep to their cap over all workers.
  std::mutex ejection;

 private:
  // On a line of its own: read for every pick, written only when health changes.
  alignas(64) std::atomic<uint32_t> epoch_{1};
};

enum class Health : uint8_t { kUnknown, kHealthy, kUnhealthy };  // as active checks say; kUnknown counts as usable

class EndpointCell {
 public:
  [[nodiscard]] Health health() const { return health_.load(std::memory_order_relaxed); }
  void set_health(Health health) { health_.store(health, std::memory_order_relaxed); }

  // Passive health (outlier.h).
  [[nodiscard]] bool is_ejected(MonotonicTime now) const {
    const int64_t until = ejected_until_ns.load(std::memory_order_relaxed);
    return until != 0 && until > to_nanoseconds(now);
  }
  std::atomic<int64_t> ejected_until_ns{0};
  std::atomic<int64_t> first_failure_ns{0};  // of the failures counted now
  std::atomic<uint32_t> consecutive_failures{0};
  std::atomic<uint32_t> ejections{0};  // in a row, without a success in between: the back-off
  // Since when the weight grows (LoadBalancing.slow_start).
  std::atomic<int64_t> slow_start_since_ns{0};
  std::atomic<bool> was_ready{true};  // control only: to see an endpoint come back
  SharedCount connections;            // CircuitLimits::connections_per_endpoint

  // Forgets passive failures: the endpoint came back by other evidence (an active check, a changed EndpointSlice).
  void clear_failures() {
    ejected_until_ns.store(0, std::memory_order_relaxed);
    first_failure_ns.store(0, std::memory_order_relaxed);
    consecutive_failures.store(0, std::memory_order_relaxed);
    ejections.store(0, std::memory_order_relaxed);
  }

 private:
  std::atomic<Health> health_{Health::kUnknown};
};

struct Endpoint {
  // Where to connect: all are the same host, in both families when there are several, and are raced by net::Connector.
  // Empty: `host` is not resolved yet (dns_endpoints.h) and the endpoint is never picked.
  std::vector<SocketAddress> addresses{};
  std::string host{};  // as configured: a name or an address, without port; for Host and SNI; empty for Unix sockets
  uint16_t port = 0;
  std::string text{};   // "10.0.0.7:8001": its identity, for logs and as key; set by finish() when empty
  uint32_t weight = 1;  // 0 takes no new traffic
  std::string zone{};
  std::string identity{};  // SPIFFE id to require; empty: none
  uint32_t priority = 0;   // group: 0 first
  bool ready = true;
  bool serving = true;                   // still answers although not ready
  bool terminating = false;              // draining: only when nothing else is there
  std::shared_ptr<EndpointCell> cell{};  // never null inside an Upstream

  [[nodiscard]] bool resolved() const { return !addresses.empty(); }
  [[nodiscard]] const SocketAddress& address() const { return addresses.front(); }
  // Host and port as configured: for the Host field when the Upstream asks for that.
  [[nodiscard]] std::string authority() const {
    return host.find(':') == std::string::npos ? host + ":" + std::to_string(port)
                                               : "[" + host + "]:" + std::to_string(port);
  }
  // Fills in `text`. An unresolved endpoint is keyed by "name:port".
  void finish() {
    if (!text.empty()) return;
    text = resolved() ? address().to_string() : host + ":" + std::to_string(port);
  }
};

}  // namespace headgate::upstream
