#include "dataplane/filters/ip_access.h"

#include "dataplane/http/exchange.h"

namespace headgate::filters {
namespace {

class Refusal final : public http::FilterRun {
 public:
  http::Verdict on_request(http::Exchange& exchange) override {
    exchange.respond_error(
        {.code = Errc::kDenied, .origin = Origin::kDownstream, .detail = "client address is not allowed"});
    return http::Verdict::kAnswered;
  }
};

}  // namespace

http::FilterRun* IpAccess::start(http::Exchange& exchange, WorkerContext&) const {
  const IpAddress& client = exchange.client_address;
  const bool refused =
      options_.deny.contains(client) || (!options_.allow.empty() && !options_.allow.contains(client));
  return refused ? exchange.arena().make<Refusal>() : nullptr;
}

}  // namespace headgate::filters
