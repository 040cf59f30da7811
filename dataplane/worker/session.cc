#include "dataplane/worker/session.h"

#include <array>

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/net/proxy_protocol.h"
#include "dataplane/worker/open_listener.h"

namespace headgate::worker {

Session::Session(OpenListener& listener, std::shared_ptr<const snapshot::Listener> settings, ConnectionPermit permit)
    : listener_(listener),
      settings_(std::move(settings)),
      permit_(std::move(permit)),
      deadline_(listener.worker().loop.timers(), event::Timer::call<&Session::on_deadline>, this) {
  listener.worker().counters.add(Counter::kConnectionsActive);
}

Session::~Session() { listener_.worker().counters.subtract(Counter::kConnectionsActive); }

void Session::start(std::unique_ptr<net::ByteStream> stream) {
  stream_ = std::move(stream);
  const bool trusted = settings_->proxy_protocol && stream_->facts().peer.is_ip() &&
                       settings_->proxy_protocol_trusted.contains(stream_->facts().peer.address());
  if (trusted) {
    state_ = State::kProxyHeader;
    deadline_.arm(settings_->proxy_header_timeout);
    stream_->watch(net::Interest::kRead, *this);
  } else {
    start_tls();
  }
}

void Session::on_stream_ready(bool, bool) {
  if (state_ == State::kProxyHeader) read_proxy_header();
}

// The header is looked at before it is taken: what follows it belongs to TLS or HTTP.
void Session::read_proxy_header() {
  std::array<char, net::kMaxProxyHeader> bytes;
  const auto seen = stream_->peek(bytes);
  if (!seen || seen->state == net::IoState::kEof) {
    close();
    return;
  }
  net::ProxyHeader header;
  switch (net::parse_proxy_header({bytes.data(), seen->bytes}, header)) {
    case net::ProxyOutcome::kNeedMore: return;
    case net::ProxyOutcome::kDone: break;
    case net::ProxyOutcome::kAbsent:
      if (settings_->proxy_protocol_optional) {
        start_tls();
        return;
      }
      [[fallthrough]];
    case net::ProxyOutcome::kBad:
      HG_LOG(kWarn, kNet, "no valid PROXY header", {"listener", settings_->name},
             {"client", stream_->facts().peer.to_string()});
      close();
      return;
  }
  const auto taken = stream_->read({bytes.data(), header.size});
  if (!taken || taken->bytes != header.size) {
    close();
    return;
  }
  if (!header.local) {
    stream_->set_ends(header.source, header.destination);
    // Now the client is known: its own limit counts. The permit of the connection is given back for the new one.
    if (settings_->connections.per_address > 0) {
      permit_.release();
      if (settings_->connection_counts->acquire(header.source.address(), settings_->connections, permit_) !=
          Admission::kAdmitted) {
        listener_.worker().counters.add(Counter::kConnectionsRefusedPerIp);
        close();
        return;
      }
    }
  }
  start_tls();
}

void Session::start_tls() {
  deadline_.cancel();
  stream_->unwatch();
  if (settings_->tls == nullptr) {
    serve();
    return;
  }
  state_ = State::kTls;
  // The listener's context of now, not of when the connection was accepted: a reload may have replaced it.
  if (listener_.tls() == nullptr) {
    close();
    return;
  }
  auto tls = tls::TlsStream::server(listener_.worker().loop, std::move(stream_), listener_.shared_tls());
  if (tls == nullptr) {
    close();
    return;
  }
  tls_ = tls.get();
  stream_ = std::move(tls);
  deadline_.arm(settings_->tls_handshake_timeout);
  tls_->start(*this);
}

void Session::on_handshake_done() {
  deadline_.cancel();
  const TlsFacts* facts = tls_->facts().tls;
  listener_.worker().counters.add(facts != nullptr && facts->resumed ? Counter::kTlsHandshakesResumed
                                                                     : Counter::kTlsHandshakes);
  tls_ = nullptr;
  serve();
}

void Session::on_handshake_failed(const Error& error) {
  listener_.worker().counters.add(Counter::kTlsHandshakesFailed);
  HG_LOG(kInfo, kTls, "handshake failed", {"listener", settings_->name}, {"client", stream_->facts().remote.to_string()},
         {"error", tls_->failure().empty() ? to_string(error) : tls_->failure()});
  close();
}

void Session::serve() {
  state_ = State::kServing;
  WorkerContext& worker = listener_.worker();
  if (settings_->kind == snapshot::Listener::Kind::kStream) {
    run_ = settings_->stream_handler->start(std::move(stream_), *this, worker);
    return;
  }
  if (settings_->max_connection_age > Duration(0)) deadline_.arm(settings_->max_connection_age);
  const TlsFacts* const tls = stream_->facts().tls;
  if (tls != nullptr && tls->alpn == "h2") {
    serve_http2({});
    return;
  }
  http1_.reset(new http1::ServerConnection(worker, std::move(stream_), settings_->http, listener_.dispatch(), *this,
                                           scheme()));
  http1_->start();
}

http::Scheme Session::scheme() const {
  return settings_->tls != nullptr ? http::Scheme::kHttps : http::Scheme::kHttp;
}

void Session::serve_http2(Buffer initial) {
  http2_.reset(new http2::ServerConnection(listener_.worker(), std::move(stream_), settings_->http,
                                           listener_.dispatch(), *this, scheme()));
  http2_->start(std::move(initial));
}

// Prior knowledge (RFC 9113 3.3) on plain listeners. With TLS only ALPN chooses HTTP/2.
bool Session::take_http2(std::unique_ptr<net::ByteStream>& stream, const Buffer& bytes) {
  if (!settings_->h2c || settings_->tls != nullptr) return false;
  stream_ = std::move(stream);
  listener_.worker().loop.defer_delete(std::move(http1_));
  serve_http2(bytes);
  return true;
}

void Session::on_deadline() {
  // While serving this is max_connection_age: the next answer says Connection: close, or GOAWAY.
  if (state_ == State::kServing) {
    if (http1_ != nullptr) http1_->drain();
    if (http2_ != nullptr) http2_->drain();
    return;
  }
  if (state_ == State::kTls) listener_.worker().counters.add(Counter::kTlsHandshakesFailed);
  close();
}

void Session::drain(MonotonicTime deadline) {
  if (http1_ != nullptr) http1_->drain();
  if (http2_ != nullptr) http2_->drain();
  if (run_ != nullptr) run_->drain(deadline);
}

void Session::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  deadline_.cancel();
  event::Loop& loop = listener_.worker().loop;
  if (http1_ != nullptr) {
    std::unique_ptr<http1::ServerConnection> connection = std::move(http1_);
    connection->close_now();
    loop.defer_delete(std::move(connection));
  }
  if (http2_ != nullptr) {
    std::unique_ptr<http2::ServerConnection> connection = std::move(http2_);
    connection->close_now();
    loop.defer_delete(std::move(connection));
  }
  if (stream_ != nullptr) {
    stream_->unwatch();
    loop.defer_delete(std::move(stream_));
  }
  // The run is on the stack when it reports its end: it goes with us, at the end of the turn.
  permit_.release();
  listener_.on_session_closed(*this);
}

}  // namespace headgate::worker
