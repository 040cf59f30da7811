#include "dataplane/http2/stream.h"

#include <algorithm>
#include <utility>

#include "dataplane/http/date.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/status.h"
#include "dataplane/http2/field_array.h"
#include "dataplane/http2/server_connection.h"

namespace headgate::http2 {

namespace {

// T9: a client that keeps its window shut holds our memory.
constexpr Duration kStallTime = std::chrono::seconds(30);

Error client_left() {
  return {.code = Errc::kClosed, .origin = Origin::kDownstream, .detail = "client reset the stream or left"};
}

}  // namespace

Stream::Stream(ServerConnection& connection, int32_t id)
    : SessionStream(id),
      connection_(connection),
      exchange_(new http::Exchange(connection.worker(), *this, connection.sink())),
      response_body_(connection, *this, *this, Origin::kUpstream) {}

Stream::~Stream() { vacate(); }

void Stream::vacate() {
  if (!std::exchange(vacated_, true)) connection_.on_stream_gone();
}

const ConnectionFacts& Stream::facts() const { return connection_.facts(); }

// -- request ----------------------------------------------------------------------------------------------------------

bool Stream::on_field(std::string_view name, std::string_view value) {
  if (exchange_ == nullptr) return true;
  if (!head_seen_) return fields_.add(name, value, connection_.limits(), exchange_->request());
  if (request_body_ == nullptr) return true;
  return fields_.add_trailer(name, value, connection_.limits(), request_body_->trailers());
}

void Stream::on_fields_end(bool end_stream) {
  if (!std::exchange(head_seen_, true)) {
    connection_.on_request();
    on_head(end_stream);
  } else if (!end_stream || !fields_.well_formed_trailers()) {
    reset(ErrorCode::kProtocolError);
  } else {
    on_end_stream();
  }
}

void Stream::on_head(bool end_stream) {
  request_ended_ = end_stream;
  http::RequestHead& head = exchange_->request();
  head.scheme = connection_.scheme();
  const http::HttpLimits& limits = connection_.limits();
  switch (fields_.finish(head, limits, !end_stream, connection_.worker().random)) {
    case RequestFields::Outcome::kOk: break;
    case RequestFields::Outcome::kMalformed:
      connection_.sink().on_refused(0, fields_.error());
      reset(ErrorCode::kProtocolError);
      finish_exchange();
      return;
    case RequestFields::Outcome::kRefused:
      connection_.sink().on_refused(http::answer_for(fields_.error()).status, fields_.error());
      http::write_error_response(*exchange_, fields_.error());
      return;
  }
  if (!end_stream) {
    const bool tunnel = fields_.is_connect();
    request_body_ = exchange_->arena().make<IncomingBody>(
        static_cast<IncomingBodyOwner&>(*this), Origin::kDownstream, head.content_length,
        tunnel ? 0 : limits.body_bytes, exchange_->arena());
    if (!tunnel) exchange_->set_request_body(request_body_);
  }
  connection_.sink().on_exchange(*exchange_);
}

void Stream::on_data(BodyInput& input, std::string_view data) {
  if (request_body_ == nullptr) {
    give_back(data.size());  // nobody wants it any more
  } else if (!request_body_->receive(input, data)) {
    reset(ErrorCode::kProtocolError);
  }
}

void Stream::on_end_stream() {
  request_ended_ = true;
  if (request_body_ != nullptr && !request_body_->end()) reset(ErrorCode::kProtocolError);
}

void Stream::on_body_delivered(size_t bytes) {
  if (exchange_ != nullptr) exchange_->body_bytes_received += bytes;
}

// Sends 100 Continue if the client waits for it.
MonotonicTime Stream::on_body_awaited() {
  http::RequestHead& head = exchange_->request();
  if (head.expect_continue && !response_begun_ && !request_ended_) {
    head.expect_continue = false;
    http::ResponseHead interim(exchange_->arena());
    interim.status = 100;
    send_informational(*exchange_, interim);
  }
  const MonotonicTime now = connection_.worker().loop.now();
  if (!exchange_->is_tunnel()) connection_.expect_at(now + connection_.limits().body_timeout);
  return now;
}

void Stream::give_back(size_t bytes) {
  connection_.give_back(bytes);
  connection_.give_back(*this, bytes);
}

void Stream::on_closed() {
  if (closed_) return;
  closed_ = true;
  finish_exchange();
  // Whoever has its whole answer may ask anew at once. Work for one that was reset may go on for the rest of the turn.
  if (response_sent_ && request_ended_) vacate();
}

// -- response ---------------------------------------------------------------------------------------------------------

void Stream::submit_head(const http::ResponseHead& head, bool has_body, bool tunnel) {
  WorkerContext& worker = connection_.worker();
  const FieldArray fields(head, {.date = worker.date->now(worker.loop),
                                     .write_length = !tunnel && head.status != 204 && head.status >= 200,
                                     .tunnel = tunnel});
  response_begun_ = true;
  connection_.write_head(*this, fields, !has_body);
}

void Stream::send_informational(http::Exchange&, const http::ResponseHead& head) {
  if (closed_ || reset_ || response_begun_) return;
  const FieldArray fields(head, {.write_length = false});
  connection_.write_head(*this, fields, false);
}

void Stream::send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) {
  if (closed_ || reset_) {
    if (body != nullptr) body->cancel();
    return;
  }
  const http::RequestHead& request = exchange.request();
  // RFC 8441 4, RFC 9110 9.3.6: a 2xx would tell the client that it has a tunnel.
  if (fields_.is_connect() && http::is_success(head.status)) {
    head.status = 502;
    head.content_length.reset();
    if (body != nullptr) body->cancel();
    body = nullptr;
  }
  if (request.method == http::Method::kHead || http::has_no_content(head.status) || head.content_length == 0U) {
    if (body != nullptr) body->cancel();
    body = nullptr;
  } else if (body == nullptr && !head.content_length) {
    head.content_length = 0;
  }
  // gRPC reads trailers-only answers as they are: no length in them.
  if (body == nullptr && head.headers.has(http::FieldId::kContentType) && head.content_length == 0U &&
      !head.headers.get("grpc-status").empty()) {
    head.content_length.reset();
  }
  submit_head(head, body != nullptr, false);
  if (body != nullptr) response_body_.start(*body, head.content_length, exchange.arena());
}

