#include "dataplane/control/identity.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "dataplane/tls/crypto.h"

namespace headgate::control {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using RequestPtr = std::unique_ptr<X509_REQ, Freer<X509_REQ_free>>;
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free_all>>;

Error failed(const char* what) { return {.code = Errc::kTls, .detail = what}; }

}  // namespace

Result<CertificateRequest> make_certificate_request() {
  const KeyPtr key(EVP_EC_gen("P-256"));
  if (key == nullptr) return failed("cannot make a key");
  const RequestPtr request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 || X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0) {
    return failed("cannot make a certificate request");
  }
  CertificateRequest made;
  const int size = i2d_X509_REQ(request.get(), nullptr);
  if (size <= 0) return failed("cannot encode a certificate request");
  made.csr_der.resize(static_cast<size_t>(size));
  auto* into = reinterpret_cast<unsigned char*>(made.csr_der.data());
  i2d_X509_REQ(request.get(), &into);
  const BioPtr memory(BIO_new(BIO_s_secmem()));
  if (memory == nullptr || PEM_write_bio_PKCS8PrivateKey(memory.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return failed("cannot encode a key");
  }
  char* text = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &text);
  made.key_pem.assign(text, static_cast<size_t>(length));
  return made;
}

Result<void> Identity::accept(std::string_view chain_pem, std::string key_pem, WallTime not_after, WallTime renew_after,
                              WallTime now) {
  auto parsed = tls::Certificate::parse(chain_pem, std::move(key_pem), {}, now);
  if (parsed.certificate == nullptr) return Error{.code = Errc::kInvalid, .detail = "the certificate does not fit the key"};
  // What the certificate says counts, whatever the answer says.
  const WallTime end = not_after == WallTime{} ? parsed.certificate->not_after()
                                               : std::min(not_after, parsed.certificate->not_after());
  if (end <= now) return Error{.code = Errc::kInvalid, .detail = "the certificate has expired already"};
  certificate_ = std::move(parsed.certificate);
  not_after_ = end;
  const WallTime half = now + (end - now) / 2;
  renew_at_ = renew_after > now && renew_after < end ? renew_after : half;
  return {};
}

}  // namespace headgate::control
