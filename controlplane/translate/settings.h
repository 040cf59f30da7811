// settings.h -- what whoever starts the controller decides about the translation.
// Thread: any (a value).   Owner: the caller.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::translate {

struct BindAddress {
  std::string address{};  // IP address; empty: every address of both families
  uint16_t port = 0;      // 0: no such listener

  bool operator==(const BindAddress&) const = default;
};

struct Settings {
  // IngressClass objects with this spec.controller are ours, and those of the adopted ones: "k8s.io/ingress-nginx".
  std::string controller = "headgate.dev/ingress-controller";
  std::vector<std::string> adopted_controllers{};
  // Value of the legacy annotation kubernetes.io/ingress.class, besides the names of our IngressClasses.
  std::string class_name = "headgate";
  bool watch_without_class = false;  // Ingresses that name no class at all

  // Prefixes of annotations; the first that has a name wins.
  std::vector<std::string> annotation_prefixes{"headgate.dev", "nginx.ingress.kubernetes.io"};

  BindAddress http{"", 8080};
  BindAddress https{"", 8443};
  std::string l4_address{};             // of listeners from tcp_services and udp_services
  uint16_t https_redirect_port = 443;   // where clients reach `https`

  // "NAMESPACE/NAME", empty: none.
  std::string config_map{};             // the keys of ingress-nginx's ConfigMap
  std::string tcp_services{};           // "9000": "shop/db:5432"
  std::string udp_services{};
  std::string default_certificate{};    // Secret of type kubernetes.io/tls
  std::string default_backend{};        // Service; its first port

  // Served to clients without a known name while there is no default_certificate; made by the controller.
  std::string fallback_chain_pem{};
  std::string fallback_key_pem{};

  bool allow_external_names = false;    // Services of the type ExternalName
  bool allow_cross_namespace = false;   // annotations may name Secrets and ConfigMaps of other namespaces
  bool disable_catch_all = false;       // refuse Ingresses that take every host

  bool operator==(const Settings&) const = default;
};

}  // namespace headgate::translate
