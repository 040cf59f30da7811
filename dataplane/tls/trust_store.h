// trust_store.h -- the authorities that a verification accepts, parsed once per process and shared by all workers.
//
// Thread: parse() and system() any; the object is immutable and any (OpenSSL locks inside).
// Owner: shared_ptr in contexts.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/tls/crypto.h"
#include "dataplane/tls/openssl_ptr.h"

namespace headgate::tls {

class TrustStore;

struct TrustStoreOutcome {
  std::shared_ptr<const TrustStore> store;  // null: `problem` says why
  std::string problem;
};

class TrustStore {
 public:
  // Each certificate of `ca_pem` is an anchor, intermediate ones too. With `crl_pem` every authority of a chain needs a
  // list that has not expired: a missing or stale one refuses, it never lets through.
  static TrustStoreOutcome parse(std::string_view ca_pem, std::string_view crl_pem = {});
  // What the system trusts (OpenSSL's default file and folder, SSL_CERT_FILE and SSL_CERT_DIR); read when needed.
  static std::shared_ptr<const TrustStore> system();

  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

  // Of the texts it was made from: part of what session tickets are bound to.
  [[nodiscard]] const Sha256Digest& digest() const { return digest_; }
  // For this folder.
  [[nodiscard]] x509_store_st* store() const { return store_.get(); }
  [[nodiscard]] const stack_st_X509_NAME* subjects() const { return subjects_.get(); }

 private:
  TrustStore();
  OpensslPtr<x509_store_st> store_;
  OpensslPtr<stack_st_X509_NAME> subjects_;
  Sha256Digest digest_{};
};

}  // namespace headgate::tls
