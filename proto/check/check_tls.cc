// The only file outside dataplane/tls that knows OpenSSL in this folder.
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <vector>

#include "proto/check/check.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

constexpr int kSmallestRsaBits = 2048;
constexpr int kSmallestEcBits = 224;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Freer<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using CrlPtr = std::unique_ptr<X509_CRL, Freer<X509_CRL_free>>;

BioPtr open_text(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// No passphrase prompt on the terminal of a server.
int no_passphrase(char*, int, int, void*) { return -1; }

std::string last_openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string out = reason == nullptr ? "" : std::string(" (OpenSSL: ") + reason + ")";
  ERR_clear_error();
  return out;
}

// Certificates of a PEM text in order. Reports when one of them cannot be read; text around them is ignored.
std::vector<X509Ptr> read_certificates(std::string_view field, const std::string& pem, Problems& problems) {
  std::vector<X509Ptr> chain;
  const BioPtr bio = open_text(pem);
  ERR_clear_error();
  while (X509* one = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) chain.emplace_back(one);
  const bool only_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!only_end) {
    problems.error(field, "certificate",
                   "certificate " + std::to_string(chain.size() + 1) + " cannot be read" + last_openssl_reason());
  } else if (chain.empty()) {
    problems.error(field, "certificate", "no certificate in it; expected PEM: -----BEGIN CERTIFICATE-----");
  }
  ERR_clear_error();
  return chain;
}

void check_dates(std::string_view field, const X509* certificate, std::time_t now, Problems& problems) {
  if (now == 0) return;
  std::time_t at = now;
  // Warnings: a server with an expired certificate is still better than none, and clocks may be wrong at boot.
  if (X509_cmp_time(X509_get0_notAfter(certificate), &at) < 0) {
    problems.warning(field, "expired", "the certificate has expired");
  }
  if (X509_cmp_time(X509_get0_notBefore(certificate), &at) > 0) {
    problems.warning(field, "not-yet-valid", "the certificate is not valid yet");
  }
}

void check_strength(std::string_view field, const X509* certificate, Problems& problems) {
  EVP_PKEY* key = X509_get0_pubkey(certificate);
  if (key == nullptr) {
    problems.error(field, "certificate", "the public key of the certificate is of an unknown kind");
    return;
  }
  const int bits = EVP_PKEY_get_bits(key);
  const int kind = EVP_PKEY_get_base_id(key);
  if ((kind == EVP_PKEY_RSA && bits < kSmallestRsaBits) || (kind == EVP_PKEY_EC && bits < kSmallestEcBits)) {
    problems.error(field, "weak-key",
                   "a key of " + std::to_string(bits) +
                       " bits is refused by clients; expected RSA of at least 2048 bits or P-256");
  }
}

void check_key(const config::v1::TlsSecret& secret, const X509* leaf, Problems& problems) {
  const BioPtr bio = open_text(secret.key_pem());
  ERR_clear_error();
  const KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (key == nullptr) {
    // The reason may quote nothing of the key itself: OpenSSL's reasons are fixed texts.
    problems.error("key_pem", "key",
                   "no private key can be read; expected PEM without a passphrase: -----BEGIN PRIVATE KEY-----" +
                       last_openssl_reason());
    return;
  }
  if (leaf != nullptr && X509_check_private_key(leaf, key.get()) != 1) {
    problems.error("key_pem", "key-mismatch", "the key does not belong to the first certificate of the chain");
  }
  ERR_clear_error();
}

void check_chain_order(const std::vector<X509Ptr>& chain, Problems& problems) {
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    if (X509_check_issued(chain[i + 1].get(), chain[i].get()) == X509_V_OK) continue;
    problems.warning("chain_pem", "chain-order",
                     "certificate " + std::to_string(i + 2) + " did not issue certificate " + std::to_string(i + 1) +
                         "; expected the leaf first, then each issuer");
    break;
  }
  ERR_clear_error();
}

}  // namespace

void check_tls_secret(const config::v1::TlsSecret& secret, std::time_t now, Problems& problems) {
  check_resource_name(secret.name(), problems);
  if (secret.chain_pem().empty() && secret.key_pem().empty() && secret.ca_pem().empty()) {
    problems.error("", "missing", "expected a certificate chain with its key, or authorities");
    return;
  }
  if (!secret.chain_pem().empty() || !secret.key_pem().empty()) {
    std::vector<X509Ptr> chain;
    if (secret.chain_pem().empty()) {
      problems.error("chain_pem", "missing", "there is a key without its certificate");
    } else {
      chain = read_certificates("chain_pem", secret.chain_pem(), problems);
    }
    if (!chain.empty()) {
      check_dates("chain_pem", chain.front().get(), now, problems);
      check_strength("chain_pem", chain.front().get(), problems);
      check_chain_order(chain, problems);
    }
    if (secret.key_pem().empty()) {
      problems.error("key_pem", "missing", "there is a certificate without its key");
    } else {
      check_key(secret, chain.empty() ? nullptr : chain.front().get(), problems);
    }
  }
  if (!secret.ca_pem().empty()) {
    for (const X509Ptr& authority : read_certificates("ca_pem", secret.ca_pem(), problems)) {
      check_dates("ca_pem", authority.get(), now, problems);
    }
  }
  if (!secret.crl_pem().empty()) {
    const BioPtr bio = open_text(secret.crl_pem());
    const CrlPtr crl(PEM_read_bio_X509_CRL(bio.get(), nullptr, no_passphrase, nullptr));
    if (crl == nullptr) problems.error("crl_pem", "crl", "no revocation list can be read" + last_openssl_reason());
  }
}

void check_ticket_keys(const config::v1::TicketKeys& keys, Problems& problems) {
  check_resource_name(keys.name(), problems);
  if (keys.keys().empty()) problems.error("keys", "missing", "expected at least one key");
  if (keys.current() >= static_cast<uint32_t>(keys.keys_size())) {
    problems.error("current", "range", "expected an index into keys");
  }
  for (int i = 0; i < keys.keys_size(); ++i) {
    const Field field(problems, "keys", i);
    if (keys.keys(i).id().size() != 16) problems.error("id", "size", "expected 16 bytes");
    if (keys.keys(i).secret().size() != 64) problems.error("secret", "size", "expected 64 bytes");
  }
}

}  // namespace headgate::check
