#include "dataplane/handlers/proxy.h"

#include "dataplane/handlers/proxy_run.h"

namespace headgate::handlers {

Proxy::Proxy(ProxyOptions options) : options_(std::move(options)) {
  for (const ProxyBackend& backend : options_.backends) total_weight_ += backend.weight;
}

const ProxyBackend* Proxy::choose(Random& random) const {
  if (total_weight_ == 0) return nullptr;
  if (options_.backends.size() == 1) return &options_.backends.front();
  uint64_t at = random.below(total_weight_);
  for (const ProxyBackend& backend : options_.backends) {
    if (at < backend.weight) return &backend;
    at -= backend.weight;
  }
  return nullptr;
}

http::Run* Proxy::start(http::Exchange& exchange, WorkerContext& worker) const {
  auto* run = exchange.arena().make<ProxyRun>(*this, exchange, worker);
  run->start();
  return run;
}

}  // namespace headgate::handlers
