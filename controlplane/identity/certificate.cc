#include "controlplane/identity/certificate.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "controlplane/identity/openssl.h"
#include "dataplane/base/address.h"

namespace headgate::identity {
namespace {

// What went wrong inside OpenSSL says nothing that a reader could act on; our reason names the step.
Error tls_error(const char* reason) {
  ERR_clear_error();
  return {.code = Errc::kTls, .detail = reason};
}

std::time_t to_unix(WallTime time) {
  return std::chrono::system_clock::to_time_t(std::chrono::floor<std::chrono::seconds>(time));
}

OpensslPtr<BIO> read_only(std::string_view text) {
  return OpensslPtr<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(std::min(text.size(), size_t{1} << 24))));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<size_t>(size));
}

std::string to_pem(X509* certificate) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  return text_of(bio.get());
}

std::string to_pem(EVP_PKEY* key) {
  const OpensslPtr<BIO> bio(BIO_new(BIO_s_secmem()));
  if (bio == nullptr || PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return {};
  }
  return text_of(bio.get());
}

OpensslPtr<EVP_PKEY> parse_key(std::string_view pem) {
  const OpensslPtr<BIO> bio = read_only(pem);
  // An empty pass phrase, so that nobody is asked for one on a terminal.
  char none[] = "";
  return OpensslPtr<EVP_PKEY>(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, none));
}

// Empty: unreadable, or more than kMaxChainLength.
std::vector<OpensslPtr<X509>> parse_chain(std::string_view pem, size_t max_length) {
  std::vector<OpensslPtr<X509>> chain;
  const OpensslPtr<BIO> bio = read_only(pem);
  if (bio == nullptr) return {};
  while (OpensslPtr<X509> next{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    if (chain.size() == max_length) return {};
    chain.push_back(std::move(next));
  }
  // The end of the text is the error "no start line"; any other is a broken certificate.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  return at_end ? std::move(chain) : std::vector<OpensslPtr<X509>>();
}

Result<WallTime> to_wall(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return tls_error("a date in a certificate");
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

bool add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const OpensslPtr<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool add_name(GENERAL_NAMES* names, int type, std::string_view bytes) {
  OpensslPtr<GENERAL_NAME> name(GENERAL_NAME_new());
  const bool is_address = type == GEN_IPADD;
  ASN1_STRING* const text = is_address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
  if (name == nullptr || text == nullptr || ASN1_STRING_set(text, bytes.data(), static_cast<int>(bytes.size())) != 1) {
    ASN1_STRING_free(text);
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), type, text);
  if (sk_GENERAL_NAME_push(names, name.get()) <= 0) return false;
  [[maybe_unused]] const GENERAL_NAME* owned_by_names = name.release();
  return true;
}

// The names one by one and not through OpenSSL's text form, in which a comma would begin another name.
bool add_alternative_names(X509* certificate, const LeafSpec& spec) {
  const OpensslPtr<GENERAL_NAMES> names(GENERAL_NAMES_new());
  if (names == nullptr) return false;
  if (!spec.uri.empty() && !add_name(names.get(), GEN_URI, spec.uri)) return false;
  for (const std::string& name : spec.dns_names) {
    if (!add_name(names.get(), GEN_DNS, name)) return false;
  }
  for (const std::string& text : spec.addresses) {
    const auto address = IpAddress::parse(text);
    if (!address) return false;
    const auto& all = address->bytes();
    const std::string bytes(address->is_v4() ? all.begin() + 12 : all.begin(), all.end());
    if (!add_name(names.get(), GEN_IPADD, bytes)) return false;
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return true;
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_APPEND) == 1;
}

bool add_subject_part(X509* certificate, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

// Version, a serial of 127 random bits, dates and key.
bool set_basics(X509* certificate, EVP_PKEY* key, WallTime not_before, WallTime not_after) {
  std::array<unsigned char, 16> serial{};
  if (RAND_bytes(serial.data(), static_cast<int>(serial.size())) != 1) return false;
  serial[0] &= 0x7f;
  serial[0] |= 0x40;  // never zero, always of the same length
  const OpensslPtr<BIGNUM> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  return number != nullptr && X509_set_version(certificate, 2) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr &&
         ASN1_TIME_set(X509_getm_notBefore(certificate), to_unix(not_before)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), to_unix(not_after)) != nullptr &&
         X509_set_pubkey(certificate, key) == 1;
}

// Ed25519 has its digest built in.
const EVP_MD* digest_for(const EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

bool is_acceptable_key(const EVP_PKEY* key) {
  switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA: return EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096;
    case EVP_PKEY_ED25519: return true;
    case EVP_PKEY_EC: {
      std::array<char, 64> group{};
      size_t length = 0;
      if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) != 1) return false;
      const std::string_view name(group.data(), length);
      return name == "prime256v1" || name == "P-256" || name == "secp384r1" || name == "P-384";
    }
    default: return false;
  }
}

