#include "dataplane/base/text.h"

namespace headgate {

std::string lower_copy(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = to_lower(c);
  return lower;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::optional<std::string_view> next_list_element(std::string_view& rest) {
  while (!rest.empty()) {
    size_t end = 0;
    bool quoted = false;
    for (; end < rest.size() && (quoted || rest[end] != ','); ++end) {
      if (rest[end] == '"') {
        quoted = !quoted;
      } else if (quoted && rest[end] == '\\' && end + 1 < rest.size()) {
        ++end;
      }
    }
    const std::string_view element = trim(rest.substr(0, end));
    rest.remove_prefix(end < rest.size() ? end + 1 : end);
    if (!element.empty()) return element;
  }
  return std::nullopt;
}

bool list_contains(std::string_view list, std::string_view token) {
  while (const auto element = next_list_element(list)) {
    if (equals_ignore_case(*element, token)) return true;
  }
  return false;
}

void append_json_escaped(std::string& into, std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    switch (c) {
      case '"': into += "\\\""; break;
      case '\\': into += "\\\\"; break;
      case '\n': into += "\\n"; break;
      case '\r': into += "\\r"; break;
      case '\t': into += "\\t"; break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          into += "\\u00";
          into += kHex[byte >> 4];
          into += kHex[byte & 15];
        } else {
          into += c;
        }
    }
  }
}

std::string quote_json(std::string_view text) {
  std::string quoted = "\"";
  append_json_escaped(quoted, text);
  return quoted += '"';
}

}  // namespace headgate
