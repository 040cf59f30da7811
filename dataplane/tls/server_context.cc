// The server half of context.h.
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <cstring>

#include "dataplane/tls/client_hello.h"
#include "dataplane/tls/context.h"
#include "dataplane/tls/protocol.h"
#include "dataplane/tls/tls_stream.h"

namespace headgate::tls {
namespace {

ServerContext& context_of(SSL* ssl) {
  return *static_cast<ServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

const ServerNames::Entry& entry_for(const ServerContext& context, std::string_view server_name) {
  const ServerNames::Entry* entry = context.names().find(server_name);
  return entry == nullptr ? context.names().default_entry() : *entry;
}

int judge_later(int, X509_STORE_CTX*) { return 1; }

void ask_for_certificate(SSL* ssl, const ClientRule& rule) {
  SSL_set_verify(ssl, SSL_VERIFY_PEER, judge_later);
  SSL_set1_verify_cert_store(ssl, rule.authorities->store());
  SSL_set_client_CA_list(ssl, SSL_dup_CA_list(rule.authorities->subjects()));
  if (rule.depth) SSL_set_verify_depth(ssl, static_cast<int>(*rule.depth));
}

// First to see a ClientHello, before resumption is considered: the only place where a ticket can be bound to the name.
int on_client_hello(SSL* ssl, int* alert, void*) {
  const ServerContext& context = context_of(ssl);
  std::string name;
  const unsigned char* extension = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &size) == 1 &&
      !parse_server_name(Bytes(extension, size), name)) {
    *alert = SSL_AD_DECODE_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (context.settings().require_known_name && context.names().find(name) == nullptr) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  const Sha256Digest realm = context.session_realm(name);
  if (SSL_set_session_id_context(ssl, realm.data(), realm.size()) != 1) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (const ClientRule* rule = context.client_rule(name)) ask_for_certificate(ssl, *rule);
  TlsStream::of(ssl).note_server_name(std::move(name));
  return SSL_CLIENT_HELLO_SUCCESS;
}

// Only decides whether the name is acknowledged (RFC 6066 3).
int on_server_name(SSL* ssl, int*, void*) {
  const bool known = context_of(ssl).names().find(TlsStream::of(ssl).server_name()) != nullptr;
  return known ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

bool attach(SSL* ssl, const Certificate* certificate) {
  return certificate == nullptr ||
         SSL_use_cert_and_key(ssl, certificate->leaf(), certificate->key(), certificate->chain(), 1) == 1;
}

// Full handshakes only. 0 ends the handshake.
int on_certificate(SSL* ssl, void*) {
  const ServerContext& context = context_of(ssl);
  const ServerNames::Entry& entry = entry_for(context, TlsStream::of(ssl).server_name());
  if (context.holds(entry)) return 1;
  SSL_certs_clear(ssl);
  return attach(ssl, entry.ecdsa) && attach(ssl, entry.rsa) ? 1 : 0;
}

int on_status_request(SSL* ssl, void*) {
  const ServerNames::Entry& entry = entry_for(context_of(ssl), TlsStream::of(ssl).server_name());
  const X509* chosen = SSL_get_certificate(ssl);
  for (const Certificate* certificate : {entry.ecdsa, entry.rsa}) {
    if (certificate == nullptr || certificate->leaf() != chosen || certificate->ocsp().empty()) continue;
    const std::string& response = certificate->ocsp();
    void* copy = OPENSSL_memdup(response.data(), response.size());
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, static_cast<long>(response.size()));  // takes it over
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_NOACK;
}

int on_alpn(SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
            unsigned int offered_size, void*) {
  const std::string& ours = context_of(ssl).wire_alpn();
  unsigned char* match = nullptr;
  const int found = SSL_select_next_proto(&match, chosen_size, as_bytes(ours).data(),
                                          static_cast<unsigned int>(ours.size()), offered, offered_size);
  // RFC 7301 3.2: no_application_protocol, not a guess.
  if (found != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = match;
  return SSL_TLSEXT_ERR_OK;
}

bool set_mac_key(EVP_MAC_CTX* mac, const TicketKey& key) {
  std::array<uint8_t, 32> secret = key.mac_key();
  std::array<char, 7> digest = {"SHA256"};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, secret.data(), secret.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  const bool done = EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
  wipe(secret);
  return done;
}

const EVP_CIPHER* ticket_cipher() {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr);
  return cipher;
}

// -1 failure, 0 no ticket or an unknown one (full handshake), 1 all right, 2 all right and worth replacing.
int on_ticket(SSL* ssl, unsigned char* id, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypt) {
  const ServerContext& context = context_of(ssl);
  const TicketKeys* keys = context.ticket_keys();
  if (keys == nullptr) return 0;
  const WallTime now = context.wall();
  const TicketKey* key =
      encrypt == 1 ? keys->encrypting(now) : keys->find(Bytes(id, std::tuple_size_v<std::array<uint8_t, 16>>), now);
  if (key == nullptr) return 0;
  if (encrypt == 1) {
    std::memcpy(id, key->id().data(), key->id().size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(ticket_cipher())) != 1) return -1;
  }
  if (EVP_CipherInit_ex(cipher, ticket_cipher(), nullptr, key->cipher_key().data(), iv, encrypt) != 1) return -1;
  if (!set_mac_key(mac, *key)) return -1;
  if (encrypt == 1) return 1;
  // RFC 8446 C.4: a TLS 1.3 ticket is for one use, so each resumption brings the next.
  return key->encrypts_at(now) && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}

bool same_slots(const Certificate* a, const Certificate* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return EVP_PKEY_get_base_id(a->key()) == EVP_PKEY_get_base_id(b->key());
}

}  // namespace

ServerContext::ServerContext(const ServerSettings& settings, const Clock& clock)
    : settings_(settings), clock_(clock), ctx_(SSL_CTX_new(TLS_server_method())) {}

std::shared_ptr<ServerContext> ServerContext::make(const ServerSettings& settings,
                                                   std::shared_ptr<const ServerNames> names, std::string& problem,
                                                   const Clock& clock) {
  ERR_clear_error();
  if (names == nullptr) {
    problem = "a TLS listener needs at least one certificate";
    return nullptr;
  }
  std::shared_ptr<ServerContext> made(new ServerContext(settings, clock));
  problem = made->ctx_ == nullptr ? take_error_text("no SSL_CTX") : made->configure();
  if (!problem.empty()) return nullptr;
  made->set_names(std::move(names));
  return made;
}

std::string ServerContext::configure() {
  SSL_CTX* ctx = ctx_.get();
  SSL_CTX_set_app_data(ctx, this);
  if (auto problem = apply_protocol(ctx, settings_.protocol); !problem.empty()) return problem;
  if (!write_alpn(settings_.protocol.alpn, wire_alpn_)) return "an ALPN name must have 1 to 255 bytes";
  if (!wire_alpn_.empty()) SSL_CTX_set_alpn_select_cb(ctx, on_alpn, nullptr);
  if (auto problem = configure_client_certificates(); !problem.empty()) return problem;

  const auto policy = static_cast<char>('0' + static_cast<int>(settings_.client_certificate));
  std::string realm = settings_.listener + '\0' + policy;
  if (settings_.client_ca != nullptr) realm += as_text(settings_.client_ca->digest());
  realm += std::to_string(settings_.client_depth.value_or(UINT32_MAX));
  realm_ = sha256(realm);

  SSL_CTX_set_client_hello_cb(ctx, on_client_hello, nullptr);
  SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
  SSL_CTX_set_cert_cb(ctx, on_certificate, nullptr);
  SSL_CTX_set_tlsext_status_cb(ctx, on_status_request);
  SSL_CTX_set_msg_callback(ctx, TlsStream::on_message);

  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_timeout(ctx, std::chrono::duration_cast<std::chrono::seconds>(kTicketKeyPeriod).count());
  SSL_CTX_set_num_tickets(ctx, settings_.tickets ? 1 : 0);
  if (settings_.tickets) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
  } else {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  }
  return {};
}

