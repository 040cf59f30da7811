#include <algorithm>
#include <string>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"
#include "proto/check/check.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

bool is_datagram(ListenerTransport transport) { return transport == LISTENER_UDP || transport == LISTENER_UNIXGRAM; }
bool is_http(ListenerProtocol protocol) { return protocol == LISTENER_HTTP || protocol == LISTENER_HTTPS; }
bool ends_tls(ListenerProtocol protocol) { return protocol == LISTENER_HTTPS || protocol == LISTENER_TLS_STREAM; }
bool has_sni(ListenerProtocol protocol) {
  return protocol == LISTENER_TLS_STREAM || protocol == LISTENER_TLS_PASSTHROUGH;
}

void check_address(const Listener& listener, Problems& problems) {
  const bool unix_socket = listener.transport() == LISTENER_UNIX || listener.transport() == LISTENER_UNIXGRAM;
  if (listener.transport() == LISTENER_TRANSPORT_UNSPECIFIED || !ListenerTransport_IsValid(listener.transport())) {
    problems.error("transport", "enum", "expected TCP, UDP, UNIX or UNIXGRAM");
    return;
  }
  if (unix_socket) {
    if (!SocketAddress::unix_path(listener.unix_path()).has_value() ||
        (!listener.unix_path().starts_with('/') && !listener.unix_path().starts_with('@'))) {
      problems.error("unix_path", "address", "expected an absolute path, or \"@name\", of at most 107 bytes");
    }
    if (!listener.address().empty() || listener.port() != 0) {
      problems.error("address", "address", "a Unix socket has a path, not an address");
    }
    if (listener.unix_mode() > 0777) problems.error("unix_mode", "range", "expected permission bits up to 0777");
    return;
  }
  if (!listener.unix_path().empty()) problems.error("unix_path", "address", "only a Unix socket has a path");
  if (!listener.address().empty() && !IpAddress::parse(listener.address()).has_value()) {
    problems.error("address", "address",
                   quote_json(listener.address()) +
                       " is no IP address; expected for example \"127.0.0.1\", \"::1\" or nothing for all");
  }
  if (listener.port() > 65535) problems.error("port", "range", "expected a port up to 65535");
}

void check_limits(const ListenerLimits& limits, Problems& problems) {
  const auto range = [&](std::string_view field, bool set, uint64_t value, uint64_t low, uint64_t high) {
    if (set && (value < low || value > high)) {
      problems.error(field, "range", "expected " + std::to_string(low) + " to " + std::to_string(high));
    }
  };
  range("header_bytes", limits.has_header_bytes(), limits.header_bytes(), 1024, 1048576);
  range("header_fields", limits.has_header_fields(), limits.header_fields(), 1, 10000);
  range("target_bytes", limits.has_target_bytes(), limits.target_bytes(), 64, 1048576);
  range("streams_per_connection", limits.has_streams_per_connection(), limits.streams_per_connection(), 1, 65536);
  range("flows", limits.has_flows(), limits.flows(), 1, 16777216);
  range("flows_per_client", limits.has_flows_per_client(), limits.flows_per_client(), 1, 16777216);
}

void check_timeouts(const ListenerTimeouts& times, Problems& problems) {
  check_duration("header", times.has_header(), times.header(), false, problems);
  check_duration("body", times.has_body(), times.body(), false, problems);
  check_duration("idle", times.has_idle(), times.idle(), false, problems);
  check_duration("send", times.has_send(), times.send(), false, problems);
  check_duration("tls_handshake", times.has_tls_handshake(), times.tls_handshake(), false, problems);
  check_duration("proxy_header", times.has_proxy_header(), times.proxy_header(), false, problems);
  check_duration("drain", times.has_drain(), times.drain(), true, problems);
  check_duration("max_connection_age", times.has_max_connection_age(), times.max_connection_age(), false, problems);
}

