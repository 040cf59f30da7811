#include "controlplane/kube/transport_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dataplane/base/address.h"

namespace headgate::kube {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const { Free(object); }
};
using BioPtr = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using CertificatePtr = std::unique_ptr<X509, Freed<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;

Error invalid(const char* detail) {
  ERR_clear_error();
  return Error{.code = Errc::kInvalid, .detail = detail};
}

BioPtr open_text(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// A password prompt would wait for a terminal.
int no_password(char*, int, int, void*) { return -1; }

Result<void> trust(SSL_CTX* context, const Pem& authority) {
  if (authority.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) return invalid("the system's authorities");
    return {};
  }
  const auto text = authority.read();
  if (!text) return text.error();
  const BioPtr bio = open_text(*text);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  size_t count = 0;
  while (const CertificatePtr certificate{PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)}) {
    if (X509_STORE_add_cert(store, certificate.get()) != 1) return invalid("certificate-authority");
    ++count;
  }
  if (count == 0) return invalid("certificate-authority holds no certificate");
  ERR_clear_error();  // the end of the text is one
  return {};
}

Result<void> identify(SSL_CTX* context, const Config& config) {
  if (config.certificate.empty()) return {};
  const auto chain = config.certificate.read();
  if (!chain) return chain.error();
  const auto key_text = config.key.read();
  if (!key_text) return key_text.error();
  const BioPtr bio = open_text(*chain);
  const CertificatePtr leaf(PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr));
  if (leaf == nullptr || SSL_CTX_use_certificate(context, leaf.get()) != 1) return invalid("client certificate");
  while (const CertificatePtr next{PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)}) {
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) return invalid("chain of the client certificate");
  }
  ERR_clear_error();
  const BioPtr key_bio = open_text(*key_text);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, no_password, nullptr));
  if (key == nullptr || SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return invalid("client key, or it does not belong to the client certificate");
  }
  return {};
}

// The name we expect, also in the ClientHello: cpp-httplib puts the host there, which is wrong with tls-server-name,
// and forbidden for addresses (RFC 6066 3). Called before the ClientHello is made.
void name_the_server(const SSL* ssl, int where, int /*result*/) {
  if ((where & SSL_CB_HANDSHAKE_START) == 0) return;
  auto* connection = const_cast<SSL*>(ssl);
  SSL_set_tlsext_host_name(connection, X509_VERIFY_PARAM_get0_host(SSL_get0_param(connection), 0));  // null: no SNI
}

Result<void> expect_name(SSL_CTX* context, const std::string& name) {
  X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool set = IpAddress::parse(name).has_value()
                       ? X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) == 1
                       : X509_VERIFY_PARAM_set1_host(expected, name.c_str(), name.size()) == 1;
  if (!set) return invalid("name of the server");
  SSL_CTX_set_info_callback(context, name_the_server);
  return {};
}

}  // namespace

Result<std::unique_ptr<httplib::ClientImpl>> make_http_client(const Config& config) {
  if (!config.tls) return std::make_unique<httplib::ClientImpl>(config.host, config.port);
  auto client = std::make_unique<httplib::SSLClient>(config.host, config.port);
  SSL_CTX* context = client->ssl_context();
  if (context == nullptr) return invalid("TLS context");
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // cpp-httplib would look at the certificate after the handshake, with comparisons of its own that read past IPv4
  // addresses. Ours replaces that: the handshake itself fails, before any token is sent.
  client->enable_server_certificate_verification(false);
  SSL_CTX_set_verify(context, config.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  HG_TRY(expect_name(context, config.server_name.empty() ? config.host : config.server_name));
  if (config.verify) HG_TRY(trust(context, config.authority));
  HG_TRY(identify(context, config));
  return std::unique_ptr<httplib::ClientImpl>(std::move(client));
}

const char* take_tls_failure() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  return reason == nullptr ? "TLS handshake" : reason;
}

}  // namespace headgate::kube
