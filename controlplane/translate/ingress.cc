#include "controlplane/translate/ingress.h"

#include <algorithm>
#include <set>

#include "controlplane/translate/ingress_reader.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

constexpr const char* kLegacyClass = "kubernetes.io/ingress.class";
constexpr const char* kDefaultClass = "ingressclass.kubernetes.io/is-default-class";
constexpr size_t kLongestPath = 3072;  // anchored, it must still fit into a pattern

// The paths that ingress-nginx takes for Exact and Prefix while strict-validate-path-type is on.
bool is_strict_path(std::string_view path) {
  return std::all_of(path.begin(), path.end(), [](char c) {
    return is_alpha(c) || is_digit(c) || c == '.' || c == '_' || c == '-' || c == '/';
  });
}

}  // namespace

IngressReader::IngressReader(Reads& reads, const Settings& settings, const Defaults& defaults,
                             const kubernetes::Ingress& ingress)
    : reads_(reads),
      settings_(settings),
      defaults_(defaults),
      ingress_(ingress),
      name_space_(ingress.metadata().namespace_()),
      annotations_(ingress.metadata(), settings),
      notes_(reference_to("networking.k8s.io", "Ingress", ingress.metadata())),
      model_(std::make_shared<IngressModel>()) {}

IngressPtr IngressReader::read() {
  const kubernetes::ObjectMeta& metadata = ingress_.metadata();
  model_->ref = notes_.object();
  model_->precedence = {metadata.creation_timestamp(), metadata.namespace_(), metadata.name()};
  if (!is_ours()) return model_;
  model_->served = annotations_.judge(notes_);
  read_canary();
  read_rewrite();
  read_redirects();
  read_names();
  read_sizes_and_times();
  read_retry();
  read_balance();
  read_affinity();
  read_ranges();
  read_limits();
  read_basic_auth();
  read_external_auth();
  read_client_certificate();
  read_cors();
  read_headers();
  speech_ = read_speech();
  read_mirror();
  read_errors();
  read_rules();
  read_tls();
  if (model_->auth) {
    for (const std::string& host : model_->hosts) {
      UpstreamPtr upstream;
      std::string why;
      if (auth_for_host(*model_->auth, host, defaults_.connection, &upstream, &why)) {
        model_->upstreams.push_back(upstream);
      } else {
        notes_.warn("AccessDenied", why + "; the host " + quote_json(host) + " answers 503");
      }
    }
  }
  if (!model_->served) {
    // Nothing of it may touch what others have.
    auto refused = std::make_shared<IngressModel>();
    refused->ref = model_->ref;
    refused->precedence = model_->precedence;
    model_ = std::move(refused);
  }
  model_->notes = notes_.take();
  return model_;
}

bool IngressReader::class_is_ours(const kubernetes::IngressClass& object) const {
  const std::string& controller = object.spec().controller();
  return controller == settings_.controller ||
         std::find(settings_.adopted_controllers.begin(), settings_.adopted_controllers.end(), controller) !=
             settings_.adopted_controllers.end();
}

bool IngressReader::default_class_is_ours() {
  bool ours = false;
  reads_.visit_all<kubernetes::IngressClass>([&](const world::ObjectKey&, const kubernetes::IngressClass& object) {
    const auto mark = object.metadata().annotations().find(kDefaultClass);
    ours = ours || (mark != object.metadata().annotations().end() && mark->second == "true" && class_is_ours(object));
  });
  return ours;
}

// The old annotation beats spec.ingressClassName, as in ingress-nginx.
bool IngressReader::is_ours() {
  const auto legacy = ingress_.metadata().annotations().find(kLegacyClass);
  std::string name;
  if (legacy != ingress_.metadata().annotations().end() && !legacy->second.empty()) {
    if (legacy->second == settings_.class_name) return true;
    name = legacy->second;
  } else if (ingress_.spec().has_ingress_class_name()) {
    name = ingress_.spec().ingress_class_name();
  } else {
    return settings_.watch_without_class || default_class_is_ours();
  }
  const auto object = reads_.find<kubernetes::IngressClass>("", name);
  return object != nullptr && class_is_ours(*object);
}

void IngressReader::reject(std::string_view name, const std::string& why) {
  model_->served = false;
  notes_.warn("InvalidAnnotation", std::string(name) + ": " + why + "; the Ingress is not served");
}

void IngressReader::deny(std::string_view name, const std::string& why) {
  model_->denied = true;
  notes_.warn("AccessDenied", std::string(name) + ": " + why + "; all paths of the Ingress answer 503");
}

void IngressReader::ignore(std::string_view name, const std::string& why) {
  notes_.warn("InvalidAnnotation", std::string(name) + ": " + why + "; it is ignored");
}

