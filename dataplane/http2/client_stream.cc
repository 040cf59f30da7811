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
    : connection_(connection), request_body_(connection, *this, *this, Origin::kDownstream) {}

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
  if (body_ != nullptr && !is_tunnel()) {
    request_body_.start(*body_, head_->content_length, response_->headers.arena());
  }
  connection_.submit_request(*this);
  connection_.expect_at(deadline());
}

// The endpoint may see the request from here on.
void ClientStream::write_request() {
  const bool has_body = body_ != nullptr || is_tunnel();
  connection_.write_head(*this, FieldArray(*head_), !has_body);
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
  request_body_.start(from_client, std::nullopt, response_->headers.arena());
}

void ClientStream::on_end_sent() {
  request_done_ = true;
  // From here on the endpoint is the one we wait for.
  waiting_since_ = now();
  if (!response_done_) connection_.expect_at(deadline());
}

void ClientStream::on_body_framed(size_t) { waiting_since_ = now(); }

void ClientStream::on_body_progress() { connection_.expect_at(deadline()); }

void ClientStream::on_body_failed(const Error& error) {
  reset(ErrorCode::kCancel);
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
  if (!sent()) {
    connection_.forget(*this);
  } else if (!response_done_ || !request_done_) {
    reset(ErrorCode::kCancel);
  }
}

void ClientStream::reset(ErrorCode code) {
  if (closed_) return;
  if (sent()) {
    connection_.submit_reset(*this, code);
  } else {
    connection_.forget(*this);
  }
}

// -- response ---------------------------------------------------------------------------------------------------------

bool ClientStream::on_field(std::string_view name, std::string_view value) {
  if (in_request()) return fields_.add(name, value, connection_.limits(), *response_);
  if (response_body_ == nullptr || state_ != State::kAnswered) return true;
  return fields_.add_trailer(name, value, connection_.limits(), response_body_->trailers());
}

void ClientStream::malformed(const char* detail) {
  reset(ErrorCode::kProtocolError);
  fail(upstream_error(Errc::kMalformed, detail));
}

void ClientStream::on_fields_end(bool end_stream) {
  if (in_request()) {
    on_head(end_stream);
  } else {
    on_trailers(end_stream);
  }
}

void ClientStream::on_trailers(bool end_stream) {
  if (end_stream && fields_.well_formed_trailers()) {
    on_end_stream();
  } else if (state_ != State::kOver) {
    malformed("malformed trailers");
  }
}

void ClientStream::on_head(bool end_stream) {
  if (!fields_.finish(*response_)) {
    malformed(fields_.problem());
    return;
  }
  if (response_->status < 200) {
    if (end_stream) {
      malformed("an interim response that ends the stream");
      return;
    }
    observer_->on_informational(*response_);
    if (in_request() && !fields_.next(*response_)) malformed(fields_.problem());
    return;
  }
  const bool no_content = head_->method == http::Method::kHead || http::has_no_content(response_->status);
  if (end_stream && !no_content && !is_tunnel() && response_->content_length.value_or(0) != 0) {
    malformed("no body, and a length that says otherwise");
    return;
  }
  if (is_tunnel() && http::is_success(response_->status)) {
    take_tunnel(end_stream);
    return;
  }
  state_ = State::kAnswered;
  http::ClientObserver& observer = *std::exchange(observer_, nullptr);
  if (end_stream || no_content) {
    // Nothing of us is used once the observer has its answer.
    if (end_stream) {
      on_end_stream();
    } else {
      // It would only end: not worth waiting for.
      state_ = State::kOver;
      request_body_.stop();
      reset(ErrorCode::kNoError);
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
    (void)response_body_->end();
  }
  connection_.expect_at(deadline());
  std::exchange(observer_, nullptr)->on_tunnel(*response_body_, BlockRef());
}

void ClientStream::on_data(BodyInput& input, std::string_view data) {
  // The connection's window is nobody's: given back whoever is slow.
  connection_.give_back(data.size());
  if (state_ == State::kTunnel) waiting_since_ = now();
  if (in_request()) {
    malformed("data before the head of the response");
  } else if (response_body_ == nullptr) {
    give_back(data.size());
  } else if (!response_body_->receive(input, data)) {
    reset(ErrorCode::kProtocolError);
  }
}

void ClientStream::on_end_stream() {
  if (response_done_) return;
  if (in_request()) {
    malformed("the stream ended before the head of the response");
    return;
  }
  response_done_ = true;
  if (state_ != State::kTunnel) {
    state_ = State::kOver;
    // An early response: the rest of the request goes nowhere.
    if (!request_done_) {
      request_body_.stop();
      reset(ErrorCode::kNoError);
    }
  }
  if (response_body_ != nullptr && !response_body_->end()) reset(ErrorCode::kProtocolError);
}

void ClientStream::give_back(size_t bytes) {
  connection_.give_back(*this, bytes);
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

void ClientStream::on_closed(ErrorCode code) {
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
Error ClientStream::error_of(ErrorCode code) const {
  if (!reset_by_endpoint_) {
    if (code == ErrorCode::kRefusedStream) {
      return upstream_error(Errc::kRefused, "the endpoint is closing the connection", Retry::kIfConnectionWasReused);
    }
    return upstream_error(Errc::kMalformed, "malformed HTTP/2 response");
  }
  switch (code) {
    case ErrorCode::kRefusedStream: return upstream_error(Errc::kRefused, "the endpoint refused the stream", Retry::kYes);
    case ErrorCode::kHttp11Required: return upstream_error(Errc::kBadVersion, "the endpoint wants HTTP/1.1");
    case ErrorCode::kNoError: return upstream_error(Errc::kClosed, "the endpoint ended the stream early");
    default: return upstream_error(Errc::kReset, "the endpoint reset the stream");
  }
}

void ClientStream::on_lost(const Error& why) {
  closed_ = true;
  Error error = why.origin == Origin::kLocal ? why.from(Origin::kUpstream) : why;
  if (!sent() && in_request()) {
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
  reset(ErrorCode::kCancel);
  fail(upstream_error(Errc::kTimeout, detail));
}

}  // namespace headgate::http2