struct Issuer {
  OpensslPtr<X509> certificate;
  OpensslPtr<EVP_PKEY> key;
  std::string intermediates_pem;  // all of its chain but a root
};

Result<Issuer> open_issuer(const KeyPair& pair) {
  std::vector<OpensslPtr<X509>> chain = parse_chain(pair.chain_pem, kMaxChainLength);
  Issuer issuer;
  issuer.key = parse_key(pair.key_pem);
  if (chain.empty() || issuer.key == nullptr) return tls_error("the authority cannot be read");
  if (X509_check_private_key(chain.front().get(), issuer.key.get()) != 1) {
    return tls_error("the key of the authority does not belong to its certificate");
  }
  for (const auto& certificate : chain) {
    if ((X509_get_extension_flags(certificate.get()) & EXFLAG_SS) == 0) {
      issuer.intermediates_pem += to_pem(certificate.get());
    }
  }
  issuer.certificate = std::move(chain.front());
  return issuer;
}

// Leaf and what leads from it to the root.
Result<std::string> sign_leaf(const Issuer& issuer, EVP_PKEY* key, const LeafSpec& spec) {
  const auto issuer_end = to_wall(X509_get0_notAfter(issuer.certificate.get()));
  if (!issuer_end) return issuer_end.error();
  const WallTime end = std::min(spec.not_after, *issuer_end);
  if (end <= spec.not_before) return tls_error("the authority has expired");
  const OpensslPtr<X509> leaf(X509_new());
  if (leaf == nullptr || !set_basics(leaf.get(), key, spec.not_before, end)) return tls_error("certificate");
  X509* const issuing = issuer.certificate.get();
  bool made = add_subject_part(leaf.get(), "O", "headgate.dev");
  if (!spec.pod_uid.empty()) made = made && add_subject_part(leaf.get(), "UID", spec.pod_uid);
  made = made && X509_set_issuer_name(leaf.get(), X509_get_subject_name(issuing)) == 1;
  made = made && add_extension(leaf.get(), issuing, NID_basic_constraints, "critical,CA:FALSE");
  const bool is_rsa = EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA;
  made = made && add_extension(leaf.get(), issuing, NID_key_usage,
                               is_rsa ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature");
  const char* const usage = spec.server && spec.client ? "serverAuth,clientAuth"
                            : spec.server              ? "serverAuth"
                                                       : "clientAuth";
  made = made && add_extension(leaf.get(), issuing, NID_ext_key_usage, usage);
  made = made && add_extension(leaf.get(), issuing, NID_subject_key_identifier, "hash");
  made = made && add_extension(leaf.get(), issuing, NID_authority_key_identifier, "keyid");
  made = made && add_alternative_names(leaf.get(), spec);
  if (!made) return tls_error("a name in the certificate");
  if (X509_sign(leaf.get(), issuer.key.get(), digest_for(issuer.key.get())) <= 0) return tls_error("signature");
  return to_pem(leaf.get()) + issuer.intermediates_pem;
}

void read_names(X509* certificate, CertificateFacts& facts) {
  const OpensslPtr<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const auto* const text =
        static_cast<ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    if (type != GEN_URI && type != GEN_DNS) continue;
    std::string name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                     static_cast<size_t>(ASN1_STRING_length(text)));
    (type == GEN_URI ? facts.uris : facts.dns_names).push_back(std::move(name));
  }
  X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_userId, -1);
  if (at < 0) return;
  const ASN1_STRING* const uid = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  facts.pod_uid.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(uid)),
                       static_cast<size_t>(ASN1_STRING_length(uid)));
}

Result<CertificateFacts> facts_of(X509* certificate) {
  CertificateFacts facts;
  const auto begin = to_wall(X509_get0_notBefore(certificate));
  const auto end = to_wall(X509_get0_notAfter(certificate));
  if (!begin || !end) return tls_error("the dates of a certificate");
  facts.not_before = *begin;
  facts.not_after = *end;
  facts.is_authority = X509_check_ca(certificate) > 0;
  facts.is_self_signed = (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) return tls_error("fingerprint");
  constexpr std::string_view kDigits = "0123456789abcdef";
  for (unsigned i = 0; i < length; ++i) {
    facts.fingerprint += kDigits[digest[i] >> 4];
    facts.fingerprint += kDigits[digest[i] & 15];
  }
  read_names(certificate, facts);
  return facts;
}

}  // namespace