std::string ServerContext::configure_client_certificates() {
  SSL_CTX* ctx = ctx_.get();
  if (settings_.client_certificate == ClientCertificate::kNone) return {};
  if (settings_.client_ca == nullptr) return "client certificates need the authorities that sign them";
  SSL_CTX_set1_verify_cert_store(ctx, settings_.client_ca->store());
  SSL_CTX_set_client_CA_list(ctx, SSL_dup_CA_list(settings_.client_ca->subjects()));
  if (settings_.client_depth) SSL_CTX_set_verify_depth(ctx, static_cast<int>(*settings_.client_depth));
  switch (settings_.client_certificate) {
    case ClientCertificate::kNone: break;
    case ClientCertificate::kRequired:
      SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      break;
    case ClientCertificate::kOptional: SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr); break;
    case ClientCertificate::kJudged: SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, judge_later); break;
  }
  return {};
}

void ServerContext::set_names(std::shared_ptr<const ServerNames> names) {
  HG_CHECK(names != nullptr);
  names_ = std::move(names);
  if (hold(names_->default_entry())) held_table_ = names_;
}

// Puts the default certificates into the SSL_CTX, so that most connections find theirs there. A slot cannot be emptied
// again: when the kinds of key change, what is held stays and the callback attaches the new ones to each connection.
bool ServerContext::hold(const ServerNames::Entry& entry) {
  if (held_table_ != nullptr && (!same_slots(entry.ecdsa, held_.ecdsa) || !same_slots(entry.rsa, held_.rsa))) {
    return false;
  }
  held_ = entry;
  for (const Certificate* certificate : {entry.ecdsa, entry.rsa}) {
    if (certificate == nullptr) continue;
    if (SSL_CTX_use_cert_and_key(ctx_.get(), certificate->leaf(), certificate->key(), certificate->chain(), 1) != 1) {
      ERR_clear_error();
      held_ = {};  // the callback will fail as well, and say why
      return false;
    }
  }
  return true;
}

bool ServerContext::may_step(uint64_t turn) {
  if (turn != step_turn_) {
    step_turn_ = turn;
    steps_ = 0;
  }
  return ++steps_ <= kStepsPerTurn;
}

Sha256Digest ServerContext::session_realm(std::string_view server_name) const {
  std::array<char, sizeof(Sha256Digest) + 256> text;
  const size_t size = std::min<size_t>(server_name.size(), 255);  // host names are shorter
  std::memcpy(text.data(), realm_.data(), realm_.size());
  std::memcpy(text.data() + realm_.size(), server_name.data(), size);
  const Sha256Digest realm = sha256({text.data(), realm_.size() + size});
  const ClientRule* rule = client_rule(server_name);
  if (rule == nullptr) return realm;
  // A session that was verified by another rule must not pass for one that was verified by this.
  std::string bound(as_text(realm));
  bound.append(as_text(rule->authorities->digest())).append(std::to_string(rule->depth.value_or(UINT32_MAX)));
  return sha256(bound);
}

}  // namespace headgate::tls
