// client_tls.h -- the TLS part of opening a connection to an endpoint.
// Thread: that of the Loop.   Owner: who opens the connection (Pool::Connecting, a Probe); destroying it withdraws the handshake.
#pragma once

#include <memory>

#include "dataplane/event/loop.h"
#include "dataplane/tls/tls_stream.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class TlsConnectObserver {
 public:
  // Exactly one of the two, never from inside start(). May destroy the TlsConnect.
  virtual void on_tls_connected(std::unique_ptr<net::ByteStream> stream) = 0;
  virtual void on_tls_failed(const Error& error) = 0;

 protected:
  ~TlsConnectObserver() = default;
};

class TlsConnect final : public event::Disposable, private tls::HandshakeObserver {
 public:
  TlsConnect(event::Loop& loop, const UpstreamSettings& settings, TlsConnectObserver& observer);
  void start(std::unique_ptr<net::ByteStream> below, std::shared_ptr<tls::ClientContext> context,
             const Endpoint& endpoint, Duration timeout);

 private:
  void on_handshake_done() override;
  void on_handshake_failed(const Error& error) override;
  void on_deadline();

  event::Loop& loop_;
  const UpstreamSettings& settings_;
  TlsConnectObserver& observer_;
  std::unique_ptr<tls::TlsStream> stream_;
  event::Timer deadline_;
  std::string endpoint_;
};

}  // namespace headgate::upstream
