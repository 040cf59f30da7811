#include "dataplane/handlers/proxy_run.h"

#include "dataplane/base/counters.h"
#include "dataplane/handlers/upstream_head.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/upstream/outlier.h"

namespace headgate::handlers {

using http::FieldId;
using upstream::AttemptStage;
using upstream::FailureKind;

ProxyRun::ProxyRun(const Proxy& proxy, http::Exchange& exchange, WorkerContext& worker)
    : proxy_(proxy), exchange_(exchange), worker_(worker), head_(exchange.arena()), began_(worker.loop.now()) {}

ProxyRun::~ProxyRun() { end_attempt(); }

void ProxyRun::start() {
  const BackendSet::Chosen chosen = proxy_.backends().choose(exchange_, proxy_.affinity());
  backend_ = chosen.backend;
  if (backend_ != nullptr) upstream_ = usable_upstream(backend_->slot);
  if (upstream_ == nullptr && !take_fallback()) {
    worker_.counters.add(Counter::kUpstreamNoEndpoint);
    give_up({.code = Errc::kUnreachable, .detail = "no usable upstream"});
    return;
  }
  if (backend_ != nullptr && backend_->sticky && proxy_.affinity() != nullptr) {
    sticky_.emplace(*proxy_.affinity(), chosen.session);
  }
  if (http::BodySource* body = exchange_.request_body()) {
    if (const auto& buffering = proxy_.options().request_buffering; buffering && exchange_.request().protocol.empty()) {
      body_ = buffered_ = exchange_.arena().make<BufferedBody>(*body, *buffering);
      buffered_->collect(*this);
      return;
    }
    body_ = exchange_.arena().make<ReplayBody>(*body, policy().attempts > 1 ? policy().buffer_bytes : 0);
  }
  aim();
  attempt();
}

void ProxyRun::on_body_collected(const Error* error) {
  if (client_left()) return;
  if (error != nullptr) {
    give_up(*error);
    return;
  }
  aim();
  attempt();
}

const upstream::Upstream* ProxyRun::usable_upstream(uint32_t slot) const {
  const upstream::Upstream* const upstream = worker_.pools->find(slot);
  return upstream != nullptr && upstream->settings().unavailable_reason.empty() ? upstream : nullptr;
}

// Before anything was sent: the backend has nobody who could answer.
bool ProxyRun::take_fallback() {
  const std::optional<uint32_t>& slot = proxy_.options().fallback_slot;
  if (!slot || fell_back_) return false;
  const upstream::Upstream* const upstream = usable_upstream(*slot);
  if (upstream == nullptr) return false;
  upstream_ = upstream;
  backend_ = nullptr;
  sticky_.reset();
  fell_back_ = true;
  return true;
}

void ProxyRun::aim() {
  exchange_.upstream_name = exchange_.arena().copy(upstream_->name());
  const HeadChanges own = backend_ != nullptr ? backend_->head_changes : proxy_.options().fallback_changes;
  write_upstream_head(exchange_, proxy_.options(), own, *upstream_, head_);
  if (buffered_ != nullptr) head_.content_length = buffered_->size();
  set_deadline();
  if (!timer_ && (deadline_ != MonotonicTime::max() || per_try_timeout() > Duration(0))) {
    timer_.emplace(worker_.loop.timers(), event::Timer::call<&ProxyRun::on_deadline>, this);
  }
  worker_load_ = &worker_.pools->load(*upstream_);
  worker_load_->retry_budget().count_request(worker_.loop.now());
}

void ProxyRun::set_deadline() {
  if (const Duration total = proxy_.options().request_timeout; total > Duration(0)) deadline_ = began_ + total;
  if (!http::is_grpc(head_.headers)) return;
  const auto asked = http::parse_grpc_timeout(head_.headers.get("grpc-timeout"));
  if (!asked || *asked >= deadline_ - began_) return;
  deadline_ = began_ + *asked;
  client_deadline_ = true;
}

const upstream::RetryPolicy& ProxyRun::policy() const {
  return proxy_.options().retry ? *proxy_.options().retry : upstream_->settings().retry;
}

Duration ProxyRun::per_try_timeout() const {
  const Duration own = proxy_.options().per_try_timeout;
  return own > Duration(0) ? own : policy().per_try_timeout;
}

uint64_t ProxyRun::hash_key() {
  const upstream::LoadBalancing& balance = upstream_->settings().balance;
  switch (balance.policy) {
    case upstream::BalancePolicy::kIpHash: return upstream::hash_key_of_ip(exchange_.client_address);
    case upstream::BalancePolicy::kConnHash: return upstream::hash_key_of_connection(exchange_.connection().remote);
    case upstream::BalancePolicy::kRingHash: {
      if (!proxy_.options().hash_key) return upstream::kNoHashKey;
      const std::string_view key = proxy_.options().hash_key->expand(exchange_);
      return key.empty() ? upstream::kNoHashKey : upstream::hash_key_of_text(key);
    }
    case upstream::BalancePolicy::kRoundRobin:
    case upstream::BalancePolicy::kRandom:
    case upstream::BalancePolicy::kLeastConn:
    case upstream::BalancePolicy::kLeastRequest:
    case upstream::BalancePolicy::kPeakEwma: return upstream::kNoHashKey;
  }
  return upstream::kNoHashKey;
}

// With a limit of connections per endpoint: one that has room, while there is one; else the first choice, to wait there.
// A session waits where it is.
std::optional<uint32_t> ProxyRun::pick_endpoint() {
  upstream::PickInput input{.hash_key = hash_key(),
                            .tried = tried_.empty() ? nullptr : &tried_,
                            .load = *worker_load_,
                            .random = worker_.random,
                            .now = worker_.loop.now()};
  if (sticky_) return sticky_->pick(*upstream_, input, exchange_.arena());
  const auto first = upstream::pick(*upstream_, input);
  if (!first || upstream_->settings().circuit.connections_per_endpoint == 0) return first;
  upstream::TriedSet full = tried_;
  input.tried = &full;
  auto next = first;
  for (size_t i = 0; next && i < upstream::TriedSet::kCapacity; ++i, next = upstream::pick(*upstream_, input)) {
    if (worker_.pools->pool(*upstream_, *next).has_room()) return next;
    full.add(*upstream_->endpoint(*next).cell);
  }
  return first;
}

void ProxyRun::attempt() {
  state_ = State::kPicking;
  auto picked = pick_endpoint();
  if (!picked && never_processed_) {
    tried_.clear();
    picked = pick_endpoint();
  }
  if (!picked && attempts_ == 0 && take_fallback()) {
    aim();
    picked = pick_endpoint();
  }
  if (!picked) {
    if (attempts_ == 0) worker_.counters.add(Counter::kUpstreamNoEndpoint);
    // After a failure its own error says more than "nobody is left".
    give_up(attempts_ == 0 ? Error{.code = Errc::kUnreachable, .detail = "no usable endpoint"} : exchange_.error);
    return;
  }
  endpoint_ = *picked;
  const upstream::Endpoint& endpoint = upstream_->endpoint(endpoint_);
  tried_.add(*endpoint.cell);
  load_ = &worker_load_->start(*upstream_, endpoint_);
  if (const uint32_t limit = upstream_->settings().circuit.requests; limit != 0) {
    if (!load_->upstream_cell->requests.try_add(limit)) {
      worker_.counters.add(Counter::kUpstreamRefusedRequests);
      give_up({.code = Errc::kOverloaded, .origin = Origin::kUpstream, .detail = "request limit of the upstream"});
      return;
    }
    in_flight_ = &load_->upstream_cell->requests;
  }
  ++attempts_;
  exchange_.attempts = attempts_;
  exchange_.upstream_address = exchange_.arena().copy(endpoint.text);
  worker_.counters.add(Counter::kUpstreamRequests);
  if (upstream_->settings().host_policy == upstream::HostPolicy::kEndpoint && !proxy_.options().host) {
    head_.authority = exchange_.arena().copy(endpoint.authority());
    head_.headers.set(FieldId::kHost, head_.authority);
  }
  if (timer_) {
    MonotonicTime deadline = deadline_;
    if (const Duration per_try = per_try_timeout(); per_try > Duration(0)) {
      deadline = std::min(deadline, worker_.loop.now() + per_try);
    }
    timer_->arm_at(deadline);
  }
  state_ = State::kConnecting;
  upstream::Pool& pool = worker_.pools->pool(*upstream_, endpoint_);
  const Duration timeout = proxy_.options().connect_timeout.value_or(upstream_->settings().connection.connect_timeout);
  const Result<http::ClientStream*> stream = pool.acquire(*this, timeout);
  if (!stream) {
    give_up(stream.error());
  } else if (*stream != nullptr) {
    send(**stream);
  }
}

bool ProxyRun::client_left() {
  if (exchange_.state() != http::Exchange::State::kDone) return false;
  end_attempt();
  state_ = State::kFailed;
  return true;
}

void ProxyRun::on_connection(http::ClientStream& stream) {
  if (client_left()) {
    stream.cancel();
  } else {
    send(stream);
  }
}

void ProxyRun::send(http::ClientStream& stream) {
  state_ = State::kSent;
  sent_ = worker_.loop.now();
  stream_ = &stream;
  const upstream::ConnectionSettings& settings = upstream_->settings().connection;
  const ProxyOptions& options = proxy_.options();
  http::ClientTimeouts timeouts{
      .response = options.response_timeout.value_or(settings.response_timeout),
      .send = options.send_timeout.value_or(settings.send_timeout),
      .tunnel_idle = options.tunnel_idle.value_or(options.response_timeout.value_or(settings.response_timeout))};
  // Who waits has said for how long.
  if (client_deadline_) timeouts.response = std::max<Duration>(timeouts.response, deadline_ - sent_);
  stream.send(head_, body_, exchange_.response(), timeouts, *this);
}

void ProxyRun::on_informational(const http::ResponseHead& head) {
  // 100 is between us and each side; the others are for the client.
  if (!client_left() && head.status != 100) exchange_.respond_informational(head);
}

void ProxyRun::on_response_head(http::BodySource* body, BlockRef memory) {
  if (body == nullptr) stream_ = nullptr;  // the connection is back in its pool
  if (client_left()) return;
  const MonotonicTime now = worker_.loop.now();
  const uint16_t status = exchange_.response().status;
  exchange_.upstream_duration = now - sent_;
  exchange_.upstream_status = status;
  worker_.counters.observe(Histogram::kUpstreamResponseDuration, exchange_.upstream_duration);
  if (upstream_->settings().balance.policy == upstream::BalancePolicy::kPeakEwma) {
    upstream::WorkerLoad::record_latency(*load_, exchange_.upstream_duration, now);
  }
  if (upstream::is_failure_status(upstream_->settings().passive_health, status)) {
    if (upstream::record_failure(*upstream_, endpoint_, now)) worker_.counters.add(Counter::kUpstreamEjections);
  } else {
    upstream::record_success(*upstream_, endpoint_, now);
  }
  const upstream::RetryPolicy& retries = policy();
  if ((retries.on & upstream::RetryPolicy::kStatus) != 0 && attempts_ < retries.attempts &&
      retry({.code = Errc::kMalformed, .origin = Origin::kUpstream, .detail = "status to retry"}, FailureKind::kStatus,
            status)) {
    return;
  }
  state_ = State::kAnswered;
  if (body_ != nullptr) body_->forget();
  if (timer_) client_deadline_ && body != nullptr ? timer_->arm_at(deadline_) : timer_->cancel();
  exchange_.keep_response(std::move(memory));
  finish_head();
  exchange_.respond(body);
}

// What we have to say about the head that came back, before the filters see it.
void ProxyRun::finish_head() {
  http::strip_hop_by_hop(exchange_.response().headers, http::TeField::kDrop);
  if (backend_ != nullptr) {
    for (const auto& change : backend_->response_changes) change->change(exchange_, exchange_.response());
  }
  if (sticky_ && !sticky_->new_key().empty()) {
    proxy_.affinity()->give(exchange_, sticky_->new_key(), upstream_->settings().sticky_tag);
  }
}

void ProxyRun::on_tunnel(http::BodySource& from_upstream, BlockRef memory) {
  if (client_left()) return;
  upstream::record_success(*upstream_, endpoint_, worker_.loop.now());
  state_ = State::kAnswered;
  if (timer_) timer_->cancel();
  exchange_.keep_response(std::move(memory));
  finish_head();
  http::ClientStream& stream = *stream_;
  http::BodySource& from_client = exchange_.start_tunnel(from_upstream);
  stream.start_tunnel(from_client);
}

void ProxyRun::on_no_connection(const Error& error) {
  if (client_left()) return;
  if (error.code == Errc::kOverloaded) {  // a limit of ours says nothing about the endpoint
    give_up(error);
    return;
  }
  if (upstream::record_failure(*upstream_, endpoint_, worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  if (!retry(error, upstream::classify_failure(error, AttemptStage::kConnecting), 0)) give_up(error);
}

void ProxyRun::on_failed(const Error& error) {
  stream_ = nullptr;  // closed
  if (client_left()) return;
  const bool stale = error.retry == Retry::kIfConnectionWasReused;
  if (!stale && error.origin == Origin::kUpstream &&
      upstream::record_failure(*upstream_, endpoint_, worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  if (error.origin == Origin::kDownstream) {
    give_up(error);
    return;
  }
  if (!retry(error, upstream::classify_failure(error, AttemptStage::kWaiting), 0)) give_up(error);
}

// True: another attempt is under way (or waits for its turn).
bool ProxyRun::retry(const Error& error, FailureKind kind, uint16_t status) {
  const bool connected = state_ != State::kConnecting;
  const upstream::RetryQuestion question{
      .policy = policy(),
      .method = exchange_.request().method,
      .kind = kind,
      .status = status,
      .attempts = attempts_,
      .sent = connected,
      .connection_reused = error.retry == Retry::kIfConnectionWasReused,
      .answered = exchange_.head_sent(),
      .body_replayable = body_ == nullptr || !body_->begun() || body_->replayable(),
      .elapsed = worker_.loop.now() - began_};
  const upstream::CircuitLimits& circuit = upstream_->settings().circuit;
  const upstream::RetryBudget::Limits limits{.percent = circuit.retry_budget_percent,
                                             .min_per_second = circuit.retry_budget_min,
                                             .workers = worker_.worker_count};
  const auto verdict = upstream::decide_retry(question, worker_load_->retry_budget(), limits, worker_.loop.now());
  if (verdict != upstream::RetryVerdict::kRetry) {
    if (verdict == upstream::RetryVerdict::kBudgetUsed) worker_.counters.add(Counter::kUpstreamRetriesDenied);
    return false;
  }
  worker_.counters.add(Counter::kUpstreamRetries);
  exchange_.error = error;
  end_attempt();
  if (sticky_ && !question.connection_reused) sticky_->attempt_failed();
  exchange_.response() = http::ResponseHead(exchange_.arena());
  if (body_ != nullptr) body_->rewind();
  never_processed_ = kind == FailureKind::kRefusedStream;
  // A connection that had died in the pool says nothing about the endpoint: it may be asked again.
  if (question.connection_reused) tried_.clear();
  const Duration delay = upstream::retry_delay(policy(), attempts_, worker_.random);
  if (delay > Duration(0)) {
    if (!backoff_) backoff_.emplace(worker_.loop.timers(), event::Timer::call<&ProxyRun::on_backoff_over>, this);
    backoff_->arm(delay);
    state_ = State::kPicking;
  } else {
    attempt();
  }
  return true;
}

void ProxyRun::on_backoff_over() { attempt(); }

// Leaves the queue of the pool, the connection, and the count of requests in flight.
void ProxyRun::end_attempt() {
  stop_waiting();
  if (http::ClientStream* stream = std::exchange(stream_, nullptr); stream != nullptr && state_ == State::kSent) {
    stream->cancel();
  }
  if (upstream::SharedCount* count = std::exchange(in_flight_, nullptr)) count->subtract();
  if (upstream::EndpointLoad* load = std::exchange(load_, nullptr)) worker_load_->finish(*load);
}

void ProxyRun::on_deadline() {
  const Error timeout{.code = Errc::kTimeout, .origin = Origin::kUpstream, .detail = "no response in time"};
  if (state_ == State::kFailed) return;
  if (state_ == State::kAnswered) {
    // The client has given up, too: nobody waits for the rest.
    if (client_deadline_) exchange_.abort({.code = Errc::kCanceled, .detail = "grpc-timeout is over"});
    return;
  }
  const bool over = worker_.loop.now() >= deadline_;
  // A deadline that the client chose says nothing about the endpoint.
  if (state_ == State::kSent && !(over && client_deadline_)) {
    if (upstream::record_failure(*upstream_, endpoint_, worker_.loop.now())) {
      worker_.counters.add(Counter::kUpstreamEjections);
    }
    if (!over && retry(timeout, FailureKind::kTimeout, 0)) return;
  }
  give_up(timeout);
}

void ProxyRun::give_up(const Error& error) {
  end_attempt();
  state_ = State::kFailed;
  if (backoff_) backoff_->cancel();
  if (timer_) timer_->cancel();
  if (error.origin == Origin::kUpstream && error.code != Errc::kOverloaded) {
    worker_.counters.add(error.code == Errc::kTimeout ? Counter::kUpstreamTimeouts : Counter::kUpstreamErrors);
  }
  exchange_.respond_error(error);
}

}  // namespace headgate::handlers
