// TCP and UDP services, exposed by the ConfigMaps that ingress-nginx has for them.
#include <algorithm>
#include <map>

#include "controlplane/translate/globals.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

struct L4Service {
  std::string name_space;
  std::string service;
  PortRef port;
  bool proxy_in = false;
  bool proxy_out = false;
};

// What is wrong; empty: nothing.
std::string parse_l4(const std::string& text, bool udp, L4Service& into) {
  const std::vector<std::string_view> parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 4) return "expected NAMESPACE/SERVICE:PORT";
  const auto [name_space, service] = object_name(parts[0], "");
  if (name_space.empty() || service.empty() || parts[1].empty()) return "expected NAMESPACE/SERVICE:PORT";
  into.name_space = name_space;
  into.service = service;
  if (const auto number = parse_decimal<uint16_t>(parts[1])) {
    into.port.number = *number;
  } else {
    into.port.name = parts[1];
  }
  for (size_t i = 2; i < parts.size(); ++i) {
    const bool proxy = equals_ignore_case(parts[i], "PROXY");
    if (!proxy && !parts[i].empty()) return "expected PROXY behind the port";
    if (udp && proxy) return "there is no PROXY header before datagrams";
    (i == 2 ? into.proxy_in : into.proxy_out) = proxy;
  }
  return {};
}

}  // namespace

void read_l4_services(Reads& reads, const Settings& settings, bool udp, Globals& globals) {
  const std::string& where = udp ? settings.udp_services : settings.tcp_services;
  if (where.empty()) return;
  const auto [name_space, name] = object_name(where, "");
  const auto map = reads.find<kubernetes::ConfigMap>(name_space, name);
  if (map == nullptr) return;
  Notes notes(reference_to("", "ConfigMap", map->metadata()));
  const std::map<std::string, std::string> sorted(map->data().begin(), map->data().end());
  std::map<uint32_t, std::string> ports;
  for (const auto& [key, value] : sorted) {
    const auto port = parse_decimal<uint16_t>(key);
    if (!port || *port == 0) {
      notes.warn("InvalidKey", quote_json(key) + " is no port");
    } else if (!udp && (*port == settings.http.port || *port == settings.https.port)) {
      notes.warn("InvalidKey", key + ": the port is taken by HTTP");
    } else {
      ports[*port] = value;
    }
  }
  for (const auto& [port, value] : ports) {
    const std::string key = std::to_string(port);
    L4Service wanted;
    if (const std::string wrong = parse_l4(value, udp, wanted); !wrong.empty()) {
      notes.warn("InvalidKey", key + ": " + quote_json(value) + ": " + wrong);
      continue;
    }
    if (wanted.proxy_in && globals.defaults.real_ip_ranges.empty()) {
      notes.warn("TrustNeedsRanges",
                 key +
                     ": PROXY headers are read only from the ranges in proxy-real-ip-cidr, and there are none; "
                     "the port is not opened");
      continue;
    }
    Speech speech;
    speech.chosen = true;
    speech.protocol = udp ? v1::UPSTREAM_DATAGRAM : v1::UPSTREAM_STREAM;
    if (wanted.proxy_out) speech.proxy_protocol = v1::PROXY_PROTOCOL_V1;
    std::string why;
    const UpstreamPtr upstream = service_upstream(reads, settings, globals.defaults.connection, wanted.name_space,
                                                  wanted.service, wanted.port, speech, &why);
    if (!why.empty()) notes.warn("BackendNotFound", key + ": " + why + "; connections are closed");
    globals.upstreams.push_back(upstream);
    v1::Listener& listener = globals.l4_listeners.emplace_back();
    listener.set_name((udp ? "udp-" : "tcp-") + key);
    listener.set_transport(udp ? v1::LISTENER_UDP : v1::LISTENER_TCP);
    listener.set_protocol(udp ? v1::LISTENER_DATAGRAM : v1::LISTENER_STREAM);
    listener.set_address(settings.l4_address);
    listener.set_port(port);
    if (wanted.proxy_in) {
      for (const std::string& range : globals.defaults.real_ip_ranges) {
        listener.mutable_proxy_protocol()->add_trusted(range);
      }
    }
    v1::ForwardRule* rule = listener.add_forward();
    rule->set_name(wanted.name_space + "/" + wanted.service + ":" + wanted.port.text());
    rule->set_upstream(upstream->name());
    rule->mutable_timeout()->set_seconds(globals.defaults.stream_timeout_s);
  }
  std::vector<Note> list = notes.take();
  globals.notes.insert(globals.notes.end(), list.begin(), list.end());
}

}  // namespace headgate::translate
