#include "dataplane/base/address.h"

#include <arpa/inet.h>

#include <cstddef>

#include "dataplane/base/number.h"

namespace headgate {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// The decimal texts of a byte: an address is written for each proxied request.
struct ByteText {
  std::array<char, 3> digits{};
  uint8_t size = 0;
};
constexpr auto kByteTexts = [] {
  std::array<ByteText, 256> texts{};
  for (size_t byte = 0; byte < texts.size(); ++byte) {
    ByteText& text = texts[byte];
    for (size_t unit = byte >= 100 ? 100 : byte >= 10 ? 10 : 1; unit > 0; unit /= 10) {
      text.digits[text.size++] = static_cast<char>('0' + byte / unit % 10);
    }
  }
  return texts;
}();

Error invalid(const char* detail) { return {.code = Errc::kInvalid, .detail = detail}; }

}  // namespace

IpAddress IpAddress::v4(uint32_t host_order) {
  IpAddress ip;
  std::memcpy(ip.bytes_.data(), kMappedPrefix.data(), kMappedPrefix.size());
  for (int i = 0; i < 4; ++i) ip.bytes_[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  return ip;
}

IpAddress IpAddress::v6(const std::array<uint8_t, 16>& bytes) {
  IpAddress ip;
  ip.bytes_ = bytes;
  return ip;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton wants a terminated text; no address is longer than this.
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.empty() || text.size() >= terminated.size() || text.find('\0') != std::string_view::npos) {
    return invalid("not an IP address");
  }
  std::memcpy(terminated.data(), text.data(), text.size());
  in_addr four{};
  if (::inet_pton(AF_INET, terminated.data(), &four) == 1) return v4(ntohl(four.s_addr));
  std::array<uint8_t, 16> six{};
  if (::inet_pton(AF_INET6, terminated.data(), six.data()) == 1) return v6(six);
  return invalid("not an IP address");
}

bool IpAddress::is_v4() const {
  return std::memcmp(bytes_.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0;
}

bool IpAddress::is_any() const { return *this == IpAddress() || (is_v4() && v4_host_order() == 0); }

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  for (size_t i = 0; i < 15; ++i) {
    if (bytes_[i] != 0) return false;
  }
  return bytes_[15] == 1;
}

uint32_t IpAddress::v4_host_order() const {
  return (uint32_t{bytes_[12]} << 24) | (uint32_t{bytes_[13]} << 16) | (uint32_t{bytes_[14]} << 8) | bytes_[15];
}

char* IpAddress::write(char* into) const {
  if (is_v4()) {
    for (size_t i = 12; i < 16; ++i) {
      if (i > 12) *into++ = '.';
      const ByteText& text = kByteTexts[bytes_[i]];
      std::memcpy(into, text.digits.data(), text.digits.size());  // all three: what is too much is written over, or room
      into += text.size;
    }
    return into;
  }
  ::inet_ntop(AF_INET6, bytes_.data(), into, INET6_ADDRSTRLEN);
  return into + std::strlen(into);
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return {text.data(), write(text.data())};
}

SocketAddress SocketAddress::ip(const IpAddress& address, uint16_t port, uint32_t scope_id) {
  SocketAddress result;
  result.family_ = Family::kIp;
  result.address_ = address;
  result.port_ = port;
  result.scope_id_ = scope_id;
  return result;
}

Result<SocketAddress> SocketAddress::unix_path(std::string_view path) {
  if (path.empty()) return invalid("empty Unix socket path");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) return invalid("Unix socket path longer than 107 bytes");
  if (path.find('\0') != std::string_view::npos) return invalid("NUL in a Unix socket path");
  SocketAddress result;
  result.family_ = Family::kUnix;
  result.path_ = path;
  return result;
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  if (text.starts_with("unix:")) {
    text.remove_prefix(text.starts_with("unix://") ? 7 : 5);
    return unix_path(text);
  }
  const auto parts = parse_host_port(text, 0);
  if (!parts) return parts.error();
  if (parts->port == 0 && !text.ends_with(":0")) return invalid("port missing");
  if (parts->host.empty()) return ip(IpAddress(), parts->port);
  auto address = IpAddress::parse(parts->host);
  if (!address) return address.error();
  return ip(*address, parts->port);
}

