#include "controlplane/identity/serving_certificate.h"

namespace headgate::identity {

std::vector<std::string> service_names(std::string_view name, std::string_view namespace_name,
                                       std::string_view cluster_domain) {
  const std::string short_name(name);
  const std::string in_namespace = short_name + "." + std::string(namespace_name);
  return {in_namespace + ".svc", in_namespace + ".svc." + std::string(cluster_domain), in_namespace, short_name};
}

Result<void> ServingCertificate::refresh() {
  const WallTime now = clock_.wall();
  if (renew_after_ && now < *renew_after_) return {};
  const auto pair = authority_.issue_server(names_, life_);
  if (!pair) return pair.error();
  const auto facts = inspect(pair->chain_pem);
  if (!facts) return facts.error();
  if (!on_change_(*pair)) return Error{.code = Errc::kTls, .detail = "the server did not take its new certificate"};
  renew_after_ = now + (facts->not_after - now) / 3 * 2;
  return {};
}

}  // namespace headgate::identity
