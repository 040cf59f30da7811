#include "controlplane/kube/json_text.h"

#include <cstdint>
#include <optional>

#include "dataplane/base/number.h"

namespace headgate::kube {
namespace {

void append_code_point(uint32_t code, std::string& out) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.append({static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 0x3F))});
  } else if (code < 0x10000) {
    out.append({static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 0x3F)),
                static_cast<char>(0x80 | (code & 0x3F))});
  } else {
    out.append({static_cast<char>(0xF0 | code >> 18), static_cast<char>(0x80 | (code >> 12 & 0x3F)),
                static_cast<char>(0x80 | (code >> 6 & 0x3F)), static_cast<char>(0x80 | (code & 0x3F))});
  }
}

// The four digits of \uXXXX at `at`.
std::optional<uint32_t> code_unit(std::string_view raw, size_t at) {
  if (raw.size() < at + 4) return std::nullopt;
  const auto value = parse_hex(raw.substr(at, 4));
  return value ? std::optional<uint32_t>(static_cast<uint32_t>(*value)) : std::nullopt;
}

bool is_high_surrogate(uint32_t unit) { return unit >= 0xD800 && unit < 0xDC00; }
bool is_low_surrogate(uint32_t unit) { return unit >= 0xDC00 && unit < 0xE000; }

// `at` is behind the backslash; moved behind the escape.
bool append_escape(std::string_view raw, size_t& at, std::string& out) {
  if (at >= raw.size()) return false;
  static constexpr std::string_view kNames = "\"\\/bfnrt";
  static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
  const char c = raw[at++];
  if (const size_t index = kNames.find(c); index != std::string_view::npos) {
    out.push_back(kMeant[index]);
    return true;
  }
  if (c != 'u') return false;
  const auto unit = code_unit(raw, at);
  if (!unit || is_low_surrogate(*unit)) return false;
  at += 4;
  if (!is_high_surrogate(*unit)) {
    append_code_point(*unit, out);
    return true;
  }
  if (raw.substr(at, 2) != "\\u") return false;
  const auto low = code_unit(raw, at + 2);
  if (!low || !is_low_surrogate(*low)) return false;
  at += 6;
  append_code_point(0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00), out);
  return true;
}

}  // namespace

bool is_utf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<uint8_t>(text[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || text.size() - i < length) return false;
    uint32_t code = lead & (0xFFU >> (length + 1));
    for (size_t k = 1; k < length; ++k) {
      const auto next = static_cast<uint8_t>(text[i + k]);
      if ((next & 0xC0) != 0x80) return false;
      code = code << 6 | (next & 0x3F);
    }
    const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
    if (overlong || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return false;
    i += length;
  }
  return true;
}

bool append_unescaped(std::string_view raw, std::string& out) {
  size_t at = 0;
  bool plain = true;
  while (at < raw.size()) {
    size_t end = at;
    while (end < raw.size() && raw[end] != '\\') {
      const auto byte = static_cast<uint8_t>(raw[end]);
      if (byte < 0x20) return false;
      plain = plain && byte < 0x80;
      ++end;
    }
    out.append(raw.substr(at, end - at));
    at = end;
    if (at < raw.size() && !append_escape(raw, ++at, out)) return false;
  }
  return plain || is_utf8(raw);
}

}  // namespace headgate::kube
