// proxy_header.h -- the PROXY header that a connection to an Endpoint begins with, when its Upstream asks for one.
// Spec: haproxy.org "The PROXY protocol", versions 1 & 2.   Thread: any; the stream's.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/net/byte_stream.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

// Says that `client` asked `asked`. Empty: the Upstream wants no header.
std::string proxy_header(const UpstreamSettings& settings, const SocketAddress& client, const SocketAddress& asked);
// Of connections that are our own: health checks, questions of filters. Stands for no client (LOCAL, UNKNOWN).
std::string own_proxy_header(const UpstreamSettings& settings);

// As the very first bytes, before TLS. False: the connection is broken.
bool send_proxy_header(net::ByteStream& stream, std::string_view header);

}  // namespace headgate::upstream
