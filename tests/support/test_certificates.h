// test_certificates.h -- authorities and certificates made while a test runs; nothing is stored.
// Thread: any.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "dataplane/tls/openssl_ptr.h"

namespace headgate::testing {

struct CertificateSpec {
  std::string common_name = "test";
  std::vector<std::string> alternative_names;  // as OpenSSL writes them: "DNS:a.example", "IP:::1", "URI:spiffe://x"
  std::chrono::hours begins{-24};              // from now
  std::chrono::hours ends{24 * 30};
  bool rsa = false;       // else P-256
  int rsa_bits = 2048;
  std::string key_usage;  // extended; "serverAuth", "clientAuth"; empty: none
  bool authority = false;
};

struct PemPair {
  std::string chain;
  std::string key;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  // Signed by this authority.
  [[nodiscard]] PemPair issue(const CertificateSpec& spec) const;
  [[nodiscard]] const std::string& pem() const { return pem_; }
  // A list that revokes the certificates given as PEM.
  [[nodiscard]] std::string revocation_list(const std::vector<std::string>& revoked, std::chrono::hours ends) const;
  // Signed by itself.
  static PemPair self_signed(const CertificateSpec& spec);

 private:
  tls::OpensslPtr<x509_st> certificate_;
  tls::OpensslPtr<evp_pkey_st> key_;
  std::string pem_;
};

}  // namespace headgate::testing
