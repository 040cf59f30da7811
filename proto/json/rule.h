// rule.h -- what the files that read rules of `dispatch` share.
// Thread: any; one per read_config() call.
#pragma once

#include "proto/json/reading.h"

namespace headgate::json {

// Fields of a route and where they came from, added once the route's place is known.
using FieldNodes = std::vector<std::pair<std::string, NodeId>>;

// One HTTP rule while it is read.
struct RuleReading {
  Reading& reading;
  NodeId node;
  config::v1::Route& route;
  FieldNodes& fields;

  [[nodiscard]] NodeId member(std::string_view key) const { return reading.member(node, key); }
  void place(std::string field, NodeId at) const {
    if (at != kNoNode) fields.emplace_back(std::move(field), at);
  }
};

// rule_proxy.cc: the handler "proxy".
void read_proxy_rule(const RuleReading& rule);

// rule_filters.cc: what the rule limits, refuses, copies or changes, whatever its handler.
void read_rule_filters(const RuleReading& rule);

// The upstream that the URI at `target` means, made when it is an address; empty after reporting. `settings` holds the
// keys tls and proxy_protocol.
std::string target_upstream(Reading& reading, NodeId settings, NodeId target, bool http);
// "/api/" and "/api" say the same; "/" cuts nothing.
std::string strip_prefix_of(const Reading& reading, NodeId rule);

}  // namespace headgate::json
