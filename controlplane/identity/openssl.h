// openssl.h -- owning pointers to the OpenSSL objects of this folder.
// Thread: any.   Owner: whoever holds the pointer.
#pragma once

#include <memory>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace headgate::identity {

struct OpensslFree {
  void operator()(ASN1_OCTET_STRING* object) const { ASN1_OCTET_STRING_free(object); }
  void operator()(BIGNUM* object) const { BN_free(object); }
  void operator()(BIO* object) const { BIO_free(object); }
  void operator()(EVP_PKEY* object) const { EVP_PKEY_free(object); }
  void operator()(GENERAL_NAME* object) const { GENERAL_NAME_free(object); }
  void operator()(GENERAL_NAMES* object) const { GENERAL_NAMES_free(object); }
  void operator()(X509* object) const { X509_free(object); }
  void operator()(X509_EXTENSION* object) const { X509_EXTENSION_free(object); }
  void operator()(X509_REQ* object) const { X509_REQ_free(object); }
  void operator()(X509_STORE* object) const { X509_STORE_free(object); }
  void operator()(X509_STORE_CTX* object) const { X509_STORE_CTX_free(object); }
};
template <typename T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

}  // namespace headgate::identity
