#include "dataplane/filters/connection_limit.h"

#include "dataplane/http/error_response.h"

namespace headgate::filters {
namespace {

// Holds the place until the exchange is over.
class ConnectionLimitRun final : public http::FilterRun {
 public:
  explicit ConnectionLimitRun(uint16_t status) : status_(status) {}
  ConnectionPermit& permit() { return permit_; }

  http::Verdict on_request(http::Exchange& exchange) override {
    if (permit_.held()) return http::Verdict::kContinue;
    http::write_status_response(exchange, status_);
    return http::Verdict::kAnswered;
  }

 private:
  uint16_t status_;
  ConnectionPermit permit_;
};

}  // namespace

http::FilterRun* ConnectionLimiter::start(http::Exchange& exchange, WorkerContext&) const {
  if (options_.exempt.contains(exchange.client_address)) return nullptr;
  const auto key = key_.wide(exchange);
  if (!key) return nullptr;
  auto* const run = exchange.arena().make<ConnectionLimitRun>(options_.status);
  // A full table (131,072 keys at once) refuses, too: this is a limit.
  (void)counts_->acquire(*key, {.per_address = options_.connections}, run->permit());
  return run;
}

}  // namespace headgate::filters
