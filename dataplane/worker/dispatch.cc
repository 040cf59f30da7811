#include "dataplane/worker/dispatch.h"

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/forwarded.h"

namespace headgate::worker {

Dispatch::~Dispatch() {
  if (pin_ != nullptr) pin_->release();
}

void Dispatch::use(std::shared_ptr<const snapshot::Listener> listener, SnapshotRef& pin) {
  pin.retain();
  if (pin_ != nullptr) pin_->release();
  pin_ = &pin;
  listener_ = std::move(listener);
}

void Dispatch::on_exchange(http::Exchange& exchange) {
  exchange.dispatched = true;
  worker_.counters.add(Counter::kRequests);
  worker_.counters.add(Counter::kRequestsActive);
  const snapshot::Listener& listener = *listener_;
  if (!listener.trusted_proxies.empty()) http::resolve_client(exchange, listener.trusted_proxies);
  exchange.pin(*pin_);
  exchange.listener_name = listener.name;

  if (overload_.sheds()) {
    overload_.shed.fetch_add(1, std::memory_order_relaxed);
    http::write_error_response(exchange, {.code = Errc::kOverloaded, .detail = "overloaded"});
    return;
  }
  const routing::RouteTable& table = *listener.routes;
  const routing::VirtualHost* host = table.find_host(exchange.request().host);
  if (host == nullptr) {
    worker_.counters.add(Counter::kNoRoute);
    http::write_status_response(exchange, table.settings().no_host_status);
    return;
  }
  routing::PathTable::Match match;
  if (!host->find(exchange.request(), exchange.client_address, match)) {
    worker_.counters.add(Counter::kNoRoute);
    http::write_status_response(exchange, table.settings().no_route_status);
    return;
  }
  exchange.route_name = exchange.arena().copy(match.route->name);
  exchange.set_captures(match.captures);
  exchange.skip_access_log = !match.route->access_log;
  exchange.start(match.route->filters, *match.route->handler);
}

void Dispatch::on_exchange_end(http::Exchange& exchange) {
  if (!exchange.dispatched) return;
  Counters& counters = worker_.counters;
  counters.subtract(Counter::kRequestsActive);
  counters.observe(Histogram::kRequestDuration, worker_.loop.now() - exchange.started);
  counters.add(Counter::kDownstreamBytesReceived, exchange.body_bytes_received);
  counters.add(Counter::kDownstreamBytesSent, exchange.body_bytes_sent);
  count_response(exchange.response().status);
  if (exchange.failed && exchange.error.origin != Origin::kDownstream) {
    HG_LOG(kWarn, kHttp, "request failed", {"host", exchange.request().host}, {"path", exchange.request().path},
           {"route", exchange.route_name}, {"upstream", exchange.upstream_name},
           {"endpoint", exchange.upstream_address}, {"error", to_string(exchange.error)});
  }
  if (listener_->access_log != nullptr && !exchange.skip_access_log) listener_->access_log->write(exchange);
}

void Dispatch::on_refused(uint16_t status, const Error& error) {
  worker_.counters.add(Counter::kMalformedRequests);
  count_response(status);
  HG_LOG(kInfo, kHttp, "request refused", {"status", status}, {"error", to_string(error)});
}

void Dispatch::count_response(uint16_t status) {
  Counter counter = Counter::kResponses5xx;
  if (status < 200) {
    counter = Counter::kResponses1xx;
  } else if (status < 300) {
    counter = Counter::kResponses2xx;
  } else if (status < 400) {
    counter = Counter::kResponses3xx;
  } else if (status < 500) {
    counter = Counter::kResponses4xx;
  }
  worker_.counters.add(counter);
}

}  // namespace headgate::worker
