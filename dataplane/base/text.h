// text.h -- ASCII case, trimming, splitting, and the character tables of RFC 9110 5.6.2.
// Thread: any.   Nothing here looks at the locale.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate {

constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }  // OWS, RFC 9110 5.6.3

namespace text_tables {
constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (const char c : std::string_view("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                       "ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    table[static_cast<uint8_t>(c)] = true;
  }
  return table;
}
inline constexpr auto kToken = make_token_table();
}  // namespace text_tables

constexpr bool is_token_char(char c) { return text_tables::kToken[static_cast<uint8_t>(c)]; }
// token = 1*tchar
constexpr bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}
// field-value: visible, obs-text, space and tab; no other control (RFC 9110 5.5).
constexpr bool is_field_value(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) return false;
  }
  return true;
}

constexpr bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}
constexpr bool starts_with_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}
std::string lower_copy(std::string_view text);

constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Parts between separators, untrimmed; "" gives one empty part.
std::vector<std::string_view> split(std::string_view text, char separator);

// Cuts the next comma-separated element of an HTTP list off `rest`, trimmed (RFC 9110 5.6.1). Empty elements are
// skipped; nullopt at the end. Commas inside quoted strings do not count.
std::optional<std::string_view> next_list_element(std::string_view& rest);
// Is `token` one of the elements, ignoring case?
bool list_contains(std::string_view list, std::string_view token);

// Text as a JSON string with quotes: for logs and error messages.
std::string quote_json(std::string_view text);
void append_json_escaped(std::string& into, std::string_view text);

}  // namespace headgate
