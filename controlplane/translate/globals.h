// globals.h -- what belongs to no single Ingress: listeners, the route table, process settings, TCP and UDP services.
// Thread: any (pure).   Owner: Translator.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "controlplane/translate/config_map.h"
#include "controlplane/translate/reads.h"
#include "controlplane/translate/services.h"
#include "controlplane/translate/settings.h"
#include "headgate/config/v1/listener.pb.h"
#include "headgate/config/v1/route_table.pb.h"
#include "headgate/config/v1/settings.pb.h"

namespace headgate::translate {

struct Globals {
  Defaults defaults{};
  kube::ObjectPtr config{};                // the ConfigMap the defaults were read from; may be null
  UpstreamPtr default_backend{};           // null: none
  std::shared_ptr<const SecretContent> default_certificate{};  // null: none, or not usable
  config::v1::RouteTable table;
  config::v1::ProxySettings settings;
  std::vector<config::v1::Listener> l4_listeners{};
  std::vector<UpstreamPtr> upstreams{};    // of default_backend and of the L4 listeners
  std::vector<Note> notes{};
};

Globals read_globals(Reads& reads, const Settings& settings);

// TCP and UDP services: a ConfigMap whose keys are ports, values "NAMESPACE/SERVICE:PORT[:PROXY[:PROXY]]".
void read_l4_services(Reads& reads, const Settings& settings, bool udp, Globals& globals);

// What TLS the hosts have: name -> TlsSecret, empty: the default certificate.
using HostCertificates = std::map<std::string, std::string>;

// The HTTP and HTTPS listeners. No HTTPS listener without any certificate. Client certificates are an affair of the
// hosts: the dataplane asks for what their filters name.
std::vector<config::v1::Listener> http_listeners(const Settings& settings, const Globals& globals,
                                                 const HostCertificates& certificates);

inline constexpr const char* kFallbackCertificate = "headgate/default-certificate";

}  // namespace headgate::translate
