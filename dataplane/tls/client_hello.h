// client_hello.h -- reads server name and protocols from a ClientHello without ending TLS: for passthrough by SNI.
//
// Spec: RFC 8446 4.1.2, 5.1 (records), RFC 6066 3 (server_name), RFC 7301 3.1 (ALPN).
// Untrusted input: at most kMaxBytes are looked at; every length is checked against what holds it.
// Thread: any (plain value).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"

namespace headgate::tls {

struct ClientHello {
  std::string server_name;             // lower case, without the final dot; empty: none sent, or not a host name
  std::vector<std::string> protocols;  // ALPN, in the client's order; may hold any bytes
  uint16_t max_version = 0;            // of supported_versions, else legacy_version; 0x0304 is TLS 1.3
};

enum class ClientHelloState : uint8_t {
  kNeedMore,   // all right so far
  kParsed,
  kNotTls,     // the first bytes are no TLS handshake record: plain text, perhaps
  kMalformed,  // it began as TLS, but the lengths contradict each other, or it does not end within the limit
};

// Incremental: each call gets everything received so far (the caller keeps it, to replay it), and looks only at what
// is new. Cost is linear in the bytes however they are cut.
class ClientHelloParser {
 public:
  static constexpr size_t kMaxBytes = 16 * 1024;

  ClientHelloState advance(Bytes received_so_far);
  // After kParsed.
  [[nodiscard]] const ClientHello& hello() const { return hello_; }

 private:
  ClientHelloState parse();

  size_t next_record_ = 0;  // where the next record header begins
  size_t taken_ = 0;        // payload bytes of the current record already in message_
  std::string message_;     // handshake message without record headers
  ClientHello hello_;
  ClientHelloState state_ = ClientHelloState::kNeedMore;
};

// The host name of the body of a server_name extension: lower case, without the final dot. False: malformed. An empty
// name: nothing that we route by (an address, bytes that no host name has).
bool parse_server_name(Bytes extension, std::string& name);

}  // namespace headgate::tls
