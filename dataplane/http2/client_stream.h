// client_stream.h -- one request to an endpoint on a shared HTTP/2 connection.
//
//   kFresh    given to who will send                                             -> kHeld | kWaiting
//   kHeld     a tunnel that must first know whether the endpoint takes tunnels   -> kWaiting | kOver
//   kWaiting  submitted or sent, no final response head yet                      -> kAnswered | kTunnel | kOver
//   kAnswered the response body is coming; the request body may still go out     -> kOver
//   kTunnel   2xx to extended CONNECT: opaque bytes both ways                    -> kOver
//   kOver     nobody is told anything any more; destroyed once the stream is closed
//
// The response ends the exchange: what is left of the request goes nowhere then, and the stream is reset.
// Spec: RFC 9113 5.1, 8.1, 8.7, RFC 8441 5.   Thread: worker.   Owner: ClientConnection (its list).
#pragma once

#include <optional>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/event/loop.h"
#include "dataplane/http/client_exchange.h"
#include "dataplane/http2/answer_fields.h"
#include "dataplane/http2/incoming_body.h"
#include "dataplane/http2/outgoing_body.h"
#include "dataplane/http2/session_stream.h"

namespace headgate::http2 {

class ClientConnection;

class ClientStream final : public event::Disposable,
                           public Pooled<ClientStream>,
                           public ListNode<>,
                           public SessionStream,
                           public http::ClientStream,
                           private IncomingBodyOwner,
                           private OutgoingBodyOwner {
 public:
  explicit ClientStream(ClientConnection& connection);
  ~ClientStream() override;

  // http::ClientStream
  void send(const http::RequestHead& head, http::BodySource* body, http::ResponseHead& into,
            const http::ClientTimeouts& timeouts, http::ClientObserver& observer) override;
  void start_tunnel(http::BodySource& from_client) override;
  void cancel() override;

  // HEADERS have been written: the endpoint may have seen the request.
  [[nodiscard]] bool sent() const { return id() != 0; }
  // Waits for SETTINGS.
  [[nodiscard]] bool held() const { return state_ == State::kHeld; }

  // The connection has closed the stream; `code` as in RST_STREAM.
  void on_closed(ErrorCode code);

  // -- what the connection tells
  // SETTINGS came: a held tunnel goes on.
  void on_settings(bool takes_tunnels);
  void on_lost(const Error& why);

  // The next moment at which something is overdue, or max.
  [[nodiscard]] MonotonicTime deadline() const;
  void on_deadline();

 private:
  enum class State : uint8_t { kFresh, kHeld, kWaiting, kAnswered, kTunnel, kOver };

  // SessionStream
  bool on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(bool end_stream) override;
  void on_data(BodyInput& input, std::string_view data) override;
  void on_end_stream() override;
  void on_reset_received() override { reset_by_endpoint_ = true; }
  void on_end_sent() override;
  void write_request() override;
  OutgoingBody& outgoing() override { return request_body_; }

  // The response.
  void give_back(size_t bytes) override;
  void on_body_delivered(size_t) override {}
  MonotonicTime on_body_awaited() override;
  void on_body_dropped() override;
  // The request.
  void on_body_framed(size_t bytes) override;
  void on_body_progress() override;
  void on_body_failed(const Error& error) override;

  void submit();
  void on_head(bool end_stream);
  void on_trailers(bool end_stream);
  void take_tunnel(bool end_stream);
  void malformed(const char* detail);
  void fail(const Error& error);
  void reset(ErrorCode code);
  [[nodiscard]] Error error_of(ErrorCode code) const;
  [[nodiscard]] MonotonicTime now() const;
  [[nodiscard]] bool is_tunnel() const { return !head_->protocol.empty(); }
  [[nodiscard]] bool in_request() const { return state_ == State::kHeld || state_ == State::kWaiting; }

  ClientConnection& connection_;
  const http::RequestHead* head_ = nullptr;
  http::ResponseHead* response_ = nullptr;
  http::ClientObserver* observer_ = nullptr;
  http::ClientTimeouts timeouts_;
  AnswerFields fields_;
  OutgoingBody request_body_;
  http::BodySource* body_ = nullptr;  // kHeld, kWaiting: what request_body_ was or will be given
  IncomingBody* response_body_ = nullptr;
  MonotonicTime waiting_since_{};  // for the endpoint: the request is on its way; kTunnel: of the latest bytes
  uint64_t inputs_ = 0;            // of the connection, when the request was submitted
  State state_ = State::kFresh;
  bool first_ = false;         // nothing else was under way when it was submitted
  bool request_done_ = false;  // END_STREAM framed
  bool response_done_ = false;
  bool reset_by_endpoint_ = false;
  bool closed_ = false;
};

}  // namespace headgate::http2
