// pool.h -- this worker's connections to one Endpoint: idle ones, busy ones, and requests that wait for one.
//
// acquire() takes the most recently used idle connection (it is the least likely to have died, and its memory is warm).
// When there is none a new connection is opened and the request waits; whichever comes first, a connection that became
// idle or the new one, serves the first waiter. Where the circuit allows no new connection (circuit.h), waiters stay
// until there is one for them, at most as long as connecting may take. Over HTTP/2 requests share connections
// (shared_connections.h), and a new one is opened when those there are, or are on their way, have no room for all who
// wait.
// An Upstream with PROXY headers has connections that stand for one client each: they serve requests of that client only.
// Thread: worker.   Owner: PoolSet. Lives until its last connection is gone, also after its Endpoint left (retire()).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http1/client_connection.h"
#include "dataplane/net/connector.h"
#include "dataplane/tls/context.h"
#include "dataplane/upstream/circuit.h"
#include "dataplane/upstream/shared_connections.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class Pool;

// A request that waits for a connection. Leaves the queue when destroyed.
class PoolWaiter : public ListNode<> {
 public:
  // The pool's own.
  struct Place {
    Pool* pool = nullptr;  // in whose queue it is
    MonotonicTime since{};
    Duration timeout{};
    std::string proxy_header;  // its connection must have begun with this; empty: nothing is asked of it
    bool attempted = false;    // a connection was begun for this header
  };

  // Exactly one of the two, never from inside acquire(). Send on `stream` before returning.
  virtual void on_connection(http::ClientStream& stream) = 0;
  virtual void on_no_connection(const Error& error) = 0;
  // Whose request it is, for a PROXY header; null: our own.
  [[nodiscard]] virtual const ConnectionFacts* client() const { return nullptr; }
  void stop_waiting();

  Place place;

 protected:
  ~PoolWaiter() { stop_waiting(); }
};

class Pool final : private http1::ClientConnectionOwner, private SharedConnectionsOwner, private CircuitMember {
 public:
  // `tls`: of the Upstream on this worker; null when it is plain.
  Pool(WorkerContext& worker, std::shared_ptr<const UpstreamSettings> settings, const Endpoint& endpoint,
       std::shared_ptr<tls::ClientContext> tls, std::shared_ptr<Circuit> circuit);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Where to send a request, at once; or null: then the waiter is queued and told later. kOverloaded: too many wait.
  Result<http::ClientStream*> acquire(PoolWaiter& waiter, Duration connect_timeout);
  void leave_queue(PoolWaiter& waiter);
  [[nodiscard]] const std::string& text() const { return endpoint_.text; }
  [[nodiscard]] EndpointCell& cell() const { return *endpoint_.cell; }

  // The Endpoint left the Upstream or its settings changed: idle connections close, busy ones close when done.
  void retire();
  [[nodiscard]] bool retired() const { return retired_; }
  [[nodiscard]] bool empty() const { return open_ == 0 && shared_.open() == 0 && connecting_.empty() && waiting_.empty(); }
  [[nodiscard]] size_t idle() const { return idle_count_; }
  // Could acquire() serve a request without waiting for another one to end? As far as the endpoint's own limit goes.
  [[nodiscard]] bool has_room() {
    const uint32_t limit = settings_->circuit.connections_per_endpoint;
    return idle_count_ > 0 || limit == 0 || (shares() && shared_.has_room()) || cell().connections.value() < limit;
  }

 private:
  class Connecting;
  // What the endpoint is spoken to; kUnknown: the first TLS handshake will tell (Protocol::kAuto).
  enum class Speaks : uint8_t { kUnknown, kHttp1, kHttp2 };

  // CircuitMember
  bool close_idle() override;
  void on_room() override;
  [[nodiscard]] MonotonicTime waiting_since() override;

  // SharedConnectionsOwner
  void on_shared_room() override;
  void on_shared_closed() override;

  // http1::ClientConnectionOwner
  void on_connection_idle(http1::ClientConnection& connection) override;
  void on_connection_closed(http1::ClientConnection& connection) override;

  [[nodiscard]] bool shares() const { return speaks_ == Speaks::kHttp2; }
  [[nodiscard]] bool names_clients() const { return settings_->proxy_protocol != ProxyProtocol::kNone; }
  // What the connection began with; empty without PROXY headers.
  [[nodiscard]] std::string_view named(const http1::ClientConnection& connection) const;
  Result<http::ClientStream*> queue(PoolWaiter& waiter, Duration connect_timeout, std::string header);
  http1::ClientConnection* take_idle();
  http1::ClientConnection* take_idle_of(std::string_view proxy_header);
  http1::ClientConnection& occupy(http1::ClientConnection& connection);
  PoolWaiter* find_waiter(std::string_view proxy_header);
  void connect_for_each_client();
  bool begin_connecting(Duration timeout, std::string proxy_header);
  [[nodiscard]] size_t attempts_wanted();
  void connect_for_waiters();
  void expire_waiters();
  PoolWaiter* take_waiter();
  [[nodiscard]] Duration rest_time(const http1::ClientConnection& connection) const;
  void on_connected(Connecting& connecting, std::unique_ptr<net::ByteStream> stream);
  void on_connect_failed(Connecting& connecting, const Error& error);
  void end(Connecting& connecting);
  void serve_waiters();

  WorkerContext& worker_;
  std::shared_ptr<const UpstreamSettings> settings_;
  std::shared_ptr<tls::ClientContext> tls_;
  std::shared_ptr<Circuit> circuit_;
  Endpoint endpoint_;
  http::HttpLimits limits_;  // of responses
  Speaks speaks_;
  SharedConnections shared_;
  IntrusiveList<http1::ClientConnection> idle_;  // most recently used first
  IntrusiveList<http1::ClientConnection> busy_;
  IntrusiveList<Connecting> connecting_;
  IntrusiveList<PoolWaiter> waiting_;
  size_t idle_count_ = 0;
  size_t waiting_count_ = 0;
  size_t connecting_count_ = 0;
  size_t open_ = 0;
  bool retired_ = false;
  bool serving_ = false;
  bool closing_ = false;  // ~Pool
  // PROXY headers of open connections; nothing is in it where they are not used.
  std::unordered_map<const http1::ClientConnection*, std::string> named_;
};

}  // namespace headgate::upstream
