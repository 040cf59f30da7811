#include "controlplane/translate/globals.h"

#include <algorithm>

#include "controlplane/translate/bounds.h"
#include "controlplane/translate/merge.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

void add_map_headers(Reads& reads, const std::string& name, const char* key, bool request, v1::RouteTable& table,
                     Notes& notes) {
  if (name.empty()) return;
  const auto [name_space, object] = object_name(name, "");
  const auto map =
      object.empty() || name_space.empty() ? nullptr : reads.find<kubernetes::ConfigMap>(name_space, object);
  if (map == nullptr) {
    notes.warn("InvalidKey", std::string(key) + ": there is no ConfigMap " + quote_json(name) + " (NAMESPACE/NAME)");
    return;
  }
  v1::HeaderMods mods;
  const std::map<std::string, std::string> sorted(map->data().begin(), map->data().end());
  for (const auto& [field, value] : sorted) {
    const std::string ours = our_variables(value, {});
    const std::string wrong = request ? unknown_variable(ours) : "";
    if (!is_token(field) || !is_field_value(value) || !wrong.empty()) {
      notes.warn("InvalidKey", std::string(key) + ": " + quote_json(field) +
                                   " is left out: " + (wrong.empty() ? "no header field" : wrong));
      continue;
    }
    v1::NameValue* set = mods.add_set();
    set->set_name(field);
    set->set_value(ours);
  }
  if (mods.set().empty()) return;
  v1::HttpFilter* filter = table.add_filters();
  *(request ? filter->mutable_request_headers() : filter->mutable_response_headers()) = std::move(mods);
}

v1::RouteTable table_of(Reads& reads, const Defaults& defaults, Notes& notes) {
  v1::RouteTable table;
  table.set_name(kTable);
  table.mutable_timeouts()->mutable_connect()->set_seconds(defaults.connect_timeout_s);
  table.mutable_timeouts()->mutable_response()->set_seconds(defaults.read_timeout_s);
  table.mutable_timeouts()->mutable_send()->set_seconds(defaults.send_timeout_s);
  if (auto retry = parse_next_upstream(defaults.next_upstream)) {
    if (!retry->has_attempts()) {
      const uint32_t tries = defaults.next_upstream_tries;
      retry->set_attempts(tries == 0 ? kMostAttempts : std::min(tries, kMostAttempts));
      if (defaults.next_upstream_timeout_s != 0) {
        retry->mutable_timeout()->set_seconds(defaults.next_upstream_timeout_s);
      }
      if (defaults.retry_non_idempotent) retry->set_non_idempotent(true);
    }
    *table.mutable_retry() = *retry;
  }
  if (!defaults.block_ranges.empty()) {
    v1::IpAccess* access = table.add_filters()->mutable_ip_access();
    for (const std::string& range : defaults.block_ranges) access->add_deny(range);
  }
  if (defaults.generate_request_id) {
    v1::NameValue* id = table.add_filters()->mutable_request_headers()->add_set_if_absent();
    id->set_name("X-Request-ID");
    id->set_value("$request_id");
  }
  add_map_headers(reads, defaults.proxy_set_headers, "proxy-set-headers", true, table, notes);
  if (defaults.hsts) {
    v1::Hsts* hsts = table.add_filters()->mutable_hsts();
    hsts->mutable_max_age()->set_seconds(static_cast<int64_t>(defaults.hsts_max_age));
    hsts->set_include_subdomains(defaults.hsts_subdomains ? v1::TOGGLE_ON : v1::TOGGLE_OFF);
    hsts->set_preload(defaults.hsts_preload);
  }
  v1::HeaderMods hidden;
  if (!defaults.pass_server_header) hidden.add_remove("Server");
  for (const std::string& name : defaults.hide_headers) {
    if (is_token(name)) {
      hidden.add_remove(name);
    } else {
      notes.warn("InvalidKey", "hide-headers: " + quote_json(name) + " is no field name");
    }
  }
  if (!hidden.remove().empty()) *table.add_filters()->mutable_response_headers() = std::move(hidden);
  add_map_headers(reads, defaults.add_headers, "add-headers", false, table, notes);
  if (defaults.compress) *table.add_filters()->mutable_compress() = *defaults.compress;
  return table;
}

void add_limits(const Defaults& defaults, v1::Listener& listener) {
  v1::ListenerLimits* limits = listener.mutable_limits();
  limits->set_body_bytes(0);  // each route has its own
  if (defaults.streams_per_connection) {
    limits->set_streams_per_connection(std::clamp(*defaults.streams_per_connection, 1U, 65536U));
  }
  if (defaults.requests_per_connection) limits->set_requests_per_connection(*defaults.requests_per_connection);
  v1::ListenerTimeouts* times = listener.mutable_timeouts();
  times->mutable_idle()->set_seconds(defaults.keep_alive_s);
  if (defaults.header_timeout_s) times->mutable_header()->set_seconds(*defaults.header_timeout_s);
  if (defaults.proxy_header_s) times->mutable_proxy_header()->set_seconds(*defaults.proxy_header_s);
  if (defaults.body_timeout_s) times->mutable_body()->set_seconds(*defaults.body_timeout_s);
  if (defaults.drain_s) times->mutable_drain()->set_seconds(*defaults.drain_s);
  if (defaults.use_proxy_protocol) {
    for (const std::string& range : defaults.real_ip_ranges) listener.mutable_proxy_protocol()->add_trusted(range);
  }
}

