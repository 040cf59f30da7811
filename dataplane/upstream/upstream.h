// upstream.h -- a named set of endpoints and everything that decides how they are spoken to, chosen and spared.
//
// Mirrors proto/headgate/config/v1/upstream.proto in plain values; snapshot/build translates, so a default here is the
// default there. Settings are shared between successive Upstreams of one name: an endpoint change makes a new Upstream
// around the same UpstreamSettings and the same cells.
// Thread: immutable, shared by all workers.   Owner: Snapshot, and long exchanges and tunnels by shared_ptr.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/shared_vector.h"
#include "dataplane/upstream/endpoint.h"
#include "dataplane/upstream/hash_ring.h"
#include "dataplane/upstream/sticky_index.h"

namespace headgate::tls {
struct ClientSettings;
}

namespace headgate::upstream {

enum class Protocol : uint8_t {
  kHttp1,
  kHttp2,   // prior knowledge, or with TLS ALPN h2
  kGrpc,    // HTTP/2 with gRPC meaning of errors, time-outs and checks
  kAuto,    // with TLS: ALPN decides between h2 and http/1.1
  kStream,  // bytes
  kDatagram,
  kFastCgi,
};

constexpr bool is_http2(Protocol protocol) { return protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc; }

enum class BalancePolicy : uint8_t {
  kRoundRobin,    // smooth weighted
  kRandom,        // weighted
  kIpHash,        // consistent by client address
  kConnHash,      // consistent by client address and port
  kLeastConn,     // fewest in use on this worker, relative to weight
  kLeastRequest,  // the better of two random choices, by requests in flight
  kRingHash,      // consistent by a key that the caller expands
  kPeakEwma,      // the better of two random choices, by latency
};
constexpr bool is_hash_policy(BalancePolicy policy) {
  return policy == BalancePolicy::kIpHash || policy == BalancePolicy::kConnHash || policy == BalancePolicy::kRingHash;
}

struct LoadBalancing {
  static constexpr uint32_t kMaxSubset = 64;
  BalancePolicy policy = BalancePolicy::kRoundRobin;
  std::string hash_key{};  // kRingHash: a template, "$cookie_user"; the caller expands it
  uint32_t subset = 1;     // kRingHash: hash to so many endpoints, random inside; up to kMaxSubset
  Duration slow_start{0};  // zero: none
};

struct StatusRange {
  uint16_t first = 200;
  uint16_t last = 399;
  bool operator==(const StatusRange&) const = default;
};
constexpr bool in_ranges(std::span<const StatusRange> ranges, uint32_t status) {
  for (const StatusRange& range : ranges) {
    if (status >= range.first && status <= range.last) return true;
  }
  return false;
}

struct ActiveHealthCheck {
  enum class Kind : uint8_t { kHttp, kTcp, kGrpc };
  Kind kind = Kind::kHttp;
  std::string path = "/";
  std::string method = "GET";
  std::string host{};  // Host of the check; empty: the endpoint's host
  std::string grpc_service{};
  std::string body_contains{};  // empty: the body is not read; else it must stand in its first 64 KiB
  Duration interval = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(2);
  uint32_t healthy = 2;    // successes to come back
  uint32_t unhealthy = 3;  // failures to leave
  std::vector<StatusRange> expect = {{200, 399}};
  uint16_t port = 0;  // 0: the endpoint's own
  bool operator==(const ActiveHealthCheck&) const = default;
};

struct PassiveHealthCheck {
  uint32_t failures = 3;  // in a row; 0: off
  Duration fail_window = std::chrono::seconds(10);
  Duration eject_for = std::chrono::seconds(10);  // doubles each time without a success in between, at most x10
  uint32_t max_ejected_percent = 50;              // rounded down: one endpoint alone is never ejected
  std::vector<StatusRange> failure_status = {{502, 504}};
};

struct CircuitLimits {
  uint32_t connections = 0;  // over all workers; 0: no limit
  uint32_t pending = 1024;   // requests waiting for a connection, over all workers; 0: no limit
  uint32_t requests = 0;     // in flight over all workers; 0: no limit
  uint32_t retry_budget_percent = 20;
  uint32_t retry_budget_min = 3;          // per second, always allowed
  uint32_t connections_per_endpoint = 0;  // over all workers; 0: no limit
};

struct RetryPolicy {
  enum On : uint8_t { kConnectFailure = 1, kReset = 2, kTimeout = 4, kStatus = 8, kRefusedStream = 16 };
  uint32_t attempts = 2;  // including the first; 1: no retry
  uint8_t on = kConnectFailure | kRefusedStream;
  std::vector<uint16_t> statuses{};                  // with kStatus
  bool non_idempotent = false;                       // POST, PATCH, LOCK too once they were sent
  Duration timeout{0};                               // no new attempt later than this after the first; zero: none
  Duration per_try_timeout{0};                       // until the response head; zero: response_timeout
  Duration backoff = std::chrono::milliseconds(25);  // before the third attempt, doubling, jitter
  uint32_t buffer_bytes = 65536;                     // of request body kept for another attempt
};

struct ConnectionSettings {
  Duration connect_timeout = std::chrono::seconds(5);
  Duration response_timeout = std::chrono::seconds(60);  // until the response head, and between two reads of the body
  Duration send_timeout = std::chrono::seconds(60);      // between two writes
  Duration idle = std::chrono::seconds(60);              // unused connections are kept for
  uint32_t idle_per_endpoint = 64;                       // kept per worker; 0: none
  uint32_t requests_per_connection = 0;                  // 0: no limit
  Duration max_age{0};                                   // zero: none
  bool tcp_keepalive = true;
};

struct ZonePolicy {
  std::string local_zone{};  // of this process; empty: zones are ignored
  bool prefer_local = false;
  uint32_t min_local_percent = 70;  // usable share of the local zone below which others help
};

enum class ProxyProtocol : uint8_t { kNone, kV1, kV2 };

// What the Host (or :authority) of a request to an endpoint says when no filter set it.
enum class HostPolicy : uint8_t {
  kClient,    // as the client sent it
  kEndpoint,  // the endpoint's host and port as configured
  kFixed,     // UpstreamSettings::host
};

struct UpstreamSettings {
  std::string name{};
  Protocol protocol = Protocol::kHttp1;
  LoadBalancing balance{};
  std::shared_ptr<const tls::ClientSettings> tls{};  // null: plain
  std::string tls_server_name{};                     // sent and verified; empty: the endpoint's host
  std::optional<ActiveHealthCheck> health_check{};
  PassiveHealthCheck passive_health{};
  CircuitLimits circuit{};
  RetryPolicy retry{};
  ConnectionSettings connection{};
  ProxyProtocol proxy_protocol = ProxyProtocol::kNone;
  ZonePolicy zones{};
  HostPolicy host_policy = HostPolicy::kClient;
  std::string host{};
  // When no endpoint is usable: try those that fail their checks all the same (true), or answer 503 (false).
  // Checks are the likelier liar when all fail at once, and a request that would be refused has nothing to lose.
  bool fail_open = true;
  std::string unavailable_reason{};  // not empty: every request is 503
  // What session cookies call this Upstream (sticky_index.h); empty: no route keeps sessions on it.
  std::string sticky_name{};
  std::string sticky_tag{};  // StickyIndex::tag_of(sticky_name)
};

class Upstream {
 public:
  // Endpoints without a cell get a private one; so does the Upstream (tests, single use). Builds the hash ring.
  Upstream(std::shared_ptr<const UpstreamSettings> settings, uint32_t slot, std::vector<Endpoint> endpoints,
           std::shared_ptr<UpstreamCell> cell = nullptr);
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;