void check_listener_tls(const Listener& listener, Problems& problems) {
  if (!ends_tls(listener.protocol())) {
    if (listener.has_tls()) problems.error("tls", "unused", "this protocol does not end TLS; use https or ssl");
    return;
  }
  if (listener.tls().certificates().empty()) {
    problems.error("tls", "missing", "a listener that ends TLS needs a certificate");
    return;
  }
  const Field field(problems, "tls");
  const ListenerTls& tls = listener.tls();
  int defaults = 0;
  for (int i = 0; i < tls.certificates_size(); ++i) {
    const Field certificate(problems, "certificates", i);
    if (tls.certificates(i).secret().empty()) problems.error("secret", "missing", "expected the name of a TLS secret");
    if (tls.certificates(i).is_default() && ++defaults == 2) {
      problems.error("is_default", "duplicate", "there is another default certificate");
    }
    for (int j = 0; j < tls.certificates(i).server_names_size(); ++j) {
      const HostPatternKind kind = host_pattern_kind(tls.certificates(i).server_names(j));
      if (kind == HostPatternKind::kInvalid || kind == HostPatternKind::kAny) {
        problems.error(at("server_names", j), "host",
                       quote_json(tls.certificates(i).server_names(j)) +
                           " is no host name; expected for example \"www.example.com\" or \"*.example.com\"");
      }
    }
  }
  for (int i = 0; i < tls.alpn_size(); ++i) {
    if (!is_alpn_name(tls.alpn(i))) problems.error(at("alpn", i), "alpn", "expected a protocol name such as \"h2\"");
  }
  if (tls.max_version() == TLS_1_2 && tls.min_version() == TLS_1_3) {
    problems.error("max_version", "range", "the highest version is below the lowest");
  }
  if (tls.client_certificate() != CLIENT_CERTIFICATE_UNSPECIFIED && tls.client_ca().empty()) {
    problems.error("client_ca", "missing", "client certificates are judged by a client_ca");
  }
}

// Every SNI (or client) that `later` selects is already taken by `earlier`.
bool takes_all_of(const ForwardRule& earlier, const ForwardRule& later) {
  const auto sni_covered = [&] {
    if (earlier.sni().empty()) return true;
    if (later.sni().empty()) return false;
    return std::all_of(later.sni().begin(), later.sni().end(), [&](const std::string& name) {
      return std::any_of(earlier.sni().begin(), earlier.sni().end(), [&](const std::string& wide) {
        return host_pattern_covers(normalize_host(wide), normalize_host(name));
      });
    });
  };
  const auto source_covered = [&] {
    if (earlier.source().empty()) return true;
    if (later.source().empty()) return false;
    return std::all_of(later.source().begin(), later.source().end(), [&](const std::string& range) {
      return std::any_of(earlier.source().begin(), earlier.source().end(), [&](const std::string& wide) {
        const auto outer = Cidr::parse(wide);
        const auto inner = Cidr::parse(range);
        return outer && inner && outer->covers(*inner);
      });
    });
  };
  const auto alpn_covered = [&] {
    if (earlier.alpn().empty()) return true;
    return !later.alpn().empty() && std::all_of(later.alpn().begin(), later.alpn().end(), [&](const std::string& name) {
      return std::find(earlier.alpn().begin(), earlier.alpn().end(), name) != earlier.alpn().end();
    });
  };
  return sni_covered() && source_covered() && alpn_covered();
}

