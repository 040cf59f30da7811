#include "dataplane/http2/client_stream.h"

#include <algorithm>

#include "dataplane/http/status.h"
#include "dataplane/http/upgrade.h"
#include "dataplane/http2/client_connection.h"
#include "dataplane/http2/field_array.h"

namespace headgate::http2 {

namespace {

Error upstream_error(Errc code, const char* detail, Retry retry = Retry::kNo) {
  return {.code = code, .origin = Origin::kUpstream, .retry = retry, .detail = detail};
}

}  // namespace

ClientStream::ClientStream(ClientConnection& connection)
    : connection_(connection), request_body_(connection, *this, Origin::kDownstream) {}

ClientStream::~ClientStream() {
  if (response_body_ != nullptr) response_body_->part();
}

MonotonicTime ClientStream::now() const { return connection_.worker().loop.now(); }

// -- request ----------------------------------------------------------------------------------------------------------

void ClientStream::send(const http::RequestHead& head, http::BodySource* body, http::ResponseHead& into,
                        const http::ClientTimeouts& timeouts, http::ClientObserver& observer) {
  HG_DCHECK(state_ == State::kFresh);
  head_ = &head;
  body_ = body;
  response_ = &into;
  timeouts_ = timeouts;
  observer_ = &observer;
  state_ = State::kWaiting;
  waiting_since_ = now();
  if (is_tunnel()) {
    switch (connection_.tunnels()) {
      case ClientConnection::Tunnels::kTaken: break;
      case ClientConnection::Tunnels::kUnknown:
        state_ = State::kHeld;
        connection_.expect_at(deadline());
        return;
      case ClientConnection::Tunnels::kRefused: on_settings(false); return;
    }
  } else if (head.method == http::Method::kConnect) {
    connection_.forget(*this);
    fail(upstream_error(Errc::kUnsupported, "CONNECT is not forwarded to HTTP/2 endpoints"));
    return;
  }
  submit();
}

void ClientStream::submit() {
  state_ = State::kWaiting;
  first_ = connection_.was_resting();
  inputs_ = connection_.inputs();
  const bool has_body = body_ != nullptr || is_tunnel();
  const FieldArray fields(*head_);
  const nghttp2_data_provider provider = request_body_.provider();
  id_ = nghttp2_submit_request(connection_.session(), nullptr, fields.data(), fields.size(),
                               has_body ? &provider : nullptr, this);
  if (id_ < 0) {
    id_ = 0;
    connection_.drain();
    connection_.forget(*this);
    fail(upstream_error(Errc::kRefused, "the connection takes no more requests", Retry::kIfConnectionWasReused));
    return;
  }
  request_done_ = !has_body;
  if (body_ != nullptr && !is_tunnel()) {
    request_body_.start(*body_, id_, head_->content_length, response_->headers.arena());
  }
  connection_.expect_at(deadline());
  connection_.schedule_send();
}

void ClientStream::on_settings(bool takes_tunnels) {
  if (takes_tunnels) {
    submit();
    return;
  }
  connection_.forget(*this);
  fail(upstream_error(Errc::kUnsupported, "the endpoint takes no extended CONNECT"));
}

void ClientStream::start_tunnel(http::BodySource& from_client) {
  if (state_ != State::kTunnel) {
    from_client.cancel();
    return;
  }
  request_body_.start(from_client, id_, std::nullopt, response_->headers.arena());
}

void ClientStream::on_request_sent() {
  request_done_ = true;
  // From here on the endpoint is the one we wait for.
  waiting_since_ = now();
  if (!response_done_) connection_.expect_at(deadline());
}

void ClientStream::on_body_framed(size_t) { waiting_since_ = now(); }

void ClientStream::on_body_progress() { connection_.expect_at(deadline()); }

void ClientStream::on_body_failed(const Error& error) {
  reset(NGHTTP2_CANCEL);
  fail(error.with_retry(Retry::kNo));
}

// The observer wants nothing any more.
void ClientStream::cancel() {
  const State before = state_;
  if (before == State::kOver) return;
  state_ = State::kOver;
  observer_ = nullptr;
  request_body_.stop();
  if (IncomingBody* body = std::exchange(response_body_, nullptr)) body->part();
  if (id_ == 0) {
    connection_.forget(*this);
  } else if (!response_done_ || !request_done_) {
    reset(NGHTTP2_CANCEL);
  }
}

void ClientStream::reset(uint32_t code) {
  if (reset_ || closed_ || id_ == 0) return;
  reset_ = true;
  (void)nghttp2_submit_rst_stream(connection_.session(), NGHTTP2_FLAG_NONE, id_, code);
  connection_.schedule_send();
}

// -- response ---------------------------------------------------------------------------------------------------------

bool ClientStream::on_field(std::string_view name, std::string_view value) {
  if (in_request()) return fields_.add(name, value, connection_.limits(), *response_);
  if (response_body_ == nullptr || state_ != State::kAnswered) return true;
  return fields_.add_trailer(name, value, connection_.limits(), response_body_->trailers());
}

void ClientStream::malformed(const char* detail) {
  reset(NGHTTP2_PROTOCOL_ERROR);
  fail(upstream_error(Errc::kMalformed, detail));
}

void ClientStream::on_head(bool end_stream) {
  if (!in_request()) {
    // Trailers: on_end_stream() follows. nghttp2 has refused others.
    if (end_stream) on_end_stream();
    return;
  }
  if (!fields_.finish(*response_)) {
    malformed(fields_.problem());
    return;
  }
  if (response_->status < 200) {
    observer_->on_informational(*response_);
    if (in_request() && !fields_.next(*response_)) malformed(fields_.problem());
    return;
  }
  if (is_tunnel() && http::is_success(response_->status)) {
    take_tunnel(end_stream);
    return;
  }
  state_ = State::kAnswered;
  http::ClientObserver& observer = *std::exchange(observer_, nullptr);
  if (end_stream || head_->method == http::Method::kHead || http::has_no_content(response_->status)) {
    // Nothing of us is used once the observer has its answer.
    if (end_stream) {
      on_end_stream();
    } else {
      // It would only end: not worth waiting for.
      state_ = State::kOver;
      request_body_.stop();
      reset(NGHTTP2_NO_ERROR);
    }
    observer.on_response_head(nullptr, BlockRef());
    return;
  }
  response_body_ = response_->headers.arena().make<IncomingBody>(
      static_cast<IncomingBodyOwner&>(*this), Origin::kUpstream, response_->content_length, 0,
      response_->headers.arena());
  observer.on_response_head(response_body_, BlockRef());
}

void ClientStream::take_tunnel(bool end_stream) {
  state_ = State::kTunnel;
  waiting_since_ = now();
  // As an HTTP/1 endpoint would have put it: the transport of the client knows what its version needs.
  Arena& arena = response_->headers.arena();
  response_->status = 101;
  response_->content_length.reset();
  if (http::is_websocket(*head_)) {
    const auto accept = http::websocket_accept(head_->headers.get("Sec-WebSocket-Key"));
    response_->headers.set("Sec-WebSocket-Accept", arena.copy({accept.data(), accept.size()}));
  }
  response_body_ = arena.make<IncomingBody>(static_cast<IncomingBodyOwner&>(*this), Origin::kUpstream, std::nullopt, 0,
                                            arena);
  if (end_stream) {
    response_done_ = true;
    response_body_->end();
  }
  connection_.expect_at(deadline());
  std::exchange(observer_, nullptr)->on_tunnel(*response_body_, BlockRef());
}

void ClientStream::on_data(BodyInput& input, std::string_view data) {
  // The connection's window is nobody's: given back whoever is slow.
  nghttp2_session_consume_connection(connection_.session(), data.size());
  if (state_ == State::kTunnel) waiting_since_ = now();
  if (response_body_ != nullptr) {
    response_body_->receive(input, data);
  } else {
    give_back(data.size());
  }
}

void ClientStream::on_end_stream() {
  if (response_done_) return;
  response_done_ = true;
  if (state_ != State::kTunnel) {
    state_ = State::kOver;
    // An early response: the rest of the request goes nowhere.
    if (!request_done_) {
      request_body_.stop();
      reset(NGHTTP2_NO_ERROR);
    }
  }
  if (response_body_ != nullptr) response_body_->end();
}

void ClientStream::give_back(size_t bytes) {
  if (closed_ || id_ == 0) return;
  nghttp2_session_consume_stream(connection_.session(), id_, bytes);
  connection_.schedule_send();
}

MonotonicTime ClientStream::on_body_awaited() {
  if (state_ == State::kAnswered) connection_.expect_at(now() + timeouts_.response);
  return now();
}

void ClientStream::on_body_dropped() {
  if (IncomingBody* body = std::exchange(response_body_, nullptr)) body->part();
  cancel();
}

// -- the end ----------------------------------------------------------------------------------------------------------

void ClientStream::on_closed(uint32_t code) {
  closed_ = true;
  if (response_done_ && (request_done_ || state_ == State::kOver)) {
    state_ = State::kOver;
  } else {
    fail(error_of(code));
  }
  request_body_.stop();
  // The body outlives the stream with what it has.
  if (IncomingBody* body = std::exchange(response_body_, nullptr)) body->part();
}

// RFC 9113 7, 8.7.
Error ClientStream::error_of(uint32_t code) const {
  if (!reset_by_endpoint_) {
    if (code == NGHTTP2_REFUSED_STREAM) {
      return upstream_error(Errc::kRefused, "the endpoint is closing the connection", Retry::kIfConnectionWasReused);
    }
    return upstream_error(Errc::kMalformed, "malformed HTTP/2 response");
  }
  switch (code) {
    case NGHTTP2_REFUSED_STREAM: return upstream_error(Errc::kRefused, "the endpoint refused the stream", Retry::kYes);
    case NGHTTP2_HTTP_1_1_REQUIRED: return upstream_error(Errc::kBadVersion, "the endpoint wants HTTP/1.1");
    case NGHTTP2_NO_ERROR: return upstream_error(Errc::kClosed, "the endpoint ended the stream early");
    default: return upstream_error(Errc::kReset, "the endpoint reset the stream");
  }
}

void ClientStream::on_lost(const Error& why) {
  closed_ = true;
  Error error = why.origin == Origin::kLocal ? why.from(Origin::kUpstream) : why;
  if (!sent_ && in_request()) {
    error = upstream_error(Errc::kRefused, "the connection ended before the request was sent",
                           Retry::kIfConnectionWasReused);
  } else if (first_ && connection_.inputs() == inputs_ && error.code != Errc::kTimeout) {
    error.retry = Retry::kIfConnectionWasReused;
  }
  fail(error);
}

// Nothing (more) will come of this request.
void ClientStream::fail(const Error& error) {
  if (state_ == State::kOver) return;
  const bool waiting = in_request();
  state_ = State::kOver;
  http::ClientObserver* const observer = std::exchange(observer_, nullptr);
  request_body_.stop();
  if (IncomingBody* body = std::exchange(response_body_, nullptr)) {
    body->part();
    if (!body->ended()) body->break_off(error);
  } else if (waiting && observer != nullptr) {
    observer->on_failed(error);
  }
}

// -- deadlines --------------------------------------------------------------------------------------------------------

MonotonicTime ClientStream::deadline() const {
  switch (state_) {
    case State::kFresh:
    case State::kOver: return MonotonicTime::max();
    case State::kTunnel: return waiting_since_ + timeouts_.tunnel_idle;
    case State::kHeld:
    case State::kWaiting:
    case State::kAnswered: break;
  }
  MonotonicTime next = MonotonicTime::max();
  if (request_body_.holding()) next = request_body_.progress() + timeouts_.send;
  if (in_request()) {
    // While the client is still sending, the endpoint is not the one we wait for.
    if (request_done_ || state_ == State::kHeld) next = std::min<MonotonicTime>(next, waiting_since_ + timeouts_.response);
  } else if (response_body_ != nullptr && response_body_->waiting()) {
    next = std::min<MonotonicTime>(next, response_body_->waiting_since() + timeouts_.response);
  }
  return next;
}

void ClientStream::on_deadline() {
  const bool stuck = request_body_.holding() && now() >= request_body_.progress() + timeouts_.send;
  const char* const detail = state_ == State::kTunnel ? "idle too long"
                             : stuck                  ? "endpoint does not read"
                                                      : "no response in time";
  if (in_request()) connection_.on_no_answer(inputs_);
  if (id_ == 0) connection_.forget(*this);
  reset(NGHTTP2_CANCEL);
  fail(upstream_error(Errc::kTimeout, detail));
}

}  // namespace headgate::http2
