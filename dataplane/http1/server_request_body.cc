// server_request_body.cc -- the body of a request as its exchange pulls it from the connection.
#include "dataplane/http1/server_connection.h"

namespace headgate::http1 {

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
      if (connection.body_waiting() && connection.state_ == State::kExchange) {
        connection.expect_within(connection.limits_.body_timeout);
      }
      return;
    }
  }
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