void check_forward_rule(const Listener& listener, int index, Problems& problems) {
  const ForwardRule& rule = listener.forward(index);
  const Field field(problems, "forward", index);
  if (rule.upstream().empty() == rule.upstreams().empty()) {
    problems.error("upstream", "missing", "expected either one upstream or several by weight");
  }
  for (int i = 0; i < rule.upstreams_size(); ++i) {
    if (rule.upstreams(i).weight() > 1000000) problems.error(at("upstreams", i) + ".weight", "range", "expected 0 to 1000000");
  }
  if (!has_sni(listener.protocol()) && !(rule.sni().empty() && rule.alpn().empty())) {
    problems.error(rule.sni().empty() ? "alpn" : "sni", "unused",
                   "only a listener that sees TLS (ssl) can tell connections apart by name");
  }
  for (int i = 0; i < rule.sni_size(); ++i) {
    if (host_pattern_kind(rule.sni(i)) == HostPatternKind::kInvalid) {
      problems.error(
          at("sni", i), "host",
          quote_json(rule.sni(i)) + " is no host name; expected for example \"db.example.com\" or \"*.example.com\"");
    }
  }
  for (int i = 0; i < rule.source_size(); ++i) check_cidr("source", i, rule.source(i), problems);
  check_duration("timeout", rule.has_timeout(), rule.timeout(), false, problems);
  check_duration("connect_timeout", rule.has_connect_timeout(), rule.connect_timeout(), false, problems);
  if (rule.has_buffer_bytes() && (rule.buffer_bytes() < 1024 || rule.buffer_bytes() > 16777216)) {
    problems.error("buffer_bytes", "range", "expected 1024 to 16777216 bytes");
  }
  for (int earlier = 0; earlier < index; ++earlier) {
    if (!takes_all_of(listener.forward(earlier), rule)) continue;
    problems.warning(
        "", "never-matches",
        "this rule can never match: " +
            (listener.forward(earlier).name().empty() ? "an earlier rule" : listener.forward(earlier).name()) +
            " takes all that it selects; tell them apart by sni or source");
    break;
  }
}

void check_dns_service(const Listener& listener, Problems& problems) {
  const Field field(problems, "dns");
  const DnsService& dns = listener.dns();
  const bool ip = listener.transport() == LISTENER_TCP || listener.transport() == LISTENER_UDP;
  const auto address = IpAddress::parse(listener.address());
  const bool wildcard = listener.address().empty() || (address && address->is_any());
  if (ip && wildcard && !dns.allow_wildcard()) {
    problems.error(
        "", "dns-wildcard",
        "a DNS listener on every address answers the whole internet from each of them, and replies may leave "
        "from another address than was asked; name an address, or set dns_allow_wildcard");
  }
  for (int i = 0; i < dns.forward_size(); ++i) check_ip_port("forward", i, dns.forward(i), problems);
  if (dns.has_udp_payload_bytes() && (dns.udp_payload_bytes() < 512 || dns.udp_payload_bytes() > 4096)) {
    problems.error("udp_payload_bytes", "range", "expected 512 to 4096 bytes");
  }
  check_duration("idle", dns.has_idle(), dns.idle(), false, problems);
  check_duration("query_timeout", dns.has_query_timeout(), dns.query_timeout(), false, problems);
}

}  // namespace

