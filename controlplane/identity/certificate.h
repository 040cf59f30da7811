// certificate.h -- keys, roots, leaves and chains as PEM texts; everything that touches ASN.1 is behind this header.
// Spec: RFC 5280, RFC 2986 (requests), SPIFFE X509-SVID 2 and 4.
// Thread: any (pure but for the random generator).   Errors: kTls, with a static reason.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

namespace headgate::identity {

inline constexpr size_t kMaxRequestBytes = 16 * 1024;  // of a PKCS #10 request
inline constexpr size_t kMaxChainBytes = 64 * 1024;    // of a chain that a peer showed
inline constexpr size_t kMaxChainLength = 8;

struct KeyPair {
  std::string chain_pem;  // leaf first
  std::string key_pem;    // PKCS #8
};

struct RootSpec {
  std::string common_name;
  WallTime not_before;
  WallTime not_after;
};
// ECDSA P-256, signed by itself; signs leaves only.
Result<KeyPair> make_root(const RootSpec& spec);

struct LeafSpec {
  std::string uri;                     // empty: none
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  // "10.0.0.7", "::1"
  std::string pod_uid;                 // becomes the subject's UID; empty: none
  bool server = false;
  bool client = false;
  WallTime not_before;
  WallTime not_after;  // cut to the end of the issuer
};
// A new key and its certificate.
Result<KeyPair> issue(const KeyPair& issuer, const LeafSpec& spec);
// A certificate for the key of a PKCS #10 request, whose signature proves that the caller has it. Nothing else of the
// request is used. Keys: P-256, P-384, Ed25519, RSA of 2048 to 4096 bits.
Result<std::string> certify(const KeyPair& issuer, std::string_view request_der, const LeafSpec& spec);

struct CertificateFacts {
  WallTime not_before;
  WallTime not_after;
  bool is_authority = false;
  bool is_self_signed = false;
  std::string fingerprint;        // SHA-256, hexadecimal
  std::vector<std::string> uris;
  std::vector<std::string> dns_names;
  std::string pod_uid;
};
// Of the first certificate in the text.
Result<CertificateFacts> inspect(std::string_view pem);
// Each certificate of a PEM text as a PEM text of its own; kTls when one cannot be read or there is none.
Result<std::vector<std::string>> split_chain(std::string_view pem);
// Does the key belong to the first certificate?
bool key_matches(const KeyPair& pair);

// The facts of the leaf, if its chain leads to one of the roots at that time and it may be shown by a client.
Result<CertificateFacts> verify_client(std::string_view chain_pem, std::string_view roots_pem, WallTime now);

// SHA-256 as 32 bytes.
std::string sha256(std::string_view text);
// Overwrites in a way that the compiler does not remove, then empties.
void wipe(std::string& secret);

}  // namespace headgate::identity
