#include "controlplane/translate/services.h"

#include <algorithm>
#include <array>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "dataplane/tls/crypto.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

std::string short_hash(const std::string& text) {
  const tls::Sha256Digest digest = tls::sha256(text);
  std::string out;
  for (size_t i = 0; i < 4; ++i) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 15];
  }
  return out;
}

// The words behind "@" of the name; empty for plain HTTP/1.1.
std::string variant_of(const Speech& speech) {
  std::string words;
  const auto add = [&](const std::string& word) { words += (words.empty() ? "@" : "+") + word; };
  switch (speech.protocol) {
    case v1::UPSTREAM_HTTP2: add("h2"); break;
    case v1::UPSTREAM_GRPC: add("grpc"); break;
    case v1::UPSTREAM_STREAM: add("tcp"); break;
    case v1::UPSTREAM_DATAGRAM: add("udp"); break;
    default: break;
  }
  if (speech.tls) {
    v1::UpstreamTls plain;
    plain.set_verify(v1::TOGGLE_OFF);
    const std::string bytes = speech.tls->SerializeAsString();
    add(bytes == plain.SerializeAsString() ? "tls" : "tls-" + short_hash(bytes));
  }
  if (speech.proxy_protocol != v1::PROXY_PROTOCOL_VERSION_UNSPECIFIED) add("proxy");
  if (speech.by_address) add("address");
  return words;
}

const kubernetes::ServicePort* find_port(const kubernetes::Service& service, const PortRef& port) {
  for (const kubernetes::ServicePort& one : service.spec().ports()) {
    if (port.name.empty() && port.number == 0) return &one;
    if (!port.name.empty() && one.name() == port.name) return &one;
    if (port.name.empty() && static_cast<uint32_t>(one.port()) == port.number) return &one;
  }
  return nullptr;
}

void take_app_protocol(std::string_view app_protocol, Speech& speech) {
  if (app_protocol == "kubernetes.io/h2c" || app_protocol == "h2c") speech.protocol = v1::UPSTREAM_HTTP2;
  if (app_protocol == "grpc") speech.protocol = v1::UPSTREAM_GRPC;
  if (equals_ignore_case(app_protocol, "https")) {
    speech.tls.emplace();
    // As backend-protocol HTTPS: pods rarely have certificates that could be verified.
    speech.tls->set_verify(v1::TOGGLE_OFF);
  }
}

void add_endpoint(UpstreamSpec& spec, const std::string& host, uint32_t port) {
  if (!spec.own_shard) {
    spec.own_shard.emplace();
    spec.own_shard->set_name(spec.name());
    spec.own_shard->add_upstreams()->set_upstream(spec.name());
  }
  v1::Endpoint* endpoint = spec.own_shard->add_endpoints();
  endpoint->set_host(host);
  endpoint->set_port(port);
}

void fill(const Speech& speech, const v1::ConnectionSettings& connection, v1::Upstream& message) {
  message.set_protocol(speech.protocol);
  if (speech.tls) *message.mutable_tls() = *speech.tls;
  message.set_proxy_protocol(speech.proxy_protocol);
  if (connection.ByteSizeLong() != 0) *message.mutable_connection() = connection;
}

}  // namespace

