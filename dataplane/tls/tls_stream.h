// tls_stream.h -- ByteStream over a ByteStream: TLS 1.2 and 1.3, as server or as client.
//
//   kNew --start()--> kHandshake --> kOpen          (on_handshake_done)
//                          \-------> kFailed        (on_handshake_failed; may only be destroyed)
//
// The handshake runs by itself; its deadline is the caller's, who destroys the stream when it passes. Until kOpen,
// read() and write() answer kWouldBlock.
// Writing: records are collected in pooled blocks and sent with one write below, up to 128 KiB at a time; what the
// socket does not take waits (unsent()), is sent by the stream itself, and write() answers kWouldBlock meanwhile. What
// ends a handshake shares a packet with the first data: a client's Finished waits until the end of the turn, a server's
// TLS 1.3 ticket, which nobody waits for, for 20 ms. After a pause the first record is small, so that the other side
// can use it before a full window has arrived.
// Reading: one receive takes up to 32 KiB; read() hands out several records at once. An idle stream holds no buffer.
// End of file: kEof after close_notify, and also without one; then facts().tls->truncated is set, and whoever relies
// on the end of file to know that a message is whole (an HTTP body that ends with the connection) must refuse it.
// Errors: kTls (OpenSSL's reason as detail), kClosed (end of file during the handshake), and those of the stream below.
// A failed write does not keep read() from delivering what has arrived.
// Limits: control messages after the handshake (KeyUpdate, tickets, renegotiation attempts) beyond 32 and one more a
// second end the connection.
// Thread: worker.   Owner: whoever holds the unique_ptr. Destroy from a callback only by Loop::defer_delete.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/pooled.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/tls/ciphertext_queue.h"
#include "dataplane/tls/context.h"

namespace headgate::tls {

class HandshakeObserver {
 public:
  // Exactly one of the two, never from inside start(). ALPN, server name and client certificate are in facts().
  virtual void on_handshake_done() = 0;
  virtual void on_handshake_failed(const Error& error) = 0;

 protected:
  ~HandshakeObserver() = default;
};

class TlsStream final : public net::ByteStream, public Pooled<TlsStream>, private net::StreamObserver {
 public:
  // Null only when OpenSSL is out of memory.
  static std::unique_ptr<TlsStream> server(event::Loop& loop, std::unique_ptr<net::ByteStream> below,
                                           std::shared_ptr<ServerContext> context);
  static std::unique_ptr<TlsStream> client(event::Loop& loop, std::unique_ptr<net::ByteStream> below,
                                           std::shared_ptr<ClientContext> context, const ClientTarget& target);
  ~TlsStream() override;

  // Begins the handshake. `observer` must live until it was told or the stream is destroyed.
  void start(HandshakeObserver& observer);
  // Everything OpenSSL had to say about a failure, for the log; empty without one. May name what the other side sent
  // ("tlsv1 alert unknown ca") but holds no text of its choosing.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  Result<net::IoResult> read(std::span<char> into) override;
  Result<net::IoResult> write(std::span<const iovec> from) override;
  // Encrypts now, sends with the next write() or at the end of the turn.
  Result<net::IoResult> write_more(std::span<const iovec> from) override;
  // close_notify, then FIN when it has gone out.
  void shutdown_write() override;
  // close_notify as far as the socket takes it at once.
  void say_goodbye() override;
  void watch(net::Interest interest, net::StreamObserver& observer) override;
  void unwatch() override;
  void reset_on_close() override { below_->reset_on_close(); }
  [[nodiscard]] bool readable_hint() const override;
  [[nodiscard]] bool hung_up() const override { return below_->hung_up(); }
  [[nodiscard]] size_t unsent() const override { return out_.size(); }
  [[nodiscard]] const ConnectionFacts& facts() const override { return facts_; }
  void set_ends(const SocketAddress& remote, const SocketAddress& local) override;

  // For OpenSSL's callbacks.
  static TlsStream& of(ssl_st* ssl);
  static void on_message(int write, int version, int content_type, const void* data, size_t size, ssl_st* ssl,
                         void* argument);
  void note_server_name(std::string name) { tls_facts_.server_name = std::move(name); }
  [[nodiscard]] const std::string& server_name() const { return tls_facts_.server_name; }
  void keep_session(OpensslPtr<ssl_session_st> session);

 private:
  enum class State : uint8_t { kNew, kHandshake, kOpen, kFailed };
  struct Transport;  // the BIO between OpenSSL and `below_`
  class PieceReader;

  TlsStream(event::Loop& loop, std::unique_ptr<net::ByteStream> below, ssl_ctx_st* ctx);
  bool prepare_client(const ClientTarget& target);
  bool prepare_verification(const ClientTarget& target);
  bool attach_transport();

  void on_stream_ready(bool readable, bool writable) override;
  void on_later();
  void flush_later();
  void on_ticket_timer();
  void step();
  void finish_handshake();
  void fail_handshake(int ssl_error);
  void fill_facts();
  void fill_client_certificate();
  void judge_client_certificate(const ClientRule& rule);

  Result<net::IoResult> write_records(std::span<const iovec> from, bool flush_now);
  Result<net::IoResult> read_failed(int ssl_error);
  Error ssl_failure(const char* otherwise);
  size_t record_limit();
  Result<void> flush();
  void absorb_control_messages();
  void count_control_message();
  void send_close_notify();
  void notify();
  void arm_below();
  [[nodiscard]] bool readable_now() const;
  [[nodiscard]] Origin origin() const { return server_ ? Origin::kDownstream : Origin::kUpstream; }

  event::Loop& loop_;
  std::unique_ptr<net::ByteStream> below_;
  std::shared_ptr<ServerContext> server_;  // one of the two
  std::shared_ptr<ClientContext> client_;
  OpensslPtr<ssl_st> ssl_;
  CiphertextQueue out_;
  size_t expected_ = 0;  // plain text that write_records() still has: how large a block is worth taking
  event::DeferredCall later_;
  event::Timer ticket_timer_;
  HandshakeObserver* handshake_observer_ = nullptr;
  net::StreamObserver* observer_ = nullptr;
  MonotonicTime last_write_{};
  MonotonicTime control_since_{};
  State state_ = State::kNew;
  net::Interest interest_ = net::Interest::kNone;
  uint8_t control_left_;
  bool blocked_ = false;         // the stream below did not take all of out_
  bool pending_ = false;         // OpenSSL may have something without reading from below
  bool starved_ = false;         // the last read from below gave nothing: OpenSSL wants more
  bool below_eof_ = false;
  bool eof_ = false;
  bool read_broken_ = false;
  bool write_broken_ = false;
  bool close_notify_sent_ = false;
  bool fin_wanted_ = false;      // FIN below as soon as out_ is empty
  bool flush_due_ = false;       // at the end of this turn
  bool flooded_ = false;
  bool below_failed_ = false;
  Error read_error_;             // of the stream below, or ours
  Error write_error_;
  ConnectionFacts facts_;
  TlsFacts tls_facts_;
  std::string session_key_;  // client only
  std::string failure_;
};

}  // namespace headgate::tls