SocketAddress SocketAddress::from_sockaddr(const sockaddr* address, socklen_t length) {
  if (address->sa_family == AF_INET && length >= sizeof(sockaddr_in)) {
    sockaddr_in four{};
    std::memcpy(&four, address, sizeof(four));
    return ip(IpAddress::v4(ntohl(four.sin_addr.s_addr)), ntohs(four.sin_port));
  }
  if (address->sa_family == AF_INET6 && length >= sizeof(sockaddr_in6)) {
    sockaddr_in6 six{};
    std::memcpy(&six, address, sizeof(six));
    std::array<uint8_t, 16> bytes{};
    std::memcpy(bytes.data(), &six.sin6_addr, bytes.size());
    return ip(IpAddress::v6(bytes), ntohs(six.sin6_port), six.sin6_scope_id);
  }
  SocketAddress result;
  if (address->sa_family == AF_UNIX) {
    result.family_ = Family::kUnix;
    const auto* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
    const size_t size = length > offsetof(sockaddr_un, sun_path) ? length - offsetof(sockaddr_un, sun_path) : 0;
    if (size > 0 && path[0] == '\0') {
      result.path_ = "@" + std::string(path + 1, size - 1);
    } else {
      result.path_ = std::string(path, ::strnlen(path, size));
    }
  }
  return result;
}

int SocketAddress::domain() const {
  if (family_ == Family::kUnix) return AF_UNIX;
  return address_.is_v4() ? AF_INET : AF_INET6;
}

socklen_t SocketAddress::fill(sockaddr_storage& into) const {
  std::memset(&into, 0, sizeof(into));
  switch (domain()) {
    case AF_INET: {
      sockaddr_in four{};
      four.sin_family = AF_INET;
      four.sin_port = htons(port_);
      four.sin_addr.s_addr = htonl(address_.v4_host_order());
      std::memcpy(&into, &four, sizeof(four));
      return sizeof(four);
    }
    case AF_INET6: {
      sockaddr_in6 six{};
      six.sin6_family = AF_INET6;
      six.sin6_port = htons(port_);
      six.sin6_scope_id = scope_id_;
      std::memcpy(&six.sin6_addr, address_.bytes().data(), 16);
      std::memcpy(&into, &six, sizeof(six));
      return sizeof(six);
    }
    default: {
      sockaddr_un local{};
      local.sun_family = AF_UNIX;
      std::memcpy(local.sun_path, path_.data(), path_.size());
      socklen_t length = offsetof(sockaddr_un, sun_path) + path_.size();
      if (!path_.empty() && path_[0] == '@') {
        local.sun_path[0] = '\0';
      } else {
        ++length;
      }
      std::memcpy(&into, &local, sizeof(local));
      return length;
    }
  }
}

std::string SocketAddress::to_string() const {
  if (family_ == Family::kNone) return "-";
  if (family_ == Family::kUnix) return "unix:" + path_;
  if (address_ == IpAddress()) return ":" + std::to_string(port_);
  if (address_.is_v4()) return address_.to_string() + ":" + std::to_string(port_);
  return "[" + address_.to_string() + "]:" + std::to_string(port_);
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return address.error();
  const uint8_t family_bits = address->is_v4() ? 32 : 128;
  uint8_t bits = family_bits;
  if (slash != std::string_view::npos) {
    const auto parsed = parse_decimal<uint8_t>(text.substr(slash + 1));
    if (!parsed || *parsed > family_bits) return invalid("bad prefix length");
    bits = *parsed;
  }
  Cidr cidr;
  cidr.prefix_bits_ = static_cast<uint8_t>(address->is_v4() ? bits + 96 : bits);
  std::array<uint8_t, 16> network = address->bytes();
  for (size_t bit = cidr.prefix_bits_; bit < 128; ++bit) {
    network[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
  cidr.network_ = IpAddress::v6(network);
  return cidr;
}

bool Cidr::contains(const IpAddress& address) const {
  const size_t whole = prefix_bits_ / 8;
  if (std::memcmp(network_.bytes().data(), address.bytes().data(), whole) != 0) return false;
  const size_t rest = prefix_bits_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00U >> rest);
  return (network_.bytes()[whole] & mask) == (address.bytes()[whole] & mask);
}

std::string Cidr::to_string() const {
  const bool four = prefix_bits_ >= 96 && network_.is_v4();
  return network_.to_string() + "/" + std::to_string(four ? prefix_bits_ - 96 : prefix_bits_);
}

Result<HostPort> parse_host_port(std::string_view text, uint16_t default_port) {
  HostPort parts{.port = default_port};
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return invalid("'[' without ']'");
    parts.host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    has_port = !rest.empty();
    if (has_port && rest[0] != ':') return invalid("text after ']'");
    if (has_port) port = rest.substr(1);
  } else {
    const size_t colon = text.find(':');
    if (colon != std::string_view::npos && text.find(':', colon + 1) != std::string_view::npos) {
      return invalid("an IPv6 address needs brackets: [2001:db8::1]:80");
    }
    parts.host = text.substr(0, colon);
    has_port = colon != std::string_view::npos;
    if (has_port) port = text.substr(colon + 1);
  }
  if (!has_port) return parts;
  const auto number = parse_decimal<uint16_t>(port);
  if (!number) return invalid("port is not a number from 0 to 65535");
  parts.port = *number;
  return parts;
}

}  // namespace headgate
