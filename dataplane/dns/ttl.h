// ttl.h -- times of master files: seconds, or units as in "1h30m" and "2W".
// Spec: RFC 2181 8 (range); the units w d h m s are common practice, not an RFC.   Thread: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::dns {

// nullopt: not a time, or over 2^31 - 1 seconds.
constexpr std::optional<uint32_t> parse_ttl(std::string_view text) {
  constexpr uint64_t kMax = 0x7fffffff;
  uint64_t total = 0;
  bool any = false;
  while (!text.empty()) {
    size_t digits = 0;
    while (digits < text.size() && is_digit(text[digits])) ++digits;
    const auto number = parse_decimal<uint32_t>(text.substr(0, digits));
    if (!number.has_value()) return std::nullopt;
    uint64_t unit = 1;
    if (digits < text.size()) {
      switch (to_lower(text[digits])) {
        case 's': break;
        case 'm': unit = 60; break;
        case 'h': unit = 3600; break;
        case 'd': unit = 86400; break;
        case 'w': unit = 604800; break;
        default: return std::nullopt;
      }
    } else if (any) {
      return std::nullopt;  // "1h30": a unit is missing
    }
    total += *number * unit;
    if (total > kMax) return std::nullopt;
    text.remove_prefix(digits < text.size() ? digits + 1 : digits);
    any = true;
  }
  return any ? std::optional<uint32_t>(static_cast<uint32_t>(total)) : std::nullopt;
}

}  // namespace headgate::dns