  [[nodiscard]] const std::string& name() const { return settings_->name; }
  // Dense, given by control, stable by name: WorkerLoads and pools are indexed by it.
  [[nodiscard]] uint32_t slot() const { return slot_; }
  [[nodiscard]] const UpstreamSettings& settings() const { return *settings_; }
  [[nodiscard]] const std::shared_ptr<const UpstreamSettings>& shared_settings() const { return settings_; }
  [[nodiscard]] std::span<const Endpoint> endpoints() const { return endpoints_; }
  [[nodiscard]] const Endpoint& endpoint(uint32_t index) const { return endpoints_[index]; }
  [[nodiscard]] UpstreamCell& cell() const { return *cell_; }
  [[nodiscard]] const std::shared_ptr<UpstreamCell>& shared_cell() const { return cell_; }
  // Empty unless the policy is a hash or sessions are kept.
  [[nodiscard]] const HashRing& ring() const { return ring_; }
  // Empty unless sessions are kept.
  [[nodiscard]] const StickyIndex& sticky() const { return sticky_; }

 private:
  std::shared_ptr<const UpstreamSettings> settings_;
  uint32_t slot_;
  std::vector<Endpoint> endpoints_;
  std::shared_ptr<UpstreamCell> cell_;
  HashRing ring_;
  StickyIndex sticky_;
};

// Upstreams by their slots; null: a free slot. A change among thousands costs what it changes.
using UpstreamSlots = SharedVector<std::shared_ptr<const Upstream>>;

std::string_view protocol_name(Protocol protocol);
// As the `balance` key of the file has it: "round-robin".
std::string_view balance_name(BalancePolicy policy);

}  // namespace headgate::upstream
