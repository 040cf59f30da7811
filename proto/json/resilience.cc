// resilience.cc -- how the targets of an upstream are watched, spared, chosen by place, and asked again.
#include "dataplane/base/number.h"
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// Status codes and ranges such as "200-299".
void read_ranges(const Reading& reading, NodeId list, google::protobuf::RepeatedPtrField<StatusRange>* into) {
  for (const NodeId one : reading.each(list)) {
    StatusRange range;
    if (const auto code = reading.number(one)) {
      range.set_first(static_cast<uint32_t>(*code));
    } else if (const auto text = reading.text(one)) {
      const auto first = parse_decimal<uint32_t>(text->substr(0, 3));
      if (!first) continue;
      range.set_first(*first);
      if (text->size() > 4) range.set_last(parse_decimal<uint32_t>(text->substr(4)).value_or(0));
    } else {
      continue;
    }
    *into->Add() = range;
  }
}

void read_health(Reading& reading, NodeId node, Upstream& upstream) {
  ActiveHealthCheck& health = *upstream.mutable_health_check();
  if (const auto kind = reading.text(node, "kind")) {
    health.set_kind(*kind == "tcp"    ? ActiveHealthCheck::TCP
                    : *kind == "grpc" ? ActiveHealthCheck::GRPC
                                      : ActiveHealthCheck::HTTP);
  }
  if (const auto path = reading.text(node, "path")) health.set_path(std::string(*path));
  if (const auto method = reading.text(node, "method")) health.set_method(std::string(*method));
  if (const auto host = reading.text(node, "host")) health.set_host(std::string(*host));
  if (const auto port = reading.whole<uint32_t>(node, "port")) health.set_port(*port);
  if (const auto service = reading.text(node, "service")) health.set_grpc_service(std::string(*service));
  reading.duration(node, "interval", [&] { return health.mutable_interval(); });
  reading.duration(node, "timeout", [&] { return health.mutable_timeout(); });
  if (const auto count = reading.whole<uint32_t>(node, "healthy")) health.set_healthy(*count);
  if (const auto count = reading.whole<uint32_t>(node, "unhealthy")) health.set_unhealthy(*count);
  read_ranges(reading, reading.member(node, "expect"), health.mutable_expect());
  reading.positions.add(check::Kind::kUpstream, upstream.name(), "health_check", node);
  for (const std::string_view key : {"kind", "path", "interval", "timeout", "expect", "method", "host", "port"}) {
    reading.positions.add(check::Kind::kUpstream, upstream.name(), "health_check." + std::string(key),
                          reading.member(node, key));
  }
  reading.positions.add(check::Kind::kUpstream, upstream.name(), "health_check.grpc_service",
                        reading.member(node, "service"));
}

void read_passive_health(Reading& reading, NodeId node, PassiveHealthCheck& passive) {
  if (const auto count = reading.whole<uint32_t>(node, "failures")) passive.set_failures(*count);
  reading.duration(node, "window", [&] { return passive.mutable_fail_window(); });
  if (const auto percent = reading.whole<uint32_t>(node, "max_percent")) passive.set_max_ejected_percent(*percent);
  read_ranges(reading, reading.member(node, "statuses"), passive.mutable_failure_status());
}

void read_limits(const Reading& reading, NodeId node, CircuitLimits& circuit) {
  if (const auto count = reading.whole<uint32_t>(node, "connections")) circuit.set_connections(*count);
  if (const auto count = reading.whole<uint32_t>(node, "connections_per_target")) {
    circuit.set_connections_per_endpoint(*count);
  }
  if (const auto count = reading.whole<uint32_t>(node, "pending")) circuit.set_pending(*count);
  if (const auto count = reading.whole<uint32_t>(node, "requests")) circuit.set_requests(*count);
}

void read_keep_alive(const Reading& reading, NodeId node, ConnectionSettings& connection) {
  reading.duration(node, "idle", [&] { return connection.mutable_idle(); });
  if (const auto count = reading.whole<uint32_t>(node, "connections")) connection.set_idle_per_endpoint(*count);
  if (const auto count = reading.whole<uint32_t>(node, "requests")) connection.set_requests_per_connection(*count);
  reading.duration(node, "max_age", [&] { return connection.mutable_max_age(); });
}

}  // namespace

bool Reading::retry(NodeId holder, RetryPolicy* into) {
  const NodeId node = member(holder, "retry");
  if (!is_object(node)) return false;
  if (const auto attempts = whole<uint32_t>(node, "attempts")) into->set_attempts(*attempts);
  for (const NodeId one : each(member(node, "on"))) {
    if (const auto code = number(one)) {
      if (into->statuses().empty()) into->add_on(RetryPolicy::STATUS);
      into->add_statuses(static_cast<uint32_t>(*code));
    } else if (const auto word = text(one)) {
      into->add_on(*word == "connect" ? RetryPolicy::CONNECT_FAILURE
                   : *word == "reset" ? RetryPolicy::RESET
                   : *word == "timeout" ? RetryPolicy::TIMEOUT
                                        : RetryPolicy::REFUSED_STREAM);
    }
  }
  if (const auto all = truth(node, "non_idempotent")) into->set_non_idempotent(*all);
  duration(node, "timeout", [&] { return into->mutable_timeout(); });
  duration(node, "per_try", [&] { return into->mutable_per_try(); });
  duration(node, "backoff", [&] { return into->mutable_backoff(); });
  if (const auto bytes = whole<uint32_t>(node, "buffer")) into->set_buffer_bytes(*bytes);
  return true;
}

void Reading::resilience(Upstream& upstream, NodeId node) {
  if (const NodeId health = member(node, "health_check"); is_object(health)) read_health(*this, health, upstream);
  if (const NodeId passive = member(node, "passive_health"); is_object(passive)) {
    read_passive_health(*this, passive, *upstream.mutable_passive_health());
  }
  duration(node, "retry_timeout_seconds", [&] { return upstream.mutable_passive_health()->mutable_eject_for(); });
  if (RetryPolicy policy; retry(node, &policy)) *upstream.mutable_retry() = policy;
  if (const NodeId budget = member(node, "retry_budget"); is_object(budget)) {
    CircuitLimits& circuit = *upstream.mutable_circuit();
    if (const auto percent = whole<uint32_t>(budget, "percent")) circuit.set_retry_budget_percent(*percent);
    if (const auto count = whole<uint32_t>(budget, "min_per_second")) circuit.set_retry_budget_min(*count);
  }
  if (const NodeId limits = member(node, "limits"); is_object(limits)) {
    read_limits(*this, limits, *upstream.mutable_circuit());
  }
  if (const NodeId keep = member(node, "keep_alive"); is_object(keep)) {
    read_keep_alive(*this, keep, *upstream.mutable_connection());
  }
  duration(node, "slow_start", [&] { return upstream.mutable_balance()->mutable_slow_start(); });
  if (const NodeId zones = member(node, "zones"); is_object(zones)) {
    ZonePolicy& policy = *upstream.mutable_zones();
    policy.set_prefer_local(truth(zones, "prefer_local").value_or(false));
    if (const auto percent = whole<uint32_t>(zones, "min_local_percent")) policy.set_min_local_percent(*percent);
    if (policy.prefer_local() && member(doc.root(), "zone") == kNoNode) {
      warning(zones, "unused", "the file does not say in which zone this process runs: expected `zone` beside `upstreams`");
    }
  }
  for (const std::string_view key : {"retry", "passive_health", "limits", "zones"}) {
    positions.add(check::Kind::kUpstream, upstream.name(), key == "limits" ? "circuit" : std::string(key),
                  member(node, key));
  }
}

}  // namespace headgate::json
