#include "proto/check/normalize.h"

#include "dataplane/base/host_name.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

template <typename Set>
void fill(bool is_set, Set set) {
  if (!is_set) set();
}

void seconds(google::protobuf::Duration* duration, int64_t value) { duration->set_seconds(value); }

void fill_limits(ListenerLimits& limits) {
  fill(limits.has_header_bytes(), [&] { limits.set_header_bytes(32768); });
  fill(limits.has_header_fields(), [&] { limits.set_header_fields(128); });
  fill(limits.has_target_bytes(), [&] { limits.set_target_bytes(8192); });
  fill(limits.has_body_bytes(), [&] { limits.set_body_bytes(uint64_t{64} << 20); });
  fill(limits.has_connections(), [&] { limits.set_connections(0); });
  fill(limits.has_connections_per_client(), [&] { limits.set_connections_per_client(0); });
  fill(limits.has_streams_per_connection(), [&] { limits.set_streams_per_connection(128); });
  fill(limits.has_requests_per_connection(), [&] { limits.set_requests_per_connection(0); });
  fill(limits.has_flows(), [&] { limits.set_flows(65536); });
  fill(limits.has_flows_per_client(), [&] { limits.set_flows_per_client(256); });
}

void fill_timeouts(ListenerTimeouts& times) {
  fill(times.has_header(), [&] { seconds(times.mutable_header(), 10); });
  fill(times.has_body(), [&] { seconds(times.mutable_body(), 30); });
  fill(times.has_idle(), [&] { seconds(times.mutable_idle(), 60); });
  fill(times.has_send(), [&] { seconds(times.mutable_send(), 60); });
  fill(times.has_tls_handshake(), [&] { seconds(times.mutable_tls_handshake(), 10); });
  fill(times.has_proxy_header(), [&] { seconds(times.mutable_proxy_header(), 5); });
  fill(times.has_drain(), [&] { seconds(times.mutable_drain(), 30); });
}

void fill_listener_tls(ListenerTls& tls, bool http) {
  if (tls.min_version() == TLS_VERSION_UNSPECIFIED) tls.set_min_version(TLS_1_2);
  if (tls.max_version() == TLS_VERSION_UNSPECIFIED) tls.set_max_version(TLS_1_3);
  if (tls.client_certificate() == CLIENT_CERTIFICATE_UNSPECIFIED && !tls.client_ca().empty()) {
    tls.set_client_certificate(CLIENT_CERTIFICATE_REQUIRED);
  }
  if (tls.tickets() == TOGGLE_UNSPECIFIED) tls.set_tickets(TOGGLE_ON);
  if (http && tls.alpn().empty()) {
    tls.add_alpn("h2");
    tls.add_alpn("http/1.1");
  }
  bool has_default = false;
  for (const ServerCertificate& certificate : tls.certificates()) has_default = has_default || certificate.is_default();
  if (!has_default && !tls.certificates().empty()) tls.mutable_certificates(0)->set_is_default(true);
}

void fill_forward(ForwardRule& rule, bool datagrams) {
  fill(rule.has_timeout(), [&] { seconds(rule.mutable_timeout(), datagrams ? 30 : 60); });
  fill(rule.has_max_connections(), [&] { rule.set_max_connections(0); });
  fill(rule.has_buffer_bytes(), [&] { rule.set_buffer_bytes(262144); });
  for (WeightedUpstream& one : *rule.mutable_upstreams()) fill(one.has_weight(), [&] { one.set_weight(1); });
}

constexpr uint32_t kDnsConnectionsPerClient = 200;

void fill_dns_service(DnsService& dns) {
  if (dns.any_full() == TOGGLE_UNSPECIFIED) dns.set_any_full(TOGGLE_OFF);
  fill(dns.has_udp_payload_bytes(), [&] { dns.set_udp_payload_bytes(1232); });
  fill(dns.has_responses_per_second(), [&] { dns.set_responses_per_second(100); });
  fill(dns.has_slip(), [&] { dns.set_slip(2); });
  fill(dns.has_idle(), [&] { seconds(dns.mutable_idle(), 10); });
  fill(dns.has_cache_entries(), [&] { dns.set_cache_entries(10000); });
  fill(dns.has_query_timeout(), [&] { seconds(dns.mutable_query_timeout(), 2); });
}

void fill_balance(LoadBalancing& balance) {
  if (balance.policy() == BALANCE_POLICY_UNSPECIFIED) balance.set_policy(BALANCE_ROUND_ROBIN);
  fill(balance.has_subset(), [&] { balance.set_subset(1); });
}

