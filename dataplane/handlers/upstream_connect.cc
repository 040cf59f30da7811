#include "dataplane/handlers/upstream_connect.h"

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/net/socket.h"
#include "dataplane/upstream/outlier.h"
#include "dataplane/upstream/pool_set.h"
#include "dataplane/upstream/proxy_header.h"
#include "dataplane/upstream/retry.h"

namespace headgate::handlers {

EndpointUse& EndpointUse::operator=(EndpointUse&& other) noexcept {
  if (this == &other) return *this;
  release();
  worker_ = other.worker_;
  upstream_ = std::move(other.upstream_);
  worker_load_ = other.worker_load_;
  load_ = std::exchange(other.load_, nullptr);
  index_ = other.index_;
  return *this;
}

bool EndpointUse::take(WorkerContext& worker, std::shared_ptr<const upstream::Upstream> upstream, uint32_t endpoint) {
  release();
  const upstream::CircuitLimits& limits = upstream->settings().circuit;
  if (!upstream->cell().connections.try_add(limits.connections)) return false;
  if (!upstream->endpoint(endpoint).cell->connections.try_add(limits.connections_per_endpoint)) {
    upstream->cell().connections.subtract();
    return false;
  }
  worker_ = &worker;
  worker_load_ = &worker.pools->load(*upstream);
  load_ = &worker_load_->start(*upstream, endpoint);
  upstream_ = std::move(upstream);
  index_ = endpoint;
  return true;
}

void EndpointUse::release() {
  if (load_ == nullptr) return;
  worker_load_->finish(*std::exchange(load_, nullptr));
  upstream_->endpoint(index_).cell->connections.subtract();
  upstream_->cell().connections.subtract();
  upstream_.reset();
}

uint64_t client_hash_key(const upstream::Upstream& upstream, const SocketAddress& client) {
  switch (upstream.settings().balance.policy) {
    case upstream::BalancePolicy::kIpHash: return upstream::hash_key_of_ip(client.address());
    case upstream::BalancePolicy::kConnHash: return upstream::hash_key_of_connection(client);
    case upstream::BalancePolicy::kRingHash: return upstream::hash_key_of_ip(client.address());  // nothing else is known
    case upstream::BalancePolicy::kRoundRobin:
    case upstream::BalancePolicy::kRandom:
    case upstream::BalancePolicy::kLeastConn:
    case upstream::BalancePolicy::kLeastRequest:
    case upstream::BalancePolicy::kPeakEwma: return upstream::kNoHashKey;
  }
  return upstream::kNoHashKey;
}

UpstreamConnect::UpstreamConnect(WorkerContext& worker, std::shared_ptr<const upstream::Upstream> upstream,
                                 Client client, Duration connect_timeout, UpstreamConnectObserver& observer)
    : worker_(worker),
      upstream_(std::move(upstream)),
      client_(std::move(client)),
      connect_timeout_(connect_timeout),
      observer_(observer),
      again_(worker.loop.timers(), event::Timer::call<&UpstreamConnect::on_again>, this),
      report_(worker.loop, event::Timer::call<&UpstreamConnect::on_report>, this) {}

UpstreamConnect::~UpstreamConnect() = default;

void UpstreamConnect::start() {
  began_ = worker_.loop.now();
  worker_.pools->load(*upstream_).retry_budget().count_request(began_);
  attempt();
}

std::string_view UpstreamConnect::endpoint_text() const {
  return use_.held() ? std::string_view(use_.endpoint().text) : std::string_view();
}

void UpstreamConnect::attempt() {
  upstream::PickInput input{.hash_key = client_hash_key(*upstream_, client_.remote),
                            .tried = tried_.empty() ? nullptr : &tried_,
                            .load = worker_.pools->load(*upstream_),
                            .random = worker_.random,
                            .now = worker_.loop.now()};
  const auto picked = upstream_->settings().unavailable_reason.empty() ? upstream::pick(*upstream_, input) : std::nullopt;
  if (!picked) {
    if (attempts_ == 0 && error_.code != Errc::kOverloaded) {
      worker_.counters.add(Counter::kUpstreamNoEndpoint);
      error_ = {.code = Errc::kUnreachable, .origin = Origin::kUpstream, .detail = "no usable endpoint"};
    }
    report_failure(error_);
    return;
  }
  const upstream::Endpoint& endpoint = upstream_->endpoint(*picked);
  tried_.add(*endpoint.cell);
  if (!use_.take(worker_, upstream_, *picked)) {
    // Another endpoint may have room.
    error_ = {.code = Errc::kOverloaded, .origin = Origin::kUpstream, .detail = "connection limit of the upstream"};
    if (tried_.size() < upstream::TriedSet::kCapacity) return attempt();
    report_failure(error_);
    return;
  }
  ++attempts_;
  worker_.counters.add(Counter::kUpstreamRequests);
  attempt_began_ = worker_.loop.now();
  connector_.emplace(worker_.loop, static_cast<net::ConnectObserver&>(*this));
  connector_->start(endpoint.addresses, connect_timeout_);
}

void UpstreamConnect::on_connected(std::unique_ptr<net::ByteStream> stream) {
  worker_.counters.add(Counter::kUpstreamConnects);
  worker_.counters.observe(Histogram::kUpstreamConnectDuration, worker_.loop.now() - attempt_began_);
  const upstream::UpstreamSettings& settings = upstream_->settings();
  if (settings.connection.tcp_keepalive && stream->kernel_fd() >= 0 && use_.endpoint().address().is_ip()) {
    net::set_keepalive(stream->kernel_fd());
  }
  if (!upstream::send_proxy_header(*stream, upstream::proxy_header(settings, client_.remote, client_.local))) {
    attempt_failed({.code = Errc::kReset, .origin = Origin::kUpstream, .retry = Retry::kYes, .detail = "PROXY header"});
    return;
  }
  if (settings.tls == nullptr) {
    succeed(std::move(stream));
    return;
  }
  tls_.reset(new upstream::TlsConnect(worker_.loop, settings, *this));
  tls_->start(std::move(stream), worker_.pools->client_tls(*upstream_), use_.endpoint(), connect_timeout_);
}

void UpstreamConnect::on_connect_failed(const Error& error) {
  worker_.counters.add(Counter::kUpstreamConnectErrors);
  attempt_failed(error);
}

void UpstreamConnect::on_tls_connected(std::unique_ptr<net::ByteStream> stream) { succeed(std::move(stream)); }

void UpstreamConnect::on_tls_failed(const Error& error) {
  worker_.counters.add(Counter::kUpstreamConnectErrors);
  attempt_failed(error);
}

void UpstreamConnect::attempt_failed(const Error& error) {
  error_ = error;
  const upstream::RetryPolicy& policy = upstream_->settings().retry;
  if (upstream::record_failure(*upstream_, use_.index(), worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  HG_LOG(kWarn, kForward, "endpoint not reached", {"upstream", upstream_->name()}, {"endpoint", endpoint_text()},
         {"error", to_string(error)});
  const upstream::RetryQuestion question{.policy = policy,
                                         .kind = upstream::FailureKind::kConnect,
                                         .attempts = attempts_,
                                         .elapsed = worker_.loop.now() - began_};
  const upstream::CircuitLimits& circuit = upstream_->settings().circuit;
  const auto verdict = upstream::decide_retry(question, worker_.pools->load(*upstream_).retry_budget(),
                                              {.percent = circuit.retry_budget_percent,
                                               .min_per_second = circuit.retry_budget_min,
                                               .workers = worker_.worker_count},
                                              worker_.loop.now());
  if (verdict == upstream::RetryVerdict::kBudgetUsed) worker_.counters.add(Counter::kUpstreamRetriesDenied);
  if (verdict != upstream::RetryVerdict::kRetry) {
    report_failure(error);
    return;
  }
  worker_.counters.add(Counter::kUpstreamRetries);
  // The Connector is on the stack: the next attempt begins when it is not.
  again_.arm(upstream::retry_delay(policy, attempts_, worker_.random));
}

void UpstreamConnect::report_failure(const Error& error) {
  error_ = error;
  worker_.counters.add(error.code == Errc::kTimeout      ? Counter::kUpstreamTimeouts
                       : error.code == Errc::kOverloaded ? Counter::kUpstreamRefusedConnections
                                                         : Counter::kUpstreamErrors);
  report_.schedule();
}

void UpstreamConnect::on_report() {
  use_.release();
  observer_.on_upstream_failed(error_);
}

void UpstreamConnect::succeed(std::unique_ptr<net::ByteStream> stream) {
  upstream::record_success(*upstream_, use_.index(), worker_.loop.now());
  observer_.on_upstream_connected(std::move(stream));
}

}  // namespace headgate::handlers
