#include "dataplane/handlers/proxy_run.h"

#include "dataplane/base/counters.h"
#include "dataplane/http/grpc.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/uri.h"
#include "dataplane/upstream/outlier.h"

namespace headgate::handlers {

using http::FieldId;
using upstream::AttemptStage;
using upstream::FailureKind;

namespace {

// "/api/x?q" without "/api" is "/x?q"; "/api" is "/". Whole segments only.
std::string_view without_prefix(std::string_view target, std::string_view prefix, Arena& arena) {
  if (!target.starts_with(prefix)) return target;
  const std::string_view rest = target.substr(prefix.size());
  if (rest.empty()) return "/";
  if (rest[0] == '/') return rest;
  return rest[0] == '?' ? arena.concat("/", rest) : target;
}

}  // namespace

ProxyRun::ProxyRun(const Proxy& proxy, http::Exchange& exchange, WorkerContext& worker)
    : proxy_(proxy), exchange_(exchange), worker_(worker), head_(exchange.arena()), began_(worker.loop.now()) {}

ProxyRun::~ProxyRun() { end_attempt(); }

void ProxyRun::start() {
  backend_ = proxy_.choose(worker_.random);
  if (backend_ != nullptr) upstream_ = worker_.pools->upstream(backend_->slot).get();
  if (upstream_ == nullptr || !upstream_->settings().unavailable_reason.empty()) {
    worker_.counters.add(Counter::kUpstreamNoEndpoint);
    give_up({.code = Errc::kUnreachable, .detail = "no usable upstream"});
    return;
  }
  exchange_.upstream_name = exchange_.arena().copy(upstream_->name());
  if (http::BodySource* body = exchange_.request_body()) {
    body_ = exchange_.arena().make<ReplayBody>(*body, policy().attempts > 1 ? policy().buffer_bytes : 0);
  }
  prepare_head();
  set_deadline();
  if (deadline_ != MonotonicTime::max() || per_try_timeout() > Duration(0)) {
    timer_.emplace(worker_.loop.timers(), event::Timer::call<&ProxyRun::on_deadline>, this);
  }
  worker_load_ = &worker_.pools->load(*upstream_);
  worker_load_->retry_budget().count_request(worker_.loop.now());
  attempt();
}

void ProxyRun::set_deadline() {
  if (const Duration total = proxy_.options().request_timeout; total > Duration(0)) deadline_ = began_ + total;
  if (!http::is_grpc(head_.headers)) return;
  const auto asked = http::parse_grpc_timeout(head_.headers.get("grpc-timeout"));
  if (!asked || *asked >= deadline_ - began_) return;
  deadline_ = began_ + *asked;
  client_deadline_ = true;
}

// The head for all attempts: ours to change, the client's stays as it came.
void ProxyRun::prepare_head() {
  const http::RequestHead& from = exchange_.request();
  const ProxyOptions& options = proxy_.options();
  Arena& arena = exchange_.arena();
  head_.method = from.method;
  head_.method_text = from.method_text;
  head_.version = http::Version::kHttp11;
  head_.scheme = upstream_->settings().tls != nullptr ? http::Scheme::kHttps : http::Scheme::kHttp;
  head_.path = from.path;
  head_.query = from.query;
  head_.has_query = from.has_query;
  head_.target = http::forward_target(from, arena);
  head_.content_length = from.content_length;
  if (options.websocket) head_.protocol = from.protocol;
  head_.headers.assign(from.headers);
  http::strip_hop_by_hop(head_.headers, http::TeField::kKeepTrailers);
  if (!options.strip_prefix.empty()) head_.target = without_prefix(head_.target, options.strip_prefix, arena);

  if (options.host) {
    head_.authority = options.host->expand(exchange_);
  } else if (upstream_->settings().host_policy == upstream::HostPolicy::kFixed) {
    head_.authority = arena.copy(upstream_->settings().host);
  } else {
    head_.authority = from.authority;
  }
  if (!head_.authority.empty()) head_.headers.set(FieldId::kHost, head_.authority);
  http::write_forwarded(exchange_, options.forwarded, head_.headers);
  for (const auto& change : options.head_changes) change->change(exchange_, head_.headers);
  if (head_.headers.has(FieldId::kHost)) head_.authority = head_.headers.get(FieldId::kHost);
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
std::optional<uint32_t> ProxyRun::pick() {
  upstream::PickInput input{.hash_key = hash_key(),
                            .tried = tried_.empty() ? nullptr : &tried_,
                            .load = *worker_load_,
                            .random = worker_.random,
                            .now = worker_.loop.now()};
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
  auto picked = pick();
  if (!picked && never_processed_) {
    tried_.clear();
    picked = pick();
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
  upstream::WorkerLoad::record_latency(*load_, exchange_.upstream_duration, now);
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
  http::strip_hop_by_hop(exchange_.response().headers, http::TeField::kDrop);
  exchange_.respond(body);
}

void ProxyRun::on_tunnel(http::BodySource& from_upstream, BlockRef memory) {
  if (client_left()) return;
  upstream::record_success(*upstream_, endpoint_, worker_.loop.now());
  state_ = State::kAnswered;
  if (timer_) timer_->cancel();
  exchange_.keep_response(std::move(memory));
  http::strip_hop_by_hop(exchange_.response().headers, http::TeField::kDrop);
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
