// server_request_body.cc -- the body of a request as its exchange pulls it from the connection.
#include <algorithm>

#include "dataplane/http1/server_connection.h"

namespace headgate::http1 {
namespace {

// Bytes a second that a body must bring, not counting the first seconds of waiting.
constexpr int64_t kLeastBodyRate = 240;
constexpr Duration kSlowBodyGrace = std::chrono::seconds(5);

}  // namespace

std::optional<uint64_t> ServerConnection::RequestBody::remaining() const {
  if (complete_) return 0;
  if (framing_ == Framing::kLength) return left_;
  return std::nullopt;
}

void ServerConnection::RequestBody::on_pull() {
  if (complete_) {
    finish();
    return;
  }
  if (connection_ == nullptr) {
    fail({.code = Errc::kCanceled, .origin = Origin::kDownstream, .detail = "the exchange is over"});
    return;
  }
  http::RequestHead& head = connection_->exchange_->request();
  if (head.expect_continue && !connection_->response_started_) {
    head.expect_continue = false;
    // RFC 9110 10.1.1: not needed when the body is already on its way.
    if (!connection_->has_unread()) {
      connection_->output_.append_copy("HTTP/1.1 100 Continue\r\n\r\n");
      connection_->flush();
      if (connection_->state_ == State::kClosed) return;
    }
  }
  resume();
}

void ServerConnection::RequestBody::resume() {
  ServerConnection& connection = *connection_;
  // answer() and read_more() may end the exchange; the connection itself lives until the end of the turn.
  while (connection_ != nullptr && pulled() && !answer()) {
    if (connection_->resume_later_.scheduled()) return;  // over the budget of this turn
    if (!connection.read_more()) {
      if (connection.body_waiting() && connection.state_ == State::kExchange) expect_more();
      return;
    }
    if (waiting_since_ != MonotonicTime{}) {
      waited_ += connection.worker_.loop.now() - waiting_since_;
      waiting_since_ = {};
    }
  }
}

// Each wait has its deadline, and all together may not take longer than the least rate allows: a body that comes byte
// by byte holds what is behind it for as long as it lasts.
void ServerConnection::RequestBody::expect_more() {
  const MonotonicTime now = connection_->worker_.loop.now();
  if (waiting_since_ != MonotonicTime{}) waited_ += now - waiting_since_;
  waiting_since_ = now;
  const auto received = static_cast<int64_t>(connection_->exchange_->body_bytes_received);
  const Duration earned = std::chrono::milliseconds(received * 1000 / kLeastBodyRate);
  const Duration left = std::max(kSlowBodyGrace + earned - waited_, Duration(0));
  connection_->expect_within(std::min<Duration>(connection_->limits_.body_timeout, left));
}

bool ServerConnection::RequestBody::answer() {
  if (complete_) {
    finish();
    return true;
  }
  if (framing_ == Framing::kChunked) return answer_chunked();
  if (!connection_->has_unread()) return false;
  Buffer chunk = connection_->take_unread(framing_ == Framing::kLength ? left_ : SIZE_MAX);
  connection_->exchange_->body_bytes_received += chunk.size();
  if (framing_ == Framing::kLength) {
    left_ -= chunk.size();
    if (left_ == 0) complete_ = true;
  }
  deliver(std::move(chunk));
  return true;
}

bool ServerConnection::RequestBody::answer_chunked() {
  while (connection_->has_unread()) {
    const ChunkedDecoder::Step step = decoder_.decode(connection_->unread(), connection_->limits_, trailers_);
    connection_->input_begin_ += static_cast<uint32_t>(step.used);
    switch (step.kind) {
      case ChunkedDecoder::Step::Kind::kData:
        received_ += step.data.size();
        connection_->exchange_->body_bytes_received += step.data.size();
        if (connection_->limits_.body_bytes != 0 && received_ > connection_->limits_.body_bytes) {
          connection_->keep_alive_ = false;
          fail({.code = Errc::kBodyTooLarge, .origin = Origin::kDownstream, .detail = "chunked body over the limit"});
        } else {
          deliver(Buffer(connection_->input_, step.data.data(), step.data.size()));
        }
        return true;
      case ChunkedDecoder::Step::Kind::kEnd:
        finish_whole(trailers_.size() == 0 ? nullptr : &trailers_);
        return true;
      case ChunkedDecoder::Step::Kind::kNeedMore: return false;
      case ChunkedDecoder::Step::Kind::kError:
        connection_->keep_alive_ = false;
        fail(decoder_.error());
        return true;
    }
  }
  return false;
}

void ServerConnection::RequestBody::finish_whole(const http::Trailers* trailers) {
  complete_ = true;
  ServerConnection& connection = *connection_;
  const bool tunnel = framing_ == Framing::kUntilClose;
  finish(trailers);
  if (tunnel && connection.response_done_ && connection.output_.empty() && connection.state_ == State::kTunnel) {
    connection.close();
  }
}

}  // namespace headgate::http1
