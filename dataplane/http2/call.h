// call.h -- one gRPC call on an HTTP/2 connection of its own: messages both ways until a status ends it.
//
//   start() --> open --on_message()*--> ended: on_ended() exactly once, for whatever reason
//
// It is made for the few calls that control makes (the configuration stream, a certificate): no multiplexing, no
// compression, messages are collected whole. A peer that says nothing is asked by PING; no answer ends the call.
// Spec: RFC 9113; gRPC over HTTP2 (length-prefixed messages, grpc-status in trailers).
// Thread: that of the Loop.   Owner: who made the call. Destroy from a callback only by Loop::defer_delete.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <string_view>

#include "dataplane/net/byte_stream.h"

namespace headgate::http2 {

// The codes of gRPC that callers here tell apart; all others are passed on as they are.
struct CallStatus {
  static constexpr int kOk = 0;
  static constexpr int kUnavailable = 14;  // the connection failed, too
  static constexpr int kUnauthenticated = 16;
  int code = kUnavailable;
  std::string message;
};

class CallObserver {
 public:
  // Valid during the call.
  virtual void on_message(std::string_view message) = 0;
  virtual void on_ended(const CallStatus& status) = 0;

 protected:
  ~CallObserver() = default;
};

struct CallOptions {
  std::string path;       // "/package.Service/Method"
  std::string authority;  // "controller.example.test:8443"
  std::string token;      // `authorization: Bearer`; empty: none
  bool https = false;
  size_t max_message = size_t{64} << 20;
  Duration ping_after = std::chrono::seconds(30);    // of silence
  Duration ping_timeout = std::chrono::seconds(10);  // for the answer
};

class Call final : public event::Disposable, private net::StreamObserver {
 public:
  Call(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, CallOptions options, CallObserver& observer);
  ~Call() override;

  void start();
  // Copied and queued; nothing happens after the end.
  void send(std::string_view message);
  // No more messages from us.
  void finish_sending();
  [[nodiscard]] size_t unsent() const { return out_.size() - out_at_; }

 private:
  struct Callbacks;

  void on_stream_ready(bool readable, bool writable) override;
  void read_all();
  void write_all();
  void on_ping_timer();
  void on_field(std::string_view name, std::string_view value);
  bool on_data(std::string_view bytes);
  void end(int code, std::string message);
  void report();
  void end_by_status();

  event::Loop& loop_;
  std::unique_ptr<net::ByteStream> stream_;
  const CallOptions options_;
  CallObserver& observer_;
  nghttp2_session* session_ = nullptr;
  int32_t id_ = -1;
  event::Timer ping_timer_;
  event::DeferredCall report_later_;
  std::string out_;  // framed messages that nghttp2 has not taken yet
  size_t out_at_ = 0;
  bool finish_ = false;
  bool deferred_ = false;     // nghttp2 waits for resume_data
  std::string_view pending_;  // of nghttp2's output, not taken by the stream yet
  std::string in_;            // of an incomplete message
  std::string http_status_;
  int grpc_status_ = -1;
  std::string grpc_message_;
  bool heard_ = false;    // something arrived since the timer was armed
  bool pinged_ = false;   // and we asked
  bool reading_ = false;  // inside nghttp2
  bool ended_ = false;
  CallStatus result_;
};

}  // namespace headgate::http2
