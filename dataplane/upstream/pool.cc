#include "dataplane/upstream/pool.h"

#include <algorithm>

#include "dataplane/base/counters.h"
#include "dataplane/net/socket.h"
#include "dataplane/upstream/client_tls.h"
#include "dataplane/upstream/proxy_header.h"

namespace headgate::upstream {
namespace {

bool chose_http2(const net::ByteStream& stream) {
  return stream.facts().tls != nullptr && stream.facts().tls->alpn == "h2";
}

}  // namespace

void PoolWaiter::stop_waiting() {
  if (place.pool != nullptr) place.pool->leave_queue(*this);
}

// One connection being opened: TCP, then TLS when the Upstream asks for it.
class Pool::Connecting final : public event::Disposable,
                               public ListNode<>,
                               private net::ConnectObserver,
                               private TlsConnectObserver {
 public:
  Connecting(Pool& pool, Duration timeout, std::string proxy_header)
      : pool_(pool),
        connector_(pool.worker_.loop, *this),
        began_(pool.worker_.loop.now()),
        timeout_(timeout),
        proxy_header_(std::move(proxy_header)) {}

  void start() { connector_.start(pool_.endpoint_.addresses, timeout_); }
  [[nodiscard]] std::string& proxy_header() { return proxy_header_; }

 private:
  void on_connected(std::unique_ptr<net::ByteStream> stream) override {
    pool_.worker_.counters.add(Counter::kUpstreamConnects);
    pool_.worker_.counters.observe(Histogram::kUpstreamConnectDuration, pool_.worker_.loop.now() - began_);
    if (stream->kernel_fd() >= 0 && pool_.settings_->connection.tcp_keepalive && pool_.endpoint_.address().is_ip()) {
      net::set_keepalive(stream->kernel_fd());
    }
    if (!send_proxy_header(*stream, proxy_header_)) {
      pool_.worker_.loop.defer_delete(std::move(stream));
      pool_.on_connect_failed(*this, {.code = Errc::kReset, .origin = Origin::kUpstream, .detail = "PROXY header"});
      return;
    }
    if (pool_.tls_ == nullptr) {
      pool_.on_connected(*this, std::move(stream));
      return;
    }
    tls_.reset(new TlsConnect(pool_.worker_.loop, *pool_.settings_, *this));
    tls_->start(std::move(stream), pool_.tls_, pool_.endpoint_, timeout_);
  }
  void on_connect_failed(const Error& error) override { pool_.on_connect_failed(*this, error); }
  void on_tls_connected(std::unique_ptr<net::ByteStream> stream) override {
    if (is_http2(pool_.settings_->protocol) && !chose_http2(*stream)) {
      pool_.worker_.loop.defer_delete(std::move(stream));
      pool_.on_connect_failed(*this, {.code = Errc::kTls, .origin = Origin::kUpstream, .detail = "ALPN without h2"});
      return;
    }
    pool_.on_connected(*this, std::move(stream));
  }
  void on_tls_failed(const Error& error) override { pool_.on_connect_failed(*this, error); }

  Pool& pool_;
  net::Connector connector_;
  std::unique_ptr<TlsConnect> tls_;
  MonotonicTime began_;
  Duration timeout_;
  std::string proxy_header_;
};

Pool::Pool(WorkerContext& worker, std::shared_ptr<const UpstreamSettings> settings, const Endpoint& endpoint,
           std::shared_ptr<tls::ClientContext> tls, std::shared_ptr<Circuit> circuit)
    : worker_(worker),
      settings_(std::move(settings)),
      tls_(std::move(tls)),
      circuit_(std::move(circuit)),
      endpoint_(endpoint),
      speaks_(is_http2(settings_->protocol)                                 ? Speaks::kHttp2
              : settings_->protocol == Protocol::kAuto && tls_ != nullptr ? Speaks::kUnknown
                                                                          : Speaks::kHttp1),
      shared_(worker, settings_->connection, limits_, *this) {
  circuit_->join(*this);
  limits_.header_bytes = 64 * 1024;
  limits_.header_fields = 256;
  limits_.allow_underscore_names = true;  // what our own back ends send goes through as it is
}

Pool::~Pool() {
  closing_ = true;
  while (take_waiter() != nullptr) {
  }
  while (Connecting* connecting = connecting_.pop_front()) {
    const std::unique_ptr<Connecting> withdrawn(connecting);  // at once: it must not call us back
    circuit_->give_back(*endpoint_.cell);
  }
  shared_.close_now();
  // close() reports to us and unlinks.
  while (http1::ClientConnection* connection = idle_.front()) connection->close();
  while (http1::ClientConnection* connection = busy_.front()) connection->close();
}

Result<http::ClientStream*> Pool::acquire(PoolWaiter& waiter, Duration connect_timeout) {
  if (shares()) {
    if (http::ClientStream* stream = shared_.open_stream()) return stream;
  }
  if (!names_clients()) {
    if (http1::ClientConnection* connection = take_idle()) return connection;
    return queue(waiter, connect_timeout, {});
  }
  const ConnectionFacts* client = waiter.client();
  std::string header =
      client == nullptr ? own_proxy_header(*settings_) : proxy_header(*settings_, client->remote, client->local);
  if (http1::ClientConnection* connection = take_idle_of(header)) return connection;
  return queue(waiter, connect_timeout, std::move(header));
}

Result<http::ClientStream*> Pool::queue(PoolWaiter& waiter, Duration connect_timeout, std::string header) {
  if (!circuit_->enter_queue()) {
    worker_.counters.add(Counter::kUpstreamRefusedPending);
    return Error{.code = Errc::kOverloaded, .origin = Origin::kUpstream, .detail = "too many wait for a connection"};
  }
  waiting_.push_back(waiter);
  ++waiting_count_;
  waiter.place = {
      .pool = this, .since = worker_.loop.now(), .timeout = connect_timeout, .proxy_header = std::move(header)};
  connect_for_waiters();
  return nullptr;
}

// The most recently used connection that is still open.
http1::ClientConnection* Pool::take_idle() {
  while (http1::ClientConnection* connection = idle_.front()) {
    if (connection->reusable()) return &occupy(*connection);
    connection->close();
  }
  return nullptr;
}

// The same of those that began with this PROXY header.
http1::ClientConnection* Pool::take_idle_of(std::string_view proxy_header) {
  http1::ClientConnection* found = nullptr;
  idle_.for_each([&](http1::ClientConnection& connection) {
    if (found != nullptr || named(connection) != proxy_header) return;
    if (connection.reusable()) {
      found = &connection;
    } else {
      connection.close();
    }
  });
  return found == nullptr ? nullptr : &occupy(*found);
}

http1::ClientConnection& Pool::occupy(http1::ClientConnection& connection) {
  connection.unlink();
  busy_.push_back(connection);
  --idle_count_;
  return connection;
}

std::string_view Pool::named(const http1::ClientConnection& connection) const {
  if (named_.empty()) return {};
  const auto at = named_.find(&connection);
  return at == named_.end() ? std::string_view() : std::string_view(at->second);
}

// -- those who wait -----------------------------------------------------------------------------------------------

void Pool::leave_queue(PoolWaiter& waiter) {
  waiter.unlink();
  waiter.place.pool = nullptr;
  --waiting_count_;
  circuit_->leave_queue();
}

PoolWaiter* Pool::take_waiter() {
  PoolWaiter* waiter = waiting_.front();
  if (waiter != nullptr) leave_queue(*waiter);
  return waiter;
}

// The one that has waited longest, of this client when there are PROXY headers.
PoolWaiter* Pool::find_waiter(std::string_view proxy_header) {
  if (!names_clients()) return waiting_.front();
  PoolWaiter* found = nullptr;
  waiting_.for_each([&](PoolWaiter& waiter) {
    if (found == nullptr && waiter.place.proxy_header == proxy_header) found = &waiter;
  });
  return found;
}

// So many attempts should be under way for those who wait.
size_t Pool::attempts_wanted() {
  switch (speaks_) {
    case Speaks::kHttp1: return waiting_count_;
    case Speaks::kUnknown: return std::min<size_t>(waiting_count_, 1);
    case Speaks::kHttp2: break;
  }
  const size_t wanted = (waiting_count_ + SharedConnections::kStreamsHoped - 1) / SharedConnections::kStreamsHoped;
  return wanted - std::min(wanted, shared_.unsettled());
}

// Each one has a connection on its way, or its share of one, unless the circuit does not allow it now.
void Pool::connect_for_waiters() {
  if (names_clients()) {
    connect_for_each_client();
    return;
  }
  // Nobody else would look after those who wait for streams.
  if (shares() && waiting_count_ > 0) circuit_->starve(*this);
  while (connecting_count_ < attempts_wanted()) {
    const bool enough = shares() && shared_.usable() + connecting_count_ >= SharedConnections::kMost;
    if (enough || !begin_connecting(waiting_.back()->place.timeout, {})) {
      circuit_->starve(*this);
      return;
    }
  }
}

// False: the circuit does not allow it now.
bool Pool::begin_connecting(Duration timeout, std::string proxy_header) {
  if (!circuit_->take(*this, *endpoint_.cell)) return false;
  auto connecting = std::make_unique<Connecting>(*this, timeout, std::move(proxy_header));
  connecting_.push_back(*connecting);
  ++connecting_count_;
  connecting.release()->start();  // owned by the list, through end()
  return true;
}

// Idle connections are of other clients here: they make room.
void Pool::connect_for_each_client() {
  bool starved = false;
  waiting_.for_each([&](PoolWaiter& waiter) {
    if (starved || waiter.place.attempted) return;
    while (!begin_connecting(waiter.place.timeout, waiter.place.proxy_header)) {
      if (!idle_.empty() && close_idle()) continue;
      starved = true;
      return;
    }
    waiter.place.attempted = true;
  });
  if (starved) circuit_->starve(*this);
}

void Pool::on_room() {
  expire_waiters();
  connect_for_waiters();
}

// One whose connection is on its way is left to that: whoever waits at the front gets the first answer.
void Pool::expire_waiters() {
  const MonotonicTime now = worker_.loop.now();
  const size_t covered = connecting_count_ * (shares() ? SharedConnections::kStreamsHoped : 1);
  while (waiting_count_ > covered && now - waiting_.front()->place.since >= waiting_.front()->place.timeout) {
    worker_.counters.add(Counter::kUpstreamRefusedConnections);
    take_waiter()->on_no_connection(
        {.code = Errc::kOverloaded, .origin = Origin::kUpstream, .detail = "no room for another connection"});
  }
}

MonotonicTime Pool::waiting_since() {
  return waiting_.empty() ? MonotonicTime::max() : waiting_.front()->place.since;
}

bool Pool::close_idle() {
  http1::ClientConnection* connection = idle_.back();
  if (connection == nullptr) return shared_.close_idle();
  connection->close();
  return true;
}

// -- connections --------------------------------------------------------------------------------------------------

void Pool::end(Connecting& connecting) {
  connecting.unlink();
  --connecting_count_;
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&connecting));
}

