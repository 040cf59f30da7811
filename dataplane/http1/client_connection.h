// client_connection.h -- HTTP/1.1 towards an endpoint: one request at a time on a connection that is kept.
//
//   kIdle      in a pool                                     -> kRequest (send) | kClosed (bytes, EOF, idle too long)
//   kRequest   request being sent, response head awaited     -> kResponse | kTunnel | kClosed
//   kResponse  response body being read                      -> kIdle | kClosed
//   kTunnel    after 101: opaque bytes both ways             -> kClosed
//
// A connection goes back to its pool only when request and response are both complete and nothing is left unread.
// Spec: RFC 9112 9.3.   Thread: worker.   Owner: upstream::Pool.
#pragma once

#include <memory>

#include "dataplane/base/pooled.h"
#include "dataplane/event/turn_budget.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/client_exchange.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http1/chunked.h"
#include "dataplane/net/output_queue.h"
#include "dataplane/http1/parser.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::http1 {

class ClientConnection;

class ClientConnectionOwner {
 public:
  // May take the next request.
  virtual void on_connection_idle(ClientConnection& connection) = 0;
  // Is over; the owner destroys it (deferred).
  virtual void on_connection_closed(ClientConnection& connection) = 0;

 protected:
  ~ClientConnectionOwner() = default;
};

class ClientConnection final : public event::Disposable,
                               public Pooled<ClientConnection>,
                               public ListNode<>,
                               public http::ClientStream,
                               private net::StreamObserver,
                               private http::BodySink {
 public:
  ClientConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const http::HttpLimits& limits,
                   ClientConnectionOwner& owner);
  ~ClientConnection() override;

  // http::ClientStream
  void send(const http::RequestHead& head, http::BodySource* body, http::ResponseHead& into,
            const http::ClientTimeouts& timeouts, http::ClientObserver& observer) override;
  void start_tunnel(http::BodySource& from_client) override;
  void cancel() override;

  // Idle and, as far as the kernel has told us, still open.
  [[nodiscard]] bool reusable() const { return state_ == State::kIdle && !stream_->readable_hint(); }
  // Was in its pool when it closed (on_connection_closed asks).
  [[nodiscard]] bool resting() const { return resting_; }
  [[nodiscard]] uint32_t requests() const { return requests_; }
  [[nodiscard]] MonotonicTime opened() const { return opened_; }
  [[nodiscard]] const ConnectionFacts& facts() const { return stream_->facts(); }
  // Closes after so long without a request.
  void rest(Duration idle_timeout);
  void close();

 private:
  enum class State : uint8_t { kIdle, kRequest, kResponse, kTunnel, kClosed };
  using Framing = http::BodyFraming::Kind;

  // Lives in the arena of the Exchange that asked, so that a pull after the last byte, or after the connection broke or
  // went on to another request, still gets its own answer: then `connection_` is null.
  class ResponseBody final : public http::BodySource {
   public:
    ResponseBody(ClientConnection& connection, Framing framing, uint64_t length)
        : connection_(&connection), framing_(framing), left_(length), trailers_(connection.response_->headers.arena()) {}
    ~ResponseBody() override;
    [[nodiscard]] std::optional<uint64_t> remaining() const override;
    [[nodiscard]] bool complete() const { return complete_; }
    [[nodiscard]] bool waiting() const { return pulled(); }
    void resume();
    void on_stream_end();
    void break_off(const Error& error) { fail(error); }

   private:
    friend class ClientConnection;
    void on_pull() override;
    void on_cancel() override;
    bool answer();
    bool answer_chunked();

    void part();

    ClientConnection* connection_;
    Framing framing_;
    bool complete_ = false;
    uint64_t left_;
    uint64_t received_ = 0;
    Error broken_{.code = Errc::kClosed, .origin = Origin::kUpstream, .detail = "body cut short"};
    ChunkedDecoder decoder_{Origin::kUpstream};
    http::Trailers trailers_;
  };

  void on_stream_ready(bool readable, bool writable) override;

  // http::BodySink: the body of the request
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  void pump();
  void flush();
  void read_head();
  bool read_more();
  void take_response();
  void finish_response();
  void fail(const Error& error);
  void on_deadline();
  void expect_within(Duration from_now);
  void resume();
  [[nodiscard]] bool over_budget(size_t bytes);
  [[nodiscard]] bool has_unread() const { return input_end_ > input_begin_; }
  [[nodiscard]] std::string_view unread() const { return {input_->data() + input_begin_, input_end_ - input_begin_}; }
  [[nodiscard]] bool body_waiting() const { return response_body_ != nullptr && response_body_->waiting(); }
  [[nodiscard]] size_t input_size() const;
  Buffer take_unread(size_t most);

  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;
  const http::HttpLimits& limits_;
  ClientConnectionOwner& owner_;
  event::Timer timer_;
  event::DeferredCall resume_later_;
  MonotonicTime deadline_{};
  MonotonicTime opened_;
  http::ClientTimeouts timeouts_;
  http::ClientObserver* observer_ = nullptr;
  http::ResponseHead* response_ = nullptr;
  http::Method method_ = http::Method::kGet;
  BlockRef input_;
  uint32_t input_begin_ = 0;
  uint32_t input_end_ = 0;
  ResponseParser parser_;
  ResponseBody* response_body_ = nullptr;
  net::OutputQueue output_;
  http::BodySource* request_body_ = nullptr;
  event::TurnBudget turn_budget_;
  uint32_t requests_ = 0;
  State state_ = State::kIdle;
  bool request_chunked_ = false;
  bool first_chunk_ = true;    // none was written yet
  bool request_done_ = true;   // its last byte is queued
  bool wants_upgrade_ = false;
  bool pulling_ = false;
  bool pumping_ = false;
  bool reading_ = false;
  bool keep_alive_ = true;
  bool got_bytes_ = false;  // of the response: a retry is no longer harmless
  bool resting_ = true;     // in no request since it was opened or since the last one
  bool bulk_ = false;       // the last response was long: read in bigger pieces
};

}  // namespace headgate::http1
