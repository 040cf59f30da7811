// spiffe.h -- names of workloads: spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT.
// Spec: SPIFFE-ID 2 (trust domain, path), in the shape that meshes on Kubernetes share.
// Thread: any (pure).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate::identity {

struct WorkloadName {
  std::string trust_domain;
  std::string namespace_name;
  std::string service_account;

  bool operator==(const WorkloadName&) const = default;
};

std::string to_uri(const WorkloadName& name);
// nullopt: another shape, or parts that Kubernetes would not take.
std::optional<WorkloadName> parse_workload_uri(std::string_view uri);

// "cluster.local": lower case, digits, '.', '-', '_'; at most 255.
bool is_trust_domain(std::string_view text);
// A namespace: DNS label.
bool is_namespace_name(std::string_view text);
// A ServiceAccount, a Pod: DNS labels with dots.
bool is_object_name(std::string_view text);

}  // namespace headgate::identity
