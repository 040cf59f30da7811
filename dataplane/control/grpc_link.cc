#include "dataplane/control/grpc_link.h"

#include "dataplane/base/number.h"

namespace headgate::control {

Result<GrpcTarget> parse_grpc_target(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Error{.code = Errc::kInvalid, .detail = "expected HOST:PORT"};
  std::string_view host = text.substr(0, colon);
  const auto port = parse_decimal<uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return Error{.code = Errc::kInvalid, .detail = "expected a port from 1 to 65535"};
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.find_first_of("/ @") != std::string_view::npos) {
    return Error{.code = Errc::kInvalid, .detail = "expected HOST:PORT"};
  }
  return GrpcTarget{.host = std::string(host), .port = *port};
}

GrpcLink::GrpcLink(event::Loop& loop, upstream::Resolver& resolver, GrpcTarget target,
                   std::shared_ptr<tls::ClientContext> context, const LinkRequest& request, LinkObserver& observer)
    : loop_(loop),
      resolver_(resolver),
      target_(std::move(target)),
      context_(std::move(context)),
      request_(request),
      observer_(observer),
      connector_(loop, *this),
      handshake_timer_(loop.timers(), event::Timer::call<&GrpcLink::on_handshake_late>, this),
      fail_later_(loop, event::Timer::call<&GrpcLink::report_failure>, this) {}

void GrpcLink::start() {
  if (const auto address = IpAddress::parse(target_.host)) {
    const SocketAddress one = SocketAddress::ip(*address, target_.port);
    connect({&one, 1});
    return;
  }
  if (const auto known = resolver_.resolve(target_.host, *this)) on_resolved(*known);
}

void GrpcLink::on_resolved(const upstream::Resolved& resolved) {
  connect(upstream::with_port(resolved, target_.port));
}

void GrpcLink::on_resolve_failed(const Error& error) { fail_later(target_.host + ": " + to_string(error)); }

void GrpcLink::connect(std::span<const SocketAddress> addresses) { connector_.start(addresses, kConnectTimeout); }

void GrpcLink::on_connect_failed(const Error& error) { fail_later("connect: " + to_string(error)); }

void GrpcLink::on_connected(std::unique_ptr<net::ByteStream> stream) {
  if (context_ == nullptr) return start_call(std::move(stream));
  const tls::ClientTarget target{.address = stream->facts().remote.to_string(), .server_name = target_.host};
  handshake_ = tls::TlsStream::client(loop_, std::move(stream), context_, target);
  if (handshake_ == nullptr) return fail_later("TLS: out of memory");
  handshake_timer_.arm(kHandshakeTimeout);
  handshake_->start(*this);
}

void GrpcLink::on_handshake_late() { fail_later("TLS: handshake took too long"); }

void GrpcLink::on_handshake_failed(const Error& error) {
  handshake_timer_.cancel();
  fail_later("TLS: " + (handshake_->failure().empty() ? to_string(error) : handshake_->failure()));
}

void GrpcLink::on_handshake_done() {
  handshake_timer_.cancel();
  const TlsFacts* const facts = handshake_->facts().tls;
  if (facts == nullptr || facts->alpn != "h2") return fail_later("TLS: the other side does not speak HTTP/2");
  start_call(std::move(handshake_));
}

void GrpcLink::start_call(std::unique_ptr<net::ByteStream> stream) {
  const bool bare_v6 = target_.host.find(':') != std::string::npos;
  http2::CallOptions options{
      .path = request_.path,
      .authority = (bare_v6 ? "[" + target_.host + "]" : target_.host) + ":" + std::to_string(target_.port),
      .token = request_.token,
      .https = context_ != nullptr};
  call_ = std::make_unique<http2::Call>(loop_, std::move(stream), std::move(options), static_cast<http2::CallObserver&>(*this));
  call_->start();
  observer_.on_link_open();
}

void GrpcLink::send(std::string_view message) {
  if (call_ != nullptr) call_->send(message);
}

void GrpcLink::finish_sending() {
  if (call_ != nullptr) call_->finish_sending();
}

void GrpcLink::on_message(std::string_view message) { observer_.on_link_message(message); }

void GrpcLink::on_ended(const http2::CallStatus& status) {
  if (std::exchange(closed_, true)) return;
  std::string reason = status.message;
  if (status.code != http2::CallStatus::kUnavailable && status.code != http2::CallStatus::kOk) {
    reason += " (status " + std::to_string(status.code) + ")";
  }
  observer_.on_link_closed(status.code == http2::CallStatus::kOk, reason);
}

void GrpcLink::fail_later(std::string reason) {
  failure_ = std::move(reason);
  fail_later_.schedule();
}

void GrpcLink::report_failure() {
  if (std::exchange(closed_, true)) return;
  observer_.on_link_closed(false, failure_);
}

}  // namespace headgate::control
