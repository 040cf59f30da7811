#include "proto/check/check.h"

#include <algorithm>

#include "dataplane/base/text.h"

namespace headgate::check {

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::kSettings: return "settings";
    case Kind::kListener: return "listener";
    case Kind::kRouteTable: return "route_table";
    case Kind::kVirtualHost: return "virtual_host";
    case Kind::kUpstream: return "upstream";
    case Kind::kEndpointShard: return "endpoint_shard";
    case Kind::kTlsSecret: return "tls_secret";
    case Kind::kTicketKeys: return "ticket_keys";
    case Kind::kDnsZone: return "dns_zone";
  }
  return "";
}

std::string to_string(const Problem& problem) {
  std::string out(kind_name(problem.kind));
  if (!problem.resource.empty()) out += " " + quote_json(problem.resource);
  out += ": ";
  if (problem.severity == Severity::kWarning) out += "warning: ";
  if (!problem.field_path.empty()) out += problem.field_path + ": ";
  out += problem.message + " [" + std::string(problem.rule) + "]";
  return out;
}

void Problems::start(Kind kind, std::string_view resource) {
  kind_ = kind;
  resource_ = resource;
  prefix_.clear();
}

void Problems::add(std::string_view field, std::string_view rule, std::string message, Severity severity) {
  std::string path = prefix_;
  if (!field.empty()) {
    if (!path.empty()) path += ".";
    path += field;
  }
  list_.push_back({kind_, resource_, std::move(path), rule, std::move(message), severity});
}

void Problems::error(std::string_view field, std::string_view rule, std::string message) {
  add(field, rule, std::move(message), Severity::kError);
}

void Problems::warning(std::string_view field, std::string_view rule, std::string message) {
  add(field, rule, std::move(message), Severity::kWarning);
}

bool Problems::has_errors() const {
  return std::any_of(list_.begin(), list_.end(), [](const Problem& p) { return p.severity == Severity::kError; });
}

Field::Field(Problems& problems, std::string_view name) : problems_(problems), length_(problems.prefix_.size()) {
  if (!problems_.prefix_.empty()) problems_.prefix_ += ".";
  problems_.prefix_ += name;
}

Field::Field(Problems& problems, std::string_view name, int index) : Field(problems, name) {
  problems_.prefix_ += "[" + std::to_string(index) + "]";
}

std::vector<Problem> check_resources(const config::v1::ResourceSet& set, std::time_t now) {
  Problems problems;
  if (set.has_settings()) {
    problems.start(Kind::kSettings, set.settings().name());
    check_settings(set.settings(), problems);
  }
  for (const auto& listener : set.listeners()) {
    problems.start(Kind::kListener, listener.name());
    check_listener(listener, problems);
  }
  for (const auto& table : set.route_tables()) {
    problems.start(Kind::kRouteTable, table.name());
    check_route_table(table, problems);
  }
  for (const auto& host : set.virtual_hosts()) {
    problems.start(Kind::kVirtualHost, host.name());
    check_virtual_host(host, problems);
  }
  for (const auto& upstream : set.upstreams()) {
    problems.start(Kind::kUpstream, upstream.name());
    check_upstream(upstream, problems);
  }
  for (const auto& shard : set.endpoint_shards()) {
    problems.start(Kind::kEndpointShard, shard.name());
    check_endpoint_shard(shard, problems);
  }
  for (const auto& secret : set.tls_secrets()) {
    problems.start(Kind::kTlsSecret, secret.name());
    check_tls_secret(secret, now, problems);
  }
  for (const auto& keys : set.ticket_keys()) {
    problems.start(Kind::kTicketKeys, keys.name());
    check_ticket_keys(keys, problems);
  }
  for (const auto& zone : set.dns_zones()) {
    problems.start(Kind::kDnsZone, zone.name());
    check_dns_zone(zone, problems);
  }
  check_references(set, problems);
  return problems.take();
}

}  // namespace headgate::check
