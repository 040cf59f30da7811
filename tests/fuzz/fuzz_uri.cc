// fuzz_uri.cc -- targets and hosts: normalization finds no way up, is stable, and never grows; accepted hosts stay hosts.
// links: headgate_http
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/base/host_name.h"
#include "dataplane/http/uri.h"

using namespace headgate;        // NOLINT
using namespace headgate::http;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // In memory of its exact size: reading past it is seen.
  const std::string text(reinterpret_cast<const char*>(data), size);
  Arena arena;
  for (const Method method : {Method::kGet, Method::kOptions, Method::kConnect}) {
    RequestHead head(arena);
    head.method = method;
    if (!parse_target(text, head)) continue;
    if (method == Method::kConnect) continue;
    require(head.path == "*" || head.path.front() == '/');
    require(head.path.find("/../") == std::string_view::npos && head.path.find("/./") == std::string_view::npos);
    require(!head.path.ends_with("/..") && !head.path.ends_with("/."));
    require(head.path.find('?') == std::string_view::npos && head.path.find('#') == std::string_view::npos);
    if (head.path == "*") continue;
    require(head.path.size() <= head.target.size());
    // What we forward is read by the next server as what we matched.
    const std::string_view forwarded = forward_target(head, arena);
    RequestHead next(arena);
    next.method = method;
    require(parse_target(forwarded, next).has_value());
    require(next.path == head.path && next.query == head.query && next.has_query == head.has_query);
    if (const auto decoded = decode_path(head.path, arena)) {
      require(decoded->find('\0') == std::string_view::npos || head.path.find('\0') != std::string_view::npos);
    }
  }
  if (const auto host = parse_host(text, arena)) {
    require(!host->empty() && host->size() <= text.size());
    const auto again = parse_host(*host, arena);
    require(again.has_value() && *again == *host);
    require(host->front() == '[' || is_valid_host_name(*host));
  }
  return 0;
}
