// stream.h -- one HTTP/2 stream of a client <-> one Exchange.
//
//   HEADERS -> request fields -> Exchange -> handler ...
//   handler -> head, body by pull -> DATA -> trailers
//
// The Exchange ends when END_STREAM was framed, the stream was reset, or the connection closed; the
// Stream itself when both sides have ended it. Both are destroyed after the turn.
// Spec: RFC 9113 5, 8, RFC 8441.   Thread: worker.   Owner: ServerConnection (its list).
#pragma once

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http2/incoming_body.h"
#include "dataplane/http2/outgoing_body.h"
#include "dataplane/http2/request_fields.h"
#include "dataplane/http2/session_stream.h"

namespace headgate::http2 {

class ServerConnection;

class Stream final : public event::Disposable,
                     public Pooled<Stream>,
                     public ListNode<>,
                     public SessionStream,
                     private http::ExchangeTransport,
                     private IncomingBodyOwner,
                     private OutgoingBodyOwner {
 public:
  Stream(ServerConnection& connection, int32_t id);
  ~Stream() override;

  // The client has been sent (or will be) some of the answer.
  [[nodiscard]] bool response_begun() const { return response_begun_; }
  // We gave the stream up for reasons the client has no part in.
  [[nodiscard]] bool given_up() const { return given_up_; }

  // The connection has closed the stream.
  void on_closed();

  // -- deadlines. The next moment at which something is overdue, or max.
  [[nodiscard]] MonotonicTime deadline() const;
  void on_deadline();

 private:
  // SessionStream
  bool on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(bool end_stream) override;
  void on_data(BodyInput& input, std::string_view data) override;
  void on_end_stream() override;
  void on_end_sent() override;
  OutgoingBody& outgoing() override { return response_body_; }

  const ConnectionFacts& facts() const override;
  void send_informational(http::Exchange& exchange, const http::ResponseHead& head) override;
  void send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) override;
  http::BodySource& start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                 http::BodySource& from_upstream) override;
  void abort(http::Exchange& exchange, const Error& error) override;

  // The request.
  void give_back(size_t bytes) override;
  void on_body_delivered(size_t bytes) override;
  MonotonicTime on_body_awaited() override;
  void on_body_dropped() override {}
  // The response.
  void on_body_framed(size_t bytes) override;
  void on_body_progress() override;
  void on_body_failed(const Error& error) override;

  void on_head(bool end_stream);
  void submit_head(const http::ResponseHead& head, bool has_body, bool tunnel);
  void finish_exchange();
  void let_go_of_body();
  void vacate();
  void reset(ErrorCode code);

  ServerConnection& connection_;
  std::unique_ptr<http::Exchange> exchange_;
  RequestFields fields_;
  IncomingBody* request_body_ = nullptr;
  OutgoingBody response_body_;
  bool head_seen_ = false;
  bool request_ended_ = false;
  bool response_begun_ = false;
  bool response_sent_ = false;   // END_STREAM has been framed
  bool reset_ = false;
  bool given_up_ = false;
  bool closed_ = false;
  bool vacated_ = false;  // does not count any more against the limit on streams
};

}  // namespace headgate::http2
