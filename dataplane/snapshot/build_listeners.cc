#include "dataplane/base/log.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

Result<SocketAddress> address_of(const v1::Listener& message) {
  if (!message.unix_path().empty()) return SocketAddress::unix_path(message.unix_path());
  const auto port = static_cast<uint16_t>(message.port());
  if (message.address().empty()) return SocketAddress::ip(IpAddress(), port);
  auto address = IpAddress::parse(message.address());
  if (!address) return address.error();
  return SocketAddress::ip(*address, port);
}

bool is_datagram(const v1::Listener& message) {
  return message.transport() == v1::LISTENER_UDP || message.transport() == v1::LISTENER_UNIXGRAM;
}

}  // namespace

void Build::build_listeners() {
  view_.all<v1::Listener>().visit_all([&](const std::shared_ptr<const v1::Listener>& message) {
    if (auto built = listener(message)) snapshot_->listeners.push_back(std::move(built));
  });
}

std::shared_ptr<const Listener> Build::listener(const std::shared_ptr<const v1::Listener>& shared) {
  const v1::Listener& message = *shared;
  auto listener = std::make_shared<Listener>();
  listener->name = message.name();
  const auto address = address_of(message);
  if (!address) {
    error(check::Kind::kListener, message.name(), "address", to_string(address.error()));
    return nullptr;
  }
  listener->address = *address;
  listener->bind.transport = is_datagram(message) ? net::Transport::kDatagram : net::Transport::kStream;
  listener->bind.backlog = static_cast<int>(message.backlog());
  listener->bind.reuse_port = message.reuse_port() && !address->is_unix();
  listener->bind.unix_mode = message.unix_mode();

  const v1::ListenerLimits& limits = message.limits();
  listener->connections = {.total = limits.connections(), .per_address = limits.connections_per_client()};
  listener->connection_counts =
      parts_.process_cells.find_or_make<ConnectionCounts>(CellKind::kConnections, message.name());
  const v1::ListenerTimeouts& timeouts = message.timeouts();
  listener->tls_handshake_timeout = to_duration(timeouts.tls_handshake());
  listener->proxy_header_timeout = to_duration(timeouts.proxy_header());
  listener->max_connection_age = to_duration(timeouts.max_connection_age());
  listener->drain = to_duration(timeouts.drain());
  listener->proxy_protocol = message.has_proxy_protocol();
  listener->proxy_protocol_optional = message.proxy_protocol().optional_header();
  for (const std::string& range : message.proxy_protocol().trusted()) {
    if (auto cidr = Cidr::parse(range)) listener->proxy_protocol_trusted.add(*cidr);
  }

  listener->exact_local = address->is_ip() && address->address().is_any() && !parts_.upstreams_of_clients.empty();

  switch (message.protocol()) {
    case v1::LISTENER_HTTPS:
      listener->tls = listener_tls(shared);
      [[fallthrough]];
    case v1::LISTENER_HTTP: add_http(message, *listener); break;
    case v1::LISTENER_TLS_STREAM:
      listener->tls = listener_tls(shared);
      [[fallthrough]];
    case v1::LISTENER_STREAM:
    case v1::LISTENER_TLS_PASSTHROUGH:
    case v1::LISTENER_DATAGRAM: add_handlers(message, *listener); break;
    default: error(check::Kind::kListener, message.name(), "protocol", "this protocol is not built in"); break;
  }
  return listener;
}

void Build::add_http(const v1::Listener& message, Listener& listener) {
  listener.kind = Listener::Kind::kHttp;
  const v1::ListenerLimits& limits = message.limits();
  const v1::ListenerTimeouts& timeouts = message.timeouts();
  listener.http.header_bytes = limits.header_bytes();
  listener.http.header_fields = limits.header_fields();
  listener.http.target_bytes = limits.target_bytes();
  listener.http.body_bytes = limits.body_bytes();
  listener.http.max_streams = limits.streams_per_connection();
  listener.http.max_requests_per_connection = limits.requests_per_connection();
  listener.http.header_timeout = to_duration(timeouts.header());
  listener.http.body_timeout = to_duration(timeouts.body());
  listener.http.idle_timeout = to_duration(timeouts.idle());
  listener.http.send_timeout = to_duration(timeouts.send());
  listener.h2c = message.h2c() != v1::TOGGLE_OFF;
  listener.server_header = view_.settings().server_header() == v1::TOGGLE_ON;
  listener.access_log = access_log();
  for (const std::string& range : view_.settings().trusted_proxies()) {
    if (auto cidr = Cidr::parse(range)) listener.trusted_proxies.add(*cidr);
  }
  const auto table = parts_.tables.find(message.route_table());
  if (table == parts_.tables.end()) {
    error(check::Kind::kListener, message.name(), "route_table", "there is no such route table");
    return;
  }
  listener.routes = table->second.built;
}

std::shared_ptr<const observe::AccessLog> Build::access_log() {
  const v1::AccessLog& message = view_.settings().access_log();
  const std::string output = message.output().empty() ? "stdout" : message.output();
  if (output == "off") return nullptr;
  const std::string fingerprint = fingerprint_of(message, view_.settings().log());
  auto& remembered = parts_.access_logs["default"];
  if (remembered.built != nullptr && remembered.fingerprint == fingerprint) return remembered.built;
  LogSink* sink = open_log_sink(output);
  if (sink == nullptr) {
    error(check::Kind::kSettings, view_.settings().name(), "access_log.output", "cannot open " + output);
    return nullptr;
  }
  std::string why;
  const auto keep = [&](Result<observe::AccessLog> built) -> std::shared_ptr<const observe::AccessLog> {
    if (!built) {
      error(check::Kind::kSettings, view_.settings().name(), "access_log", why);
      return nullptr;
    }
    remembered = {fingerprint, std::make_shared<const observe::AccessLog>(std::move(*built))};
    return remembered.built;
  };
  switch (message.format()) {
    case v1::ACCESS_LOG_JSON: {
      std::vector<std::pair<std::string, std::string>> extra;
      for (const v1::NameValue& field : message.fields()) extra.emplace_back(field.name(), field.value());
      return keep(observe::AccessLog::json(*sink, extra, &why));
    }
    case v1::ACCESS_LOG_TEMPLATE: return keep(observe::AccessLog::from_template(*sink, message.template_(), &why));
    default: return keep(observe::AccessLog::combined(*sink));
  }
}

}  // namespace headgate::snapshot
