// certificate.h -- a certificate chain with its private key, parsed once per process and shared by all workers.
//
// Spec: RFC 7468 (PEM), RFC 5280; names: RFC 6125 6.4 (subjectAltName first, the common name only without one).
// Thread: parse() any; the object is immutable and any.   Owner: shared_ptr in name tables and contexts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/tls/crypto.h"
#include "dataplane/tls/openssl_ptr.h"

namespace headgate::tls {

// A client may verify only one of the two kinds of signature, so a name may have a certificate of each.
enum class KeyKind : uint8_t { kEcdsa, kRsa };  // Ed25519 and Ed448 count as kEcdsa

class Certificate;

struct CertificateOutcome {
  std::shared_ptr<const Certificate> certificate;  // null: `problem` says why
  std::string problem;
  std::vector<std::string> warnings;  // usable, but look at it: expired, chain out of order
};

class Certificate {
 public:
  // `chain_pem`: leaf first. `key_pem` is overwritten before this returns, whatever the outcome. `ocsp`: DER response
  // to staple, or empty. `now` decides about "expired".
  // Problems: no certificate, no key, encrypted key, key of another certificate, key or signature too weak.
  static CertificateOutcome parse(std::string_view chain_pem, std::string key_pem, std::string ocsp, WallTime now);

  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;

  // Lower case; exact names and wildcards. Empty when the certificate has none that a server name could match.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  [[nodiscard]] KeyKind key_kind() const { return key_kind_; }
  [[nodiscard]] WallTime not_before() const { return not_before_; }
  [[nodiscard]] WallTime not_after() const { return not_after_; }
  // SHA-256 of the leaf.
  [[nodiscard]] const Sha256Digest& fingerprint() const { return fingerprint_; }
  [[nodiscard]] const std::string& ocsp() const { return ocsp_; }

  // For this folder.
  [[nodiscard]] x509_st* leaf() const { return leaf_.get(); }
  [[nodiscard]] stack_st_X509* chain() const { return chain_.get(); }  // without the leaf
  [[nodiscard]] evp_pkey_st* key() const { return key_.get(); }

 private:
  Certificate() = default;
  std::string read_chain(std::string_view pem);
  std::string read_key(std::string_view pem);
  std::string check_strength() const;
  void read_names();
  void add_warnings(WallTime now, std::vector<std::string>& warnings) const;

  OpensslPtr<x509_st> leaf_;
  OpensslPtr<stack_st_X509> chain_;
  OpensslPtr<evp_pkey_st> key_;
  std::vector<std::string> names_;
  KeyKind key_kind_ = KeyKind::kRsa;
  WallTime not_before_{};
  WallTime not_after_{};
  Sha256Digest fingerprint_{};
  std::string ocsp_;
};

// Certificates as PEM text, in order. Empty with `problem` set when there is none or one cannot be read.
std::vector<OpensslPtr<x509_st>> read_certificates(std::string_view pem, std::string& problem);
// SHA-256 of the DER form.
Sha256Digest certificate_fingerprint(const x509_st* certificate);

}  // namespace headgate::tls
