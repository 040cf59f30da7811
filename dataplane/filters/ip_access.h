// ip_access.h -- lets clients in or out by address: what is denied gets 403; when an allow list is given, what is not
// on it does, too. Looks at Exchange::client_address, so trusted proxies are taken into account.
// Phase: ACCESS.   Thread: see filter.h.
#pragma once

#include "dataplane/base/address.h"
#include "dataplane/filters/access.h"

namespace headgate::filters {

struct IpAccessOptions {
  CidrSet allow;  // empty: all that is not denied
  CidrSet deny;   // wins over `allow`
};

class IpAccess final : public AccessCheck {
 public:
  explicit IpAccess(IpAccessOptions options) : options_(std::move(options)) {}
  AccessRun* start(http::Exchange& exchange) const override;

 private:
  const IpAccessOptions options_;
};

}  // namespace headgate::filters
