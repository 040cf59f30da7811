#include "dataplane/tls/openssl_ptr.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace headgate::tls {

void OpensslFree::operator()(bio_st* object) const { BIO_free_all(object); }
void OpensslFree::operator()(evp_pkey_st* object) const { EVP_PKEY_free(object); }
void OpensslFree::operator()(ssl_ctx_st* object) const { SSL_CTX_free(object); }
void OpensslFree::operator()(ssl_session_st* object) const { SSL_SESSION_free(object); }
void OpensslFree::operator()(ssl_st* object) const { SSL_free(object); }
void OpensslFree::operator()(stack_st_X509* object) const { sk_X509_pop_free(object, X509_free); }
void OpensslFree::operator()(stack_st_X509_NAME* object) const { sk_X509_NAME_pop_free(object, X509_NAME_free); }
void OpensslFree::operator()(x509_st* object) const { X509_free(object); }
void OpensslFree::operator()(x509_store_st* object) const { X509_STORE_free(object); }

const char* take_error_reason(const char* otherwise) {
  // The first entry is the cause, later ones are those who passed it on.
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? otherwise : reason;
}

std::string take_error_text(const char* otherwise) {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (reason == nullptr) continue;
    if (!text.empty()) text += "; ";
    text += reason;
  }
  if (text.empty()) text = otherwise;
  return text;
}

}  // namespace headgate::tls
