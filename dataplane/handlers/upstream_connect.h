// upstream_connect.h -- a connection of its own to an endpoint of an Upstream: pick, connect, PROXY header, TLS, and
// another endpoint when that failed. For what is not HTTP: tunnels, relays, flows.
//
//   kIdle -> kConnecting -> kTls -> kDone            (on_upstream_connected)
//                 \           \--> kWaiting (back-off) -> kConnecting
//                  \-------------> kDone             (on_upstream_failed)
//
// Thread: worker.   Owner: the run or flow that wants it; destroying it withdraws everything. Destroy from its own
// callbacks only by Loop::defer_delete.
#pragma once

#include <memory>
#include <optional>

#include "dataplane/base/address.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/net/connector.h"
#include "dataplane/upstream/balancer.h"
#include "dataplane/upstream/client_tls.h"

namespace headgate::handlers {

// One connection or flow to an endpoint, counted as load and against the circuit's limits while it exists.
class EndpointUse {
 public:
  EndpointUse() = default;
  EndpointUse(EndpointUse&& other) noexcept { *this = std::move(other); }
  EndpointUse& operator=(EndpointUse&& other) noexcept;
  EndpointUse(const EndpointUse&) = delete;
  EndpointUse& operator=(const EndpointUse&) = delete;
  ~EndpointUse() { release(); }

  // False when a limit of the circuit is reached; nothing is counted then.
  bool take(WorkerContext& worker, std::shared_ptr<const upstream::Upstream> upstream, uint32_t endpoint);
  void release();
  [[nodiscard]] bool held() const { return load_ != nullptr; }
  [[nodiscard]] const upstream::Upstream& upstream() const { return *upstream_; }
  [[nodiscard]] uint32_t index() const { return index_; }
  [[nodiscard]] const upstream::Endpoint& endpoint() const { return upstream_->endpoint(index_); }

 private:
  WorkerContext* worker_ = nullptr;
  std::shared_ptr<const upstream::Upstream> upstream_;
  upstream::WorkerLoad* worker_load_ = nullptr;
  upstream::EndpointLoad* load_ = nullptr;
  uint32_t index_ = 0;
};

// What the balancing policy hashes of a client.
uint64_t client_hash_key(const upstream::Upstream& upstream, const SocketAddress& client);

class UpstreamConnectObserver {
 public:
  // Exactly one of the two, never from inside start().
  virtual void on_upstream_connected(std::unique_ptr<net::ByteStream> stream) = 0;
  virtual void on_upstream_failed(const Error& error) = 0;

 protected:
  ~UpstreamConnectObserver() = default;
};

class UpstreamConnect final : private net::ConnectObserver, private upstream::TlsConnectObserver {
 public:
  struct Client {
    SocketAddress remote;  // for hashing and for the PROXY header
    SocketAddress local;   // the address it asked
  };

  UpstreamConnect(WorkerContext& worker, std::shared_ptr<const upstream::Upstream> upstream, Client client,
                  Duration connect_timeout, UpstreamConnectObserver& observer);
  ~UpstreamConnect();
  UpstreamConnect(const UpstreamConnect&) = delete;
  UpstreamConnect& operator=(const UpstreamConnect&) = delete;

  void start();
  // After on_upstream_connected: the use of the endpoint, to be kept as long as the stream.
  [[nodiscard]] EndpointUse take_use() { return std::move(use_); }
  // "10.0.0.1:3306", of the latest attempt; empty before the first.
  [[nodiscard]] std::string_view endpoint_text() const;

 private:
  void on_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_tls_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_tls_failed(const Error& error) override;

  void attempt();
  void on_again() { attempt(); }
  void attempt_failed(const Error& error);
  void report_failure(const Error& error);
  void on_report();
  void succeed(std::unique_ptr<net::ByteStream> stream);

  WorkerContext& worker_;
  std::shared_ptr<const upstream::Upstream> upstream_;
  Client client_;
  Duration connect_timeout_;
  UpstreamConnectObserver& observer_;
  EndpointUse use_;
  upstream::TriedSet tried_;
  std::optional<net::Connector> connector_;
  std::unique_ptr<upstream::TlsConnect> tls_;
  event::Timer again_;
  event::DeferredCall report_;
  MonotonicTime began_{};
  MonotonicTime attempt_began_{};
  Error error_;
  uint32_t attempts_ = 0;
};

}  // namespace headgate::handlers
