// probe.h -- one health check of one endpoint: connect, TLS if the Upstream has it, ask, judge the answer.
//
//   kConnecting -> kSecuring (TLS) -> kSending -> kReading -> done (HTTP)
//                                  -> done (TCP)
//                                  -> kDelegated -> done (gRPC and HTTP/2, by ProbeExtensions)
// Any failure, or the check's time-out, ends it from every state.
// Thread: that of the prober's Loop.   Owner: HealthProber; destroying it withdraws everything.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "dataplane/net/connector.h"
#include "dataplane/upstream/probe_response.h"

namespace headgate::upstream {

class ProbeObserver {
 public:
  // Exactly once, never from inside start(). `reason` is a static text, empty when healthy; `status` 0 when there was no
  // HTTP answer. The Probe may be destroyed by Loop::defer_delete only.
  virtual void on_probe_done(bool healthy, const char* reason, uint32_t status) = 0;

 protected:
  ~ProbeObserver() = default;
};

// What the prober cannot do alone: injected by who knows TLS and HTTP/2.
class ProbeExtensions {
 public:
  virtual ~ProbeExtensions() = default;
  // TLS over `plain` as the Upstream's settings say; tells `observer` when the handshake is over, never from inside.
  // What is returned withdraws it when destroyed. Null: not possible.
  virtual std::unique_ptr<event::Disposable> secure(std::unique_ptr<net::ByteStream> plain, const Upstream& upstream,
                                                    const Endpoint& endpoint, net::ConnectObserver& observer) = 0;
  // The check over HTTP/2: a request with Kind::kHttp, grpc.health.v1 with Kind::kGrpc; same rules. Null: not possible.
  virtual std::unique_ptr<event::Disposable> check_http2(std::unique_ptr<net::ByteStream> stream,
                                                         const Upstream& upstream, const Endpoint& endpoint,
                                                         ProbeObserver& observer) = 0;
};

class Probe final : public event::Disposable, private net::ConnectObserver, private net::StreamObserver,
                    private ProbeObserver {
 public:
  // All references must outlive the Probe; `upstream` has a health check.
  Probe(event::Loop& loop, const Upstream& upstream, const Endpoint& endpoint, ProbeExtensions* extensions,
        ProbeObserver& observer);
  ~Probe() override;
  void start();

 private:
  enum class State : uint8_t { kConnecting, kSecuring, kSending, kReading, kDelegated, kDone };

  void on_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_stream_ready(bool readable, bool writable) override;
  void on_probe_done(bool healthy, const char* reason, uint32_t status) override;
  void on_timeout();
  void begin();
  void send();
  void receive();
  void write_request();
  void done(bool healthy, const char* reason);

  event::Loop& loop_;
  const Upstream& upstream_;
  const Endpoint& endpoint_;
  const ActiveHealthCheck& check_;
  ProbeExtensions* extensions_;
  ProbeObserver& observer_;
  State state_ = State::kConnecting;
  event::Timer timeout_;
  net::Connector connector_;
  std::unique_ptr<net::ByteStream> stream_;
  std::unique_ptr<event::Disposable> pending_;  // what an extension has under way
  std::string request_;
  size_t written_ = 0;
  ProbeResponse response_;
  uint32_t delegated_status_ = 0;
};

// What a check sends as Host or :authority: its own `host`, else how the endpoint is named.
std::string check_authority(const Upstream& upstream, const Endpoint& endpoint);
inline constexpr const char* kCheckUserAgent = "headgate-health-check";

}  // namespace headgate::upstream
