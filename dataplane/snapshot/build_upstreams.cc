#include <algorithm>

#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

using upstream::UpstreamSettings;

upstream::Protocol protocol_of(v1::UpstreamProtocol protocol) {
  switch (protocol) {
    case v1::UPSTREAM_HTTP2: return upstream::Protocol::kHttp2;
    case v1::UPSTREAM_GRPC: return upstream::Protocol::kGrpc;
    case v1::UPSTREAM_AUTO: return upstream::Protocol::kAuto;
    case v1::UPSTREAM_STREAM: return upstream::Protocol::kStream;
    case v1::UPSTREAM_DATAGRAM: return upstream::Protocol::kDatagram;
    case v1::UPSTREAM_FASTCGI: return upstream::Protocol::kFastCgi;
    default: return upstream::Protocol::kHttp1;
  }
}

upstream::BalancePolicy policy_of(v1::BalancePolicy policy) {
  switch (policy) {
    case v1::BALANCE_RANDOM: return upstream::BalancePolicy::kRandom;
    case v1::BALANCE_IP_HASH: return upstream::BalancePolicy::kIpHash;
    case v1::BALANCE_CONN_HASH: return upstream::BalancePolicy::kConnHash;
    case v1::BALANCE_LEAST_CONN: return upstream::BalancePolicy::kLeastConn;
    case v1::BALANCE_LEAST_REQUEST: return upstream::BalancePolicy::kLeastRequest;
    case v1::BALANCE_RING_HASH: return upstream::BalancePolicy::kRingHash;
    case v1::BALANCE_PEAK_EWMA: return upstream::BalancePolicy::kPeakEwma;
    default: return upstream::BalancePolicy::kRoundRobin;
  }
}

std::vector<upstream::StatusRange> ranges_of(const google::protobuf::RepeatedPtrField<v1::StatusRange>& messages) {
  std::vector<upstream::StatusRange> ranges;
  for (const v1::StatusRange& range : messages) {
    ranges.push_back({static_cast<uint16_t>(range.first()),
                      static_cast<uint16_t>(range.last() == 0 ? range.first() : range.last())});
  }
  return ranges;
}

upstream::ActiveHealthCheck health_check_of(const v1::ActiveHealthCheck& message) {
  upstream::ActiveHealthCheck check;
  switch (message.kind()) {
    case v1::ActiveHealthCheck::TCP: check.kind = upstream::ActiveHealthCheck::Kind::kTcp; break;
    case v1::ActiveHealthCheck::GRPC: check.kind = upstream::ActiveHealthCheck::Kind::kGrpc; break;
    default: check.kind = upstream::ActiveHealthCheck::Kind::kHttp; break;
  }
  check.path = message.path();
  check.method = message.method();
  check.host = message.host();
  check.grpc_service = message.grpc_service();
  check.interval = to_duration(message.interval());
  check.timeout = to_duration(message.timeout());
  check.healthy = message.healthy();
  check.unhealthy = message.unhealthy();
  if (!message.expect().empty()) check.expect = ranges_of(message.expect());
  check.port = static_cast<uint16_t>(message.port());
  return check;
}

}  // namespace

upstream::RetryPolicy retry_policy_of(const v1::RetryPolicy& message) {
  upstream::RetryPolicy policy;
  if (message.has_attempts()) policy.attempts = message.attempts();
  if (!message.on().empty()) policy.on = 0;
  for (const int on : message.on()) {
    switch (on) {
      case v1::RetryPolicy::CONNECT_FAILURE: policy.on |= upstream::RetryPolicy::kConnectFailure; break;
      case v1::RetryPolicy::RESET: policy.on |= upstream::RetryPolicy::kReset; break;
      case v1::RetryPolicy::TIMEOUT: policy.on |= upstream::RetryPolicy::kTimeout; break;
      case v1::RetryPolicy::STATUS: policy.on |= upstream::RetryPolicy::kStatus; break;
      case v1::RetryPolicy::REFUSED_STREAM: policy.on |= upstream::RetryPolicy::kRefusedStream; break;
      default: break;
    }
  }
  for (const uint32_t status : message.statuses()) policy.statuses.push_back(static_cast<uint16_t>(status));
  policy.non_idempotent = message.non_idempotent();
  policy.timeout = to_duration(message.timeout());
  if (message.has_backoff()) policy.backoff = to_duration(message.backoff());
  if (message.has_buffer_bytes()) policy.buffer_bytes = message.buffer_bytes();
  policy.per_try_timeout = to_duration(message.per_try());
  return policy;
}