UpstreamPtr service_upstream(Reads& reads, const Settings& settings, const v1::ConnectionSettings& connection,
                             std::string_view name_space, std::string_view service, const PortRef& port, Speech speech,
                             std::string* why) {
  auto spec = std::make_shared<UpstreamSpec>();
  const std::string base = std::string(name_space) + "/" + std::string(service);
  const auto unavailable = [&](const std::string& reason) {
    *why = reason;
    spec->message.set_name(base + ":" + port.text() + variant_of(speech) + "@none");
    fill(speech, connection, spec->message);
    spec->message.set_unavailable_status_reason(reason);
    return spec;
  };
  const auto object = reads.find<kubernetes::Service>(name_space, service);
  if (object == nullptr) return unavailable("there is no Service " + base);
  const kubernetes::ServiceSpec& about = object->spec();
  const bool external = about.type() == "ExternalName";
  if (external && !settings.allow_external_names) {
    return unavailable("the Service " + base +
                       " is of the type ExternalName, which is refused unless the controller allows it");
  }
  const kubernetes::ServicePort* found = find_port(*object, port);
  PortRef canonical = port;
  if (found != nullptr) {
    canonical = {found->name(), static_cast<uint32_t>(found->port())};
    if (!speech.chosen) take_app_protocol(found->app_protocol(), speech);
  } else if (!external || port.number == 0) {
    return unavailable("the Service " + base + " has no port " + port.text());
  }
  const bool headless = about.cluster_ip().empty() || about.cluster_ip() == "None";
  if (headless || external) speech.by_address = false;  // nothing to send to but the endpoints
  spec->message.set_name(base + ":" + canonical.text() + variant_of(speech));
  fill(speech, connection, spec->message);
  // As ingress-nginx names it, so that cookies it gave out go on working.
  if (speech.protocol != v1::UPSTREAM_STREAM && speech.protocol != v1::UPSTREAM_DATAGRAM) {
    spec->message.set_sticky_name(std::string(name_space) + "-" + std::string(service) + "-" +
                                  std::to_string(canonical.number));
  }
  if (external) {
    if (!is_valid_host_name(about.external_name())) {
      return unavailable("the Service " + base + " has no valid externalName");
    }
    add_endpoint(*spec, normalize_host(about.external_name()), canonical.number);
    return spec;
  }
  if (speech.by_address) {
    add_endpoint(*spec, about.cluster_ip(), canonical.number);
    return spec;
  }
  spec->service = {std::string(name_space), std::string(service)};
  spec->port_name = canonical.name;
  spec->udp = found->protocol() == "UDP";
  return spec;
}

UpstreamPtr url_upstream(const Url& url, const v1::ConnectionSettings& connection) {
  auto spec = std::make_shared<UpstreamSpec>();
  Speech speech;
  if (url.tls) {
    speech.tls.emplace();  // verified against the system's authorities
    if (!IpAddress::parse(url.host)) speech.tls->set_sni(normalize_host(url.host));
  }
  spec->message.set_name(url.origin());
  fill(speech, connection, spec->message);
  add_endpoint(*spec, url.host, url.port);
  return spec;
}

v1::EndpointShard shard_of(const kubernetes::EndpointSlice& slice, const std::vector<SliceTarget>& targets) {
  v1::EndpointShard shard;
  shard.set_name(slice.metadata().namespace_() + "/" + slice.metadata().name());
  for (const SliceTarget& target : targets) {
    for (const kubernetes::SlicePort& port : slice.ports()) {
      const bool udp = port.protocol() == "UDP";
      if (port.name() != target.port_name || udp != target.udp || !port.has_port()) continue;
      if (port.port() < 1 || port.port() > 65535) continue;
      v1::ShardTarget* into = shard.add_upstreams();
      into->set_upstream(target.upstream);
      into->set_port(static_cast<uint32_t>(port.port()));
      break;
    }
  }
  if (shard.upstreams().empty()) return shard;
  for (const kubernetes::SliceEndpoint& endpoint : slice.endpoints()) {
    if (endpoint.addresses().empty()) continue;
    const std::string& address = endpoint.addresses(0);
    if (slice.address_type() == "FQDN" ? !is_valid_host_name(address) : !IpAddress::parse(address).has_value()) {
      continue;
    }
    v1::Endpoint* into = shard.add_endpoints();
    into->set_host(address);
    const kubernetes::EndpointConditions& conditions = endpoint.conditions();
    const bool ready = !conditions.has_ready() || conditions.ready();
    if (!ready) into->set_ready(false);
    if (conditions.has_serving() && conditions.serving() != ready) into->set_serving(conditions.serving());
    into->set_terminating(conditions.terminating());
    into->set_zone(endpoint.zone());
    into->set_node(endpoint.node_name());
    into->set_hostname(endpoint.hostname());
  }
  return shard;
}

}  // namespace headgate::translate
