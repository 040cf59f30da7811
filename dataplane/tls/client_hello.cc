#include "dataplane/tls/client_hello.h"

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"

namespace headgate::tls {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr size_t kRecordHeader = 5;
constexpr size_t kMaxRecord = 16 * 1024;  // RFC 8446 5.1: 2^14
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;
constexpr uint16_t kSupportedVersionsExtension = 43;

bool parse_alpn(Bytes extension, std::vector<std::string>& protocols) {
  ByteReader reader(extension);
  if (reader.u16() != reader.remaining() || reader.remaining() == 0) return false;
  while (reader.remaining() > 0) {
    const Bytes name = reader.take(reader.u8());
    if (!reader.ok() || name.empty()) return false;  // RFC 7301 3.1: empty names are not allowed
    protocols.emplace_back(as_text(name));
  }
  return reader.ok();
}

bool parse_supported_versions(Bytes extension, uint16_t& max_version) {
  ByteReader reader(extension);
  const size_t size = reader.u8();
  if (!reader.ok() || size != reader.remaining() || size % 2 != 0 || size == 0) return false;
  uint16_t highest = 0;
  while (reader.remaining() > 0) {
    const uint16_t version = reader.u16();
    // Values outside are reserved to keep servers tolerant (RFC 8701).
    if ((version >> 8) == 3 && version > highest) highest = version;
  }
  max_version = highest;
  return true;
}

bool parse_extension(uint16_t type, Bytes body, ClientHello& hello) {
  switch (type) {
    case kServerNameExtension: return parse_server_name(body, hello.server_name);
    case kAlpnExtension: return parse_alpn(body, hello.protocols);
    case kSupportedVersionsExtension: return parse_supported_versions(body, hello.max_version);
    default: return true;
  }
}

bool parse_extensions(Bytes extensions, ClientHello& hello) {
  ByteReader reader(extensions);
  uint32_t seen = 0;  // RFC 8446 4.2: not more than one of a type
  while (reader.remaining() > 0) {
    const uint16_t type = reader.u16();
    const Bytes body = reader.take(reader.u16());
    if (!reader.ok()) return false;
    uint32_t bit = 0;
    if (type == kServerNameExtension) bit = 1;
    if (type == kAlpnExtension) bit = 2;
    if (type == kSupportedVersionsExtension) bit = 4;
    if ((seen & bit) != 0) return false;
    seen |= bit;
    if (!parse_extension(type, body, hello)) return false;
  }
  return true;
}

}  // namespace

bool parse_server_name(Bytes extension, std::string& name) {
  ByteReader reader(extension);
  if (reader.u16() != reader.remaining() || reader.remaining() == 0) return false;
  // RFC 6066 3: one name per type, and host_name is the only type there ever was.
  const uint8_t type = reader.u8();
  const Bytes host = reader.take(reader.u16());
  if (!reader.ok() || type != 0 || reader.remaining() != 0 || host.empty()) return false;
  const std::string_view text = as_text(host);
  if (text.find('\0') != std::string_view::npos) return false;
  name.clear();
  // "Literal IPv4 and IPv6 addresses are not permitted": seen in the wild, so they count as no name at all.
  if (!is_valid_host_name(text) || IpAddress::parse(text).has_value()) return true;
  name = normalize_host(text);
  return true;
}

ClientHelloState ClientHelloParser::advance(Bytes received_so_far) {
  if (state_ != ClientHelloState::kNeedMore) return state_;
  const Bytes bytes = received_so_far.first(std::min(received_so_far.size(), kMaxBytes));
  while (true) {
    if (next_record_ + kRecordHeader > bytes.size()) {
      // As soon as the first bytes can tell, so that a plain-text client is not kept waiting.
      const bool wrong_type = next_record_ < bytes.size() && bytes[next_record_] != kHandshakeRecord;
      const bool wrong_version = next_record_ + 1 < bytes.size() && bytes[next_record_ + 1] != 3;
      if (wrong_type || wrong_version) {
        return state_ = next_record_ == 0 ? ClientHelloState::kNotTls : ClientHelloState::kMalformed;
      }
      break;
    }
    ByteReader header(bytes.subspan(next_record_, kRecordHeader));
    const uint8_t type = header.u8();
    const uint8_t major = header.u8();
    header.u8();  // any minor version: RFC 8446 5.1 says to ignore it
    const size_t size = header.u16();
    if (type != kHandshakeRecord || major != 3) {
      return state_ = next_record_ == 0 ? ClientHelloState::kNotTls : ClientHelloState::kMalformed;
    }
    if (size == 0 || size > kMaxRecord) return state_ = ClientHelloState::kMalformed;
    const size_t begin = next_record_ + kRecordHeader;
    const size_t have = std::min(size, bytes.size() - begin);
    message_.append(as_text(bytes.subspan(begin + taken_, have - taken_)));
    taken_ = have;
    state_ = parse();
    if (state_ != ClientHelloState::kNeedMore) return state_;
    if (have < size) break;
    next_record_ = begin + size;
    taken_ = 0;
  }
  if (received_so_far.size() >= kMaxBytes) state_ = ClientHelloState::kMalformed;
  return state_;
}

ClientHelloState ClientHelloParser::parse() {
  if (!message_.empty() && static_cast<uint8_t>(message_[0]) != kClientHelloMessage) {
    return ClientHelloState::kMalformed;
  }
  if (message_.size() < 4) return ClientHelloState::kNeedMore;
  ByteReader reader(as_bytes(message_));
  const size_t body_size = reader.u32() & 0xffffff;
  if (body_size > kMaxBytes) return ClientHelloState::kMalformed;
  if (reader.remaining() < body_size) return ClientHelloState::kNeedMore;

  ByteReader body(reader.take(body_size));
  hello_.max_version = body.u16();
  body.take(32);                                // random
  const size_t session_size = body.u8();
  if (session_size > 32) return ClientHelloState::kMalformed;
  body.take(session_size);
  const size_t cipher_size = body.u16();
  if (cipher_size == 0 || cipher_size % 2 != 0) return ClientHelloState::kMalformed;
  body.take(cipher_size);
  const size_t compression_size = body.u8();
  if (compression_size == 0) return ClientHelloState::kMalformed;
  body.take(compression_size);
  if (!body.ok() || (hello_.max_version >> 8) != 3) return ClientHelloState::kMalformed;
  if (body.remaining() > 0) {  // RFC 5246 7.4.1.2: extensions may be missing altogether
    if (body.u16() != body.remaining() || !body.ok()) return ClientHelloState::kMalformed;
    if (!parse_extensions(body.take(body.remaining()), hello_)) return ClientHelloState::kMalformed;
  }
  std::string().swap(message_);
  return ClientHelloState::kParsed;
}

}  // namespace headgate::tls
