#include "dataplane/upstream/client_tls.h"

#include "dataplane/base/log.h"

namespace headgate::upstream {

TlsConnect::TlsConnect(event::Loop& loop, const UpstreamSettings& settings, TlsConnectObserver& observer)
    : loop_(loop),
      settings_(settings),
      observer_(observer),
      deadline_(loop.timers(), event::Timer::call<&TlsConnect::on_deadline>, this) {}

void TlsConnect::start(std::unique_ptr<net::ByteStream> below, std::shared_ptr<tls::ClientContext> context,
                       const Endpoint& endpoint, Duration timeout) {
  endpoint_ = endpoint.text;
  const std::string& name = settings_.tls_server_name.empty() ? endpoint.host : settings_.tls_server_name;
  stream_ = tls::TlsStream::client(loop_, std::move(below), std::move(context),
                                   {.address = endpoint.text, .server_name = name});
  deadline_.arm(timeout);
  stream_->start(*this);
}

void TlsConnect::on_handshake_done() {
  deadline_.cancel();
  observer_.on_tls_connected(std::move(stream_));
}

void TlsConnect::on_handshake_failed(const Error& error) {
  deadline_.cancel();
  HG_LOG(kWarn, kTls, "handshake with an endpoint failed", {"upstream", settings_.name}, {"endpoint", endpoint_},
         {"error", stream_->failure().empty() ? to_string(error) : stream_->failure()});
  loop_.defer_delete(std::move(stream_));
  // Nothing was sent: another endpoint may be asked.
  observer_.on_tls_failed(error.from(Origin::kUpstream).with_retry(Retry::kYes));
}

void TlsConnect::on_deadline() {
  loop_.defer_delete(std::move(stream_));
  observer_.on_tls_failed(
      {.code = Errc::kTimeout, .origin = Origin::kUpstream, .retry = Retry::kYes, .detail = "TLS handshake"});
}

}  // namespace headgate::upstream