void Pool::on_connected(Connecting& connecting, std::unique_ptr<net::ByteStream> stream) {
  std::string header = std::move(connecting.proxy_header());
  end(connecting);
  if (retired_ && waiting_.empty()) {  // nobody wants it any more
    circuit_->give_back(*endpoint_.cell);
    return;
  }
  worker_.counters.add(Counter::kUpstreamConnectionsActive);
  if (settings_->protocol == Protocol::kAuto && tls_ != nullptr) {
    speaks_ = chose_http2(*stream) ? Speaks::kHttp2 : Speaks::kHttp1;
  }
  if (shares()) {
    shared_.add(std::move(stream));
    serve_waiters();
    if (retired_) shared_.retire();
    connect_for_waiters();
    return;
  }
  auto* connection = new http1::ClientConnection(worker_, std::move(stream), limits_, *this);
  ++open_;
  if (names_clients()) named_.emplace(connection, std::move(header));
  idle_.push_front(*connection);
  ++idle_count_;
  connection->rest(rest_time(*connection));
  serve_waiters();
  if (settings_->protocol == Protocol::kAuto) connect_for_waiters();  // some had hoped to share it
}

void Pool::on_connect_failed(Connecting& connecting, const Error& error) {
  worker_.counters.add(Counter::kUpstreamConnectErrors);
  const std::string header = std::move(connecting.proxy_header());
  end(connecting);
  circuit_->give_back(*endpoint_.cell);
  if (names_clients()) {
    if (PoolWaiter* waiter = find_waiter(header)) {
      leave_queue(*waiter);
      waiter->on_no_connection(error);
    }
    return;
  }
  // One attempt stands for one waiter, or for those who were to share it: the oldest learn of it, the others still have
  // theirs. Whoever joins the queue meanwhile has tried nothing yet.
  size_t told = 1;
  if (speaks_ != Speaks::kHttp1) told = (waiting_count_ + connecting_count_) / (connecting_count_ + 1);
  while (told-- > 0 && !waiting_.empty()) take_waiter()->on_no_connection(error);
}

