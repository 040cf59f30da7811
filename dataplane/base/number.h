// number.h -- the only text-to-integer conversions of the project.
// Strict: digits only, no sign, no space, no prefix; overflow and an empty text are "no value".
// Thread: any.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace headgate {

template <typename Unsigned = uint64_t>
constexpr std::optional<Unsigned> parse_decimal(std::string_view text) {
  static_assert(std::numeric_limits<Unsigned>::is_integer && !std::numeric_limits<Unsigned>::is_signed);
  if (text.empty()) return std::nullopt;
  constexpr Unsigned kMax = std::numeric_limits<Unsigned>::max();
  constexpr size_t kSafe = std::numeric_limits<Unsigned>::digits10;  // so many digits never overflow
  Unsigned value = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    const auto digit = static_cast<Unsigned>(text[i] - '0');
    if (i >= kSafe && value > (kMax - digit) / 10) return std::nullopt;
    value = static_cast<Unsigned>(value * 10 + digit);
  }
  return value;
}

// Value of one hexadecimal digit, or -1.
constexpr int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr std::optional<uint64_t> parse_hex(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    const int digit = hex_digit(c);
    if (digit < 0) return std::nullopt;
    value = (value << 4) | static_cast<uint64_t>(digit);
  }
  return value;
}

// Writes `value` in decimal at `into` (room for 20 characters) and returns the end.
inline char* write_decimal(char* into, uint64_t value) {
  return std::to_chars(into, into + 20, value).ptr;
}
inline char* write_hex(char* into, uint64_t value) {
  return std::to_chars(into, into + 16, value, 16).ptr;
}

}  // namespace headgate