void fill_retry(RetryPolicy& retry) {
  fill(retry.has_attempts(), [&] { retry.set_attempts(2); });
  if (retry.on().empty()) {
    retry.add_on(RetryPolicy::CONNECT_FAILURE);
    retry.add_on(RetryPolicy::REFUSED_STREAM);
  }
  if (!retry.has_backoff()) retry.mutable_backoff()->set_nanos(25'000'000);
  fill(retry.has_buffer_bytes(), [&] { retry.set_buffer_bytes(65536); });
}

void fill_health(ActiveHealthCheck& health, UpstreamProtocol protocol) {
  if (health.kind() == ActiveHealthCheck::KIND_UNSPECIFIED) {
    const bool bytes = protocol == UPSTREAM_STREAM || protocol == UPSTREAM_DATAGRAM;
    health.set_kind(protocol == UPSTREAM_GRPC ? ActiveHealthCheck::GRPC
                    : bytes                   ? ActiveHealthCheck::TCP
                                              : ActiveHealthCheck::HTTP);
  }
  if (health.path().empty()) health.set_path("/");
  if (health.method().empty()) health.set_method("GET");
  fill(health.has_interval(), [&] { seconds(health.mutable_interval(), 10); });
  fill(health.has_timeout(), [&] { seconds(health.mutable_timeout(), 2); });
  fill(health.has_healthy(), [&] { health.set_healthy(2); });
  fill(health.has_unhealthy(), [&] { health.set_unhealthy(3); });
  if (health.expect().empty()) {
    StatusRange* range = health.add_expect();
    range->set_first(200);
    range->set_last(399);
  }
}

void fill_passive(PassiveHealthCheck& passive) {
  fill(passive.has_failures(), [&] { passive.set_failures(3); });
  fill(passive.has_fail_window(), [&] { seconds(passive.mutable_fail_window(), 10); });
  fill(passive.has_eject_for(), [&] { seconds(passive.mutable_eject_for(), 10); });
  fill(passive.has_max_ejected_percent(), [&] { passive.set_max_ejected_percent(50); });
  if (passive.failure_status().empty()) {
    StatusRange* range = passive.add_failure_status();
    range->set_first(502);
    range->set_last(504);
  }
}

void fill_circuit(CircuitLimits& circuit) {
  fill(circuit.has_connections(), [&] { circuit.set_connections(0); });
  fill(circuit.has_pending(), [&] { circuit.set_pending(1024); });
  fill(circuit.has_requests(), [&] { circuit.set_requests(0); });
  fill(circuit.has_retry_budget_percent(), [&] { circuit.set_retry_budget_percent(20); });
  fill(circuit.has_retry_budget_min(), [&] { circuit.set_retry_budget_min(3); });
  fill(circuit.has_connections_per_endpoint(), [&] { circuit.set_connections_per_endpoint(0); });
}

void fill_proxy(ProxyAction& proxy) {
  for (Backend& backend : *proxy.mutable_backends()) fill(backend.has_weight(), [&] { backend.set_weight(1); });
  if (proxy.request_buffering() == TOGGLE_UNSPECIFIED) proxy.set_request_buffering(TOGGLE_OFF);
  if (proxy.response_buffering() == TOGGLE_UNSPECIFIED) proxy.set_response_buffering(TOGGLE_OFF);
  if (proxy.websocket() == TOGGLE_UNSPECIFIED) proxy.set_websocket(TOGGLE_ON);
  if (proxy.auto_http() == TOGGLE_UNSPECIFIED) proxy.set_auto_http(TOGGLE_OFF);
  fill(proxy.has_buffer_bytes(), [&] { proxy.set_buffer_bytes(1 << 20); });
  fill(proxy.has_max_response_header_bytes(), [&] { proxy.set_max_response_header_bytes(65536); });
  if (proxy.has_retry()) fill_retry(*proxy.mutable_retry());
  if (proxy.has_affinity() && proxy.affinity().path().empty()) proxy.mutable_affinity()->set_path("/");
}

void fill_route(Route& route) {
  switch (route.action_case()) {
    case Route::kProxy: fill_proxy(*route.mutable_proxy()); return;
    case Route::kStaticFiles: {
      StaticFilesAction& files = *route.mutable_static_files();
      if (files.index().empty()) files.add_index("index.html");
      if (files.precompressed() == TOGGLE_UNSPECIFIED) files.set_precompressed(TOGGLE_ON);
      if (files.compress() == TOGGLE_UNSPECIFIED) files.set_compress(TOGGLE_ON);
      return;
    }
    case Route::kRespond: fill(route.respond().has_status(), [&] { route.mutable_respond()->set_status(200); }); return;
    case Route::kRedirect:
      fill(route.redirect().has_status(), [&] { route.mutable_redirect()->set_status(302); });
      return;
    case Route::kEcho:
    case Route::ACTION_NOT_SET: return;
  }
}

}  // namespace

