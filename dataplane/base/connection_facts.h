// connection_facts.h -- what is known of an accepted or opened connection, for routing, filters and logs.
// Thread: worker.   Owner: the ByteStream; `tls` points into the TLS stream and lives as long.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/address.h"

namespace headgate {

// What came of asking for a client certificate where HTTP judges it (tls/client_rules.h).
struct JudgedCertificate {
  std::string rule{};              // tls::ClientRule::name
  bool presented = false;          // all below only then
  std::string problem{};           // why it did not verify; empty: it did
  bool unknown_authority = false;  // the problem is only that nobody known signed it
  std::string subject{};           // RFC 2253
  std::string issuer{};            // RFC 2253
  std::string common_name{};       // the last one of the subject; empty: none
  std::string pem{};               // only where the rule keeps it
};

struct TlsFacts {
  std::string server_name;          // SNI, lower case; empty when the client sent none
  std::string alpn;                 // negotiated protocol; empty when none
  std::string version;              // "TLSv1.3"
  std::string cipher;               // OpenSSL's name
  bool resumed = false;
  bool client_certificate = false;  // presented and verified
  std::string client_subject;       // RFC 2253, only with a client certificate
  std::string client_fingerprint;   // SHA-256 of the certificate, lower-case hex
  std::string client_serial;        // upper-case hex
  std::shared_ptr<const JudgedCertificate> judged;  // null: no rule asked for a certificate
  bool truncated = false;           // the other side's end of file came without close_notify: what it sent may be cut
};

struct ConnectionFacts {
  SocketAddress remote;            // the client; after PROXY protocol the one it names
  SocketAddress local;             // the address it connected to (the listener's when that is enough), or so it is named
  SocketAddress peer;              // who really connected to us: differs from `remote` behind PROXY protocol
  const TlsFacts* tls = nullptr;   // null: not encrypted
};

}  // namespace headgate
