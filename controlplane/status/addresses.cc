#include "controlplane/status/addresses.h"

#include <algorithm>

#include "dataplane/base/address.h"

namespace headgate::status {

Addresses ordered(Addresses addresses) {
  std::erase(addresses, Address{});
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

Address address_of(const std::string& text) {
  return IpAddress::parse(text).has_value() ? Address{.ip = text} : Address{.hostname = text};
}

Addresses addresses_of_service(const kubernetes::Service& service) {
  const auto& spec = service.spec();
  Addresses addresses;
  const auto add = [&addresses](const std::string& text) { addresses.push_back(address_of(text)); };
  // Absent in objects that did not come from an API server.
  const std::string& type = spec.type();
  if (type == "ExternalName") {
    add(spec.external_name());
  } else if (type == "LoadBalancer") {
    addresses = addresses_of_status(service.status().load_balancer());
    for (const auto& ip : spec.external_ips()) add(ip);
  } else if (type == "NodePort" && spec.external_ips_size() > 0) {
    for (const auto& ip : spec.external_ips()) add(ip);
  } else if (spec.cluster_ip() != "None") {
    add(spec.cluster_ip());
  }
  return ordered(std::move(addresses));
}

Addresses addresses_of_node(const kubernetes::Node& node) {
  Addresses external;
  Addresses internal;
  for (const auto& address : node.status().addresses()) {
    if (address.type() == "ExternalIP") external.push_back(address_of(address.address()));
    if (address.type() == "InternalIP") internal.push_back(address_of(address.address()));
  }
  return ordered(external.empty() ? std::move(internal) : std::move(external));
}

Addresses addresses_of_status(const kubernetes::LoadBalancerStatus& status) {
  Addresses addresses;
  for (const auto& entry : status.ingress()) addresses.push_back({entry.ip(), entry.hostname()});
  return ordered(std::move(addresses));
}

}  // namespace headgate::status
