#include "dataplane/upstream/subrequest.h"

#include "dataplane/base/counters.h"
#include "dataplane/upstream/outlier.h"

namespace headgate::upstream {
namespace {

constexpr uint32_t kMaxAttempts = 2;

}  // namespace

Subrequest::Subrequest(WorkerContext& worker, Arena& arena, SubrequestObserver& observer)
    : worker_(worker),
      arena_(arena),
      observer_(observer),
      request_(arena),
      response_(arena),
      deadline_(worker.loop.timers(), event::Timer::call<&Subrequest::on_deadline>, this) {}

Subrequest::~Subrequest() { end_attempt(); }

Result<void> Subrequest::start(uint32_t slot, Duration timeout, http::BodySource* body) {
  upstream_ = worker_.pools->share(slot);
  if (upstream_ == nullptr || !upstream_->settings().unavailable_reason.empty()) {
    return Error{.code = Errc::kUnreachable, .detail = "no usable upstream"};
  }
  request_.version = http::Version::kHttp11;
  request_.scheme = upstream_->settings().tls != nullptr ? http::Scheme::kHttps : http::Scheme::kHttp;
  body_ = body;
  load_ = &worker_.pools->load(*upstream_);
  deadline_.arm(timeout);
  return attempt();
}

Result<void> Subrequest::attempt() {
  PickInput input{.hash_key = kNoHashKey,
                  .tried = tried_.empty() ? nullptr : &tried_,
                  .load = *load_,
                  .random = worker_.random,
                  .now = worker_.loop.now()};
  const auto picked = pick(*upstream_, input);
  if (!picked) {
    deadline_.cancel();
    return Error{.code = Errc::kUnreachable, .detail = "no usable endpoint"};
  }
  endpoint_ = *picked;
  const Endpoint& endpoint = upstream_->endpoint(endpoint_);
  tried_.add(*endpoint.cell);
  address_ = arena_.copy(endpoint.text);
  endpoint_load_ = &load_->start(*upstream_, endpoint_);
  ++attempts_;
  worker_.counters.add(Counter::kUpstreamRequests);
  if (request_.authority.empty()) {
    request_.authority = arena_.copy(endpoint.authority());
    request_.headers.set(http::FieldId::kHost, request_.authority);
  }
  state_ = State::kWaiting;
  Pool& pool = worker_.pools->pool(*upstream_, endpoint_);
  const auto stream = pool.acquire(*this, upstream_->settings().connection.connect_timeout);
  if (!stream) {
    end_attempt();
    deadline_.cancel();
    state_ = State::kFailed;
    return stream.error();
  }
  if (*stream != nullptr) send(**stream);
  return {};
}

void Subrequest::send(http::ClientStream& stream) {
  stream_ = &stream;
  sent_ = worker_.loop.now();
  const ConnectionSettings& settings = upstream_->settings().connection;
  const http::ClientTimeouts timeouts{.response = settings.response_timeout,
                                      .send = settings.send_timeout,
                                      .tunnel_idle = settings.response_timeout};
  stream.send(request_, body_, response_, timeouts, *this);
}

void Subrequest::on_response_head(http::BodySource* body, BlockRef memory) {
  const MonotonicTime now = worker_.loop.now();
  WorkerLoad::record_latency(*endpoint_load_, now - sent_, now);
  if (is_failure_status(upstream_->settings().passive_health, response_.status)) {
    if (record_failure(*upstream_, endpoint_, now)) worker_.counters.add(Counter::kUpstreamEjections);
  } else {
    record_success(*upstream_, endpoint_, now);
  }
  state_ = State::kAnswered;
  deadline_.cancel();
  if (body == nullptr) stream_ = nullptr;  // the connection is back in its pool
  memory_ = std::move(memory);
  observer_.on_subrequest_answer(body);
}

void Subrequest::on_tunnel(http::BodySource&, BlockRef) {
  // Nobody asked for one.
  try_again_or_fail({.code = Errc::kMalformed, .origin = Origin::kUpstream, .detail = "a tunnel nobody asked for"}, false);
}

void Subrequest::on_no_connection(const Error& error) {
  if (record_failure(*upstream_, endpoint_, worker_.loop.now())) worker_.counters.add(Counter::kUpstreamEjections);
  try_again_or_fail(error, true);
}

void Subrequest::on_failed(const Error& error) {
  stream_ = nullptr;  // closed
  const bool stale = error.retry == Retry::kIfConnectionWasReused;
  if (!stale && error.origin == Origin::kUpstream && record_failure(*upstream_, endpoint_, worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  // A connection that had died in the pool says nothing about the endpoint.
  if (stale) tried_.clear();
  try_again_or_fail(error, stale && body_ == nullptr);
}

void Subrequest::try_again_or_fail(const Error& error, bool may_try_again) {
  end_attempt();
  Error final = error;
  if (may_try_again && attempts_ < kMaxAttempts) {
    response_ = http::ResponseHead(arena_);
    worker_.counters.add(Counter::kUpstreamRetries);
    const Result<void> again = attempt();
    if (again) return;
    // The first failure says more than "nobody is left".
    if (again.error().code != Errc::kUnreachable) final = again.error();
  }
  deadline_.cancel();
  state_ = State::kFailed;
  observer_.on_subrequest_failed(final);
}

void Subrequest::on_deadline() {
  if (state_ != State::kWaiting) return;
  if (stream_ != nullptr && record_failure(*upstream_, endpoint_, worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  try_again_or_fail({.code = Errc::kTimeout, .origin = Origin::kUpstream, .detail = "no response in time"}, false);
}

// Leaves the queue of the pool, the connection, and the count of requests in flight.
void Subrequest::end_attempt() {
  stop_waiting();
  if (http::ClientStream* stream = std::exchange(stream_, nullptr); stream != nullptr && state_ == State::kWaiting) {
    stream->cancel();
  }
  if (EndpointLoad* load = std::exchange(endpoint_load_, nullptr)) load_->finish(*load);
}

}  // namespace headgate::upstream
