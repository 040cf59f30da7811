// upstreams.cc -- the section `upstreams`, and the upstreams that a rule names by the address of its target.
#include <algorithm>

#include "dataplane/base/hash.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

UpstreamProtocol protocol_of(Scheme scheme, bool http_over_unix) {
  switch (scheme) {
    case Scheme::kHttp:
    case Scheme::kHttps: return UPSTREAM_HTTP1;
    case Scheme::kH2c:
    case Scheme::kH2: return UPSTREAM_HTTP2;
    case Scheme::kGrpc:
    case Scheme::kGrpcs: return UPSTREAM_GRPC;
    case Scheme::kTcp:
    case Scheme::kSsl: return UPSTREAM_STREAM;
    case Scheme::kUdp:
    case Scheme::kUnixgram: return UPSTREAM_DATAGRAM;
    case Scheme::kUnix: return http_over_unix ? UPSTREAM_HTTP1 : UPSTREAM_STREAM;
    case Scheme::kUpstream: return UPSTREAM_PROTOCOL_UNSPECIFIED;
  }
  return UPSTREAM_PROTOCOL_UNSPECIFIED;
}

void fill_endpoint(const Uri& uri, Endpoint& endpoint) {
  if (is_path_scheme(uri.scheme)) {
    endpoint.set_unix_path(uri.path);
  } else {
    endpoint.set_host(uri.host);
    endpoint.set_port(uri.port);
  }
}

EndpointShard& add_shard(Reading& reading, const std::string& upstream) {
  EndpointShard& shard = *reading.set.add_endpoint_shards();
  shard.set_name(upstream);
  shard.add_upstreams()->set_upstream(upstream);
  return shard;
}

BalancePolicy policy_of(std::string_view word) {
  if (word == "random") return BALANCE_RANDOM;
  if (word == "ip-hash") return BALANCE_IP_HASH;
  if (word == "conn-hash") return BALANCE_CONN_HASH;
  if (word == "least-conn") return BALANCE_LEAST_CONN;
  if (word == "least-request") return BALANCE_LEAST_REQUEST;
  if (word == "ring-hash") return BALANCE_RING_HASH;
  return BALANCE_ROUND_ROBIN;
}

struct Target {
  Uri uri;
  NodeId node = kNoNode;
  std::optional<uint32_t> weight;
  std::optional<uint32_t> priority;
  std::string zone;
};

std::vector<Target> read_targets(Reading& reading, NodeId list) {
  std::vector<Target> targets;
  for (const NodeId node : reading.each(list)) {
    Target target;
    target.node = reading.is_object(node) ? reading.member(node, "url") : node;
    const auto text = reading.text(target.node);
    if (!text) continue;
    if (reading.is_object(node)) {
      target.weight = reading.whole<uint32_t>(node, "weight");
      target.priority = reading.whole<uint32_t>(node, "priority");
      target.zone = std::string(reading.text(node, "zone").value_or(""));
    }
    std::string why;
    if (!parse_target_uri(*text, target.uri, why)) {
      reading.error(target.node, "uri", why);
    } else if (target.uri.scheme == Scheme::kUpstream) {
      reading.error(target.node, "uri", "a target is an address, not another upstream");
    } else {
      targets.push_back(std::move(target));
    }
  }
  return targets;
}

// The scheme all targets share; unix:// goes with any other scheme without TLS.
bool one_scheme(Reading& reading, const std::vector<Target>& targets, Scheme& scheme) {
  scheme = targets.front().uri.scheme;
  for (const Target& target : targets) {
    const Scheme next = target.uri.scheme;
    if (next == scheme || next == Scheme::kUnix) {
      if (next == Scheme::kUnix && (is_tls_scheme(scheme) || is_datagram_scheme(scheme))) {
        reading.error(
            target.node, "scheme",
            std::string("a Unix stream socket does not go with ") + std::string(scheme_name(scheme)) + ":// targets");
        return false;
      }
      continue;
    }
    if (scheme == Scheme::kUnix && !is_tls_scheme(next) && !is_datagram_scheme(next)) {
      scheme = next;
      continue;
    }
    reading.error(target.node, "scheme",
                  "all targets of an upstream speak the same: found " + std::string(scheme_name(next)) + ":// after " +
                      std::string(scheme_name(scheme)) + "://");
    return false;
  }
  return true;
}

