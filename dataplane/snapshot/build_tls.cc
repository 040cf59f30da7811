#include "dataplane/snapshot/build_parts.h"
#include "dataplane/tls/context.h"

namespace headgate::snapshot {
namespace {

tls::TlsVersion version_of(v1::TlsVersion version, tls::TlsVersion otherwise) {
  switch (version) {
    case v1::TLS_1_2: return tls::TlsVersion::kTls12;
    case v1::TLS_1_3: return tls::TlsVersion::kTls13;
    default: return otherwise;
  }
}

tls::ClientCertificate client_certificate_of(const v1::ListenerTls& message) {
  switch (message.client_certificate()) {
    case v1::CLIENT_CERTIFICATE_REQUIRED: return tls::ClientCertificate::kRequired;
    case v1::CLIENT_CERTIFICATE_OPTIONAL: return tls::ClientCertificate::kOptional;
    case v1::CLIENT_CERTIFICATE_HTTP: return tls::ClientCertificate::kJudged;
    default: return message.client_ca().empty() ? tls::ClientCertificate::kNone : tls::ClientCertificate::kRequired;
  }
}

}  // namespace

const std::string& Build::print_of_secret(const std::string& name) {
  static const std::string kNone;
  const v1::TlsSecret* const message = name.empty() ? nullptr : secret(name);
  return message == nullptr ? kNone : print_of(*message);
}

std::shared_ptr<const tls::Certificate> Build::certificate(const std::string& name) {
  const v1::TlsSecret* message = secret(name);
  if (message == nullptr) return nullptr;  // proto/check has said so
  const Fingerprint fingerprint(print_of(*message));
  auto& remembered = parts_.certificates[name];
  if (remembered.is_of(fingerprint)) return remembered.built;
  auto outcome =
      tls::Certificate::parse(message->chain_pem(), message->key_pem(), message->ocsp(), system_clock().wall());
  for (const std::string& warning : outcome.warnings) {
    problems_.push_back({.kind = check::Kind::kTlsSecret,
                         .resource = name,
                         .field_path = "chain_pem",
                         .rule = "certificate",
                         .message = warning,
                         .severity = check::Severity::kWarning});
  }
  if (outcome.certificate == nullptr) {
    error(check::Kind::kTlsSecret, name, "", outcome.problem);
    return nullptr;
  }
  remembered = {fingerprint, outcome.certificate};
  return outcome.certificate;
}

std::shared_ptr<const tls::TrustStore> Build::trust_store(const std::string& name) {
  const v1::TlsSecret* message = secret(name);
  if (message == nullptr) return nullptr;
  const Fingerprint fingerprint(print_of(*message));
  auto& remembered = parts_.trust_stores[name];
  if (remembered.is_of(fingerprint)) return remembered.built;
  auto outcome = tls::TrustStore::parse(message->ca_pem(), message->crl_pem());
  if (outcome.store == nullptr) {
    error(check::Kind::kTlsSecret, name, "ca_pem", outcome.problem);
    return nullptr;
  }
  remembered = {fingerprint, outcome.store};
  return outcome.store;
}

std::string client_rule_name(const v1::ClientCertificateAccess& message) {
  return message.secret() + "|" + std::to_string(message.has_depth() ? message.depth() : 1);
}

std::shared_ptr<const tls::ClientRules> Build::client_rules(const std::string& table, std::string* fingerprint) {
  if (parts_.asking_hosts.empty() && parts_.asking_tables.empty()) return nullptr;
  std::vector<const v1::ClientCertificateAccess*> of_table;
  const auto gather = [](const auto& filters, std::vector<const v1::ClientCertificateAccess*>& into) {
    for (const v1::HttpFilter& filter : filters) {
      if (filter.has_client_certificate()) into.push_back(&filter.client_certificate());
    }
  };
  if (const auto* const message = view_.find<v1::RouteTable>(table)) gather(message->filters(), of_table);
  auto rules = std::make_shared<tls::ClientRules>();
  std::vector<const v1::VirtualHost*> others;  // hosts without a rule
  const auto add_hosts = [&](const v1::VirtualHost& host, std::optional<size_t> rule) {
    const bool single_label = host.wildcard_single_label() == v1::TOGGLE_ON;
    *fingerprint += "|" + (rule ? std::to_string(*rule) : "-") + (single_label ? "1" : "");
    const auto add = [&](const std::string& name) {
      rules->add_host(name, single_label, rule);
      *fingerprint += "," + name;
    };
    add(host.host());
    for (const std::string& alias : host.aliases()) add(alias);
  };
  std::unordered_map<std::string, size_t> known;
  std::vector<const v1::VirtualHost*> hosts;
  view_.visit<v1::VirtualHost>([&](const v1::VirtualHost& host) {
    if (host.table() == table) hosts.push_back(&host);
  });
  for (const v1::VirtualHost* const entry : hosts) {
    const v1::VirtualHost& host = *entry;
    std::vector<const v1::ClientCertificateAccess*> asked = of_table;
    gather(host.filters(), asked);
    for (const v1::Route& route : host.routes()) gather(route.filters(), asked);
    if (asked.empty()) {
      others.push_back(&host);
      continue;
    }
    tls::ClientRule rule{.name = client_rule_name(*asked.front()), .authorities = {}, .depth = {}};
    for (const v1::ClientCertificateAccess* one : asked) {
      rule.keeps_certificate = rule.keeps_certificate || one->pass_certificate();
      if (client_rule_name(*one) == rule.name) continue;
      error(check::Kind::kVirtualHost, host.name(), "client_certificate",
            "the filters of one host ask for certificates of " + asked.front()->secret() + " and of " + one->secret() +
                ", or to another depth: a connection is asked once");
      return nullptr;
    }
    rule.depth = asked.front()->has_depth() ? asked.front()->depth() : 1;
    const std::string key = rule.name + (rule.keeps_certificate ? "|pem" : "");
    auto found = known.find(key);
    if (found == known.end()) {
      rule.authorities = trust_store(asked.front()->secret());
      if (rule.authorities == nullptr) return nullptr;
      *fingerprint += "|" + key + print_of_secret(asked.front()->secret());
      found = known.emplace(key, rules->add_rule(std::move(rule))).first;
    }
    add_hosts(host, found->second);
  }
  if (rules->empty()) return nullptr;
  for (const v1::VirtualHost* host : others) add_hosts(*host, std::nullopt);
  return rules;
}

std::shared_ptr<const ListenerTls> Build::listener_tls(const std::shared_ptr<const v1::Listener>& message) {
  const v1::Listener& listener = *message;
  KnownListenerTls& known = parts_.listener_tls[listener.name()];
  if (known.tls.built != nullptr && known.message == message && known.inputs == parts_.tls_inputs) return known.tls.built;
  std::string rules_print;
  std::shared_ptr<const tls::ClientRules> rules;
  if (!listener.route_table().empty()) rules = client_rules(listener.route_table(), &rules_print);
  if (failed()) return nullptr;
  std::string print = fingerprint_of(listener) + rules_print + "|" + print_of_secret(listener.tls().client_ca());
  for (const v1::ServerCertificate& entry : listener.tls().certificates()) print += print_of_secret(entry.secret());
  const Fingerprint fingerprint(print);
  if (!known.tls.is_of(fingerprint)) {
    auto built = make_listener_tls(listener, std::move(rules), rules_print, known.tls.built.get());
    if (built == nullptr) return nullptr;
    known.tls = {fingerprint, std::move(built)};
  }
  known.message = message;
  known.inputs = parts_.tls_inputs;
  return known.tls.built;
}

// `before`: of the same listener; null: there was none.
std::shared_ptr<const ListenerTls> Build::make_listener_tls(const v1::Listener& listener,
                                                            std::shared_ptr<const tls::ClientRules> rules,
                                                            const std::string& rules_print, const ListenerTls* before) {
  const v1::ListenerTls& message = listener.tls();
  auto built = std::make_shared<ListenerTls>();
  tls::ServerSettings& settings = built->settings;
  settings.listener = listener.name();
  settings.protocol.min_version = version_of(message.min_version(), tls::TlsVersion::kTls12);
  settings.protocol.max_version = version_of(message.max_version(), tls::TlsVersion::kTls13);
  settings.protocol.ciphers = message.ciphers();
  settings.protocol.groups = message.groups();
  settings.protocol.alpn.assign(message.alpn().begin(), message.alpn().end());
  settings.client_certificate = client_certificate_of(message);
  if (!message.client_ca().empty()) settings.client_ca = trust_store(message.client_ca());
  if (failed()) return nullptr;
  settings.tickets = message.tickets() != v1::TOGGLE_OFF;
  settings.require_known_name = message.require_known_name();

  std::vector<tls::CertificateBinding> bindings;
  for (const v1::ServerCertificate& entry : message.certificates()) {
    auto parsed = certificate(entry.secret());
    if (parsed == nullptr) return nullptr;
    bindings.push_back({.certificate = std::move(parsed),
                        .names = {entry.server_names().begin(), entry.server_names().end()},
                        .is_default = entry.is_default()});
  }
  std::string problem;
  std::vector<std::string> warnings;
  built->names = tls::ServerNames::build(bindings, problem, warnings);
  if (built->names == nullptr) {
    error(check::Kind::kListener, listener.name(), "tls.certificates", problem);
    return nullptr;
  }
  // Certificates are swapped into a context, everything else makes a new one.
  v1::ListenerTls without_certificates = message;
  without_certificates.clear_certificates();
  built->fingerprint = fingerprint_of(without_certificates);
  built->fingerprint += print_of_secret(message.client_ca()) + rules_print;
  settings.client_rules = std::move(rules);
  // Made once here so that a bad cipher list is a problem of the file, not of a worker.
  const bool same_settings = before != nullptr && before->fingerprint == built->fingerprint;
  if (!same_settings && tls::ServerContext::make(settings, built->names, problem) == nullptr) {
    error(check::Kind::kListener, listener.name(), "tls", problem);
    return nullptr;
  }
  return built;
}

std::shared_ptr<const tls::ClientSettings> Build::client_tls(const v1::UpstreamTls& message,
                                                             const v1::Upstream& upstream) {
  auto settings = std::make_shared<tls::ClientSettings>();
  settings->verify = message.verify() != v1::TOGGLE_OFF;
  settings->protocol.min_version = version_of(message.min_version(), tls::TlsVersion::kTls12);
  settings->protocol.max_version = version_of(message.max_version(), tls::TlsVersion::kTls13);
  settings->protocol.ciphers = message.ciphers();
  settings->protocol.alpn.assign(message.alpn().begin(), message.alpn().end());
  if (message.alpn().empty()) {
    switch (upstream.protocol()) {
      case v1::UPSTREAM_HTTP2:
      case v1::UPSTREAM_GRPC: settings->protocol.alpn = {"h2"}; break;
      case v1::UPSTREAM_AUTO: settings->protocol.alpn = {"h2", "http/1.1"}; break;
      default: break;
    }
  }
  settings->alternative_names.assign(message.alternative_names().begin(), message.alternative_names().end());
  settings->send_sni = message.send_sni() != v1::TOGGLE_OFF;
  if (message.has_depth()) settings->depth = message.depth();
  if (!message.ca().empty()) settings->authorities = trust_store(message.ca());
  if (!message.certificate().empty()) settings->certificate = certificate(message.certificate());
  std::string problem;
  if (tls::ClientContext::make(*settings, problem) == nullptr) {
    error(check::Kind::kUpstream, upstream.name(), "tls", problem);
    return nullptr;
  }
  return settings;
}

}  // namespace headgate::snapshot