void Pool::on_shared_room() {
  if (closing_) return;
  serve_waiters();
  connect_for_waiters();
}

void Pool::on_shared_closed() {
  circuit_->give_back(*endpoint_.cell);
  worker_.counters.subtract(Counter::kUpstreamConnectionsActive);
  if (!closing_) connect_for_waiters();
}

void Pool::serve_waiters() {
  if (serving_) return;
  serving_ = true;
  while (shares() && !waiting_.empty()) {
    http::ClientStream* stream = shared_.open_stream();
    if (stream == nullptr) break;
    take_waiter()->on_connection(*stream);
  }
  while (!waiting_.empty() && !idle_.empty()) {
    http1::ClientConnection* connection = idle_.front();
    // One that begins with a client's header was opened for its waiter, and nobody opens another: a dead one fails there.
    if (!connection->reusable() && !names_clients()) {
      connection->close();
      continue;
    }
    PoolWaiter* waiter = find_waiter(named(*connection));
    if (waiter == nullptr) break;  // behind this one rest only those of clients that do not wait
    occupy(*connection);
    leave_queue(*waiter);
    waiter->on_connection(*connection);
  }
  serving_ = false;
}

// As long as an unused connection may be kept; zero: its age is over.
Duration Pool::rest_time(const http1::ClientConnection& connection) const {
  const ConnectionSettings& settings = settings_->connection;
  if (settings.max_age.count() == 0) return settings.idle;
  const Duration left = settings.max_age - (worker_.loop.now() - connection.opened());
  if (left <= Duration(0)) return Duration(0);
  return left < settings.idle ? left : settings.idle;
}

