// uri.h -- request targets and authorities: parsed once, normalized once, so that what we match is what we forward.
//
// Normalization of a path: literal "." and ".." segments are resolved (leaving the root is an error), %XX of unreserved
// characters is decoded. Everything else stays as sent: "%2f" and "%5c" are opaque, "//" is kept, and nothing is ever
// decoded twice. Refused: "%00", a bad "%", segments that only decoding makes "." or "..", and "..;x" (which some
// servers read as ".."). "?" starts the query, which is never touched; "#" is refused.
// Spec: RFC 3986 5.2.4, 6.2.2, RFC 9112 3.2.   Thread: any (pure).   Errors: kMalformed, origin downstream.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/arena.h"
#include "dataplane/base/result.h"
#include "dataplane/http/message.h"

namespace headgate::http {

// Splits `target` by its form and `head.method`; fills target, path, query, has_query and, for absolute-form and
// CONNECT, authority. Views point into `target` or the arena of the head's fields.
Result<void> parse_target(std::string_view target, RequestHead& head);

// The normalized form of an absolute path without query: `path` itself when nothing changes, else in `arena`.
Result<std::string_view> normalize_path(std::string_view path, Arena& arena);

// Host without port, lower case, no final dot; IPv6 with its brackets. In `arena` only when letters change.
// Refused: empty, userinfo, commas, labels no name has, ports that are no number from 1 to 65535.
Result<std::string_view> parse_host(std::string_view authority, Arena& arena);

// The port of an authority, or 0 when it names none. The authority was accepted by parse_host.
uint16_t port_of_authority(std::string_view authority);

// What to send upstream: the normalized path with its query. The target itself when normalization changed nothing.
std::string_view forward_target(const RequestHead& head, Arena& arena);

// Every %XX decoded, for file names. Refused: bad "%", "%00", and "%2f", which would add a segment.
Result<std::string_view> decode_path(std::string_view path, Arena& arena);

// `text` with everything that is not unreserved or in `keep` as %XX: for Location fields and links.
std::string_view encode_path(std::string_view text, std::string_view keep, Arena& arena);

}  // namespace headgate::http