void normalize_settings(ProxySettings& settings) {
  if (settings.name().empty()) settings.set_name("default");
  LogSettings& log = *settings.mutable_log();
  if (log.format() == LOG_FORMAT_UNSPECIFIED) log.set_format(LOG_FORMAT_PRETTY);
  if (log.level() == LOG_LEVEL_UNSPECIFIED) log.set_level(LOG_LEVEL_INFO);
  if (log.output().empty()) log.set_output("stderr");
  AccessLog& access = *settings.mutable_access_log();
  if (access.output().empty()) access.set_output("stdout");
  if (access.format() == ACCESS_LOG_FORMAT_UNSPECIFIED) {
    access.set_format(log.format() == LOG_FORMAT_JSON ? ACCESS_LOG_JSON : ACCESS_LOG_COMBINED);
  }
  fill_limits(*settings.mutable_limits());
  fill_timeouts(*settings.mutable_timeouts());
  fill(settings.has_body_memory_bytes(), [&] { settings.set_body_memory_bytes(uint64_t{64} << 20); });
  fill(settings.has_static_cache_bytes(), [&] { settings.set_static_cache_bytes(uint64_t{64} << 20); });
  fill(settings.has_open_files(), [&] { settings.set_open_files(512); });
  if (settings.metrics().enabled() == TOGGLE_UNSPECIFIED) settings.mutable_metrics()->set_enabled(TOGGLE_ON);
  if (settings.tracing().propagate() == TOGGLE_UNSPECIFIED) settings.mutable_tracing()->set_propagate(TOGGLE_ON);
  if (settings.server_header() == TOGGLE_UNSPECIFIED) settings.set_server_header(TOGGLE_OFF);
  fill(settings.has_connect_timeout(), [&] { seconds(settings.mutable_connect_timeout(), 5); });
  fill(settings.has_response_timeout(), [&] { seconds(settings.mutable_response_timeout(), 60); });
}

void normalize_listener(Listener& listener, const ProxySettings& settings) {
  fill(listener.has_backlog(), [&] { listener.set_backlog(1024); });
  const bool ip = listener.transport() == LISTENER_TCP || listener.transport() == LISTENER_UDP;
  fill(listener.has_reuse_port(), [&] { listener.set_reuse_port(ip); });
  if (!ip) fill(listener.has_unix_mode(), [&] { listener.set_unix_mode(0666); });
  const bool http = listener.protocol() == LISTENER_HTTP || listener.protocol() == LISTENER_HTTPS;
  if (listener.has_tls()) fill_listener_tls(*listener.mutable_tls(), http);
  if (http && listener.h2c() == TOGGLE_UNSPECIFIED) listener.set_h2c(TOGGLE_ON);
  // What the listener says replaces what the settings say, field by field.
  ListenerLimits limits = settings.limits();
  limits.MergeFrom(listener.limits());
  fill_limits(limits);
  // Connections of DNS wait for questions: without a limit of its own nobody keeps more of them than resolvers do.
  const bool dns_stream = listener.has_dns() && listener.protocol() != LISTENER_DATAGRAM;
  if (dns_stream && limits.connections_per_client() == 0 && !listener.limits().has_connections_per_client()) {
    limits.set_connections_per_client(kDnsConnectionsPerClient);
  }
  *listener.mutable_limits() = limits;
  ListenerTimeouts times = settings.timeouts();
  const ListenerTimeouts own = listener.timeouts();
  // MergeFrom adds into a Duration field by field: {10 s} over {0.5 s} would become 10.5 s.
  const auto* descriptor = ListenerTimeouts::descriptor();
  const auto* reflection = ListenerTimeouts::GetReflection();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    if (reflection->HasField(own, descriptor->field(i))) reflection->ClearField(&times, descriptor->field(i));
  }
  times.MergeFrom(own);
  fill_timeouts(times);
  *listener.mutable_timeouts() = times;
  for (ForwardRule& rule : *listener.mutable_forward()) {
    fill_forward(rule, listener.protocol() == LISTENER_DATAGRAM);
    if (!rule.has_connect_timeout()) *rule.mutable_connect_timeout() = settings.connect_timeout();
    for (std::string& name : *rule.mutable_sni()) name = normalize_host(name);
  }
  if (listener.has_dns()) fill_dns_service(*listener.mutable_dns());
}

