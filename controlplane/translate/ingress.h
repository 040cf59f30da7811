// ingress.h -- one Ingress, read: all that can be said about it without looking at the others.
// Thread: any (immutable).   Owner: shared by Translator and the hosts it is merged into.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "controlplane/translate/config_map.h"
#include "controlplane/translate/notes.h"
#include "controlplane/translate/reads.h"
#include "controlplane/translate/services.h"
#include "controlplane/translate/settings.h"
#include "headgate/config/v1/virtual_host.pb.h"

namespace headgate::translate {

// Who comes first in every conflict: the oldest, then by namespace and name.
struct Precedence {
  std::string created{};
  std::string name_space{};
  std::string name{};

  auto operator<=>(const Precedence&) const = default;
  bool operator==(const Precedence&) const = default;
};

// One path of a rule.
struct PathRule {
  std::string host;       // "*": every host
  std::string path;       // "/cart"
  bool exact = false;
  UpstreamPtr upstream;   // null: answered with 503
  std::string service{};  // for messages and $service_name
  std::string port{};
  std::string id;         // "RULE.PATH", for names of routes
};

// TLS material that a host of the rules is served with.
struct HostTls {
  std::string host;    // as in tls.hosts: a name or "*.example.com"
  std::string secret;  // name of a TlsSecret; empty: the default certificate
};

struct Canary {
  std::string header{};
  std::string header_value{};
  std::string header_pattern{};
  std::string cookie{};
  uint32_t weight = 0;
  uint32_t total = 100;
  bool sticky = true;  // sessions may stay with the canary
};

// External authentication; the parts that may hold "$host" are filled in per host.
struct AuthRequest {
  Url url{};
  std::string signin{};
  config::v1::ExternalAuth message;  // the rest
};

struct IngressModel {
  control::v1::ObjectRef ref;
  Precedence precedence{};
  bool served = false;              // of our class and acceptable
  std::vector<Note> notes{};

  std::vector<PathRule> paths{};
  std::vector<std::string> hosts{};  // of all rules, also of those without paths; sorted
  std::optional<PathRule> default_backend{};
  std::vector<HostTls> tls{};
  std::vector<std::shared_ptr<const SecretContent>> secrets{};  // TLS material that is used
  std::optional<Canary> canary{};

  // For the whole host; of the first Ingress that has it.
  std::string app_root{};
  std::vector<std::string> aliases{};
  bool from_to_www = false;
  std::optional<config::v1::ClientCertificateAccess> client_certificate{};
  bool client_certificate_unusable = false;  // 403 for the whole host

  // For each path.
  bool denied = false;                     // 503: something that guards it is wrong
  bool regex = false;                      // switches its hosts to regular expressions
  std::string regex_reason{};              // "use-regex", "rewrite-target"
  std::string rewrite_target{};
  bool ssl_redirect = true;
  bool force_ssl_redirect = false;
  bool access_log = true;
  std::vector<config::v1::HttpFilter> filters{};
  std::optional<AuthRequest> auth{};
  config::v1::ProxyAction proxy;           // without backends
  std::string cookie_path{};               // of the affinity cookie; empty: the path of the rule
  std::optional<config::v1::LoadBalancing> balance{};
  std::vector<UpstreamPtr> upstreams{};    // all that are used
};
using IngressPtr = std::shared_ptr<const IngressModel>;

// Reads one Ingress; the result is never null, and `served` is false for those of other classes.
IngressPtr read_ingress(Reads& reads, const Settings& settings, const Defaults& defaults,
                        const kubernetes::Ingress& ingress);

// The ExternalAuth of a path on `host`, and its Upstream. nullopt with `why`: it cannot be built for this host.
std::optional<config::v1::ExternalAuth> auth_for_host(const AuthRequest& auth, const std::string& host,
                                                      const config::v1::ConnectionSettings& connection,
                                                      UpstreamPtr* upstream, std::string* why);

}  // namespace headgate::translate