void check_listener(const Listener& listener, Problems& problems) {
  check_resource_name(listener.name(), problems);
  check_address(listener, problems);
  if (listener.protocol() == LISTENER_PROTOCOL_UNSPECIFIED || !ListenerProtocol_IsValid(listener.protocol())) {
    problems.error("protocol", "enum", "expected HTTP, HTTPS, STREAM, TLS_STREAM, TLS_PASSTHROUGH or DATAGRAM");
    return;
  }
  if (is_datagram(listener.transport()) != (listener.protocol() == LISTENER_DATAGRAM)) {
    problems.error("protocol", "protocol", "datagrams come from UDP and unixgram sockets, and nothing else does");
  }
  check_listener_tls(listener, problems);
  if (listener.has_proxy_protocol()) {
    const Field field(problems, "proxy_protocol");
    if (listener.protocol() == LISTENER_DATAGRAM)
      problems.error("", "unused", "there is no PROXY header before datagrams");
    if (listener.proxy_protocol().trusted().empty()) {
      problems.error("trusted", "missing",
                     "expected the ranges of the balancers; anyone else could forge a client address");
    }
    for (int i = 0; i < listener.proxy_protocol().trusted_size(); ++i) {
      check_cidr("trusted", i, listener.proxy_protocol().trusted(i), problems);
    }
  }
  if (listener.has_limits()) {
    const Field field(problems, "limits");
    check_limits(listener.limits(), problems);
  }
  if (listener.has_timeouts()) {
    const Field field(problems, "timeouts");
    check_timeouts(listener.timeouts(), problems);
  }
  if (is_http(listener.protocol())) {
    if (listener.route_table().empty())
      problems.error("route_table", "missing", "an HTTP listener needs a route table");
    if (!listener.forward().empty())
      problems.error("forward", "unused", "an HTTP listener has routes, not forward rules");
    if (listener.has_dns()) problems.error("dns", "unused", "an HTTP listener does not answer DNS");
    return;
  }
  if (!listener.route_table().empty()) problems.error("route_table", "unused", "only an HTTP listener has routes");
  if (listener.has_dns() && !listener.forward().empty()) {
    problems.error("dns", "conflict", "a listener either forwards or answers DNS");
  }
  if (!listener.has_dns() && listener.forward().empty()) {
    problems.error("forward", "missing", "nothing is said about what arrives here; expected a forward or a dns rule");
  }
  if (listener.has_dns()) {
    if (listener.protocol() == LISTENER_TLS_PASSTHROUGH)
      problems.error("dns", "unused", "DNS over TLS ends TLS here; use ssl");
    check_dns_service(listener, problems);
  }
  for (int i = 0; i < listener.forward_size(); ++i) check_forward_rule(listener, i, problems);
}

void check_settings(const ProxySettings& settings, Problems& problems) {
  if (settings.has_workers() && (settings.workers() < 1 || settings.workers() > 1024)) {
    problems.error("workers", "range", "expected 1 to 1024 workers");
  }
  for (int i = 0; i < settings.trusted_proxies_size(); ++i)
    check_cidr("trusted_proxies", i, settings.trusted_proxies(i), problems);
  for (int i = 0; i < settings.resolvers_size(); ++i) check_ip_port("resolvers", i, settings.resolvers(i), problems);
  if (settings.has_limits()) {
    const Field field(problems, "limits");
    check_limits(settings.limits(), problems);
  }
  if (settings.has_timeouts()) {
    const Field field(problems, "timeouts");
    check_timeouts(settings.timeouts(), problems);
  }
  check_duration("connect_timeout", settings.has_connect_timeout(), settings.connect_timeout(), false, problems);
  check_duration("response_timeout", settings.has_response_timeout(), settings.response_timeout(), false, problems);
  const AccessLog& log = settings.access_log();
  if ((log.format() == ACCESS_LOG_TEMPLATE) == log.template_().empty()) {
    problems.error("access_log.template", "missing", "a template and the format TEMPLATE go together");
  }
  check_text("access_log.template", log.template_(), TextScope::kResponse, -1, problems);
  for (int i = 0; i < log.fields_size(); ++i) {
    check_text(at("access_log.fields", i), log.fields(i).value(), TextScope::kResponse, -1, problems);
  }
  const std::string& admin = settings.admin();
  if (admin.empty() || admin == "off") return;
  if (admin.starts_with("unix://")) {
    const std::string_view path = std::string_view(admin).substr(7);
    if (!path.starts_with('/') || !SocketAddress::unix_path(path).has_value()) {
      problems.error("admin", "address", "expected unix:// and an absolute path of at most 107 bytes");
    }
    return;
  }
  const auto address = admin.starts_with("http://") ? SocketAddress::parse(std::string_view(admin).substr(7))
                                                    : Result<SocketAddress>(Error{.code = Errc::kInvalid});
  if (!address.has_value() || !address->is_ip() || !address->address().is_loopback()) {
    problems.error("admin", "address",
                   "expected unix:///PATH, off, or http:// with a loopback address such as 127.0.0.1:9901: whoever "
                   "reaches it rules the process");
  }
}

}  // namespace headgate::check
