// hop_by_hop.h -- which fields end at this connection, and which may stand in a trailer section.
// Spec: RFC 9110 7.6.1, 6.5.1.   Thread: any (pure).
#pragma once

#include <string_view>

#include "dataplane/http/header_map.h"

namespace headgate::http {

enum class TeField : uint8_t {
  kDrop,
  kKeepTrailers,  // "TE: trailers" is sent on when the client asked for trailers: gRPC needs it
};

// Removes Connection, Keep-Alive, Proxy-Connection, Proxy-Authorization, Proxy-Authenticate, TE, Transfer-Encoding,
// Upgrade, HTTP2-Settings and Expect (which we answer ourselves), and what Connection names. A name that we or a
// server rely on (every known field, X-Forwarded-*, Content-*, Sec-*) survives being named there: otherwise a client
// could remove Authorization or X-Forwarded-For from its own request.
void strip_hop_by_hop(HeaderMap& headers, TeField te);

// Fields that change framing, routing, authentication, caching or the meaning of the content: dropped from trailers.
bool is_forbidden_trailer(FieldId id, std::string_view name);

}  // namespace headgate::http
