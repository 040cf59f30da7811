#include "dataplane/tls/protocol.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace headgate::tls {
namespace {

// AES-128 first: with hardware AES it is the cheapest, and SHA-256 has instructions of its own where SHA-384 has none.
constexpr const char* kCiphers13 = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
constexpr const char* kCiphers12 =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr const char* kGroups = "X25519:P-256:P-384";
// One receive takes this much, so bulk data costs a system call per two records, not two per record.
constexpr size_t kReadBuffer = 32 * 1024;

int version_number(TlsVersion version) { return version == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION; }

}  // namespace

std::string apply_protocol(ssl_ctx_st* ctx, const ProtocolSettings& settings) {
  if (settings.min_version > settings.max_version) return "the lowest TLS version is above the highest";
  SSL_CTX_set_min_proto_version(ctx, version_number(settings.min_version));
  SSL_CTX_set_max_proto_version(ctx, version_number(settings.max_version));
  SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                               SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // One control message per call, so that TlsStream can count them.
  SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
  // Buffers go back when empty: an idle connection holds none of the 33 KiB.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_default_read_buffer_len(ctx, kReadBuffer);
  if (SSL_CTX_set_ciphersuites(ctx, kCiphers13) != 1) return take_error_text("TLS 1.3 ciphers");
  if (SSL_CTX_set_cipher_list(ctx, settings.ciphers.empty() ? kCiphers12 : settings.ciphers.c_str()) != 1) {
    ERR_clear_error();
    return "no usable cipher in \"" + settings.ciphers + "\" (expected OpenSSL names, \"ECDHE-RSA-AES128-GCM-SHA256\")";
  }
  if (SSL_CTX_set1_groups_list(ctx, settings.groups.empty() ? kGroups : settings.groups.c_str()) != 1) {
    ERR_clear_error();
    return "unknown group in \"" + settings.groups + "\" (expected names, \"X25519:P-256\")";
  }
  return {};
}

bool write_alpn(const std::vector<std::string>& names, std::string& wire) {
  wire.clear();
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) return false;
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return true;
}

}  // namespace headgate::tls
