// session.h -- one accepted downstream connection: PROXY header -> TLS -> protocol choice -> connection object.
//
//   kProxyHeader  reading the PROXY header                  -> kTls | kServing | closed (bad header, too slow)
//   kTls          handshake                                 -> kServing | closed
//   kServing      an HTTP connection or a stream handler has the stream -> closed
//
// Thread: worker.   Owner: OpenListener (a list of its Sessions).
#pragma once

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/pooled.h"
#include "dataplane/base/process_cell.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http1/server_connection.h"
#include "dataplane/http2/server_connection.h"
#include "dataplane/net/stream_handler.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tls/tls_stream.h"

namespace headgate::worker {

class OpenListener;

class Session final : public event::Disposable,
                      public Pooled<Session>,
                      public ListNode<>,
                      private net::StreamObserver,
                      private tls::HandshakeObserver,
                      private http1::ServerConnectionOwner,
                      private http2::ServerConnectionOwner,
                      private net::StreamRunOwner {
 public:
  Session(OpenListener& listener, std::shared_ptr<const snapshot::Listener> settings, ConnectionPermit permit);
  ~Session() override;

  void start(std::unique_ptr<net::ByteStream> stream);
  void drain(MonotonicTime deadline);
  void close();

 private:
  enum class State : uint8_t { kProxyHeader, kTls, kServing, kClosed };

  void on_stream_ready(bool readable, bool writable) override;
  void on_connection_closed() override { close(); }
  bool take_http2(std::unique_ptr<net::ByteStream>& stream, const Buffer& bytes) override;
  void on_http2_closed() override { close(); }
  void on_run_ended() override { close(); }
  void on_handshake_done() override;
  void on_handshake_failed(const Error& error) override;

  void read_proxy_header();
  void start_tls();
  void serve();
  void serve_http2(Buffer initial);
  [[nodiscard]] http::Scheme scheme() const;
  void on_deadline();

  OpenListener& listener_;
  std::shared_ptr<const snapshot::Listener> settings_;
  ConnectionPermit permit_;
  std::unique_ptr<net::ByteStream> stream_;        // until the protocol takes it
  tls::TlsStream* tls_ = nullptr;                  // stream_ while the handshake lasts
  std::unique_ptr<http1::ServerConnection> http1_;  // one of the three serves
  std::unique_ptr<http2::ServerConnection> http2_;
  std::unique_ptr<net::StreamRun> run_;
  event::Timer deadline_;
  State state_ = State::kServing;
};

}  // namespace headgate::worker
