#include <string>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/check/check.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

void check_ranges(std::string_view field, const google::protobuf::RepeatedPtrField<StatusRange>& ranges,
                  Problems& problems) {
  for (int i = 0; i < ranges.size(); ++i) {
    const uint32_t last = ranges[i].last() == 0 ? ranges[i].first() : ranges[i].last();
    if (ranges[i].first() < 100 || last > 599 || last < ranges[i].first()) {
      problems.error(at(field, i), "status", "expected a range of status codes within 100 to 599");
    }
  }
}

void check_threshold(std::string_view field, bool is_set, uint32_t value, Problems& problems) {
  if (is_set && (value < 1 || value > 100)) problems.error(field, "range", "expected 1 to 100");
}

void check_health(const ActiveHealthCheck& health, Problems& problems) {
  const Field field(problems, "health_check");
  if (!health.path().empty() && !health.path().starts_with('/')) {
    problems.error("path", "path", "expected a path that starts with \"/\"");
  }
  check_field_value("path", health.path(), problems);
  check_duration("interval", health.has_interval(), health.interval(), false, problems);
  check_duration("timeout", health.has_timeout(), health.timeout(), false, problems);
  check_threshold("healthy", health.has_healthy(), health.healthy(), problems);
  check_threshold("unhealthy", health.has_unhealthy(), health.unhealthy(), problems);
  check_ranges("expect", health.expect(), problems);
  if (!health.method().empty() && !is_token(health.method())) {
    problems.error("method", "method", "expected a method such as \"GET\"");
  }
  if (health.port() > 65535) problems.error("port", "range", "expected a port up to 65535");
}

void check_upstream_tls(const UpstreamTls& tls, Problems& problems) {
  const Field field(problems, "tls");
  if (!tls.sni().empty()) {
    const HostPatternKind kind = host_pattern_kind(tls.sni());
    if (kind != HostPatternKind::kExact || IpAddress::parse(tls.sni()).has_value()) {
      problems.error("sni", "host", "expected a host name: addresses are not sent as SNI (RFC 6066 3)");
    }
  }
  if (tls.verify() == TOGGLE_OFF && !tls.ca().empty()) {
    problems.error("ca", "conflict", "authorities are given but verification is off; remove one of the two");
  }
  for (int i = 0; i < tls.alpn_size(); ++i) {
    if (!is_alpn_name(tls.alpn(i))) problems.error(at("alpn", i), "alpn", "expected a protocol name such as \"h2\"");
  }
  if (tls.max_version() == TLS_1_2 && tls.min_version() == TLS_1_3) {
    problems.error("max_version", "range", "the highest version is below the lowest");
  }
}

void check_endpoint(const Endpoint& endpoint, bool port_elsewhere, Problems& problems) {
  if (!endpoint.unix_path().empty()) {
    if (!endpoint.host().empty() || endpoint.port() != 0) {
      problems.error("unix_path", "conflict", "an endpoint has either a host and a port or a path");
    }
    if ((!endpoint.unix_path().starts_with('/') && !endpoint.unix_path().starts_with('@')) ||
        !SocketAddress::unix_path(endpoint.unix_path()).has_value()) {
      problems.error("unix_path", "address", "expected an absolute path, or \"@name\", of at most 107 bytes");
    }
  } else {
    if (!IpAddress::parse(endpoint.host()).has_value() && !is_valid_host_name(endpoint.host())) {
      problems.error("host", "address", quote_json(endpoint.host()) + " is neither an IP address nor a host name");
    }
    if (endpoint.port() > 65535 || (endpoint.port() == 0 && !port_elsewhere)) {
      problems.error("port", "range", "expected a port from 1 to 65535");
    }
  }
  if (endpoint.weight() > 1000) problems.error("weight", "range", "expected 0 to 1000");
}

}  // namespace

void check_upstream(const Upstream& upstream, Problems& problems) {
  check_resource_name(upstream.name(), problems);
  if (upstream.protocol() == UPSTREAM_PROTOCOL_UNSPECIFIED || !UpstreamProtocol_IsValid(upstream.protocol())) {
    problems.error("protocol", "enum", "expected HTTP1, HTTP2, GRPC, AUTO, STREAM, DATAGRAM or FASTCGI");
  }
  if (upstream.has_balance()) {
    const Field field(problems, "balance");
    check_balance(upstream.balance(), problems);
  }
  if (upstream.has_tls()) {
    check_upstream_tls(upstream.tls(), problems);
    if (upstream.protocol() == UPSTREAM_DATAGRAM) problems.error("tls", "unused", "datagrams are not encrypted here");
  }
  if (upstream.proxy_protocol() != PROXY_PROTOCOL_VERSION_UNSPECIFIED && upstream.protocol() == UPSTREAM_DATAGRAM) {
    problems.error("proxy_protocol", "unused", "a PROXY header stands before a stream, not before datagrams");
  }
  const bool shares = upstream.protocol() == UPSTREAM_HTTP2 || upstream.protocol() == UPSTREAM_GRPC;
  if (upstream.proxy_protocol() != PROXY_PROTOCOL_VERSION_UNSPECIFIED && shares) {
    problems.error("proxy_protocol", "unused",
                   "a connection of HTTP/2 serves many clients, a PROXY header names one; expected http or https targets");
  }
  if (upstream.has_health_check()) check_health(upstream.health_check(), problems);
  if (upstream.has_passive_health()) {
    const Field field(problems, "passive_health");
    const PassiveHealthCheck& passive = upstream.passive_health();
    check_duration("fail_window", passive.has_fail_window(), passive.fail_window(), false, problems);
    check_duration("eject_for", passive.has_eject_for(), passive.eject_for(), false, problems);
    if (passive.max_ejected_percent() > 100) problems.error("max_ejected_percent", "range", "expected 0 to 100");
    check_ranges("failure_status", passive.failure_status(), problems);
  }
  if (upstream.circuit().retry_budget_percent() > 100) {
    problems.error("circuit.retry_budget_percent", "range", "expected 0 to 100");
  }
  if (upstream.zones().min_local_percent() > 100) {
    problems.error("zones.min_local_percent", "range", "expected 0 to 100");
  }
  if (upstream.has_retry()) {
    const Field field(problems, "retry");
    check_retry(upstream.retry(), problems);
  }
  const Field field(problems, "connection");
  const ConnectionSettings& connection = upstream.connection();
  check_duration("connect_timeout", connection.has_connect_timeout(), connection.connect_timeout(), false, problems);
  check_duration("response_timeout", connection.has_response_timeout(), connection.response_timeout(), false, problems);
  check_duration("idle", connection.has_idle(), connection.idle(), false, problems);
  check_duration("max_age", connection.has_max_age(), connection.max_age(), false, problems);
}

void check_endpoint_shard(const EndpointShard& shard, Problems& problems) {
  check_resource_name(shard.name(), problems);
  bool ports = !shard.upstreams().empty();
  for (int i = 0; i < shard.upstreams_size(); ++i) {
    const Field field(problems, "upstreams", i);
    ports = ports && shard.upstreams(i).port() != 0;
    if (shard.upstreams(i).upstream().empty())
      problems.error("upstream", "missing", "expected the name of an upstream");
    if (shard.upstreams(i).port() > 65535) problems.error("port", "range", "expected a port up to 65535");
  }
  for (int i = 0; i < shard.endpoints_size(); ++i) {
    const Field field(problems, "endpoints", i);
    check_endpoint(shard.endpoints(i), ports, problems);
  }
}

}  // namespace headgate::check