std::shared_ptr<const UpstreamSettings> Build::upstream_settings(const v1::Upstream& message, KnownUpstream& known) {
  const bool sticky = known.sticky > 0;
  std::string print = fingerprint_of(message) + "|" + print_of_secret(message.tls().ca()) + "|" +
                      print_of_secret(message.tls().certificate());
  if (message.zones().prefer_local()) print += "|" + view_.settings().zone();
  if (sticky) print += "|sticky";
  const Fingerprint fingerprint(print);
  if (known.settings.is_of(fingerprint)) return known.settings.built;

  const size_t errors = errors_;
  auto settings = std::make_shared<UpstreamSettings>();
  settings->name = message.name();
  settings->protocol = protocol_of(message.protocol());
  const bool names_clients = message.proxy_protocol() != v1::PROXY_PROTOCOL_VERSION_UNSPECIFIED;
  // A connection that begins with a client's address is for that client alone: HTTP/2 is not offered.
  if (names_clients && settings->protocol == upstream::Protocol::kAuto) settings->protocol = upstream::Protocol::kHttp1;
  settings->balance.policy = policy_of(message.balance().policy());
  settings->balance.hash_key = message.balance().hash_key();
  settings->balance.subset = message.balance().subset();
  settings->balance.slow_start = to_duration(message.balance().slow_start());
  if (message.has_tls()) {
    settings->tls = client_tls(message.tls(), message);
    settings->tls_server_name = message.tls().sni();
  }
  if (message.has_health_check()) settings->health_check = health_check_of(message.health_check());
  const v1::PassiveHealthCheck& passive = message.passive_health();
  settings->passive_health.failures = passive.failures();
  settings->passive_health.fail_window = to_duration(passive.fail_window());
  settings->passive_health.eject_for = to_duration(passive.eject_for());
  settings->passive_health.max_ejected_percent = passive.max_ejected_percent();
  settings->passive_health.failure_status = ranges_of(passive.failure_status());
  const v1::CircuitLimits& circuit = message.circuit();
  settings->circuit = {.connections = circuit.connections(),
                       .pending = circuit.pending(),
                       .requests = circuit.requests(),
                       .retry_budget_percent = circuit.retry_budget_percent(),
                       .retry_budget_min = circuit.retry_budget_min(),
                       .connections_per_endpoint = circuit.connections_per_endpoint()};
  settings->retry = retry_policy_of(message.retry());
  const v1::ConnectionSettings& connection = message.connection();
  settings->connection.connect_timeout = to_duration(connection.connect_timeout());
  settings->connection.response_timeout = to_duration(connection.response_timeout());
  settings->connection.idle = to_duration(connection.idle());
  settings->connection.idle_per_endpoint = connection.idle_per_endpoint();
  settings->connection.requests_per_connection = connection.requests_per_connection();
  settings->connection.max_age = to_duration(connection.max_age());
  settings->connection.tcp_keepalive = connection.tcp_keepalive() != v1::TOGGLE_OFF;
  switch (message.proxy_protocol()) {
    case v1::PROXY_PROTOCOL_V1: settings->proxy_protocol = upstream::ProxyProtocol::kV1; break;
    case v1::PROXY_PROTOCOL_V2: settings->proxy_protocol = upstream::ProxyProtocol::kV2; break;
    default: break;
  }
  settings->zones.prefer_local = message.zones().prefer_local();
  if (message.zones().has_min_local_percent()) settings->zones.min_local_percent = message.zones().min_local_percent();
  if (settings->zones.prefer_local) settings->zones.local_zone = view_.settings().zone();
  settings->unavailable_reason = message.unavailable_status_reason();
  if (sticky) {
    settings->sticky_name = message.sticky_name().empty() ? message.name() : message.sticky_name();
    settings->sticky_tag = upstream::StickyIndex::tag_of(settings->sticky_name);
  }
  if (errors_ == errors) known.settings = {fingerprint, settings};
  return settings;
}

