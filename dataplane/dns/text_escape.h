// text_escape.h -- character strings, base64 and hex as they stand in master files.
// Spec: RFC 1035 5.1, RFC 4648 4 and 8.   Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"

namespace headgate::dns {

// Resolves "\X" and "\DDD"; nullopt: a bad escape.
std::optional<std::string> unescape(std::string_view text);
// Appends `bytes` in quotes, with escapes where needed.
void append_quoted(Bytes bytes, std::string& into);

// Strict: padding needed, no other characters.
std::optional<std::vector<uint8_t>> parse_base64(std::string_view text);
void append_base64(Bytes bytes, std::string& into);

// Pairs of hex digits.
std::optional<std::vector<uint8_t>> parse_hex_bytes(std::string_view text);
void append_hex(Bytes bytes, std::string& into);

// 16 bytes as IPv6 text; v4-mapped ones keep their IPv6 form, so that AAAA data reads back as AAAA data.
void append_ipv6(Bytes address, std::string& into);

}  // namespace headgate::dns
