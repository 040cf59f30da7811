#include "dataplane/upstream/probe.h"

#include <array>
#include <utility>
#include <vector>

#include "dataplane/upstream/proxy_header.h"

namespace headgate::upstream {

std::string check_authority(const Upstream& upstream, const Endpoint& endpoint) {
  const UpstreamSettings& settings = upstream.settings();
  if (!settings.health_check->host.empty()) return settings.health_check->host;
  if (endpoint.address().is_unix()) return "localhost";
  if (endpoint.host.empty()) return endpoint.text;
  const bool bare_v6 = endpoint.host.find(':') != std::string::npos && endpoint.host.front() != '[';
  std::string authority = bare_v6 ? "[" + endpoint.host + "]" : endpoint.host;
  const uint16_t usual = settings.tls != nullptr ? 443 : 80;
  if (endpoint.port != 0 && endpoint.port != usual) authority += ":" + std::to_string(endpoint.port);
  return authority;
}

Probe::Probe(event::Loop& loop, const Upstream& upstream, const Endpoint& endpoint, ProbeExtensions* extensions,
             ProbeObserver& observer)
    : loop_(loop),
      upstream_(upstream),
      endpoint_(endpoint),
      check_(*upstream.settings().health_check),
      extensions_(extensions),
      observer_(observer),
      timeout_(loop.timers(), event::Timer::call<&Probe::on_timeout>, this),
      connector_(loop, *this),
      response_(check_) {}

Probe::~Probe() {
  if (stream_ != nullptr) stream_->unwatch();
}

void Probe::start() {
  timeout_.arm(check_.timeout);
  std::vector<SocketAddress> addresses = endpoint_.addresses;
  if (check_.port != 0) {
    for (SocketAddress& address : addresses) {
      if (address.is_ip()) address.set_port(check_.port);
    }
  }
  connector_.start(addresses, check_.timeout);
}

void Probe::on_connected(std::unique_ptr<net::ByteStream> stream) {
  if (state_ == State::kDone) return;
  if (state_ == State::kConnecting && !send_proxy_header(*stream, own_proxy_header(upstream_.settings()))) {
    done(false, "connection lost while asking");
    return;
  }
  if (state_ == State::kConnecting && upstream_.settings().tls != nullptr) {
    state_ = State::kSecuring;
    if (extensions_ != nullptr) pending_ = extensions_->secure(std::move(stream), upstream_, endpoint_, *this);
    if (pending_ == nullptr) done(false, "TLS is not available to health checks");
    return;
  }
  stream_ = std::move(stream);
  begin();
}

void Probe::on_connect_failed(const Error& error) {
  if (state_ == State::kDone) return;
  if (state_ == State::kSecuring) {
    done(false, error.code == Errc::kTimeout ? "TLS handshake timed out" : "TLS handshake failed");
    return;
  }
  switch (error.code) {
    case Errc::kRefused: done(false, "connection refused"); break;
    case Errc::kTimeout: done(false, "connect timed out"); break;
    default: done(false, "cannot connect"); break;
  }
}

void Probe::begin() {
  const Protocol protocol = upstream_.settings().protocol;
  if (check_.kind == ActiveHealthCheck::Kind::kTcp) {
    done(true, "");
    return;
  }
  if (check_.kind == ActiveHealthCheck::Kind::kGrpc || protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc) {
    state_ = State::kDelegated;
    if (extensions_ != nullptr) pending_ = extensions_->check_http2(std::move(stream_), upstream_, endpoint_, *this);
    if (pending_ == nullptr) done(false, "HTTP/2 is not available to health checks");
    return;
  }
  write_request();
  state_ = State::kSending;
  send();
}

void Probe::on_probe_done(bool healthy, const char* reason, uint32_t status) {
  delegated_status_ = status;
  if (state_ == State::kDelegated) done(healthy, reason);
}

void Probe::write_request() {
  // HTTP/1.1 and not 1.0: some servers refuse 1.0 altogether (426).
  request_ = check_.method + " " + (check_.path.empty() ? "/" : check_.path) + " HTTP/1.1\r\nHost: " +
             check_authority(upstream_, endpoint_) + "\r\nUser-Agent: " + kCheckUserAgent +
             "\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

void Probe::on_stream_ready(bool, bool) {
  if (state_ == State::kSending) {
    send();
  } else if (state_ == State::kReading) {
    receive();
  }
}

void Probe::send() {
  while (written_ < request_.size()) {
    const iovec rest = net::as_iovec(std::string_view(request_).substr(written_));
    const auto result = stream_->write({&rest, 1});
    if (!result) {
      done(false, "connection lost while asking");
      return;
    }
    if (result->state != net::IoState::kOk) {
      stream_->watch(net::Interest::kWrite, *this);
      return;
    }
    written_ += result->bytes;
  }
  state_ = State::kReading;
  receive();
}

void Probe::receive() {
  std::array<char, 4096> bytes;  // NOLINT: filled by read()
  // TLS needs the write side, too, while it has records to send.
  const auto interest = [this] { return stream_->unsent() > 0 ? net::Interest::kBoth : net::Interest::kRead; };
  for (;;) {
    const auto result = stream_->read(bytes);
    if (!result) {
      done(false, "connection lost while waiting for the answer");
      return;
    }
    if (result->state == net::IoState::kWouldBlock) {
      stream_->watch(interest(), *this);
      return;
    }
    const ProbeResponse::Verdict verdict = result->state == net::IoState::kEof
                                               ? response_.finish()
                                               : response_.feed(std::string_view(bytes.data(), result->bytes));
    if (verdict == ProbeResponse::Verdict::kMore) continue;
    done(verdict == ProbeResponse::Verdict::kHealthy, response_.reason());
    return;
  }
}

void Probe::on_timeout() {
  switch (state_) {
    case State::kConnecting: done(false, "connect timed out"); break;
    case State::kSecuring: done(false, "TLS handshake timed out"); break;
    case State::kSending:
    case State::kReading:
    case State::kDelegated: done(false, "no answer in time"); break;
    case State::kDone: break;
  }
}

void Probe::done(bool healthy, const char* reason) {
  state_ = State::kDone;
  timeout_.cancel();
  if (stream_ != nullptr) stream_->unwatch();
  observer_.on_probe_done(healthy, reason, delegated_status_ != 0 ? delegated_status_ : response_.status());
}

}  // namespace headgate::upstream
