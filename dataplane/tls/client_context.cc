// The client half of context.h.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/tls/context.h"
#include "dataplane/tls/protocol.h"
#include "dataplane/tls/tls_stream.h"

namespace headgate::tls {
namespace {

bool is_uri(std::string_view name) { return name.find("://") != std::string_view::npos; }

// After the chain: is the leaf one of the names that we were told to accept?
int verify_with_alternatives(X509_STORE_CTX* store, void* argument) {
  if (X509_verify_cert(store) != 1) return 0;
  if (static_cast<const ClientContext*>(argument)->matches_alternative(X509_STORE_CTX_get0_cert(store))) return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

int on_new_session(SSL* ssl, SSL_SESSION* session) {
  TlsStream::of(ssl).keep_session(OpensslPtr<ssl_session_st>(session));
  return 1;  // the reference is ours now
}

bool has_uri_name(X509* leaf, std::string_view wanted) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr));
  bool found = false;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && !found; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_URI) continue;
    const ASN1_STRING* text = name->d.uniformResourceIdentifier;
    // Compared with its length: an embedded NUL does not end it.
    found = wanted == std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                       static_cast<size_t>(ASN1_STRING_length(text)));
  }
  GENERAL_NAMES_free(names);
  return found;
}

}  // namespace

ClientContext::ClientContext(ClientSettings settings)
    : settings_(std::move(settings)), ctx_(SSL_CTX_new(TLS_client_method())) {}

std::shared_ptr<ClientContext> ClientContext::make(const ClientSettings& settings, std::string& problem) {
  ERR_clear_error();
  std::shared_ptr<ClientContext> made(new ClientContext(settings));
  problem = made->ctx_ == nullptr ? take_error_text("no SSL_CTX") : made->configure();
  if (!problem.empty()) return nullptr;
  return made;
}

std::string ClientContext::configure() {
  SSL_CTX* ctx = ctx_.get();
  if (auto problem = apply_protocol(ctx, settings_.protocol); !problem.empty()) return problem;
  std::string alpn;
  if (!write_alpn(settings_.protocol.alpn, alpn)) return "an ALPN name must have 1 to 255 bytes";
  if (!alpn.empty()) SSL_CTX_set_alpn_protos(ctx, as_bytes(alpn).data(), static_cast<unsigned int>(alpn.size()));

  for (std::string& name : settings_.alternative_names) {
    if (is_uri(name)) {
      compares_names_ = true;
    } else if (IpAddress::parse(name).has_value()) {
      compares_names_ = true;
    } else if (is_valid_host_name(name)) {
      name = normalize_host(name);
    } else {
      return "\"" + name + "\" is neither a host name nor an address nor a URI";
    }
  }
  if (settings_.verify) {
    if (settings_.authorities == nullptr) settings_.authorities = TrustStore::system();
    SSL_CTX_set1_verify_cert_store(ctx, settings_.authorities->store());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, nullptr);
    if (settings_.depth) SSL_CTX_set_verify_depth(ctx, static_cast<int>(*settings_.depth));
    if (compares_names_) SSL_CTX_set_cert_verify_callback(ctx, verify_with_alternatives, this);
  } else {
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, nullptr);
  }
  if (const Certificate* own = settings_.certificate.get(); own != nullptr) {
    if (SSL_CTX_use_cert_and_key(ctx, own->leaf(), own->key(), own->chain(), 1) != 1) {
      return "the client certificate cannot be used: " + take_error_text("unknown reason");
    }
  }
  SSL_CTX_set_msg_callback(ctx, TlsStream::on_message);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, on_new_session);
  return {};
}

bool ClientContext::matches_alternative(x509_st* leaf) const {
  constexpr unsigned int kFlags = X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
  return std::any_of(settings_.alternative_names.begin(), settings_.alternative_names.end(), [&](const auto& name) {
    if (is_uri(name)) return has_uri_name(leaf, name);
    if (IpAddress::parse(name).has_value()) return X509_check_ip_asc(leaf, name.c_str(), 0) == 1;
    return X509_check_host(leaf, name.data(), name.size(), kFlags, nullptr) == 1;
  });
}

OpensslPtr<ssl_session_st> ClientContext::take_session(const std::string& key) {
  const auto at = by_key_.find(key);
  if (at == by_key_.end()) return nullptr;
  targets_.splice(targets_.begin(), targets_, at->second);
  auto& sessions = at->second->sessions;
  while (!sessions.empty()) {
    SSL_SESSION* latest = sessions.back().get();
    const int64_t age_s = static_cast<int64_t>(time(nullptr)) - SSL_SESSION_get_time(latest);
    if (age_s >= SSL_SESSION_get_timeout(latest) || SSL_SESSION_is_resumable(latest) == 0) {
      sessions.pop_back();
      continue;
    }
    if (SSL_SESSION_get_protocol_version(latest) == TLS1_3_VERSION) {
      OpensslPtr<ssl_session_st> taken = std::move(sessions.back());
      sessions.pop_back();
      return taken;
    }
    SSL_SESSION_up_ref(latest);
    return OpensslPtr<ssl_session_st>(latest);
  }
  return nullptr;
}

void ClientContext::keep_session(const std::string& key, OpensslPtr<ssl_session_st> session) {
  auto at = by_key_.find(key);
  if (at == by_key_.end()) {
    if (targets_.size() >= kMaxTargets) {
      by_key_.erase(targets_.back().key);
      targets_.pop_back();
    }
    targets_.push_front({key, {}});
    at = by_key_.emplace(targets_.front().key, targets_.begin()).first;
  }
  auto& sessions = at->second->sessions;
  if (sessions.size() >= kSessionsPerTarget) sessions.erase(sessions.begin());
  sessions.push_back(std::move(session));
}

}  // namespace headgate::tls
