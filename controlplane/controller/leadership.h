// leadership.h -- whom this replica follows: the address of the leader, never our own.
//
// A Lease that ran out still names its last holder, which may be us: between the end of our leadership and somebody's
// next one there is nobody to follow.
// Thread: that of the owner.   Owner: Controller.
#pragma once

#include <string>
#include <utility>

#include "controlplane/kube/lease.h"

namespace headgate::controller {

// The annotation of the Lease in which the leader says where its streams end.
inline constexpr const char* kStreamAnnotation = "headgate.dev/stream-address";

class Leadership {
 public:
  // Ours; `address` may be empty: not told.
  Leadership(std::string identity, std::string address)
      : identity_(std::move(identity)), address_(std::move(address)) {}

  struct Change {
    bool leads = false;   // we began or ceased to
    bool target = false;  // another address is to be followed, or none
  };
  Change look(bool leads, const kube::Lease::Leader& leader);

  [[nodiscard]] bool leads() const { return leads_; }
  // Empty: we lead, or nobody that we know does.
  [[nodiscard]] const std::string& target() const { return target_; }

 private:
  const std::string identity_;
  const std::string address_;
  bool leads_ = false;
  std::string target_;
};

}  // namespace headgate::controller