void Pool::on_connection_idle(http1::ClientConnection& connection) {
  connection.unlink();
  const ConnectionSettings& settings = settings_->connection;
  const Duration rest = rest_time(connection);
  const bool starving = names_clients() && waiting_count_ > connecting_count_;  // for connections of their own
  const bool wanted = (!waiting_.empty() && find_waiter(named(connection)) != nullptr) ||
                      (!starving && idle_count_ < settings.idle_per_endpoint && circuit_->may_rest(open_));
  const bool keep = !retired_ && wanted && rest.count() > 0 && !circuit_->others_first(*this) &&
                    (settings.requests_per_connection == 0 || connection.requests() < settings.requests_per_connection);
  if (!keep) {
    busy_.push_back(connection);
    connection.close();
    return;
  }
  idle_.push_front(connection);
  ++idle_count_;
  connection.rest(rest);
  if (!waiting_.empty()) serve_waiters();
}

void Pool::on_connection_closed(http1::ClientConnection& connection) {
  // Idle connections are in no request: the count follows the list it leaves.
  if (connection.resting()) --idle_count_;
  connection.unlink();
  if (!named_.empty()) named_.erase(&connection);
  --open_;
  circuit_->give_back(*endpoint_.cell);
  worker_.counters.subtract(Counter::kUpstreamConnectionsActive);
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&connection));
}

void Pool::retire() {
  retired_ = true;
  shared_.retire();
  while (http1::ClientConnection* connection = idle_.front()) connection->close();
}

}  // namespace headgate::upstream
