#include "tests/support/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

#include "dataplane/base/check.h"

namespace headgate::testing {
namespace {

using tls::OpensslPtr;

template <typename Write>
std::string pem_text(Write&& write) {
  const OpensslPtr<bio_st> bio(BIO_new(BIO_s_mem()));
  HG_CHECK(write(bio.get()) == 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string certificate_pem(X509* certificate) {
  return pem_text([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

OpensslPtr<evp_pkey_st> make_key(const CertificateSpec& spec) {
  OpensslPtr<evp_pkey_st> key(spec.rsa ? EVP_RSA_gen(static_cast<unsigned int>(spec.rsa_bits)) : EVP_EC_gen("P-256"));
  HG_CHECK(key != nullptr);
  return key;
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  HG_CHECK(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// `issuer` null: signed by itself.
OpensslPtr<x509_st> make_certificate(const CertificateSpec& spec, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key) {
  static std::atomic<long> next_serial{1000};
  OpensslPtr<x509_st> certificate(X509_new());
  X509* x509 = certificate.get();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), next_serial++);
  X509_gmtime_adj(X509_getm_notBefore(x509), std::chrono::seconds(spec.begins).count());
  X509_gmtime_adj(X509_getm_notAfter(x509), std::chrono::seconds(spec.ends).count());
  X509_set_pubkey(x509, key);
  X509_NAME* subject = X509_get_subject_name(x509);
  if (!spec.common_name.empty()) {
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1, -1, 0);
  }
  X509_set_issuer_name(x509, issuer == nullptr ? subject : X509_get_subject_name(issuer));
  X509* by = issuer == nullptr ? x509 : issuer;
  add_extension(x509, by, NID_basic_constraints, spec.authority ? "critical,CA:TRUE" : "CA:FALSE");
  add_extension(x509, by, NID_subject_key_identifier, "hash");
  if (spec.authority) add_extension(x509, by, NID_key_usage, "critical,keyCertSign,cRLSign");
  if (!spec.key_usage.empty()) add_extension(x509, by, NID_ext_key_usage, spec.key_usage);
  std::string names;
  for (const std::string& name : spec.alternative_names) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) add_extension(x509, by, NID_subject_alt_name, names);
  HG_CHECK(X509_sign(x509, issuer_key == nullptr ? key : issuer_key, EVP_sha256()) > 0);
  return certificate;
}

std::string key_pem(EVP_PKEY* key) {
  return pem_text([&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

}  // namespace

TestAuthority::TestAuthority(const std::string& name) {
  const CertificateSpec spec{.common_name = name, .alternative_names = {}, .key_usage = {}, .authority = true};
  key_ = make_key(spec);
  certificate_ = make_certificate(spec, key_.get(), nullptr, nullptr);
  pem_ = certificate_pem(certificate_.get());
}

PemPair TestAuthority::issue(const CertificateSpec& spec) const {
  const auto key = make_key(spec);
  const auto certificate = make_certificate(spec, key.get(), certificate_.get(), key_.get());
  return {certificate_pem(certificate.get()), key_pem(key.get())};
}

PemPair TestAuthority::self_signed(const CertificateSpec& spec) {
  const auto key = make_key(spec);
  const auto certificate = make_certificate(spec, key.get(), nullptr, nullptr);
  return {certificate_pem(certificate.get()), key_pem(key.get())};
}

std::string TestAuthority::revocation_list(const std::vector<std::string>& revoked, std::chrono::hours ends) const {
  X509_CRL* list = X509_CRL_new();
  X509_CRL_set_version(list, 1);
  X509_CRL_set_issuer_name(list, X509_get_subject_name(certificate_.get()));
  ASN1_TIME* time = X509_gmtime_adj(nullptr, -48L * 3600);
  X509_CRL_set1_lastUpdate(list, time);
  X509_gmtime_adj(time, std::chrono::seconds(ends).count());
  X509_CRL_set1_nextUpdate(list, time);
  for (const std::string& pem : revoked) {
    const OpensslPtr<bio_st> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const OpensslPtr<x509_st> certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get()));
    X509_gmtime_adj(time, -3600);
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list, entry);
  }
  ASN1_TIME_free(time);
  HG_CHECK(X509_CRL_sign(list, key_.get(), EVP_sha256()) > 0);
  std::string text = pem_text([&](BIO* bio) { return PEM_write_bio_X509_CRL(bio, list); });
  X509_CRL_free(list);
  return text;
}

}  // namespace headgate::testing
