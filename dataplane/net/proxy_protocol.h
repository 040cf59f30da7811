// proxy_protocol.h -- the PROXY header, versions 1 and 2: parse and write. Pure.
// Spec: haproxy.org "The PROXY protocol", versions 1 & 2 (2020/03/05).   Thread: any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "dataplane/base/address.h"

namespace headgate::net {

struct ProxyHeader {
  size_t size = 0;      // bytes that the header takes
  bool local = false;   // LOCAL or UNKNOWN: a health check of the sender, addresses mean nothing
  SocketAddress source;
  SocketAddress destination;
};

enum class ProxyOutcome {
  kNeedMore,
  kDone,
  kAbsent,  // the first bytes are not of a PROXY header
  kBad,     // they are, and it is not valid
};

// Longest header accepted: the fixed part, addresses, and TLVs up to this many bytes in all.
inline constexpr size_t kMaxProxyHeader = 4096;

ProxyOutcome parse_proxy_header(std::string_view bytes, ProxyHeader& header);

// What a proxy in front of `destination` says of its client.
std::string write_proxy_v1(const SocketAddress& source, const SocketAddress& destination);
std::string write_proxy_v2(const SocketAddress& source, const SocketAddress& destination);

}  // namespace headgate::net