std::vector<upstream::Endpoint> Build::endpoints(const v1::Upstream& message, const KnownUpstream& known) {
  std::vector<upstream::Endpoint> endpoints;
  for (const v1::EndpointShard* const source : known.shards) {
    const v1::EndpointShard& shard = *source;
    // The first target counts.
    const auto target = std::find_if(shard.upstreams().begin(), shard.upstreams().end(),
                                     [&](const v1::ShardTarget& one) { return one.upstream() == message.name(); });
    for (const v1::Endpoint& entry : shard.endpoints()) {
      upstream::Endpoint endpoint;
      endpoint.port = static_cast<uint16_t>(target->port() != 0 ? target->port() : entry.port());
      endpoint.host = entry.host();
      if (!entry.unix_path().empty()) {
        auto path = SocketAddress::unix_path(entry.unix_path());
        if (!path) {
          error(check::Kind::kEndpointShard, shard.name(), "endpoints", to_string(path.error()));
          continue;
        }
        endpoint.addresses.push_back(*path);
      } else if (auto address = IpAddress::parse(entry.host())) {
        endpoint.addresses.push_back(SocketAddress::ip(*address, endpoint.port));
      }
      endpoint.weight = entry.weight();
      endpoint.ready = entry.ready();
      endpoint.serving = entry.has_serving() ? entry.serving() : entry.ready();
      endpoint.terminating = entry.terminating();
      endpoint.zone = entry.zone();
      endpoint.identity = entry.identity();
      endpoint.priority = entry.priority();
      endpoint.finish();
      // The same address in several shards counts once (EndpointSlices may overlap while they are rebalanced).
      const bool listed = std::any_of(endpoints.begin(), endpoints.end(),
                                      [&](const upstream::Endpoint& other) { return other.text == endpoint.text; });
      if (!listed) endpoints.push_back(std::move(endpoint));
    }
  }
  return endpoints;
}

uint32_t Build::slot_of(const std::string& upstream) {
  KnownUpstream& known = parts_.upstreams[upstream];
  if (known.slot != KnownUpstream::kNoSlot) return known.slot;
  if (parts_.free_slots.empty()) {
    known.slot = parts_.next_slot++;
  } else {
    known.slot = parts_.free_slots.back();
    parts_.free_slots.pop_back();
  }
  parts_.new_slots.push_back(upstream);
  return known.slot;
}

void Build::build_upstreams() {
  for (const std::string& name : dirty_upstreams_) {
    const v1::Upstream* const message = view_.find<v1::Upstream>(name);
    const auto found = parts_.upstreams.find(name);
    if (message == nullptr) {
      parts_.unbuilt_upstreams.erase(name);
      if (found == parts_.upstreams.end()) continue;
      const KnownUpstream& known = found->second;
      if (known.slot != KnownUpstream::kNoSlot) {
        const auto& built = parts_.slots.at_or_none(known.slot);
        if (built != nullptr && built->name() == name) parts_.slots.set(known.slot, nullptr);
      } else if (known.shards.empty() && known.sticky == 0) {
        parts_.upstreams.erase(found);
      }
      continue;
    }
    const size_t errors = errors_;
    const uint32_t slot = slot_of(name);
    auto built = upstream(*message, parts_.upstreams.at(name));
    if (errors_ > errors) {
      parts_.unbuilt_upstreams.insert(name);
    } else {
      parts_.unbuilt_upstreams.erase(name);
      parts_.slots.set(slot, std::move(built));
    }
  }
}

std::shared_ptr<const upstream::Upstream> Build::upstream(const v1::Upstream& message, KnownUpstream& known) {
  if (protocol_of(message.protocol()) == upstream::Protocol::kFastCgi) {
    error(check::Kind::kUpstream, message.name(), "protocol", "targets of this protocol are not built in yet");
  }
  auto settings = upstream_settings(message, known);
  std::string print = std::to_string(known.slot);
  for (const v1::EndpointShard* const shard : known.shards) print += "|" + fingerprint_of(*shard);
  const auto is_built = [&] {
    return known.upstream.is_of(print) && known.upstream.built->shared_settings() == settings;
  };
  // Names of endpoints put their addresses behind the fingerprint: then it is never equal here, and they are asked for.
  if (is_built()) return known.upstream.built;
  const size_t errors = errors_;
  std::vector<upstream::Endpoint> list = endpoints(message, known);
  if (errors_ > errors) return nullptr;
  const bool named = std::any_of(list.begin(), list.end(), [](const auto& endpoint) { return !endpoint.resolved(); });
  if (named && parts_.resolver) {
    parts_.named_upstreams.insert(message.name());
    list = parts_.resolver(message.name(), std::move(list));
    print += "|named";
    for (const upstream::Endpoint& endpoint : list) {
      for (const SocketAddress& address : endpoint.addresses) print += "|" + address.to_string();
    }
    if (is_built()) return known.upstream.built;
  } else {
    parts_.named_upstreams.erase(message.name());
  }
  auto cell = parts_.endpoint_cells.attach(message.name(), list, system_clock().now());
  known.upstream = {print, std::make_shared<const upstream::Upstream>(std::move(settings), known.slot, std::move(list),
                                                                      std::move(cell))};
  return known.upstream.built;
}

}  // namespace headgate::snapshot