bool IngressReader::flag(std::string_view name, bool otherwise) {
  const auto value = text(name);
  if (!value) return otherwise;
  const auto parsed = parse_bool(*value);
  if (!parsed) ignore(name, quote_json(*value) + " is not true or false");
  return parsed.value_or(otherwise);
}

std::optional<bool> IngressReader::on_off(std::string_view name) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  const auto parsed = parse_on_off(*value);
  if (!parsed) ignore(name, quote_json(*value) + " is not on or off");
  return parsed;
}

std::optional<uint32_t> IngressReader::number(std::string_view name) {
  const auto value = text(name);
  if (!value) return std::nullopt;
  const auto parsed = parse_decimal<uint32_t>(*value);
  if (!parsed) ignore(name, quote_json(*value) + " is no whole number");
  return parsed;
}

std::optional<std::string> IngressReader::variables(std::string_view name, const std::string& value, int groups) {
  std::string ours = our_variables(value, {{"namespace", name_space_}, {"ingress_name", ingress_.metadata().name()}});
  // Those of a path are filled in when its route is made.
  const std::string probe = our_variables(ours, {{"service_name", "x"}, {"service_port", "1"}});
  const std::string wrong = unknown_variable(probe, groups);
  if (wrong.empty()) return ours;
  ignore(name, wrong);
  return std::nullopt;
}

std::optional<world::ObjectKey> IngressReader::object_of(std::string_view name, const std::string& value) {
  const auto [name_space, object] = object_name(value, name_space_);
  if (object.empty()) {
    deny(name, quote_json(value) + " is no [namespace/]name");
    return std::nullopt;
  }
  if (name_space != name_space_ && !settings_.allow_cross_namespace) {
    deny(name, quote_json(value) + " is in another namespace, which the controller does not allow");
    return std::nullopt;
  }
  return world::ObjectKey{name_space, object};
}

UpstreamPtr IngressReader::backend(const kubernetes::IngressBackend& entry, PathRule& rule, const std::string& where) {
  if (!entry.has_service()) {
    notes_.warn("BackendNotSupported", where + (entry.has_resource() ? ": resource backends are not supported (" +
                                                                           entry.resource().kind() + " " +
                                                                           entry.resource().name() + "); it answers 503"
                                                                     : ": there is no backend; it answers 503"));
    return nullptr;
  }
  const PortRef port{entry.service().port().name(),
                     static_cast<uint32_t>(std::max(entry.service().port().number(), 0))};
  rule.service = entry.service().name();
  rule.port = port.text();
  std::string why;
  UpstreamPtr upstream =
      service_upstream(reads_, settings_, defaults_.connection, name_space_, rule.service, port, speech_, &why);
  if (!why.empty()) notes_.warn("BackendNotFound", where + ": " + why + "; it answers 503");
  if (upstream->message.unavailable_status_reason().empty() && speech_.by_address && !upstream->own_shard) {
    notes_.inform("AnnotationWithoutEffect",
                  "service-upstream: the Service " + rule.service + " has no address of its own");
  }
  model_->upstreams.push_back(upstream);
  return upstream;
}

void IngressReader::add_path(int rule, int path, const std::string& host, const kubernetes::HttpIngressPath& entry) {
  const std::string where = "rules[" + std::to_string(rule) + "].paths[" + std::to_string(path) + "]";
  PathRule made;
  made.host = host;
  made.path = entry.path().empty() ? "/" : entry.path();
  made.exact = entry.path_type() == "Exact";
  made.id = std::to_string(rule) + "." + std::to_string(path);
  if (!made.path.starts_with('/') || made.path.size() > kLongestPath || !is_field_value(made.path)) {
    notes_.warn("InvalidPath", where + ": " + quote_json(made.path.substr(0, 100)) +
                                   " is no path that starts with \"/\"; it is left out");
    return;
  }
  const bool strict = entry.path_type() == "Exact" || entry.path_type() == "Prefix";
  if (strict && defaults_.strict_paths && !is_strict_path(made.path)) {
    model_->served = false;
    notes_.warn("InvalidPath",
                where + ": " + quote_json(made.path) + " with pathType " + entry.path_type() +
                    " may hold only letters, digits, \".\", \"_\", \"-\" and \"/\"; use ImplementationSpecific. "
                    "The Ingress is not served");
    return;
  }
  made.upstream = backend(entry.backend(), made, where);
  model_->paths.push_back(std::move(made));
}