void normalize_route_table(RouteTable& table) {
  fill(table.has_no_host_status(), [&] { table.set_no_host_status(404); });
  fill(table.has_no_route_status(), [&] { table.set_no_route_status(404); });
  if (table.normalize_path() == TOGGLE_UNSPECIFIED) table.set_normalize_path(TOGGLE_ON);
  if (table.has_retry()) fill_retry(*table.mutable_retry());
}

void normalize_virtual_host(VirtualHost& host) {
  if (host.order() == MATCH_ORDER_UNSPECIFIED) host.set_order(MATCH_TREE);
  if (host.wildcard_single_label() == TOGGLE_UNSPECIFIED) host.set_wildcard_single_label(TOGGLE_OFF);
  for (Route& route : *host.mutable_routes()) fill_route(route);
}

void normalize_upstream(Upstream& upstream, const ProxySettings& settings) {
  fill_balance(*upstream.mutable_balance());
  if (upstream.has_tls()) {
    UpstreamTls& tls = *upstream.mutable_tls();
    if (tls.verify() == TOGGLE_UNSPECIFIED) tls.set_verify(TOGGLE_ON);
    if (tls.send_sni() == TOGGLE_UNSPECIFIED) tls.set_send_sni(TOGGLE_ON);
    if (tls.min_version() == TLS_VERSION_UNSPECIFIED) tls.set_min_version(TLS_1_2);
    if (tls.max_version() == TLS_VERSION_UNSPECIFIED) tls.set_max_version(TLS_1_3);
  }
  if (upstream.has_health_check()) fill_health(*upstream.mutable_health_check(), upstream.protocol());
  fill_passive(*upstream.mutable_passive_health());
  fill_circuit(*upstream.mutable_circuit());
  fill_retry(*upstream.mutable_retry());
  ConnectionSettings& connection = *upstream.mutable_connection();
  if (!connection.has_connect_timeout()) *connection.mutable_connect_timeout() = settings.connect_timeout();
  if (!connection.has_response_timeout()) *connection.mutable_response_timeout() = settings.response_timeout();
  fill(connection.has_idle(), [&] { seconds(connection.mutable_idle(), 60); });
  fill(connection.has_idle_per_endpoint(), [&] { connection.set_idle_per_endpoint(64); });
  fill(connection.has_requests_per_connection(), [&] { connection.set_requests_per_connection(0); });
  if (connection.tcp_keepalive() == TOGGLE_UNSPECIFIED) connection.set_tcp_keepalive(TOGGLE_ON);
}

void normalize_endpoint_shard(EndpointShard& shard) {
  for (Endpoint& endpoint : *shard.mutable_endpoints()) {
    fill(endpoint.has_weight(), [&] { endpoint.set_weight(1); });
    fill(endpoint.has_ready(), [&] { endpoint.set_ready(true); });
    fill(endpoint.has_serving(), [&] { endpoint.set_serving(endpoint.ready()); });
  }
}

void normalize_dns_zone(DnsZone& zone) {
  fill(zone.has_default_ttl(), [&] { zone.set_default_ttl(300); });
  if (zone.auto_ptr() == TOGGLE_UNSPECIFIED) zone.set_auto_ptr(TOGGLE_OFF);
  for (DnsName& name : *zone.mutable_names()) {
    for (DnsRecord& record : *name.mutable_records()) {
      if (!record.has_soa()) continue;
      DnsSoa& soa = *record.mutable_soa();
      if (soa.serial() == 0) soa.set_serial(1);
      fill(soa.has_refresh(), [&] { soa.set_refresh(3600); });
      fill(soa.has_retry(), [&] { soa.set_retry(600); });
      fill(soa.has_expire(), [&] { soa.set_expire(604800); });
      fill(soa.has_minimum(), [&] { soa.set_minimum(300); });
    }
  }
}

void normalize(ResourceSet& set) {
  normalize_settings(*set.mutable_settings());
  const ProxySettings settings = set.settings();
  for (Listener& listener : *set.mutable_listeners()) normalize_listener(listener, settings);
  for (RouteTable& table : *set.mutable_route_tables()) normalize_route_table(table);
  for (VirtualHost& host : *set.mutable_virtual_hosts()) normalize_virtual_host(host);
  for (Upstream& upstream : *set.mutable_upstreams()) normalize_upstream(upstream, settings);
  for (EndpointShard& shard : *set.mutable_endpoint_shards()) normalize_endpoint_shard(shard);
  for (DnsZone& zone : *set.mutable_dns_zones()) normalize_dns_zone(zone);
}

}  // namespace headgate::check