void read_one(Reading& reading, NodeId node) {
  const std::string name(reading.doc.node(node).key);
  UpstreamEntry& entry = reading.upstreams[name];
  if (!reading.is_object(node)) return;
  if (name.empty() || name.find("://") != std::string::npos || !is_field_value(name)) {
    reading.error_at_key(node, "name", "expected a name without \"://\"");
    return;
  }
  const NodeId list = reading.member(node, "targets");
  const std::vector<Target> targets = read_targets(reading, list);
  Scheme scheme = Scheme::kHttp;
  if (targets.empty() || !one_scheme(reading, targets, scheme)) return;
  Upstream& upstream = *reading.set.add_upstreams();
  entry.index = reading.set.upstreams_size() - 1;
  entry.undecided = scheme == Scheme::kUnix;
  upstream.set_name(name);
  upstream.set_protocol(protocol_of(scheme, true));
  EndpointShard& shard = add_shard(reading, name);
  for (const Target& target : targets) {
    Endpoint& endpoint = *shard.add_endpoints();
    fill_endpoint(target.uri, endpoint);
    if (target.weight) endpoint.set_weight(*target.weight);
    if (target.priority) endpoint.set_priority(*target.priority);
    endpoint.set_zone(target.zone);
    reading.positions.add(check::Kind::kEndpointShard, name,
                          "endpoints[" + std::to_string(shard.endpoints_size() - 1) + "]", target.node);
  }
  reading.positions.add(check::Kind::kUpstream, name, "", node);
  reading.positions.add(check::Kind::kEndpointShard, name, "", list);
  if (LoadBalancing balance; reading.balance(node, &balance)) *upstream.mutable_balance() = balance;
  reading.positions.add(check::Kind::kUpstream, name, "balance", reading.member(node, "balance"));
  reading.positions.add(check::Kind::kUpstream, name, "balance.hash_key", reading.member(node, "hash_key"));
  google::protobuf::Duration value;
  if (reading.duration(node, "proxy_timeout_seconds", &value))
    *upstream.mutable_connection()->mutable_response_timeout() = value;
  reading.resilience(upstream, node);
  reading.upstream_tls(upstream, node, is_tls_scheme(scheme));
}

}  // namespace

bool Reading::balance(NodeId holder, LoadBalancing* into) {
  const auto word = text(holder, "balance");
  const auto key = text(holder, "hash_key");
  if (!word && !key) return false;
  if (word) into->set_policy(policy_of(*word));
  if (key) into->set_hash_key(std::string(*key));
  return true;
}

void Reading::upstream_tls(Upstream& upstream, NodeId holder, bool tls_targets) {
  if (tls_targets) upstream.mutable_tls();
  if (const NodeId node = member(holder, "tls"); is_object(node)) {
    if (!tls_targets) {
      error_at_key(node, "unused", "these targets are not spoken to with TLS; expected https:// or ssl:// targets");
      return;
    }
    UpstreamTls& tls = *upstream.mutable_tls();
    if (const auto verify = truth(node, "verify")) tls.set_verify(*verify ? TOGGLE_ON : TOGGLE_OFF);
    if (const NodeId authority = member(node, "ca"); authority != kNoNode) tls.set_ca(authority_secret(authority));
    if (const auto sni = text(node, "sni")) tls.set_sni(lower_copy(*sni));
    const NodeId cert = member(node, "cert");
    const NodeId key = member(node, "key");
    if (cert != kNoNode || key != kNoNode) tls.set_certificate(certificate_secret(node, cert, key));
    positions.add(check::Kind::kUpstream, upstream.name(), "tls", node);
    for (const std::string_view one : {"ca", "sni"}) {
      positions.add(check::Kind::kUpstream, upstream.name(), "tls." + std::string(one), member(node, one));
    }
    positions.add(check::Kind::kUpstream, upstream.name(), "tls.certificate", cert);
  }
  if (const auto version = text(holder, "proxy_protocol")) {
    upstream.set_proxy_protocol(*version == "v1" ? PROXY_PROTOCOL_V1 : PROXY_PROTOCOL_V2);
    positions.add(check::Kind::kUpstream, upstream.name(), "proxy_protocol", member(holder, "proxy_protocol"));
  }
}

std::string Reading::inline_upstream(const Uri& uri, NodeId node, NodeId rule, bool http) {
  Upstream upstream;
  upstream.set_protocol(protocol_of(uri.scheme, http));
  std::string name = (http && uri.scheme == Scheme::kUnix ? "http+" : "") + to_string(uri);
  upstream_tls(upstream, rule, is_tls_scheme(uri.scheme));
  // Stable by content: the same target with the same settings is one upstream, whichever rule names it.
  const std::string plain_tls = is_tls_scheme(uri.scheme) ? UpstreamTls().SerializeAsString() : "";
  const bool plain = upstream.tls().SerializeAsString() == plain_tls &&
                     upstream.proxy_protocol() == PROXY_PROTOCOL_VERSION_UNSPECIFIED;
  if (!plain) {
    char hex[16];
    const char* end = write_hex(hex, stable_hash(upstream.SerializeAsString()));
    name += "#" + std::string(static_cast<const char*>(hex), end);
  }
  if (!inline_upstreams_.insert(name).second) return name;
  upstream.set_name(name);
  *set.add_upstreams() = upstream;
  fill_endpoint(uri, *add_shard(*this, name).add_endpoints());
  positions.add(check::Kind::kUpstream, name, "", node);
  positions.add(check::Kind::kEndpointShard, name, "", node);
  if (const NodeId tls = member(rule, "tls"); tls != kNoNode) positions.add(check::Kind::kUpstream, name, "tls", tls);
  if (const NodeId tls = member(rule, "tls"); is_object(tls)) {
    for (const std::string_view one : {"ca", "sni"})
      positions.add(check::Kind::kUpstream, name, "tls." + std::string(one), member(tls, one));
  }
  positions.add(check::Kind::kUpstream, name, "proxy_protocol", member(rule, "proxy_protocol"));
  return name;
}

void read_upstreams(Reading& reading, NodeId root) {
  const NodeId section = reading.member(root, "upstreams");
  if (!reading.is_object(section)) return;
  for (NodeId node = reading.doc.first(section); node != kNoNode; node = reading.doc.next(node))
    read_one(reading, node);
}

}  // namespace headgate::json
