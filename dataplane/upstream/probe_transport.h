// probe_transport.h -- TLS and HTTP/2 for health checks.
//
// TLS is that of the Upstream's settings, so a check verifies what a request would verify; only the protocol offered by
// ALPN follows the kind of the check and the protocol of the Upstream.
// Spec: RFC 9113; grpc.health.v1 (gRPC Health Checking Protocol): Check is one unary call.
// Thread: that of the prober's Loop.   Owner: who owns the HealthProber; outlives it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dataplane/tls/context.h"
#include "dataplane/upstream/probe.h"

namespace headgate::upstream {

class ProbeTransport final : public ProbeExtensions {
 public:
  explicit ProbeTransport(event::Loop& loop) : loop_(loop) {}

  std::unique_ptr<event::Disposable> secure(std::unique_ptr<net::ByteStream> plain, const Upstream& upstream,
                                            const Endpoint& endpoint, net::ConnectObserver& observer) override;
  std::unique_ptr<event::Disposable> check_http2(std::unique_ptr<net::ByteStream> stream, const Upstream& upstream,
                                                 const Endpoint& endpoint, ProbeObserver& observer) override;

 private:
  struct MadeTls {
    std::weak_ptr<const UpstreamSettings> settings;
    std::shared_ptr<tls::ClientContext> tls;
  };
  std::shared_ptr<tls::ClientContext> context_of(const Upstream& upstream);

  event::Loop& loop_;
  std::unordered_map<const UpstreamSettings*, MadeTls> made_;
};

// grpc.health.v1.HealthCheckRequest.
std::string write_health_request(std::string_view service);
// Does this grpc.health.v1.HealthCheckResponse say SERVING?
bool says_serving(std::string_view response);

}  // namespace headgate::upstream