void IngressReader::read_rules() {
  std::set<std::string> hosts;
  for (int i = 0; i < ingress_.spec().rules_size(); ++i) {
    const kubernetes::IngressRule& rule = ingress_.spec().rules(i);
    const std::string where = "rules[" + std::to_string(i) + "]";
    const std::string host = rule.host().empty() ? "*" : normalize_host(rule.host());
    const HostPatternKind kind = host_pattern_kind(host);
    if (kind == HostPatternKind::kInvalid || (kind == HostPatternKind::kAny && !rule.host().empty())) {
      notes_.warn("InvalidHost", where + ": " + quote_json(rule.host()) + " is no host name; the rule is left out");
      continue;
    }
    if (host == "*" && settings_.disable_catch_all) {
      notes_.warn("CatchAllRefused", where + ": rules without a host are refused by the controller's settings");
      continue;
    }
    if (rule.http().paths().empty()) {
      notes_.inform("RuleWithoutPaths",
                    where + ": there are no paths" +
                        std::string(ingress_.spec().has_default_backend() ? "; the default backend takes all" : ""));
      if (!ingress_.spec().has_default_backend()) continue;
    }
    hosts.insert(host);
    for (int j = 0; j < rule.http().paths_size(); ++j) add_path(i, j, host, rule.http().paths(j));
  }
  if (ingress_.spec().has_default_backend()) {
    PathRule rule;
    rule.path = "/";
    rule.id = "default";
    if (ingress_.spec().rules().empty()) {
      if (settings_.disable_catch_all) {
        notes_.warn("CatchAllRefused",
                    "defaultBackend: an Ingress without rules is refused by the controller's settings");
      } else {
        hosts.insert("*");
      }
    }
    rule.upstream = backend(ingress_.spec().default_backend(), rule, "defaultBackend");
    model_->default_backend = std::move(rule);
  }
  model_->hosts.assign(hosts.begin(), hosts.end());
}

void IngressReader::read_tls() {
  std::set<std::string> seen;
  for (int i = 0; i < ingress_.spec().tls_size(); ++i) {
    const kubernetes::IngressTls& entry = ingress_.spec().tls(i);
    const std::string where = "tls[" + std::to_string(i) + "]";
    std::string secret;
    if (!entry.secret_name().empty()) {
      const auto material = reads_.tls_material(name_space_, entry.secret_name());
      if (material == nullptr || !material->has_certificate) {
        notes_.warn("CertificateNotFound",
                    where + ": " +
                        (material == nullptr ? "there is no Secret " + name_space_ + "/" + entry.secret_name()
                                             : material->certificate_problem) +
                        "; the default certificate is used");
      } else {
        secret = material->message.name();
        model_->secrets.push_back(material);
      }
    }
    for (const std::string& name : entry.hosts()) {
      const std::string host = normalize_host(name);
      if (host_pattern_kind(host) == HostPatternKind::kInvalid || host == "*") {
        notes_.warn("InvalidHost", where + ": " + quote_json(name) + " is no host name");
      } else if (seen.insert(host).second) {
        model_->tls.push_back({host, secret});
      }
    }
    if (entry.hosts().empty()) {
      // As ingress-nginx: the certificate is for all hosts of the rules.
      for (const std::string& host : model_->hosts) {
        if (seen.insert(host).second) model_->tls.push_back({host, secret});
      }
    }
  }
}

void IngressReader::read_canary() {
  const bool on = flag("canary", false);
  if (!on) {
    for (const std::string_view name : {"canary-by-header", "canary-by-cookie", "canary-weight"}) {
      if (text(name)) ignore(name, "it needs canary: \"true\"");
    }
    return;
  }
  Canary canary;
  canary.header = text("canary-by-header").value_or("");
  canary.header_value = text("canary-by-header-value").value_or("");
  canary.header_pattern = text("canary-by-header-pattern").value_or("");
  canary.cookie = text("canary-by-cookie").value_or("");
  if (!canary.header.empty() && !is_token(canary.header)) {
    ignore("canary-by-header", quote_json(canary.header) + " is no field name");
    canary.header.clear();
  }
  if (!canary.cookie.empty() && !is_token(canary.cookie)) {
    ignore("canary-by-cookie", quote_json(canary.cookie) + " is no cookie name");
    canary.cookie.clear();
  }
  if (canary.header.empty() && (!canary.header_value.empty() || !canary.header_pattern.empty())) {
    ignore("canary-by-header-value", "it needs canary-by-header");
  }
  canary.weight = number("canary-weight").value_or(0);
  canary.total = std::clamp(number("canary-weight-total").value_or(100), 100U, 1000000U);
  if (canary.weight > canary.total) {
    ignore("canary-weight",
           "it is more than the total of " + std::to_string(canary.total) + ", so all requests go to the canary");
    canary.weight = canary.total;
  }
  if (const auto behavior = text("affinity-canary-behavior")) {
    canary.sticky = *behavior != "legacy";
    if (*behavior != "legacy" && *behavior != "sticky") {
      ignore("affinity-canary-behavior", quote_json(*behavior) + " is neither sticky nor legacy");
    }
  }
  model_->canary = canary;
}

IngressPtr read_ingress(Reads& reads, const Settings& settings, const Defaults& defaults,
                        const kubernetes::Ingress& ingress) {
  return IngressReader(reads, settings, defaults, ingress).read();
}

}  // namespace headgate::translate
