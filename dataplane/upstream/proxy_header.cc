#include "dataplane/upstream/proxy_header.h"

#include "dataplane/net/proxy_protocol.h"

namespace headgate::upstream {

std::string proxy_header(const UpstreamSettings& settings, const SocketAddress& client, const SocketAddress& asked) {
  switch (settings.proxy_protocol) {
    case ProxyProtocol::kNone: return {};
    case ProxyProtocol::kV1: return net::write_proxy_v1(client, asked);
    case ProxyProtocol::kV2: return net::write_proxy_v2(client, asked);
  }
  return {};
}

std::string own_proxy_header(const UpstreamSettings& settings) { return proxy_header(settings, {}, {}); }

// A fresh socket takes so few bytes whole, or it is broken.
bool send_proxy_header(net::ByteStream& stream, std::string_view header) {
  if (header.empty()) return true;
  const iovec piece = net::as_iovec(header);
  const auto written = stream.write({&piece, 1});
  return written && written->bytes == header.size();
}

}  // namespace headgate::upstream