Result<KeyPair> make_root(const RootSpec& spec) {
  const OpensslPtr<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const OpensslPtr<X509> root(X509_new());
  if (key == nullptr || root == nullptr) return tls_error("key");
  bool made = set_basics(root.get(), key.get(), spec.not_before, spec.not_after);
  made =
      made && add_subject_part(root.get(), "O", "headgate.dev") && add_subject_part(root.get(), "CN", spec.common_name);
  made = made && X509_set_issuer_name(root.get(), X509_get_subject_name(root.get())) == 1;
  made = made && add_extension(root.get(), root.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  made = made && add_extension(root.get(), root.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  made = made && add_extension(root.get(), root.get(), NID_subject_key_identifier, "hash");
  if (!made || X509_sign(root.get(), key.get(), EVP_sha256()) <= 0) return tls_error("root certificate");
  KeyPair pair{.chain_pem = to_pem(root.get()), .key_pem = to_pem(key.get())};
  if (pair.chain_pem.empty() || pair.key_pem.empty()) return tls_error("root certificate as text");
  return pair;
}

Result<KeyPair> issue(const KeyPair& issuer, const LeafSpec& spec) {
  const auto opened = open_issuer(issuer);
  if (!opened) return opened.error();
  const OpensslPtr<EVP_PKEY> key(EVP_EC_gen("P-256"));
  if (key == nullptr) return tls_error("key");
  auto chain = sign_leaf(*opened, key.get(), spec);
  if (!chain) return chain.error();
  return KeyPair{.chain_pem = *std::move(chain), .key_pem = to_pem(key.get())};
}

Result<std::string> certify(const KeyPair& issuer, std::string_view request_der, const LeafSpec& spec) {
  if (request_der.size() > kMaxRequestBytes) return Error{.code = Errc::kTooLarge, .detail = "certificate request"};
  const auto* at = reinterpret_cast<const unsigned char*>(request_der.data());
  const auto* const end = at + request_der.size();
  const OpensslPtr<X509_REQ> request(d2i_X509_REQ(nullptr, &at, static_cast<long>(request_der.size())));
  if (request == nullptr || at != end) return tls_error("the certificate request cannot be read");
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || !is_acceptable_key(key)) return tls_error("a key of a kind or size that is not certified");
  if (X509_REQ_verify(request.get(), key) != 1) return tls_error("the certificate request is not signed with its key");
  const auto opened = open_issuer(issuer);
  if (!opened) return opened.error();
  return sign_leaf(*opened, key, spec);
}

Result<CertificateFacts> inspect(std::string_view pem) {
  const std::vector<OpensslPtr<X509>> chain = parse_chain(pem, kMaxChainLength);
  if (chain.empty()) return tls_error("no certificate");
  return facts_of(chain.front().get());
}

Result<std::vector<std::string>> split_chain(std::string_view pem) {
  const std::vector<OpensslPtr<X509>> chain = parse_chain(pem, 64);
  if (chain.empty()) return tls_error("no certificate");
  std::vector<std::string> texts;
  for (const auto& certificate : chain) texts.push_back(to_pem(certificate.get()));
  return texts;
}

bool key_matches(const KeyPair& pair) {
  const std::vector<OpensslPtr<X509>> chain = parse_chain(pair.chain_pem, kMaxChainLength);
  const OpensslPtr<EVP_PKEY> key = parse_key(pair.key_pem);
  const bool matches = !chain.empty() && key != nullptr && X509_check_private_key(chain.front().get(), key.get()) == 1;
  ERR_clear_error();
  return matches;
}

Result<CertificateFacts> verify_client(std::string_view chain_pem, std::string_view roots_pem, WallTime now) {
  if (chain_pem.size() > kMaxChainBytes) return Error{.code = Errc::kTooLarge, .detail = "certificate chain"};
  const std::vector<OpensslPtr<X509>> chain = parse_chain(chain_pem, kMaxChainLength);
  const std::vector<OpensslPtr<X509>> roots = parse_chain(roots_pem, 64);
  if (chain.empty()) return tls_error("the chain of the client cannot be read");
  if (roots.empty()) return tls_error("no authority to verify clients with");
  const OpensslPtr<X509_STORE> store(X509_STORE_new());
  const OpensslPtr<X509_STORE_CTX> context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr) return tls_error("verification");
  for (const auto& root : roots) {
    if (X509_STORE_add_cert(store.get(), root.get()) != 1) return tls_error("an authority");
  }
  STACK_OF(X509)* const between = sk_X509_new_null();
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(between, chain[i].get());
  bool verified = X509_STORE_CTX_init(context.get(), store.get(), chain.front().get(), between) == 1;
  if (verified) {
    X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(rules, to_unix(now));
    X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(kMaxChainLength));
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT);
    verified = X509_verify_cert(context.get()) == 1;
  }
  // A static text of OpenSSL: "certificate has expired", "unable to get local issuer certificate".
  const char* const reason = verified ? "" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  sk_X509_free(between);
  if (!verified) return tls_error(reason);
  return facts_of(chain.front().get());
}

std::string sha256(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  HG_CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  return {reinterpret_cast<const char*>(digest.data()), length};
}

void wipe(std::string& secret) {
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

}  // namespace headgate::identity
