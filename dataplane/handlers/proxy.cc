#include "dataplane/handlers/proxy.h"

#include "dataplane/handlers/proxy_run.h"

namespace headgate::handlers {

Proxy::Proxy(ProxyOptions options)
    : options_(std::move(options)), backends_(std::move(options_.backends), std::move(options_.choices)) {}

http::Run* Proxy::start(http::Exchange& exchange, WorkerContext& worker) const {
  auto* run = exchange.arena().make<ProxyRun>(*this, exchange, worker);
  run->start();
  return run;
}

}  // namespace headgate::handlers
