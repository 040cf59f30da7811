// openssl_ptr.h -- owning pointers to OpenSSL objects without OpenSSL's headers, and its error queue as text.
// Thread: the error queue is per thread; take_* empty it.
#pragma once

#include <memory>
#include <string>

struct bio_st;
struct evp_pkey_st;
struct ssl_ctx_st;
struct ssl_session_st;
struct ssl_st;
struct stack_st_X509;
struct stack_st_X509_NAME;
struct x509_st;
struct x509_store_st;

namespace headgate::tls {

struct OpensslFree {
  void operator()(bio_st* object) const;
  void operator()(evp_pkey_st* object) const;
  void operator()(ssl_ctx_st* object) const;
  void operator()(ssl_session_st* object) const;
  void operator()(ssl_st* object) const;
  void operator()(stack_st_X509* object) const;
  void operator()(stack_st_X509_NAME* object) const;
  void operator()(x509_st* object) const;
  void operator()(x509_store_st* object) const;
};
template <typename T>
using OpensslPtr = std::unique_ptr<T, OpensslFree>;

// Why the last call failed, as OpenSSL's static text; `otherwise` when it did not say.
const char* take_error_reason(const char* otherwise);
// The same for configuration messages and logs, with everything that is queued: "no start line; bad end line".
std::string take_error_text(const char* otherwise);

}  // namespace headgate::tls
