#include "dataplane/dns/text_escape.h"

#include <algorithm>
#include <array>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::dns {
namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_digit(char c) {
  const size_t at = kBase64.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

}  // namespace

std::optional<std::string> unescape(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      result += text[at];
      continue;
    }
    if (++at == text.size()) return std::nullopt;
    if (!is_digit(text[at])) {
      result += text[at];
      continue;
    }
    const auto value = parse_decimal<uint16_t>(text.substr(at, 3));
    if (at + 3 > text.size() || !value.has_value() || *value > 255) return std::nullopt;
    result += static_cast<char>(*value);
    at += 2;
  }
  return result;
}

void append_quoted(Bytes bytes, std::string& into) {
  into += '"';
  for (const uint8_t byte : bytes) {
    if (byte == '"' || byte == '\\') {
      into += '\\';
      into += static_cast<char>(byte);
    } else if (byte >= 0x20 && byte < 0x7f) {
      into += static_cast<char>(byte);
    } else {
      into += '\\';
      into += static_cast<char>('0' + byte / 100);
      into += static_cast<char>('0' + byte / 10 % 10);
      into += static_cast<char>('0' + byte % 10);
    }
  }
  into += '"';
}

std::optional<std::vector<uint8_t>> parse_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    const bool last = at + 4 == text.size();
    const size_t padding = last && text[at + 3] == '=' ? (text[at + 2] == '=' ? 2 : 1) : 0;
    uint32_t word = 0;
    for (size_t i = 0; i < 4; ++i) {
      const int digit = i >= 4 - padding ? 0 : base64_digit(text[at + i]);
      if (digit < 0) return std::nullopt;
      word = word << 6 | static_cast<uint32_t>(digit);
    }
    // Bits that no byte takes must be zero (RFC 4648 3.5).
    if ((padding == 1 && (word & 0xff) != 0) || (padding == 2 && (word & 0xffff) != 0)) return std::nullopt;
    for (size_t i = 0; i < 3 - padding; ++i) bytes.push_back(static_cast<uint8_t>(word >> (16 - 8 * i)));
  }
  return bytes;
}

void append_base64(Bytes bytes, std::string& into) {
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t left = std::min<size_t>(3, bytes.size() - at);
    uint32_t word = 0;
    for (size_t i = 0; i < 3; ++i) word = word << 8 | (i < left ? bytes[at + i] : 0U);
    for (size_t i = 0; i < 4; ++i) into += i <= left ? kBase64[word >> (18 - 6 * i) & 63] : '=';
  }
}

std::optional<std::vector<uint8_t>> parse_hex_bytes(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::vector<uint8_t> bytes;
  bytes.reserve(text.size() / 2);
  for (size_t at = 0; at < text.size(); at += 2) {
    const int high = hex_digit(text[at]);
    const int low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<uint8_t>(high << 4 | low));
  }
  return bytes;
}

void append_hex(Bytes bytes, std::string& into) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const uint8_t byte : bytes) {
    into += kHex[byte >> 4];
    into += kHex[byte & 15];
  }
}

void append_ipv6(Bytes address, std::string& into) {
  std::array<uint8_t, 16> bytes{};
  std::copy_n(address.begin(), std::min(address.size(), bytes.size()), bytes.begin());
  const IpAddress value = IpAddress::v6(bytes);
  if (value.is_v4()) into += "::ffff:";
  into += value.to_string();
}

}  // namespace headgate::dns
