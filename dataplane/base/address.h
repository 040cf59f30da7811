// address.h -- IPv4, IPv6 and Unix endpoints, and CIDR ranges: parse, print, compare.
// Thread: any (values).   Parsing is strict: no leading zeros in IPv4, RFC 4291 for IPv6, no DNS.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"

namespace headgate {

// An address without a port; IPv4 is kept in its v4-mapped IPv6 form so that comparisons see one family.
class IpAddress {
 public:
  IpAddress() = default;  // ::
  static Result<IpAddress> parse(std::string_view text);
  static IpAddress v4(uint32_t host_order);
  static IpAddress v6(const std::array<uint8_t, 16>& bytes);

  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] bool is_any() const;       // 0.0.0.0 or ::
  [[nodiscard]] bool is_loopback() const;  // 127.0.0.0/8 or ::1
  [[nodiscard]] uint32_t v4_host_order() const;
  [[nodiscard]] const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  [[nodiscard]] std::string to_string() const;
  // Writes the text at `into` (room for 46) and returns its end; no allocation.
  char* write(char* into) const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
};

// What a socket binds or connects to.
class SocketAddress {
 public:
  enum class Family : uint8_t { kNone, kIp, kUnix };

  SocketAddress() = default;
  static SocketAddress ip(const IpAddress& address, uint16_t port, uint32_t scope_id = 0);
  // `path` up to 107 bytes; "@name" is an abstract socket.
  static Result<SocketAddress> unix_path(std::string_view path);
  // "192.0.2.1:80", "[2001:db8::1]:80", ":80" (every address, both families), "unix:PATH".
  static Result<SocketAddress> parse(std::string_view text);
  static SocketAddress from_sockaddr(const sockaddr* address, socklen_t length);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_ip() const { return family_ == Family::kIp; }
  [[nodiscard]] bool is_unix() const { return family_ == Family::kUnix; }
  [[nodiscard]] const IpAddress& address() const { return address_; }
  [[nodiscard]] uint16_t port() const { return port_; }
  void set_port(uint16_t port) { port_ = port; }
  [[nodiscard]] const std::string& path() const { return path_; }
  // AF_INET, AF_INET6 or AF_UNIX; "::" binds as a dual-stack AF_INET6 socket.
  [[nodiscard]] int domain() const;
  socklen_t fill(sockaddr_storage& into) const;
  [[nodiscard]] std::string to_string() const;

  bool operator==(const SocketAddress&) const = default;
  auto operator<=>(const SocketAddress&) const = default;

 private:
  Family family_ = Family::kNone;
  uint16_t port_ = 0;
  uint32_t scope_id_ = 0;
  IpAddress address_;
  std::string path_;
};

class Cidr {
 public:
  // "10.0.0.0/8", "2001:db8::/32", or an address alone (its whole length).
  static Result<Cidr> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& address) const;
  // Is every address of `inner` one of ours?
  [[nodiscard]] bool covers(const Cidr& inner) const {
    return prefix_bits_ <= inner.prefix_bits_ && contains(inner.network_);
  }
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Cidr&) const = default;

 private:
  IpAddress network_;
  uint8_t prefix_bits_ = 0;  // of the 128-bit form
};

class CidrSet {
 public:
  void add(const Cidr& cidr) { ranges_.push_back(cidr); }
  [[nodiscard]] bool empty() const { return ranges_.empty(); }
  [[nodiscard]] bool contains(const IpAddress& address) const {
    for (const Cidr& range : ranges_) {
      if (range.contains(address)) return true;
    }
    return false;
  }
  bool operator==(const CidrSet&) const = default;

 private:
  std::vector<Cidr> ranges_;
};

// "host:port" and "[v6]:port" apart; port absent gives `default_port`. The host may be a name.
struct HostPort {
  std::string_view host{};
  uint16_t port = 0;
};
Result<HostPort> parse_host_port(std::string_view text, uint16_t default_port);

}  // namespace headgate
