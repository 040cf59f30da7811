// host_name.h -- host names as users and clients write them: case, final dot, wildcard patterns, validity.
// Spec: RFC 1123 2.1 (letters, digits, hyphen; "_" is let through), RFC 1035 2.3.4 (63 per label, 253 in all).
// Thread: any (pure).   Non-ASCII names are not valid here: write the A-label form ("xn--...", RFC 5890).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace headgate {

// Is it a name of valid labels (one final dot allowed), for example "shop.example.com", "localhost", "_sip.x"?
// A dotted IPv4 address passes, too: its labels are digits.
bool is_valid_host_name(std::string_view name);

enum class HostPatternKind : uint8_t {
  kInvalid,
  kAny,       // "*": every host
  kWildcard,  // "*.example.com": every name below, never the name itself
  kExact,     // a name, or an address as a Host field has it ("192.0.2.1", "[2001:db8::1]")
};
HostPatternKind host_pattern_kind(std::string_view pattern);

// Lower case without the final dot: the form in which hosts and patterns are compared. "Example.COM." -> "example.com".
std::string normalize_host(std::string_view host);

// Does `pattern` take `host`? Both normalized. `single_label`: "*.x" takes exactly one more label (certificates,
// RFC 6125 6.4.3, and ingress-nginx); otherwise one or more.
bool host_matches(std::string_view pattern, std::string_view host, bool single_label);

// Does every host that `narrow` takes also match `wide`? Both normalized patterns.
bool host_pattern_covers(std::string_view wide, std::string_view narrow);

// The host of an authority ("example.com:8080", "[::1]:443"), not normalized; brackets stay. kInvalid for an empty
// host, a port that is no number up to 65535, or bytes that no host has.
Result<std::string_view> host_of_authority(std::string_view authority);

}  // namespace headgate
