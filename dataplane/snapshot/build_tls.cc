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

const v1::TlsSecret* Build::secret(const std::string& name) const {
  const auto found = secrets_.find(name);
  return found == secrets_.end() ? nullptr : found->second;
}

std::shared_ptr<const tls::Certificate> Build::certificate(const std::string& name) {
  const v1::TlsSecret* message = secret(name);
  if (message == nullptr) return nullptr;  // proto/check has said so
  const std::string fingerprint = print_of(*message);
  auto& remembered = parts_.certificates[name];
  if (remembered.built != nullptr && remembered.fingerprint == fingerprint) return remembered.built;
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
  const std::string fingerprint = print_of(*message);
  auto& remembered = parts_.trust_stores[name];
  if (remembered.built != nullptr && remembered.fingerprint == fingerprint) return remembered.built;
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
  std::vector<const v1::ClientCertificateAccess*> of_table;
  const auto gather = [](const auto& filters, std::vector<const v1::ClientCertificateAccess*>& into) {
    for (const v1::HttpFilter& filter : filters) {
      if (filter.has_client_certificate()) into.push_back(&filter.client_certificate());
    }
  };
  for (const v1::RouteTable& message : set_.route_tables()) {
    if (message.name() == table) gather(message.filters(), of_table);
  }
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
  for (const v1::VirtualHost& host : set_.virtual_hosts()) {
    if (host.table() != table) continue;
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
      *fingerprint += "|" + key + print_of(*secret(asked.front()->secret()));
      found = known.emplace(key, rules->add_rule(std::move(rule))).first;
    }
    add_hosts(host, found->second);
  }
  if (rules->empty()) return nullptr;
  for (const v1::VirtualHost* host : others) add_hosts(*host, std::nullopt);
  return rules;
}

std::shared_ptr<const ListenerTls> Build::listener_tls(const v1::Listener& listener) {
  const v1::ListenerTls& message = listener.tls();
  std::string print = print_of(listener);
  for (const v1::ServerCertificate& entry : message.certificates()) {
    if (const v1::TlsSecret* certificate = secret(entry.secret())) print += print_of(*certificate);
  }
  if (const v1::TlsSecret* authority = secret(message.client_ca())) print += print_of(*authority);
  auto& remembered = parts_.listener_tls[listener.name()];
  if (remembered.built != nullptr && remembered.fingerprint == print) return remembered.built;
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
  if (const v1::TlsSecret* authority = secret(message.client_ca())) built->fingerprint += print_of(*authority);
  if (!listener.route_table().empty()) {
    settings.client_rules = client_rules(listener.route_table(), &built->fingerprint);
    if (failed()) return nullptr;
  }
  // Made once here so that a bad cipher list is a problem of the file, not of a worker.
  const bool same_settings = remembered.built != nullptr && remembered.built->fingerprint == built->fingerprint;
  if (!same_settings && tls::ServerContext::make(settings, built->names, problem) == nullptr) {
    error(check::Kind::kListener, listener.name(), "tls", problem);
    return nullptr;
  }
  remembered = {std::move(print), built};
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
