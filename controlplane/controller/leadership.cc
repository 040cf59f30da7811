#include "controlplane/controller/leadership.h"

namespace headgate::controller {

Leadership::Change Leadership::look(bool leads, const kube::Lease::Leader& leader) {
  std::string target;
  if (!leads && !leader.identity.empty() && leader.identity != identity_) {
    const auto told = leader.annotations.find(kStreamAnnotation);
    if (told != leader.annotations.end() && told->second != address_) target = told->second;
  }
  Change change;
  change.leads = std::exchange(leads_, leads) != leads;
  change.target = target != target_;
  target_ = std::move(target);
  return change;
}

}  // namespace headgate::controller
