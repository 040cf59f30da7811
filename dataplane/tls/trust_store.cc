#include "dataplane/tls/trust_store.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>

#include "dataplane/tls/certificate.h"

namespace headgate::tls {
namespace {

// Empty: all were added.
std::string add_revocation_lists(X509_STORE* store, std::string_view pem) {
  const OpensslPtr<bio_st> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  size_t count = 0;
  while (X509_CRL* list = PEM_read_bio_X509_CRL(bio.get(), nullptr, nullptr, nullptr)) {
    const bool added = X509_STORE_add_crl(store, list) == 1;
    X509_CRL_free(list);
    if (!added) return "a revocation list cannot be used: " + take_error_text("unknown reason");
    ++count;
  }
  const unsigned long last = ERR_peek_last_error();
  const bool clean_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (!clean_end) {
    return "revocation list " + std::to_string(count + 1) + " cannot be read: " + take_error_text("bad PEM");
  }
  ERR_clear_error();
  if (count == 0) return "no revocation list in the text (expected -----BEGIN X509 CRL-----)";
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  return {};
}

}  // namespace

TrustStore::TrustStore() : store_(X509_STORE_new()), subjects_(sk_X509_NAME_new_null()) {}

TrustStoreOutcome TrustStore::parse(std::string_view ca_pem, std::string_view crl_pem) {
  TrustStoreOutcome outcome;
  auto certificates = read_certificates(ca_pem, outcome.problem);
  if (certificates.empty()) return outcome;
  std::shared_ptr<TrustStore> made(new TrustStore());
  for (const auto& certificate : certificates) {
    if (X509_STORE_add_cert(made->store_.get(), certificate.get()) != 1) {
      outcome.problem = "an authority cannot be used: " + take_error_text("unknown reason");
      return outcome;
    }
    sk_X509_NAME_push(made->subjects_.get(), X509_NAME_dup(X509_get_subject_name(certificate.get())));
  }
  // An intermediate that was listed on purpose is trusted as it stands.
  X509_STORE_set_flags(made->store_.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (!crl_pem.empty()) outcome.problem = add_revocation_lists(made->store_.get(), crl_pem);
  if (!outcome.problem.empty()) return outcome;
  const Sha256Digest ca = sha256(ca_pem);
  const Sha256Digest crl = sha256(crl_pem);
  made->digest_ = hmac_sha256(as_text(ca), as_text(crl));
  outcome.store = std::move(made);
  return outcome;
}

std::shared_ptr<const TrustStore> TrustStore::system() {
  static const std::shared_ptr<const TrustStore> shared = [] {
    std::shared_ptr<TrustStore> made(new TrustStore());
    X509_STORE_set_default_paths(made->store_.get());
    ERR_clear_error();  // a missing default file is usual: the folder of hashed names is the other half
    made->digest_ = sha256("system");
    return made;
  }();
  return shared;
}

}  // namespace headgate::tls
