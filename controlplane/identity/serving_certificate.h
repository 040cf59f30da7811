// serving_certificate.h -- the certificate of one server of the controller, renewed at two thirds of its life.
//
// Each replica has its own, signed by the common authority: no key of a server is stored anywhere.
// Thread: any; refresh() from one thread at a time.   Owner: main.
#pragma once

#include <functional>
#include <optional>
#include <utility>

#include "controlplane/identity/authority.h"

namespace headgate::identity {

// Names under which a Service of the cluster is reached: "NAME.NAMESPACE.svc" and its shorter and longer forms.
std::vector<std::string> service_names(std::string_view name, std::string_view namespace_name,
                                       std::string_view cluster_domain = "cluster.local");

class ServingCertificate {
 public:
  // `on_change` puts the pair into use; false: it could not, and the next refresh() tries again.
  using OnChange = std::function<bool(const KeyPair& pair)>;

  ServingCertificate(const Authority& authority, ServerNames names, Duration life, OnChange on_change,
                     const Clock& clock = system_clock())
      : authority_(authority), names_(std::move(names)), life_(life), on_change_(std::move(on_change)), clock_(clock) {}

  // Issues the first one, and the next when it is time. Cheap otherwise; every Authority::kRefreshInterval.
  Result<void> refresh();
  [[nodiscard]] std::optional<WallTime> renew_after() const { return renew_after_; }

 private:
  const Authority& authority_;
  const ServerNames names_;
  const Duration life_;
  const OnChange on_change_;
  const Clock& clock_;
  std::optional<WallTime> renew_after_;
};

}  // namespace headgate::identity
