// addresses.h -- where clients reach us, as the status of an Ingress says it; the rules are those of ingress-nginx.
// Thread: any (pure).
#pragma once

#include <string>
#include <vector>

#include "kubernetes/core.pb.h"

namespace headgate::status {

// One of the two is set.
struct Address {
  std::string ip;
  std::string hostname;

  auto operator<=>(const Address&) const = default;
};
using Addresses = std::vector<Address>;  // sorted, each once

// Sorts, removes what is empty or twice.
Addresses ordered(Addresses addresses);

// "192.0.2.1" or "lb.example.test".
Address address_of(const std::string& text);
// By its type: ExternalName its name, ClusterIP its address, NodePort its external addresses or else its own,
// LoadBalancer what the balancer was given, and its external addresses.
Addresses addresses_of_service(const kubernetes::Service& service);
// The external addresses of a node, or else its internal ones.
Addresses addresses_of_node(const kubernetes::Node& node);
// As a status has them.
Addresses addresses_of_status(const kubernetes::LoadBalancerStatus& status);

}  // namespace headgate::status
