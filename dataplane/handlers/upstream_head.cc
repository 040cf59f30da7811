#include "dataplane/handlers/upstream_head.h"

#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/uri.h"

namespace headgate::handlers {

using http::FieldId;

namespace {

// "/api/x?q" without "/api" is "/x?q"; "/api" is "/". Whole segments only.
std::string_view without_prefix(std::string_view target, std::string_view prefix, Arena& arena) {
  if (!target.starts_with(prefix)) return target;
  const std::string_view rest = target.substr(prefix.size());
  if (rest.empty()) return "/";
  if (rest[0] == '/') return rest;
  return rest[0] == '?' ? arena.concat("/", rest) : target;
}

}  // namespace

void write_upstream_head(http::Exchange& exchange, const ProxyOptions& options, HeadChanges own,
                         const upstream::Upstream& upstream, http::RequestHead& head) {
  const http::RequestHead& from = exchange.request();
  Arena& arena = exchange.arena();
  head.method = from.method;
  head.method_text = from.method_text;
  head.version = http::Version::kHttp11;
  head.scheme = upstream.settings().tls != nullptr ? http::Scheme::kHttps : http::Scheme::kHttp;
  head.path = from.path;
  head.query = from.query;
  head.has_query = from.has_query;
  head.target = http::forward_target(from, arena);
  head.content_length = from.content_length;
  if (options.websocket) head.protocol = from.protocol;
  head.headers.assign(from.headers);
  http::strip_hop_by_hop(head.headers, http::TeField::kKeepTrailers);
  if (!options.strip_prefix.empty()) head.target = without_prefix(head.target, options.strip_prefix, arena);

  if (options.host) {
    head.authority = options.host->expand(exchange);
  } else if (upstream.settings().host_policy == upstream::HostPolicy::kFixed) {
    head.authority = arena.copy(upstream.settings().host);
  } else {
    head.authority = from.authority;
  }
  if (!head.authority.empty()) head.headers.set(FieldId::kHost, head.authority);
  http::write_forwarded(exchange, options.forwarded, head.headers);
  for (const HeadChanges changes : {HeadChanges(options.head_changes), own}) {
    for (const auto& change : changes) change->change(exchange, head.headers);
  }
  if (head.headers.has(FieldId::kHost)) head.authority = head.headers.get(FieldId::kHost);
}

}  // namespace headgate::handlers
