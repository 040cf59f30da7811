#include "dataplane/filters/ip_access.h"

namespace headgate::filters {
namespace {

class IpAccessRun final : public AccessRun {
 public:
  explicit IpAccessRun(const IpAccessOptions& options) : options_(options) {}

  Access check(http::Exchange& exchange, AccessSink&) override {
    const IpAddress& client = exchange.client_address;
    const bool refused =
        options_.deny.contains(client) || (!options_.allow.empty() && !options_.allow.contains(client));
    return refused ? Access::kDenied : Access::kGranted;
  }
  void deny(http::Exchange& exchange) override {
    exchange.respond_error(
        {.code = Errc::kDenied, .origin = Origin::kDownstream, .detail = "client address is not allowed"});
  }

 private:
  const IpAccessOptions& options_;
};

}  // namespace

AccessRun* IpAccess::start(http::Exchange& exchange) const { return exchange.arena().make<IpAccessRun>(options_); }

}  // namespace headgate::filters
