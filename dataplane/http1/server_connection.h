// server_connection.h -- HTTP/1.x on an accepted connection: ByteStream -> Exchanges, one at a time.
//
//   kIdle      waiting for the first byte of a request        -> kHead
//   kHead      part of a head has been read                   -> kExchange | kClosing (refused)
//   kExchange  a request is being answered                    -> kIdle | kHead (pipelined) | kTunnel | kClosing
//   kTunnel    after 101: opaque bytes both ways              -> gone
//   kClosing   last answer written, reading on for a moment so that the client can still read it -> gone
//
// Pipelined requests are answered in order, the next head is parsed when the answer before it has been queued.
// Idle, it holds no buffer. Memory per direction while busy: one input block, one output queue.
// Spec: RFC 9112 (9.3 persistence, 9.6 closing, 9.2 pipelining), RFC 9110 10.1.1 (Expect).
// Thread: worker.   Owner: Session.
#pragma once

#include <memory>

#include "dataplane/base/pooled.h"
#include "dataplane/event/turn_budget.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http1/chunked.h"
#include "dataplane/net/output_queue.h"
#include "dataplane/http1/parser.h"
#include "dataplane/http1/serializer.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::http1 {

class ServerConnectionOwner {
 public:
  // The connection is over; the owner destroys it (deferred: it may be on the stack).
  virtual void on_connection_closed() = 0;
  // A new connection began with the preface of HTTP/2 (RFC 9113 3.4) instead of a request. True: the owner takes the
  // stream and what was read of it (`bytes`), and destroys the connection (deferred); false: it is refused as HTTP/1.
  virtual bool take_http2(std::unique_ptr<net::ByteStream>& stream, const Buffer& bytes) {
    (void)stream;
    (void)bytes;
    return false;
  }

 protected:
  ~ServerConnectionOwner() = default;
};

class ServerConnection final : public event::Disposable,
                               public Pooled<ServerConnection>,
                               private net::StreamObserver,
                               private http::ExchangeTransport,
                               private http::BodySink {
 public:
  // `limits`, `sink` and `owner` outlive the connection. `scheme` is how clients reach the listener.
  ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream, const http::HttpLimits& limits,
                   http::ExchangeSink& sink, ServerConnectionOwner& owner, http::Scheme scheme);
  ~ServerConnection() override;

  void start();
  // Answers what is in flight with `Connection: close`; an idle connection closes now.
  void drain();
  // The drain deadline: close whatever is open.
  void close_now();
  [[nodiscard]] bool idle() const { return state_ == State::kIdle; }

 private:
  enum class State : uint8_t { kIdle, kHead, kExchange, kTunnel, kClosing, kClosed };
  using Framing = http::BodyFraming::Kind;

  // The body of the request being answered, or the client's opaque bytes of a tunnel. Lives in the Exchange's arena;
  // when the exchange is over first, `connection_` is null and a pull fails.
  class RequestBody final : public http::BodySource {
   public:
    RequestBody(ServerConnection& connection, Framing framing, uint64_t length)
        : connection_(&connection), framing_(framing), left_(length), trailers_(connection.exchange_->arena()) {}
    [[nodiscard]] std::optional<uint64_t> remaining() const override;
    [[nodiscard]] bool complete() const { return complete_; }
    [[nodiscard]] bool waiting() const { return pulled(); }
    // Room that a read should find.
    [[nodiscard]] size_t wanted() const { return framing_ == Framing::kLength && left_ < 4096 ? left_ : 4096; }
    // Input may have arrived: answers an outstanding pull if it can.
    void resume();
    void break_off(const Error& error) { fail(error); }

   private:
    void on_pull() override;
    bool answer();  // false: more input is needed
    bool answer_chunked();
    void expect_more();
    void finish_whole(const http::Trailers* trailers);

    ServerConnection* connection_;
    Framing framing_;
    bool complete_ = false;
    uint64_t left_;  // kLength
    uint64_t received_ = 0;
    Duration waited_{0};  // for the client, all in all
    MonotonicTime waiting_since_{};  // zero: not waiting
    ChunkedDecoder decoder_{Origin::kDownstream};  // kChunked
    http::Trailers trailers_;
    friend class ServerConnection;
  };

  // net::StreamObserver
  void on_stream_ready(bool readable, bool writable) override;

  // http::ExchangeTransport
  const ConnectionFacts& facts() const override { return stream_->facts(); }
  void send_informational(http::Exchange& exchange, const http::ResponseHead& head) override;
  void send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) override;
  http::BodySource& start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                 http::BodySource& from_upstream) override;
  void abort(http::Exchange& exchange, const Error& error) override;

  // http::BodySink: the body of the response
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  // input
  void process_input();
  bool read_more();
  bool parse_head();
  [[nodiscard]] bool hand_over();
  [[nodiscard]] bool speaks_another_protocol() const;
  void grow_input();
  void take_request();
  void refuse(const Error& error);
  [[nodiscard]] std::string_view unread() const { return {input_->data() + input_begin_, input_end_ - input_begin_}; }
  [[nodiscard]] bool has_unread() const { return input_end_ > input_begin_; }
  Buffer take_unread(size_t most);
  void release_input();

  // output
  void pump();
  void flush();
  void send_file();
  void write_head(const http::ResponseHead& head, const HeadOptions& options);
  void after_response();
  void finish_exchange();
  void next_request();
  void close_gracefully();
  void close();
  void on_deadline();
  void expect_within(Duration from_now);
  void watch();
  void resume_later();
  [[nodiscard]] bool over_budget(size_t bytes);
  [[nodiscard]] bool body_complete() const { return request_body_ == nullptr || request_body_->complete(); }
  [[nodiscard]] bool body_waiting() const { return request_body_ != nullptr && request_body_->waiting(); }
  void let_go_of_body();

  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;
  const http::HttpLimits& limits_;
  http::ExchangeSink& sink_;
  ServerConnectionOwner& owner_;
  event::Timer timer_;
  event::DeferredCall resume_later_;
  MonotonicTime deadline_{};  // the timer may be armed earlier: then it looks and arms itself again
  std::unique_ptr<http::Exchange> exchange_;
  BlockRef input_;
  uint32_t input_begin_ = 0;
  uint32_t input_end_ = 0;
  RequestParser parser_;
  RequestBody* request_body_ = nullptr;  // null: none, or all of it has been read and the exchange is over
  net::OutputQueue output_;
  http::BodySource* response_body_ = nullptr;
  uint64_t response_left_ = 0;  // kLength: bytes still to come
  uint64_t file_left_ = 0;      // being sent with sendfile
  event::TurnBudget turn_budget_;
  uint32_t requests_ = 0;
  State state_ = State::kIdle;
  Framing response_framing_ = Framing::kNone;
  http::Scheme scheme_;
  bool keep_alive_ = true;      // as far as the request in flight is concerned
  bool draining_ = false;
  bool pulling_ = false;        // a pull of response_body_ is outstanding
  bool pumping_ = false;        // pump() is on the stack
  bool response_done_ = false;  // the body has ended, its last bytes may still be queued
  bool response_started_ = false;
  bool response_on_wire_ = false;  // the kernel has some of it
  bool first_chunk_ = true;     // kChunked: no chunk was written yet
  bool processing_ = false;     // process_input() is on the stack
  bool client_eof_ = false;
  bool body_unread_ = false;    // the client may still be sending what we do not want
};

}  // namespace headgate::http1
