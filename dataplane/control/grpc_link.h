// grpc_link.h -- MessageLink over our own HTTP/2 and TLS: name, connection, handshake, then one gRPC call.
//
//   kResolving -> kConnecting -> kHandshake (TLS) -> kOpen -> kClosed
//
// Everything runs on the loop of control: no thread, no library of gRPC, nothing that a process without a controller
// would pay for.
// Thread: control.   Owner: as MessageLink.
#pragma once

#include <memory>
#include <string>

#include "dataplane/control/message_link.h"
#include "dataplane/http2/call.h"
#include "dataplane/net/connector.h"
#include "dataplane/tls/tls_stream.h"
#include "dataplane/upstream/resolver.h"

namespace headgate::control {

struct GrpcTarget {
  std::string host;  // name or address
  uint16_t port = 0;
};
// "controller.example.test:8443", "127.0.0.1:8443", "[::1]:8443". kInvalid without a port.
Result<GrpcTarget> parse_grpc_target(std::string_view text);

class GrpcLink final : public MessageLink,
                       private upstream::ResolveWaiter,
                       private net::ConnectObserver,
                       private tls::HandshakeObserver,
                       private http2::CallObserver {
 public:
  // `context` null: plaintext. All references outlive the link.
  GrpcLink(event::Loop& loop, upstream::Resolver& resolver, GrpcTarget target, std::shared_ptr<tls::ClientContext> context,
           const LinkRequest& request, LinkObserver& observer);

  void start();
  void send(std::string_view message) override;
  void finish_sending() override;

 private:
  static constexpr Duration kConnectTimeout = std::chrono::seconds(5);
  static constexpr Duration kHandshakeTimeout = std::chrono::seconds(10);

  void on_resolved(const upstream::Resolved& resolved) override;
  void on_resolve_failed(const Error& error) override;
  void on_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_handshake_done() override;
  void on_handshake_failed(const Error& error) override;
  void on_handshake_late();
  void on_message(std::string_view message) override;
  void on_ended(const http2::CallStatus& status) override;
  void connect(std::span<const SocketAddress> addresses);
  void start_call(std::unique_ptr<net::ByteStream> stream);
  void fail_later(std::string reason);
  void report_failure();

  event::Loop& loop_;
  upstream::Resolver& resolver_;
  const GrpcTarget target_;
  const std::shared_ptr<tls::ClientContext> context_;
  const LinkRequest request_;
  LinkObserver& observer_;
  net::Connector connector_;
  event::Timer handshake_timer_;
  event::DeferredCall fail_later_;
  std::unique_ptr<tls::TlsStream> handshake_;
  std::unique_ptr<http2::Call> call_;
  std::string failure_;
  bool closed_ = false;
};

}  // namespace headgate::control