http::BodySource& Stream::start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                       http::BodySource& from_upstream) {
  if (request_body_ == nullptr) {
    request_body_ = exchange.arena().make<IncomingBody>(static_cast<IncomingBodyOwner&>(*this), Origin::kDownstream,
                                                        std::nullopt, 0, exchange.arena());
    (void)request_body_->end();
  }
  IncomingBody& from_client = *request_body_;
  if (closed_ || reset_) return from_client;
  submit_head(head, true, true);
  response_body_.start(from_upstream, std::nullopt, exchange.arena());
  return from_client;
}

void Stream::reset(ErrorCode code) {
  if (reset_ || closed_) return;
  reset_ = true;
  connection_.submit_reset(*this, code);
}

void Stream::abort(http::Exchange&, const Error& error) {
  given_up_ = error.origin != Origin::kDownstream;
  // RFC 9113 7: what the peer asked for may be tried elsewhere only when we say so; here it may have had effects.
  reset(error.origin == Origin::kDownstream ? ErrorCode::kCancel : ErrorCode::kInternalError);
  finish_exchange();
}

void Stream::on_body_framed(size_t bytes) {
  if (exchange_ != nullptr) exchange_->body_bytes_sent += bytes;
}

void Stream::on_body_progress() { connection_.expect_at(deadline()); }

void Stream::on_body_failed(const Error& error) {
  if (!closed_ && exchange_ != nullptr) exchange_->abort(error);
}

void Stream::on_end_sent() {
  if (response_sent_) return;
  response_sent_ = true;
  if (exchange_ != nullptr && exchange_->is_tunnel() && !request_ended_) return;  // half closed
  finish_exchange();
  // RFC 9113 8.1: the rest of the request is not needed. NO_ERROR keeps the answer valid.
  if (!request_ended_) reset(ErrorCode::kNoError);
}

void Stream::let_go_of_body() {
  if (IncomingBody* body = std::exchange(request_body_, nullptr)) body->part();
}

void Stream::finish_exchange() {
  if (exchange_ == nullptr) return;
  response_body_.stop();
  if (!response_sent_ && !exchange_->failed) {
    exchange_->error = client_left();
    exchange_->failed = true;
  }
  exchange_->end();
  let_go_of_body();
  connection_.worker().loop.defer_delete(std::move(exchange_));
}

// -- deadlines --------------------------------------------------------------------------------------------------------

MonotonicTime Stream::deadline() const {
  MonotonicTime next = MonotonicTime::max();
  if (exchange_ == nullptr) return next;
  const http::HttpLimits& limits = connection_.limits();
  if (response_body_.holding()) next = response_body_.progress() + std::min<Duration>(limits.send_timeout, kStallTime);
  if (request_body_ != nullptr && request_body_->waiting() && !exchange_->is_tunnel()) {
    next = std::min<MonotonicTime>(next, request_body_->waiting_since() + limits.body_timeout);
  }
  return next;
}

void Stream::on_deadline() {
  if (response_body_.holding()) {
    exchange_->error = {.code = Errc::kTimeout, .origin = Origin::kDownstream, .detail = "client does not read"};
    exchange_->failed = true;
    reset(ErrorCode::kEnhanceYourCalm);
    finish_exchange();
    return;
  }
  if (request_body_ != nullptr && request_body_->waiting()) {
    request_body_->break_off({.code = Errc::kTimeout, .origin = Origin::kDownstream, .detail = "client too slow"});
  }
}

}  // namespace headgate::http2
