#include "dataplane/upstream/pool.h"

#include "dataplane/base/counters.h"
#include "dataplane/net/socket.h"
#include "dataplane/upstream/client_tls.h"

namespace headgate::upstream {

// One connection being opened: TCP, then TLS when the Upstream asks for it.
class Pool::Connecting final : public event::Disposable,
                               public ListNode<>,
                               private net::ConnectObserver,
                               private TlsConnectObserver {
 public:
  Connecting(Pool& pool, Duration timeout)
      : pool_(pool), connector_(pool.worker_.loop, *this), began_(pool.worker_.loop.now()), timeout_(timeout) {}

  void start() { connector_.start(pool_.endpoint_.addresses, timeout_); }

 private:
  void on_connected(std::unique_ptr<net::ByteStream> stream) override {
    pool_.worker_.counters.add(Counter::kUpstreamConnects);
    pool_.worker_.counters.observe(Histogram::kUpstreamConnectDuration, pool_.worker_.loop.now() - began_);
    if (stream->kernel_fd() >= 0 && pool_.settings_->connection.tcp_keepalive && pool_.endpoint_.address().is_ip()) {
      net::set_keepalive(stream->kernel_fd());
    }
    if (pool_.tls_ == nullptr) {
      pool_.on_connected(*this, std::move(stream));
      return;
    }
    tls_.reset(new TlsConnect(pool_.worker_, *pool_.settings_, *this));
    tls_->start(std::move(stream), pool_.tls_, pool_.endpoint_, timeout_);
  }
  void on_connect_failed(const Error& error) override { pool_.on_connect_failed(*this, error); }
  void on_tls_connected(std::unique_ptr<net::ByteStream> stream) override {
    pool_.on_connected(*this, std::move(stream));
  }
  void on_tls_failed(const Error& error) override { pool_.on_connect_failed(*this, error); }

  Pool& pool_;
  net::Connector connector_;
  std::unique_ptr<TlsConnect> tls_;
  MonotonicTime began_;
  Duration timeout_;
};

Pool::Pool(WorkerContext& worker, std::shared_ptr<const UpstreamSettings> settings, const Endpoint& endpoint,
           std::shared_ptr<tls::ClientContext> tls)
    : worker_(worker), settings_(std::move(settings)), tls_(std::move(tls)), endpoint_(endpoint) {
  limits_.header_bytes = 64 * 1024;
  limits_.header_fields = 256;
  limits_.allow_underscore_names = true;  // what our own back ends send goes through as it is
}

Pool::~Pool() {
  closing_ = true;
  while (Connecting* connecting = connecting_.front()) end(*connecting);
  // close() reports to us and unlinks.
  while (http1::ClientConnection* connection = idle_.front()) connection->close();
  while (http1::ClientConnection* connection = busy_.front()) connection->close();
}

http::ClientStream* Pool::acquire(PoolWaiter& waiter, Duration connect_timeout) {
  while (http1::ClientConnection* connection = idle_.front()) {
    if (!connection->reusable()) {
      connection->close();
      continue;
    }
    connection->unlink();
    busy_.push_back(*connection);
    --idle_count_;
    return connection;
  }
  waiting_.push_back(waiter);
  connect(connect_timeout);
  return nullptr;
}

void Pool::connect(Duration timeout) {
  auto connecting = std::make_unique<Connecting>(*this, timeout);
  connecting_.push_back(*connecting);
  connecting.release()->start();  // owned by the list, through end()
}

void Pool::end(Connecting& connecting) {
  connecting.unlink();
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&connecting));
}

void Pool::on_connected(Connecting& connecting, std::unique_ptr<net::ByteStream> stream) {
  end(connecting);
  if (retired_ && waiting_.empty()) return;  // nobody wants it any more
  worker_.counters.add(Counter::kUpstreamConnectionsActive);
  auto* connection = new http1::ClientConnection(worker_, std::move(stream), limits_, *this);
  ++open_;
  idle_.push_front(*connection);
  ++idle_count_;
  connection->rest(settings_->connection.idle);
  serve_waiters();
}

void Pool::on_connect_failed(Connecting& connecting, const Error& error) {
  worker_.counters.add(Counter::kUpstreamConnectErrors);
  end(connecting);
  // One attempt stands for one waiter: the oldest learns of it, the others still have theirs.
  if (PoolWaiter* waiter = waiting_.pop_front()) waiter->on_no_connection(error);
}

void Pool::serve_waiters() {
  if (serving_) return;
  serving_ = true;
  while (!waiting_.empty() && !idle_.empty()) {
    http1::ClientConnection* connection = idle_.front();
    if (!connection->reusable()) {
      connection->close();
      continue;
    }
    connection->unlink();
    busy_.push_back(*connection);
    --idle_count_;
    waiting_.pop_front()->on_connection(*connection);
  }
  serving_ = false;
}

void Pool::on_connection_idle(http1::ClientConnection& connection) {
  connection.unlink();
  const ConnectionSettings& settings = settings_->connection;
  const bool keep = !retired_ && (!waiting_.empty() || idle_count_ < settings.idle_per_endpoint) &&
                    (settings.requests_per_connection == 0 || connection.requests() < settings.requests_per_connection);
  if (!keep) {
    busy_.push_back(connection);
    connection.close();
    return;
  }
  idle_.push_front(connection);
  ++idle_count_;
  connection.rest(settings.idle);
  if (!waiting_.empty()) serve_waiters();
}

void Pool::on_connection_closed(http1::ClientConnection& connection) {
  // Idle connections are in no request: the count follows the list it leaves.
  if (connection.resting()) --idle_count_;
  connection.unlink();
  --open_;
  worker_.counters.subtract(Counter::kUpstreamConnectionsActive);
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&connection));
}

void Pool::retire() {
  retired_ = true;
  while (http1::ClientConnection* connection = idle_.front()) connection->close();
}

}  // namespace headgate::upstream
