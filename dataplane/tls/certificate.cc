#include "dataplane/tls/certificate.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "dataplane/base/host_name.h"

namespace headgate::tls {
namespace {

// What OpenSSL's default security level asks of keys and signatures; told here so that it is an error of the
// configuration, not of every handshake.
constexpr int kMinSecurityBits = 112;

OpensslPtr<bio_st> memory_bio(std::string_view text) {
  return OpensslPtr<bio_st>(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), INT32_MAX))));
}

// OpenSSL would ask on the terminal otherwise.
int refuse_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

WallTime wall_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  // Far dates do not fit into nanoseconds: RFC 5280 4.1.2.5 has year 9999 for "no end".
  const time_t seconds = std::clamp<time_t>(timegm(&parts), 0, 9'000'000'000);
  return WallTime(std::chrono::seconds(seconds));
}

std::string date_text(WallTime time) {
  const time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

void add_name(std::string_view text, std::vector<std::string>& names) {
  std::string name = normalize_host(text);
  const HostPatternKind kind = host_pattern_kind(name);
  if (kind != HostPatternKind::kExact && kind != HostPatternKind::kWildcard) return;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

std::string_view asn1_text(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)), static_cast<size_t>(ASN1_STRING_length(text))};
}

bool is_ocsp_response(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  OCSP_RESPONSE* response = d2i_OCSP_RESPONSE(nullptr, &at, static_cast<long>(der.size()));
  const bool good = response != nullptr && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL;
  OCSP_RESPONSE_free(response);
  ERR_clear_error();
  return good;
}

}  // namespace

std::vector<OpensslPtr<x509_st>> read_certificates(std::string_view pem, std::string& problem) {
  ERR_clear_error();
  std::vector<OpensslPtr<x509_st>> list;
  const auto bio = memory_bio(pem);
  bool asked = false;
  while (true) {
    OpensslPtr<x509_st> certificate(PEM_read_bio_X509(bio.get(), nullptr, refuse_password, &asked));
    if (certificate == nullptr) break;
    list.push_back(std::move(certificate));
  }
  const unsigned long last = ERR_peek_last_error();
  const bool clean_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (!clean_end) {
    problem = "certificate " + std::to_string(list.size() + 1) + " cannot be read: " + take_error_text("bad PEM");
    list.clear();
  } else if (list.empty()) {
    problem = "no certificate in the text (expected -----BEGIN CERTIFICATE-----)";
  }
  ERR_clear_error();
  return list;
}

Sha256Digest certificate_fingerprint(const x509_st* certificate) {
  Sha256Digest digest{};
  unsigned int size = 0;
  HG_CHECK(X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1 && size == digest.size());
  return digest;
}

CertificateOutcome Certificate::parse(std::string_view chain_pem, std::string key_pem, std::string ocsp, WallTime now) {
  CertificateOutcome outcome;
  std::shared_ptr<Certificate> made(new Certificate());
  outcome.problem = made->read_chain(chain_pem);
  if (outcome.problem.empty()) outcome.problem = made->read_key(key_pem);
  wipe(key_pem);
  if (outcome.problem.empty()) outcome.problem = made->check_strength();
  if (outcome.problem.empty() && !ocsp.empty() && !is_ocsp_response(ocsp)) {
    outcome.problem = "the OCSP response cannot be read or says that it failed";
  }
  ERR_clear_error();
  if (!outcome.problem.empty()) return outcome;
  made->ocsp_ = std::move(ocsp);
  made->read_names();
  made->add_warnings(now, outcome.warnings);
  outcome.certificate = std::move(made);
  return outcome;
}

std::string Certificate::read_chain(std::string_view pem) {
  std::string problem;
  auto list = read_certificates(pem, problem);
  if (list.empty()) return problem;
  leaf_ = std::move(list.front());
  chain_.reset(sk_X509_new_null());
  for (size_t i = 1; i < list.size(); ++i) sk_X509_push(chain_.get(), list[i].release());
  not_before_ = wall_time(X509_get0_notBefore(leaf_.get()));
  not_after_ = wall_time(X509_get0_notAfter(leaf_.get()));
  fingerprint_ = certificate_fingerprint(leaf_.get());
  // Caches the extensions now: done at first use otherwise, under a lock and on a worker.
  X509_check_purpose(leaf_.get(), -1, 0);
  return {};
}

std::string Certificate::read_key(std::string_view pem) {
  bool asked = false;
  const auto bio = memory_bio(pem);
  key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, &asked));
  if (key_ == nullptr) {
    if (asked) return "the private key is encrypted: store it without a passphrase";
    if (pem.find("PRIVATE KEY-----") == std::string_view::npos) {
      return "no private key in the text (expected -----BEGIN PRIVATE KEY-----)";
    }
    return "the private key cannot be read: " + take_error_text("bad PEM");
  }
  if (X509_check_private_key(leaf_.get(), key_.get()) != 1) return "the private key does not belong to the certificate";
  const int kind = EVP_PKEY_get_base_id(key_.get());
  if (kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) {
    key_kind_ = KeyKind::kRsa;
  } else if (kind == EVP_PKEY_EC || kind == EVP_PKEY_ED25519 || kind == EVP_PKEY_ED448) {
    key_kind_ = KeyKind::kEcdsa;
  } else {
    return "the key is neither RSA nor ECDSA nor EdDSA";
  }
  return {};
}

std::string Certificate::check_strength() const {
  if (EVP_PKEY_get_security_bits(key_.get()) < kMinSecurityBits) {
    return "the key is too short: " + std::to_string(EVP_PKEY_get_bits(key_.get())) +
           " bits (RSA needs 2048, an elliptic curve 224)";
  }
  for (int i = -1; i < sk_X509_num(chain_.get()); ++i) {
    X509* certificate = i < 0 ? leaf_.get() : sk_X509_value(chain_.get(), i);
    if ((X509_get_extension_flags(certificate) & EXFLAG_SS) != 0) continue;  // nobody checks a root's own signature
    int bits = 0;
    if (X509_get_signature_info(certificate, nullptr, nullptr, &bits, nullptr) == 1 && bits < kMinSecurityBits) {
      return "certificate " + std::to_string(i + 2) + " is signed with a digest that clients refuse";
    }
  }
  return {};
}

void Certificate::read_names() {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf_.get(), NID_subject_alt_name, nullptr, nullptr));
  bool has_dns = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS) continue;
    has_dns = true;
    add_name(asn1_text(name->d.dNSName), names_);
  }
  GENERAL_NAMES_free(names);
  if (has_dns) return;
  X509_NAME* subject = X509_get_subject_name(leaf_.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return;
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size > 0) add_name({reinterpret_cast<char*>(utf8), static_cast<size_t>(size)}, names_);
  OPENSSL_free(utf8);
}

void Certificate::add_warnings(WallTime now, std::vector<std::string>& warnings) const {
  if (now > not_after_) warnings.push_back("the certificate expired at " + date_text(not_after_));
  if (now < not_before_) warnings.push_back("the certificate is not valid before " + date_text(not_before_));
  X509* below = leaf_.get();
  for (int i = 0; i < sk_X509_num(chain_.get()); ++i) {
    X509* issuer = sk_X509_value(chain_.get(), i);
    if (X509_check_issued(issuer, below) != X509_V_OK) {
      warnings.push_back("certificate " + std::to_string(i + 2) + " of the chain did not issue certificate " +
                         std::to_string(i + 1));
    }
    below = issuer;
  }
}

}  // namespace headgate::tls
