#include "dataplane/http/upgrade.h"

#include <bit>
#include <cstring>
#include <span>

#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void encode_base64(std::span<const uint8_t> bytes, char* into) {
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t group = (uint32_t{bytes[i]} << 16) | (uint32_t{bytes[i + 1]} << 8) | bytes[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) *into++ = kBase64[(group >> shift) & 63];
  }
  if (i == bytes.size()) return;
  const bool two = bytes.size() - i == 2;
  const uint32_t group = (uint32_t{bytes[i]} << 16) | (two ? uint32_t{bytes[i + 1]} << 8 : 0);
  *into++ = kBase64[(group >> 18) & 63];
  *into++ = kBase64[(group >> 12) & 63];
  *into++ = two ? kBase64[(group >> 6) & 63] : '=';
  *into = '=';
}

// SHA-1 of one short text. The handshake uses it as a checksum, not for security, so no crypto library is needed.
class Sha1 {
 public:
  // At most 119 bytes: two blocks.
  std::array<uint8_t, 20> digest(std::string_view text) {
    std::array<uint8_t, 128> padded{};
    const size_t size = std::min<size_t>(text.size(), 119);
    std::memcpy(padded.data(), text.data(), size);
    padded[size] = 0x80;
    const size_t total = size < 56 ? 64 : 128;
    const uint64_t bits = uint64_t{size} * 8;
    for (size_t i = 0; i < 8; ++i) padded[total - 1 - i] = static_cast<uint8_t>(bits >> (8 * i));
    for (size_t at = 0; at < total; at += 64) add_block(padded.data() + at);
    std::array<uint8_t, 20> digest{};
    for (size_t i = 0; i < 20; ++i) digest[i] = static_cast<uint8_t>(state_[i / 4] >> (24 - 8 * (i % 4)));
    return digest;
  }

 private:
  void add_block(const uint8_t* block) {
    std::array<uint32_t, 80> words{};
    for (size_t i = 0; i < 16; ++i) {
      words[i] = (uint32_t{block[4 * i]} << 24) | (uint32_t{block[4 * i + 1]} << 16) |
                 (uint32_t{block[4 * i + 2]} << 8) | block[4 * i + 3];
    }
    for (size_t i = 16; i < 80; ++i) {
      words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    auto [a, b, c, d, e] = state_;
    for (size_t i = 0; i < 80; ++i) {
      uint32_t mix = 0;
      uint32_t constant = 0;
      if (i < 20) {
        mix = (b & c) | (~b & d);
        constant = 0x5a827999;
      } else if (i < 40) {
        mix = b ^ c ^ d;
        constant = 0x6ed9eba1;
      } else if (i < 60) {
        mix = (b & c) | (b & d) | (c & d);
        constant = 0x8f1bbcdc;
      } else {
        mix = b ^ c ^ d;
        constant = 0xca62c1d6;
      }
      const uint32_t next = std::rotl(a, 5) + mix + e + constant + words[i];
      e = d;
      d = c;
      c = std::rotl(b, 30);
      b = a;
      a = next;
    }
    state_ = {state_[0] + a, state_[1] + b, state_[2] + c, state_[3] + d, state_[4] + e};
  }

  std::array<uint32_t, 5> state_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
};

bool connection_asks_upgrade(const HeaderMap& headers) {
  for (const Field& field : headers.fields()) {
    if (field.id == FieldId::kConnection && list_contains(field.value, "upgrade")) return true;
  }
  return false;
}

bool is_refused_protocol(std::string_view protocol) {
  return equals_ignore_case(protocol, "h2c") || starts_with_ignore_case(protocol, "tls/") ||
         starts_with_ignore_case(protocol, "http/");
}

}  // namespace

std::string_view requested_upgrade(const HeaderMap& headers, Version version) {
  // RFC 9110 7.8: a server ignores Upgrade in HTTP/1.0.
  if (!headers.has(FieldId::kUpgrade) || version != Version::kHttp11) return {};
  if (!connection_asks_upgrade(headers)) return {};
  for (const Field& field : headers.fields()) {
    if (field.id != FieldId::kUpgrade) continue;
    std::string_view rest = field.value;
    while (const auto protocol = next_list_element(rest)) {
      if (!is_refused_protocol(*protocol)) return *protocol;
    }
  }
  return {};
}

bool is_websocket(const RequestHead& head) { return equals_ignore_case(head.protocol, "websocket"); }

bool is_valid_websocket_request(const RequestHead& head) {
  if (head.method != Method::kGet || !is_websocket(head)) return false;
  if (head.headers.get("Sec-WebSocket-Version") != "13") return false;
  const std::string_view key = head.headers.get("Sec-WebSocket-Key");
  if (key.size() != 24 || !key.ends_with("==")) return false;
  for (const char c : key.substr(0, 22)) {
    if (kBase64.find(c) == std::string_view::npos) return false;
  }
  return true;
}

WebSocketAccept websocket_accept(std::string_view key) {
  constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<char, 119> text{};
  key = key.substr(0, text.size() - kGuid.size());
  std::memcpy(text.data(), key.data(), key.size());
  std::memcpy(text.data() + key.size(), kGuid.data(), kGuid.size());
  const auto digest = Sha1().digest({text.data(), key.size() + kGuid.size()});
  WebSocketAccept accept{};
  encode_base64(digest, accept.data());
  return accept;
}

bool is_valid_websocket_response(const ResponseHead& head, std::string_view key) {
  if (head.status != 101 || !connection_asks_upgrade(head.headers)) return false;
  if (!equals_ignore_case(head.headers.get(FieldId::kUpgrade), "websocket")) return false;
  const WebSocketAccept expected = websocket_accept(key);
  return head.headers.get("Sec-WebSocket-Accept") == std::string_view(expected.data(), expected.size());
}

std::array<char, 24> websocket_key(const std::array<uint8_t, 16>& random) {
  std::array<char, 24> key{};
  encode_base64(random, key.data());
  return key;
}

}  // namespace headgate::http
