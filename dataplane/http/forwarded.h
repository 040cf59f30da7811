// forwarded.h -- who is the client behind proxies, and what do we tell the upstream about it?
//
// Nothing a client sends is believed unless it connects from a trusted range. Then the addresses of X-Forwarded-For (or
// Forwarded, or X-Real-IP, the first that is there) are walked from the right: each was added by the hop to its right,
// so the walk goes on only through trusted addresses and stops at the first that is not, or at anything malformed.
// Spec: RFC 7239.   Thread: worker.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/http/header_map.h"

namespace headgate::http {

class Exchange;

// Sets client_address, from_trusted_proxy, the scheme of the request (X-Forwarded-Proto or proto=) and request_id
// (X-Request-Id) from the fields, if the connection's remote address is in `trusted`. Call once, before routing.
void resolve_client(Exchange& exchange, const CidrSet& trusted);

// The walk alone: the client's address given who connected. `headers` are those of the request.
IpAddress client_address_of(const HeaderMap& headers, const IpAddress& remote, const CidrSet& trusted);

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80" or "2001:db8::1"; nullopt for all else, so also for
// "unknown" and the obfuscated "_x" of RFC 7239.
std::optional<IpAddress> parse_forwarded_node(std::string_view text);

enum class ForwardedMode : uint8_t {
  kAuto,     // kAppend behind a trusted proxy, else kReplace
  kAppend,   // ours behind those of the request
  kReplace,  // ours only
  kKeep,     // as the client sent them
  kRemove,
};

struct ForwardedPolicy {
  ForwardedMode x_forwarded = ForwardedMode::kAuto;  // X-Forwarded-For, -Proto, -Host, -Port
  bool x_real_ip = true;
  ForwardedMode forwarded = ForwardedMode::kRemove;  // RFC 7239
  std::string prefix{};                              // X-Forwarded-Prefix; empty: none
  bool original_uri = false;                         // X-Original-URI
  // X-Scheme, X-Forwarded-Scheme, X-Original-Forwarded-For, X-Original-Forwarded-Host, as ingress-nginx.
  bool nginx_set = false;
};

// Rewrites the set on `outgoing`, a copy of the fields of exchange.request(); new texts go to its arena. Unless the
// client is a trusted proxy or the mode is kKeep, fields of the set under other spellings ("X_Forwarded_For") and
// X-Envoy-* are dropped, too.
void write_forwarded(const Exchange& exchange, const ForwardedPolicy& policy, HeaderMap& outgoing);

// X-Forwarded-For of the request with the address of who connected behind it: $proxy_add_x_forwarded_for.
std::string_view appended_forwarded_for(const Exchange& exchange, Arena& arena);

}  // namespace headgate::http
