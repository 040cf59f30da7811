// stream.h -- one HTTP/2 stream of a client <-> one Exchange.
//
//   HEADERS -> request fields -> Exchange -> handler ...
//   handler -> head, body by pull -> data provider of nghttp2 (deferred while a pull is outstanding) -> DATA -> trailers
//
// One chunk of the response is held; the next is pulled when its last byte has been framed, so that a closed window
// stops the source. The Exchange ends when END_STREAM was framed, the stream was reset, or the connection closed; the
// Stream itself when nghttp2 has closed it. Both are destroyed after the turn.
// Spec: RFC 9113 5, 8, RFC 8441.   Thread: worker.   Owner: ServerConnection (its list).
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http2/request_body.h"
#include "dataplane/http2/request_fields.h"

namespace headgate::http2 {

class ServerConnection;
struct PullTag;

class Stream final : public event::Disposable,
                     public Pooled<Stream>,
                     public ListNode<>,
                     public ListNode<PullTag>,
                     private http::ExchangeTransport,
                     private http::BodySink {
 public:
  Stream(ServerConnection& connection, int32_t id);
  ~Stream() override;

  [[nodiscard]] int32_t id() const { return id_; }
  // The client has been sent (or will be) some of the answer.
  [[nodiscard]] bool response_begun() const { return response_begun_; }
  // We gave the stream up for reasons the client has no part in.
  [[nodiscard]] bool given_up() const { return given_up_; }

  // -- what nghttp2 tells of the request. False: end the connection.
  [[nodiscard]] bool on_field(std::string_view name, std::string_view value, bool trailer);
  void on_head(bool end_stream);
  void on_data(const BlockRef& block, std::string_view data);
  void on_end_stream();
  void on_closed();

  // -- and asks of the response
  ssize_t read_data(size_t most, uint32_t* flags);
  // Puts `size` bytes of the chunk behind the frame header.
  enum class Written : uint8_t { kDone, kNoRoom, kGone };
  Written write_data(const uint8_t* frame_header, size_t size);
  void on_response_sent();
  // Asks the body for its next chunk.
  void pull_body();

  // -- deadlines. The next moment at which something is overdue, or max.
  [[nodiscard]] MonotonicTime deadline() const;
  void on_deadline();

  // -- for RequestBody
  void consume(size_t bytes);
  void count_received(size_t bytes) {
    if (exchange_ != nullptr) exchange_->body_bytes_received += bytes;
  }
  // Sends 100 Continue if the client waits for it; returns the time now.
  MonotonicTime wait_for_body();

 private:
  const ConnectionFacts& facts() const override;
  void send_informational(http::Exchange& exchange, const http::ResponseHead& head) override;
  void send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) override;
  http::BodySource& start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                 http::BodySource& from_upstream) override;
  void abort(http::Exchange& exchange, const Error& error) override;

  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override;

  void submit_head(const http::ResponseHead& head, bool has_body, bool tunnel);
  void wake_data();
  void finish_exchange();
  void let_go_of_body();
  void reset(uint32_t code);

  ServerConnection& connection_;
  std::unique_ptr<http::Exchange> exchange_;
  RequestFields fields_;
  RequestBody* request_body_ = nullptr;
  http::BodySource* response_body_ = nullptr;
  Buffer chunk_;                              // being framed
  http::Trailers* response_trailers_ = nullptr;
  MonotonicTime progress_{};                  // when the chunk came, or some of it last went out
  uint64_t response_left_ = 0;                // has_length_: bytes still to come
  int32_t id_;
  bool has_length_ = false;
  bool request_ended_ = false;
  bool response_begun_ = false;
  bool response_ended_ = false;  // chunk_ is the last
  bool response_sent_ = false;   // END_STREAM has been framed
  bool pulling_ = false;
  bool deferred_ = false;        // the data provider waits for wake_data()
  bool reset_ = false;
  bool given_up_ = false;
  bool closed_ = false;
};

}  // namespace headgate::http2
