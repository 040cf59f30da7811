#include "dataplane/net/proxy_protocol.h"

#include <array>
#include <optional>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::net {
namespace {

constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr size_t kV1Longest = 107;

// Port without leading zeros, as section 2.1 wants it.
std::optional<uint16_t> parse_port(std::string_view text) {
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return parse_decimal<uint16_t>(text);
}

ProxyOutcome parse_v1(std::string_view bytes, ProxyHeader& header) {
  const size_t end = bytes.substr(0, kV1Longest).find("\r\n");
  if (end == std::string_view::npos) return bytes.size() >= kV1Longest ? ProxyOutcome::kBad : ProxyOutcome::kNeedMore;
  header.size = end + 2;
  const std::vector<std::string_view> parts = split(bytes.substr(0, end), ' ');
  if (parts.size() >= 2 && parts[1] == "UNKNOWN") {
    header.local = true;
    return ProxyOutcome::kDone;
  }
  if (parts.size() != 6) return ProxyOutcome::kBad;
  const auto source = IpAddress::parse(parts[2]);
  const auto destination = IpAddress::parse(parts[3]);
  const auto source_port = parse_port(parts[4]);
  const auto destination_port = parse_port(parts[5]);
  if (!source || !destination || !source_port || !destination_port) return ProxyOutcome::kBad;
  const bool v4 = parts[1] == "TCP4";
  if (!v4 && parts[1] != "TCP6") return ProxyOutcome::kBad;
  if (v4 != (parts[2].find(':') == std::string_view::npos) || v4 != (parts[3].find(':') == std::string_view::npos)) {
    return ProxyOutcome::kBad;
  }
  header.source = SocketAddress::ip(*source, *source_port);
  header.destination = SocketAddress::ip(*destination, *destination_port);
  return ProxyOutcome::kDone;
}

IpAddress read_address(ByteReader& reader, bool v4) {
  if (v4) return IpAddress::v4(reader.u32());
  std::array<uint8_t, 16> bytes{};
  const Bytes raw = reader.take(16);
  std::copy(raw.begin(), raw.end(), bytes.begin());
  return IpAddress::v6(bytes);
}

ProxyOutcome parse_v2(std::string_view bytes, ProxyHeader& header) {
  if (bytes.size() < 16) return ProxyOutcome::kNeedMore;
  ByteReader reader(as_bytes(bytes));
  reader.seek(12);
  const uint8_t version_command = reader.u8();
  const uint8_t family = reader.u8();
  const uint16_t length = reader.u16();
  if ((version_command >> 4) != 2 || (version_command & 15) > 1) return ProxyOutcome::kBad;
  header.size = 16U + length;
  if (header.size > kMaxProxyHeader) return ProxyOutcome::kBad;
  if (bytes.size() < header.size) return ProxyOutcome::kNeedMore;
  const bool v4 = (family >> 4) == 1;
  const bool v6 = (family >> 4) == 2;
  header.local = (version_command & 15) == 0 || (!v4 && !v6);
  if (header.local) return ProxyOutcome::kDone;
  if (length < (v4 ? 12 : 36)) return ProxyOutcome::kBad;
  const IpAddress source = read_address(reader, v4);
  const IpAddress destination = read_address(reader, v4);
  const uint16_t source_port = reader.u16();
  const uint16_t destination_port = reader.u16();
  header.source = SocketAddress::ip(source, source_port);
  header.destination = SocketAddress::ip(destination, destination_port);
  // TLVs: each must end inside the header (a length that spills over is how others were attacked).
  while (reader.position() < header.size) {
    if (header.size - reader.position() < 3) return ProxyOutcome::kBad;
    reader.u8();
    const uint16_t value = reader.u16();
    if (reader.position() + value > header.size) return ProxyOutcome::kBad;
    reader.take(value);
  }
  return ProxyOutcome::kDone;
}

}  // namespace

ProxyOutcome parse_proxy_header(std::string_view bytes, ProxyHeader& header) {
  header = {};
  const auto begins = [&](std::string_view signature) {
    const size_t common = std::min(bytes.size(), signature.size());
    return bytes.substr(0, common) == signature.substr(0, common);
  };
  if (bytes.empty()) return ProxyOutcome::kNeedMore;
  if (begins(kV2Signature)) return parse_v2(bytes, header);
  if (begins("PROXY ")) return parse_v1(bytes, header);
  return ProxyOutcome::kAbsent;
}

std::string write_proxy_v1(const SocketAddress& source, const SocketAddress& destination) {
  if (!source.is_ip() || !destination.is_ip()) return "PROXY UNKNOWN\r\n";
  const bool v4 = source.address().is_v4() && destination.address().is_v4();
  const auto text = [v4](const IpAddress& address) {
    // One family for both: a v4 address beside a v6 one is written in its mapped form.
    return !v4 && address.is_v4() ? "::ffff:" + address.to_string() : address.to_string();
  };
  return std::string("PROXY ") + (v4 ? "TCP4 " : "TCP6 ") + text(source.address()) + " " + text(destination.address()) +
         " " + std::to_string(source.port()) + " " + std::to_string(destination.port()) + "\r\n";
}

std::string write_proxy_v2(const SocketAddress& source, const SocketAddress& destination) {
  std::string header(kV2Signature);
  const bool ip = source.is_ip() && destination.is_ip();
  const bool v4 = ip && source.address().is_v4() && destination.address().is_v4();
  header += static_cast<char>(ip ? 0x21 : 0x20);
  header += static_cast<char>(!ip ? 0x00 : v4 ? 0x11 : 0x21);
  const uint16_t length = !ip ? 0 : v4 ? 12 : 36;
  header += static_cast<char>(length >> 8);
  header += static_cast<char>(length & 0xff);
  if (!ip) return header;
  for (const SocketAddress* address : {&source, &destination}) {
    const auto& bytes = address->address().bytes();
    header.append(reinterpret_cast<const char*>(bytes.data()) + (v4 ? 12 : 0), v4 ? 4 : 16);
  }
  for (const SocketAddress* address : {&source, &destination}) {
    header += static_cast<char>(address->port() >> 8);
    header += static_cast<char>(address->port() & 0xff);
  }
  return header;
}

}  // namespace headgate::net