v1::Listener listener_at(const char* name, const BindAddress& at, const Defaults& defaults) {
  v1::Listener listener;
  listener.set_name(name);
  listener.set_transport(v1::LISTENER_TCP);
  listener.set_protocol(v1::LISTENER_HTTP);
  listener.set_address(at.address);
  listener.set_port(at.port);
  listener.set_route_table(kTable);
  add_limits(defaults, listener);
  return listener;
}

}  // namespace

Globals read_globals(Reads& reads, const Settings& settings) {
  Globals globals;
  Notes notes;
  if (!settings.config_map.empty()) {
    const auto [name_space, name] = object_name(settings.config_map, "");
    const auto map = reads.find<kubernetes::ConfigMap>(name_space, name);
    if (map != nullptr) notes = Notes(reference_to("", "ConfigMap", map->metadata()));
    globals.config = map;
    globals.defaults = read_defaults(map.get(), notes);
  }
  globals.table = table_of(reads, globals.defaults, notes);
  globals.settings.set_name("default");
  if (globals.defaults.use_forwarded_headers) {
    for (const std::string& range : globals.defaults.real_ip_ranges) globals.settings.add_trusted_proxies(range);
  }
  globals.notes = notes.take();
  if (globals.config == nullptr) globals.notes.clear();  // there is no object to write them on

  if (!settings.default_backend.empty()) {
    const auto [name_space, name] = object_name(settings.default_backend, "");
    std::string why;
    Speech plain;
    plain.chosen = true;
    globals.default_backend =
        service_upstream(reads, settings, globals.defaults.connection, name_space, name, PortRef{}, plain, &why);
    globals.upstreams.push_back(globals.default_backend);
  }
  if (!settings.default_certificate.empty()) {
    const auto [name_space, name] = object_name(settings.default_certificate, "");
    const auto material = reads.tls_material(name_space, name);
    if (material != nullptr && material->has_certificate) globals.default_certificate = material;
    if (material != nullptr && !material->has_certificate) {
      control::v1::ObjectRef ref;
      ref.set_kind("Secret");
      ref.set_namespace_(name_space);
      ref.set_name(name);
      globals.notes.push_back({ref, true, "CertificateNotUsable", material->certificate_problem});
    }
  }
  reads.visit_all<kubernetes::IngressClass>([&](const world::ObjectKey&, const kubernetes::IngressClass& object) {
    if (object.spec().controller() != settings.controller || !object.spec().has_parameters()) return;
    globals.notes.push_back({reference_to("networking.k8s.io", "IngressClass", object.metadata()), true,
                             "ParametersIgnored",
                             "spec.parameters has no effect: settings are keys of the controller's ConfigMap"});
  });
  read_l4_services(reads, settings, false, globals);
  read_l4_services(reads, settings, true, globals);
  return globals;
}

std::vector<v1::Listener> http_listeners(const Settings& settings, const Globals& globals,
                                         const HostCertificates& certificates) {
  const Defaults& defaults = globals.defaults;
  std::vector<v1::Listener> listeners;
  if (settings.http.port != 0) listeners.push_back(listener_at("http", settings.http, defaults));
  if (settings.https.port == 0) return listeners;
  v1::Listener https = listener_at("https", settings.https, defaults);
  https.set_protocol(v1::LISTENER_HTTPS);
  v1::ListenerTls* tls = https.mutable_tls();
  std::map<std::string, std::vector<std::string>> names_of;  // by secret
  for (const auto& [host, secret] : certificates) {
    if (!secret.empty() && host != "*") names_of[secret].push_back(host);
  }
  const std::string otherwise = globals.default_certificate != nullptr ? globals.default_certificate->message.name()
                                : settings.fallback_chain_pem.empty()  ? std::string()
                                                                       : kFallbackCertificate;
  if (!otherwise.empty()) names_of.try_emplace(otherwise);
  for (const auto& [secret, names] : names_of) {
    v1::ServerCertificate* certificate = tls->add_certificates();
    certificate->set_secret(secret);
    for (const std::string& name : names) certificate->add_server_names(name);
    certificate->set_is_default(secret == otherwise);
  }
  if (tls->certificates().empty()) return listeners;
  if (!defaults.http2) tls->add_alpn("http/1.1");
  if (defaults.tls_protocols == "TLSv1.3") tls->set_min_version(v1::TLS_1_3);
  if (defaults.tls_protocols == "TLSv1.2") tls->set_max_version(v1::TLS_1_2);
  tls->set_ciphers(defaults.tls_ciphers);
  if (!defaults.tls_tickets) tls->set_tickets(v1::TOGGLE_OFF);
  tls->set_require_known_name(defaults.reject_unknown_names);
  listeners.push_back(std::move(https));
  return listeners;
}

}  // namespace headgate::translate
