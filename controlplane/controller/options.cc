#include "controlplane/controller/options.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "dataplane/base/number.h"

namespace headgate::controller {

namespace {

// "0.0.0.0:8080" or ":8080".
std::optional<translate::BindAddress> parse_bind(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_decimal<uint16_t>(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return translate::BindAddress{std::string(host), *port};
}

bool is_object_name(std::string_view text) {
  const size_t slash = text.find('/');
  return slash != std::string_view::npos && slash > 0 && slash + 1 < text.size() &&
         text.find('/', slash + 1) == std::string_view::npos;
}

// A function per flag: takes the value, says what is wrong with it.
struct FlagRow {
  std::string_view name;
  std::string_view value;  // what --help calls it; empty: the flag takes none
  std::string_view help;   // several lines allowed; empty: as the flag before
  std::string (*apply)(Options& options, std::string_view value);
};

using Take = std::string (*)(Options&, std::string_view);

template <std::string Options::*field>
std::string text(Options& options, std::string_view value) {
  options.*field = value;
  return {};
}
template <std::string translate::Settings::*field>
std::string object(Options& options, std::string_view value) {
  if (!is_object_name(value)) return "expected NAMESPACE/NAME";
  options.translation.*field = value;
  return {};
}
template <translate::BindAddress translate::Settings::*field>
std::string bind(Options& options, std::string_view value) {
  const auto address = parse_bind(value);
  if (!address) return "expected ADDRESS:PORT or :PORT";
  options.translation.*field = *address;
  return {};
}
template <bool translate::Settings::*field>
std::string on(Options& options, std::string_view) {
  options.translation.*field = true;
  return {};
}

constexpr std::array kFlags = {
    FlagRow{"config", "FILE",
            "serve this JSON file, that of a dataplane, to any number of dataplanes;\nchanges are seen within a second",
            text<&Options::config>},
    FlagRow{"in-cluster", "", "watch the API server of the cluster we run in (the default in a Pod without -config)",
            [](Options& options, std::string_view) -> std::string {
              options.kubernetes = true;
              return {};
            }},
    FlagRow{"kubeconfig", "FILE", "watch the API server of this kubeconfig",
            [](Options& options, std::string_view value) -> std::string {
              options.kubernetes = true;
              options.kubeconfig = value;
              return {};
            }},
    FlagRow{"context", "NAME", "another context of the kubeconfig than its current one", text<&Options::context>},
    FlagRow{"watch-namespace", "NAME", "watch this namespace only (all); several times for several",
            [](Options& options, std::string_view value) -> std::string {
              auto& names = options.watch_namespaces;
              if (std::find(names.begin(), names.end(), value) != names.end()) return "it was given before";
              names.emplace_back(value);
              return {};
            }},

    FlagRow{"stream-address", "ADDRESS", "where dataplanes connect (0.0.0.0:8443)", text<&Options::stream_address>},
    FlagRow{"admin-address", "ADDRESS", "/livez /readyz /metrics, or off (127.0.0.1:9901)",
            text<&Options::admin_address>},
    FlagRow{"webhook-address", "ADDRESS", "inject sidecars: the admission webhook listens here (off)",
            text<&Options::webhook_address>},
    FlagRow{"sidecar-image", "IMAGE", "image of injected sidecars; needed with -webhook-address",
            text<&Options::sidecar_image>},
    FlagRow{"insecure", "", "no TLS on the stream: on loopback only, for tests and one-machine set-ups",
            [](Options& options, std::string_view) -> std::string {
              options.insecure = true;
              return {};
            }},
    FlagRow{"state-dir", "DIR", "without Kubernetes: where the authority's key and ca.crt are kept",
            text<&Options::state_dir>},
    FlagRow{"client-ca", "FILE", "PEM: certificates of theirs may be any dataplane (outside a cluster)",
            text<&Options::client_ca>},
    FlagRow{"server-name", "NAME", "a name or address dataplanes reach us by; several times",
            [](Options& options, std::string_view value) -> std::string {
              options.server_names.emplace_back(value);
              return {};
            }},
    FlagRow{"service", "NAME", "our own Service, for the names in our certificate (headgate-controller)",
            text<&Options::service>},
    FlagRow{"trust-domain", "NAME", "of the certificates of dataplanes (cluster.local)", text<&Options::trust_domain>},
    FlagRow{"cluster-domain", "NAME", "of Services (cluster.local)", text<&Options::cluster_domain>},

    FlagRow{"ingress-class", "NAME",
            "the legacy annotation kubernetes.io/ingress.class with this value is ours, too (headgate)",
            [](Options& options, std::string_view value) -> std::string {
              options.translation.class_name = value;
              return {};
            }},
    FlagRow{"controller-class", "NAME",
            "IngressClasses with this spec.controller are ours (headgate.dev/ingress-controller)",
            [](Options& options, std::string_view value) -> std::string {
              options.translation.controller = value;
              return {};
            }},
    FlagRow{"adopt-controller-class", "NAME", "and those with this one: k8s.io/ingress-nginx; several times",
            [](Options& options, std::string_view value) -> std::string {
              options.translation.adopted_controllers.emplace_back(value);
              return {};
            }},
    FlagRow{"watch-ingress-without-class", "", "Ingresses that name no class are ours, too",
            on<&translate::Settings::watch_without_class>},
    FlagRow{"config-map", "NS/NAME", "settings, with the keys of ingress-nginx's ConfigMap",
            object<&translate::Settings::config_map>},
    FlagRow{"tcp-services-config-map", "NS/NAME", "\"9000\": \"shop/db:5432\"",
            object<&translate::Settings::tcp_services>},
    FlagRow{"udp-services-config-map", "NS/NAME", "the same for UDP", object<&translate::Settings::udp_services>},
    FlagRow{"default-backend-service", "NS/NAME", "what no Ingress takes",
            object<&translate::Settings::default_backend>},
    FlagRow{"default-ssl-certificate", "NS/NAME", "for clients without a known name (one of our own making)",
            object<&translate::Settings::default_certificate>},
    FlagRow{"http", "ADDRESS", "where dataplanes listen for HTTP (:8080)", bind<&translate::Settings::http>},
    FlagRow{"https", "ADDRESS", "and for HTTPS (:8443)", bind<&translate::Settings::https>},
    FlagRow{"https-redirect-port", "PORT", "where clients find HTTPS (443)",
            [](Options& options, std::string_view value) -> std::string {
              const auto port = parse_decimal<uint16_t>(value);
              if (!port || *port == 0) return "expected a port";
              options.translation.https_redirect_port = *port;
              return {};
            }},
    FlagRow{"allow-external-name-services", "", "Services of the type ExternalName may be back ends",
            on<&translate::Settings::allow_external_names>},
    FlagRow{"allow-cross-namespace", "", "annotations may name Secrets and ConfigMaps of other namespaces",
            on<&translate::Settings::allow_cross_namespace>},
    FlagRow{"disable-catch-all", "", "refuse Ingresses that take every host",
            on<&translate::Settings::disable_catch_all>},

    FlagRow{"publish-service", "NS/NAME", "its addresses become the status of Ingresses",
            [](Options& options, std::string_view value) -> std::string {
              if (!is_object_name(value)) return "expected NAMESPACE/NAME";
              options.publish_service = value;
              return {};
            }},
    FlagRow{"publish-status-address", "ADDRESS", "or this address or name does; several times, or with commas",
            [](Options& options, std::string_view value) -> std::string {
              while (!value.empty()) {
                const size_t comma = std::min(value.find(','), value.size());
                if (comma > 0) options.publish_addresses.emplace_back(value.substr(0, comma));
                value.remove_prefix(std::min(comma + 1, value.size()));
              }
              return {};
            }},
    FlagRow{"lease", "NAME", "Lease in our namespace that decides who writes (headgate-controller)",
            text<&Options::lease>},

    FlagRow{"log-level", "LEVEL", "trace debug info warn error off (info); also HEADGATE_LOG_LEVEL",
            [](Options& options, std::string_view value) -> std::string {
              return parse_level(value, options.log_level) ? ""
                                                           : "expected one of trace, debug, info, warn, error, off";
            }},
    FlagRow{"log-format", "FORMAT", "pretty or json (pretty)",
            [](Options& options, std::string_view value) -> std::string {
              if (value != "pretty" && value != "json") return "expected pretty or json";
              options.log_format = value == "json" ? LogFormat::kJson : LogFormat::kPretty;
              return {};
            }},
};

std::string value_of(const Environment& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? std::string() : value;
}

class Parser {
 public:
  explicit Parser(std::span<const char* const> words) : words_(words) {}

  void run(ParsedOptions& into) {
    for (; at_ < words_.size(); ++at_) {
      const std::string_view word = words_[at_];
      if (word.starts_with('-') && word.size() > 1) {
        take_flag(word, into);
      } else {
        into.problems.push_back("unexpected word '" + std::string(word) + "'");
      }
    }
  }

 private:
  void take_flag(std::string_view word, ParsedOptions& into) {
    std::string_view name = word.substr(word.starts_with("--") ? 2 : 1);
    std::optional<std::string_view> value;
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    Options& options = into.options;
    if (name == "help" || name == "h" || name == "version") {
      options.command = name == "version" ? Command::kVersion : Command::kHelp;
      return;
    }
    if (options.command == Command::kCheck && name == "f") {
      if (auto given = take_value(name, value, into)) options.manifests.emplace_back(*given);
      return;
    }
    const auto* const row =
        std::find_if(kFlags.begin(), kFlags.end(), [&](const FlagRow& flag) { return flag.name == name; });
    if (row == kFlags.end()) {
      into.problems.push_back("unknown flag '" + std::string(word) + "'");
      return;
    }
    if (row->value.empty()) {
      if (value) {
        into.problems.push_back("-" + std::string(name) + " takes no value");
      } else {
        row->apply(options, {});
      }
      return;
    }
    const auto given = take_value(name, value, into);
    if (!given) return;
    const std::string problem = given->empty() ? "expected a value" : row->apply(options, *given);
    if (!problem.empty()) {
      into.problems.push_back("-" + std::string(name) + " '" + std::string(*given) + "': " + problem);
    }
  }

  std::optional<std::string_view> take_value(std::string_view name, std::optional<std::string_view> value,
                                             ParsedOptions& into) {
    if (value) return value;
    if (at_ + 1 < words_.size()) return words_[++at_];
    into.problems.push_back("-" + std::string(name) + " needs a value");
    return std::nullopt;
  }

  std::span<const char* const> words_;
  size_t at_ = 0;
};

void check_combination(const Options& options, std::vector<std::string>& problems) {
  if (options.command == Command::kCheck) {
    if (options.manifests.empty()) problems.emplace_back("check needs -f FILE or -f FOLDER");
    return;
  }
  if (options.command != Command::kServe) return;
  if (options.config.empty() && !options.kubernetes) {
    problems.emplace_back("nothing to serve: give -config FILE, -kubeconfig FILE or -in-cluster");
  }
  if (!options.insecure && !options.kubernetes && options.state_dir.empty()) {
    problems.emplace_back(
        "without Kubernetes the stream's authority needs -state-dir DIR (or, on loopback only, -insecure)");
  }
  if (!options.webhook_address.empty() && !options.kubernetes) {
    problems.emplace_back("-webhook-address injects into Pods: it needs -in-cluster or -kubeconfig");
  }
  if (!options.webhook_address.empty() && options.insecure) {
    problems.emplace_back("-webhook-address needs certificates: it cannot be used with -insecure");
  }
  if (!options.webhook_address.empty() && options.sidecar_image.empty()) {
    problems.emplace_back("-webhook-address needs -sidecar-image IMAGE");
  }
  if (options.kubernetes && options.pod_namespace.empty()) {
    problems.emplace_back("POD_NAMESPACE is not set: the namespace where our Lease and authority are kept");
  }
}

}  // namespace

ParsedOptions parse_options(std::span<const char* const> words, const Environment& environment) {
  ParsedOptions parsed;
  Options& options = parsed.options;
  options.pod_name = value_of(environment, "POD_NAME");
  options.pod_namespace = value_of(environment, "POD_NAMESPACE");
  options.pod_address = value_of(environment, "POD_IP");
  options.service_account = value_of(environment, "POD_SERVICE_ACCOUNT");
  if (const std::string level = value_of(environment, "HEADGATE_LOG_LEVEL"); !level.empty()) {
    if (!parse_level(level, options.log_level)) {
      parsed.problems.push_back("HEADGATE_LOG_LEVEL '" + level +
                                "': expected one of trace, debug, info, warn, error, off");
    }
  }
  if (!words.empty() && std::string_view(words.front()) == "check") {
    options.command = Command::kCheck;
    words = words.subspan(1);
  }
  Parser(words).run(parsed);
  if (options.config.empty() && environment("KUBERNETES_SERVICE_HOST") != nullptr) options.kubernetes = true;
  if (parsed.problems.empty()) check_combination(options, parsed.problems);
  return parsed;
}

std::string help_text() {
  std::string text =
      "headgate-controller - programs Headgate dataplanes from Kubernetes or from one JSON file\n\n"
      "Usage:\n"
      "  headgate-controller [flags]            serve the configuration stream\n"
      "  headgate-controller check -f MANIFESTS [flags]\n"
      "                                         what would these objects do, what is refused and why\n\n"
      "Flags:\n";
  constexpr size_t kColumn = 39;
  for (const FlagRow& flag : kFlags) {
    std::string line = "  -" + std::string(flag.name);
    if (!flag.value.empty()) line += " " + std::string(flag.value);
    std::string_view help = flag.help;
    while (!help.empty()) {
      if (line.size() + 1 >= kColumn) {
        text += line + "\n";
        line.clear();
      }
      line.resize(kColumn, ' ');
      const size_t end = std::min(help.find('\n'), help.size());
      text += line + std::string(help.substr(0, end)) + "\n";
      line.clear();
      help.remove_prefix(std::min(end + 1, help.size()));
    }
  }
  return text +
         "  -help, -version\n\n"
         "Environment: POD_NAME, POD_NAMESPACE, POD_IP, POD_SERVICE_ACCOUNT by the downward API; HEADGATE_LOG_LEVEL.\n"
         "Exit codes: 0 done, 1 failure, 2 bad command line or file.\n";
}

std::string version_text() { return "headgate-controller " HEADGATE_VERSION "\n"; }

}  // namespace headgate::controller
