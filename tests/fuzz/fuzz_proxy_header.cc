// fuzz_proxy_header.cc -- PROXY headers of both versions: no crash, sizes that hold, and no header cut short is done.
// links: headgate_net
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/check.h"
#include "dataplane/net/proxy_protocol.h"

using headgate::net::ProxyHeader;
using headgate::net::ProxyOutcome;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  ProxyHeader header;
  const ProxyOutcome whole = headgate::net::parse_proxy_header(bytes, header);
  if (whole != ProxyOutcome::kDone) return 0;
  HG_CHECK(header.size > 0 && header.size <= size && header.size <= headgate::net::kMaxProxyHeader);
  // Everything shorter needs more, and what follows the header changes nothing.
  for (size_t cut = 0; cut < header.size; ++cut) {
    ProxyHeader part;
    HG_CHECK(headgate::net::parse_proxy_header(bytes.substr(0, cut), part) == ProxyOutcome::kNeedMore);
  }
  ProxyHeader exact;
  HG_CHECK(headgate::net::parse_proxy_header(bytes.substr(0, header.size), exact) == ProxyOutcome::kDone);
  HG_CHECK(exact.size == header.size && exact.local == header.local && exact.source == header.source);
  if (header.local) return 0;
  for (const auto write : {headgate::net::write_proxy_v1, headgate::net::write_proxy_v2}) {
    const std::string written = write(header.source, header.destination);
    ProxyHeader again;
    HG_CHECK(headgate::net::parse_proxy_header(written, again) == ProxyOutcome::kDone);
    HG_CHECK(again.size == written.size() && again.source == header.source && again.destination == header.destination);
  }
  return 0;
}
