// context.h -- what handshakes need: a ServerContext per (listener, worker), a ClientContext per (upstream, worker).
//
// Each owns one SSL_CTX (about 100 us and 13 KB), made when the listener or upstream is, never before. Certificates,
// ticket keys and sessions are not in it: they are swapped without making a new one.
// Defaults: TLS 1.2 and 1.3, AEAD and forward secrecy only, X25519 first, no renegotiation, no compression, no early
// data, no session cache (tickets only).
// Thread: worker (one).   Owner: shared_ptr in the listener or upstream, and in every TlsStream that uses it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/client_rules.h"
#include "dataplane/tls/openssl_ptr.h"
#include "dataplane/tls/server_names.h"
#include "dataplane/tls/ticket_keys.h"
#include "dataplane/tls/trust_store.h"

namespace headgate::tls {

enum class TlsVersion : uint8_t { kTls12, kTls13 };

enum class ClientCertificate : uint8_t {
  kNone,      // not asked for
  kRequired,  // none, or one that does not verify, ends the handshake
  kOptional,  // none is fine; one that does not verify ends the handshake
  kJudged,    // neither ends the handshake; TlsFacts::client_certificate says whether one verified
};

// What server and client side have in common.
struct ProtocolSettings {
  TlsVersion min_version = TlsVersion::kTls12;
  TlsVersion max_version = TlsVersion::kTls13;
  std::string ciphers;            // TLS 1.2, OpenSSL's notation; empty: ECDHE with AES-GCM or ChaCha20
  std::string groups;             // "X25519:P-256"; empty: X25519, P-256, P-384
  std::vector<std::string> alpn;  // in order of preference; empty: none
};

struct ServerSettings {
  ProtocolSettings protocol;
  std::string listener;  // its stable name: a ticket of one listener is no good at another
  ClientCertificate client_certificate = ClientCertificate::kNone;
  std::shared_ptr<const TrustStore> client_ca;  // needed unless kNone
  std::optional<uint32_t> client_depth;         // intermediate certificates allowed; default OpenSSL's (100)
  std::shared_ptr<const ClientRules> client_rules;  // by server name, instead of the three above; null: none
  bool tickets = true;
  bool require_known_name = false;  // unrecognized_name instead of the default certificate
};

class ServerContext {
 public:
  // Null with `problem` set: a cipher, group or protocol name that does not exist, no certificate, no authority.
  static std::shared_ptr<ServerContext> make(const ServerSettings& settings, std::shared_ptr<const ServerNames> names,
                                             std::string& problem, const Clock& clock = system_clock());
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // From now on; handshakes that began keep what they chose. Never null.
  void set_names(std::shared_ptr<const ServerNames> names);
  // Null: no tickets are issued or accepted until there are keys.
  void set_ticket_keys(std::shared_ptr<const TicketKeys> keys) { ticket_keys_ = std::move(keys); }
  [[nodiscard]] const ServerNames& names() const { return *names_; }

  // Handshake steps are dear (about 150 us): at most 16 in one turn of the loop. False: come back in the next turn.
  bool may_step(uint64_t turn);

  // For TlsStream and for OpenSSL's callbacks.
  [[nodiscard]] ssl_ctx_st* ssl_ctx() const { return ctx_.get(); }
  [[nodiscard]] const ServerSettings& settings() const { return settings_; }
  // Does the SSL_CTX hold exactly these certificates already? Saves attaching them to each connection.
  [[nodiscard]] bool holds(const ServerNames::Entry& entry) const { return held_table_ != nullptr && entry == held_; }
  [[nodiscard]] const std::string& wire_alpn() const { return wire_alpn_; }
  [[nodiscard]] const TicketKeys* ticket_keys() const { return ticket_keys_.get(); }
  [[nodiscard]] WallTime wall() const { return clock_.wall(); }
  // What a ticket is bound to: listener, client-certificate policy and the name that was asked for (L3: a ticket of
  // one virtual host must not open another one). Stable over processes, so that replicas agree.
  [[nodiscard]] Sha256Digest session_realm(std::string_view server_name) const;
  // Null: none is for this name.
  [[nodiscard]] const ClientRule* client_rule(std::string_view server_name) const {
    return settings_.client_rules == nullptr ? nullptr : settings_.client_rules->find(server_name);
  }

 private:
  static constexpr uint32_t kStepsPerTurn = 16;

  ServerContext(const ServerSettings& settings, const Clock& clock);
  std::string configure();
  std::string configure_client_certificates();
  bool hold(const ServerNames::Entry& entry);

  ServerSettings settings_;
  const Clock& clock_;
  OpensslPtr<ssl_ctx_st> ctx_;
  std::shared_ptr<const ServerNames> names_;
  std::shared_ptr<const ServerNames> held_table_;  // keeps what `held_` points at
  ServerNames::Entry held_;                        // the certificates in the SSL_CTX
  std::shared_ptr<const TicketKeys> ticket_keys_;
  std::string wire_alpn_;  // length-prefixed names
  Sha256Digest realm_{};   // the part of session_realm() that never changes
  uint64_t step_turn_ = 0;
  uint32_t steps_ = 0;
};

struct ClientSettings {
  ProtocolSettings protocol;
  bool verify = true;
  std::shared_ptr<const TrustStore> authorities;  // null: the system's
  // Accepted instead of the target's name: DNS names, addresses, or URIs ("spiffe://cluster/ns/a/sa/b").
  std::vector<std::string> alternative_names;
  std::shared_ptr<const Certificate> certificate;  // ours; null: none
  std::optional<uint32_t> depth;
  bool send_sni = true;
};

// One connection's other end.
struct ClientTarget {
  std::string address;      // where we connect to; sessions are kept per (address, server_name)
  std::string server_name;  // sent as SNI and verified; an address is verified but not sent
};

class ClientContext {
 public:
  // Null with `problem` set: a cipher, group, protocol or alternative name that cannot be one.
  static std::shared_ptr<ClientContext> make(const ClientSettings& settings, std::string& problem);
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

  // For TlsStream and for OpenSSL's callbacks.
  [[nodiscard]] ssl_ctx_st* ssl_ctx() const { return ctx_.get(); }
  [[nodiscard]] const ClientSettings& settings() const { return settings_; }
  // Some alternative name is no DNS name: the names are compared after the chain, by matches_alternative().
  [[nodiscard]] bool compares_names() const { return compares_names_; }
  [[nodiscard]] bool matches_alternative(x509_st* leaf) const;
  static std::string session_key(const ClientTarget& target) { return target.address + '\n' + target.server_name; }
  // A session to offer; null: none. TLS 1.3 sessions are given out once (RFC 8446 C.4).
  OpensslPtr<ssl_session_st> take_session(const std::string& key);
  void keep_session(const std::string& key, OpensslPtr<ssl_session_st> session);

 private:
  static constexpr size_t kMaxTargets = 256;
  static constexpr size_t kSessionsPerTarget = 4;  // connections opened at once all want to resume
  struct TargetSessions {
    std::string key;
    std::vector<OpensslPtr<ssl_session_st>> sessions;  // latest last
  };

  explicit ClientContext(ClientSettings settings);
  std::string configure();

  ClientSettings settings_;
  OpensslPtr<ssl_ctx_st> ctx_;
  bool compares_names_ = false;
  std::list<TargetSessions> targets_;  // latest used first
  std::unordered_map<std::string_view, std::list<TargetSessions>::iterator, TextHash, TextEqual> by_key_;
};

}  // namespace headgate::tls
