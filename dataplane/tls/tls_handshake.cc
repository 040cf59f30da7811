// The handshake half of tls_stream.h: making the two roles, stepping, and what is known afterwards.
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"
#include "dataplane/tls/tls_transport.h"

namespace headgate::tls {
namespace {

constexpr uint8_t kControlBurst = 32;
// Longer than most answers take, shorter than anyone would wait for a ticket.
constexpr Duration kTicketPatience = std::chrono::milliseconds(20);

// RFC 2253 form, or empty.
std::string name_text(X509_NAME* name) {
  const OpensslPtr<bio_st> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

std::string serial_text(X509* certificate) {
  BIGNUM* number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* hex = number == nullptr ? nullptr : BN_bn2hex(number);
  std::string text = hex == nullptr ? "" : hex;
  OPENSSL_free(hex);
  BN_free(number);
  return text;
}

std::string common_name(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) last = i;
  if (last < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
  if (size < 0) return {};
  std::string text(as_text(Bytes(utf8, static_cast<size_t>(size))));
  OPENSSL_free(utf8);
  return text;
}

std::string pem_text(X509* certificate) {
  const OpensslPtr<bio_st> bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

// As nginx's optional_no_ca has it: the chain leads to nobody we know, but nothing else is wrong.
bool leads_nowhere(long problem) {
  switch (problem) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_CHAIN_TOO_LONG: return true;
    default: return false;
  }
}

}  // namespace

TlsStream::TlsStream(event::Loop& loop, std::unique_ptr<net::ByteStream> below, ssl_ctx_st* ctx)
    : loop_(loop),
      below_(std::move(below)),
      ssl_(SSL_new(ctx)),
      later_(loop, event::Timer::call<&TlsStream::on_later>, this),
      ticket_timer_(loop.timers(), event::Timer::call<&TlsStream::on_ticket_timer>, this),
      control_since_(loop.now()),
      control_left_(kControlBurst),
      facts_(below_->facts()) {
  facts_.tls = &tls_facts_;
}

TlsStream::~TlsStream() {
  below_->unwatch();
  if (ssl_ != nullptr && state_ == State::kOpen && !read_broken_) {
    // Else SSL_free() would spoil the session for resumption: we have no use for the other side's close_notify.
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
}

TlsStream& TlsStream::of(ssl_st* ssl) { return *static_cast<TlsStream*>(BIO_get_data(SSL_get_rbio(ssl))); }

std::unique_ptr<TlsStream> TlsStream::server(event::Loop& loop, std::unique_ptr<net::ByteStream> below,
                                             std::shared_ptr<ServerContext> context) {
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(below), context->ssl_ctx()));
  if (stream->ssl_ == nullptr || !stream->attach_transport()) return nullptr;
  stream->server_ = std::move(context);
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

std::unique_ptr<TlsStream> TlsStream::client(event::Loop& loop, std::unique_ptr<net::ByteStream> below,
                                             std::shared_ptr<ClientContext> context, const ClientTarget& target) {
  std::unique_ptr<TlsStream> stream(new TlsStream(loop, std::move(below), context->ssl_ctx()));
  if (stream->ssl_ == nullptr || !stream->attach_transport()) return nullptr;
  stream->client_ = std::move(context);
  SSL_set_connect_state(stream->ssl_.get());
  if (!stream->prepare_client(target)) return nullptr;
  return stream;
}

bool TlsStream::attach_transport() {
  BIO* bio = Transport::make(*this);
  if (bio == nullptr) return false;
  SSL_set_bio(ssl_.get(), bio, bio);
  return true;
}

bool TlsStream::prepare_client(const ClientTarget& target) {
  const ClientSettings& settings = client_->settings();
  const bool is_address = IpAddress::parse(target.server_name).has_value();
  tls_facts_.server_name = normalize_host(target.server_name);
  // RFC 6066 3: addresses are not sent.
  if (settings.send_sni && !is_address && !target.server_name.empty()) {
    if (SSL_set_tlsext_host_name(ssl_.get(), tls_facts_.server_name.c_str()) != 1) return false;
  }
  if (settings.verify && !prepare_verification(target)) return false;
  session_key_ = ClientContext::session_key(target);
  if (auto session = client_->take_session(session_key_)) SSL_set_session(ssl_.get(), session.get());
  return true;
}

// Names are compared with the subject alternative names only, and with their lengths.
bool TlsStream::prepare_verification(const ClientTarget& target) {
  if (client_->compares_names()) return true;
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl_.get());
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const auto& alternatives = client_->settings().alternative_names;
  if (!alternatives.empty()) {
    for (const std::string& name : alternatives) {
      if (X509_VERIFY_PARAM_add1_host(param, name.data(), name.size()) != 1) return false;
    }
    return true;
  }
  if (IpAddress::parse(target.server_name).has_value()) {
    return X509_VERIFY_PARAM_set1_ip_asc(param, target.server_name.c_str()) == 1;
  }
  // Without a name any certificate of the authority would do: start() refuses that.
  const std::string& name = tls_facts_.server_name;
  return name.empty() || X509_VERIFY_PARAM_set1_host(param, name.data(), name.size()) == 1;
}

void TlsStream::start(HandshakeObserver& observer) {
  HG_DCHECK(state_ == State::kNew);
  state_ = State::kHandshake;
  handshake_observer_ = &observer;
  if (client_ != nullptr) later_.schedule();  // the client speaks first
  arm_below();
}

void TlsStream::step() {
  if (client_ != nullptr && client_->settings().verify && tls_facts_.server_name.empty() &&
      client_->settings().alternative_names.empty()) {
    state_ = State::kFailed;
    failure_ = "no name to verify the certificate against";
    below_->unwatch();
    below_->shutdown_write();
    handshake_observer_->on_handshake_failed(
        Error{.code = Errc::kTls, .origin = Origin::kUpstream, .detail = "no name to verify"});
    return;
  }
  if (server_ != nullptr && !server_->may_step(loop_.turns())) {
    later_.schedule();
    return;
  }
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done == 1) {
    finish_handshake();
    return;
  }
  const int why = SSL_get_error(ssl_.get(), done);
  if (why != SSL_ERROR_WANT_READ || below_eof_ || below_failed_) {
    fail_handshake(why);
    return;
  }
  (void)flush();  // a broken write shows as a broken read
  arm_below();
}

void TlsStream::finish_handshake() {
  state_ = State::kOpen;
  fill_facts();
  pending_ = SSL_has_pending(ssl_.get()) != 0;
  if (server_ != nullptr && SSL_version(ssl_.get()) >= TLS1_3_VERSION) {
    if (!out_.empty() && !blocked_) ticket_timer_.arm(kTicketPatience);
  } else {
    flush_later();
  }
  arm_below();
  handshake_observer_->on_handshake_done();
}

void TlsStream::fail_handshake(int ssl_error) {
  Error error;
  if (below_failed_) {
    error = read_error_;
    failure_ = error.detail;
  } else if (below_eof_) {
    error = Error{.code = Errc::kClosed, .detail = "closed during the TLS handshake"};
    failure_ = error.detail;
  } else {
    error = ssl_failure(ssl_error == SSL_ERROR_SYSCALL ? "connection lost" : "TLS handshake");
  }
  ERR_clear_error();
  state_ = State::kFailed;
  // The alert says more to the other side than a reset.
  (void)flush();
  if (out_.empty()) below_->shutdown_write();
  below_->unwatch();
  // Nothing of a request has been sent yet.
  error = error.from(origin());
  if (client_ != nullptr) error = error.with_retry(Retry::kYes);
  handshake_observer_->on_handshake_failed(error);
}

void TlsStream::fill_facts() {
  SSL* ssl = ssl_.get();
  const unsigned char* alpn = nullptr;
  unsigned int alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  if (alpn != nullptr) tls_facts_.alpn = as_text(Bytes(alpn, alpn_size));
  tls_facts_.version = SSL_get_version(ssl);
  tls_facts_.cipher = SSL_get_cipher_name(ssl);
  tls_facts_.resumed = SSL_session_reused(ssl) == 1;
  if (server_ != nullptr && server_->settings().client_certificate != ClientCertificate::kNone) {
    fill_client_certificate();
  }
  if (server_ == nullptr) return;
  if (const ClientRule* rule = server_->client_rule(tls_facts_.server_name)) judge_client_certificate(*rule);
}

void TlsStream::judge_client_certificate(const ClientRule& rule) {
  auto judged = std::make_shared<JudgedCertificate>();
  judged->rule = rule.name;
  if (X509* certificate = SSL_get0_peer_certificate(ssl_.get())) {
    judged->presented = true;
    const long result = SSL_get_verify_result(ssl_.get());
    if (result != X509_V_OK) judged->problem = X509_verify_cert_error_string(result);
    judged->unknown_authority = leads_nowhere(result);
    judged->subject = name_text(X509_get_subject_name(certificate));
    judged->issuer = name_text(X509_get_issuer_name(certificate));
    judged->common_name = common_name(certificate);
    if (rule.keeps_certificate) judged->pem = pem_text(certificate);
    if (judged->problem.empty()) {
      tls_facts_.client_certificate = true;
      tls_facts_.client_subject = judged->subject;
      tls_facts_.client_fingerprint = hex_text(certificate_fingerprint(certificate));
      tls_facts_.client_serial = serial_text(certificate);
    }
  }
  tls_facts_.judged = std::move(judged);
}

void TlsStream::fill_client_certificate() {
  X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return;
  tls_facts_.client_certificate = true;
  tls_facts_.client_subject = name_text(X509_get_subject_name(certificate));
  tls_facts_.client_fingerprint = hex_text(certificate_fingerprint(certificate));
  tls_facts_.client_serial = serial_text(certificate);
}

void TlsStream::set_ends(const SocketAddress& remote, const SocketAddress& local) {
  facts_.remote = remote;
  facts_.local = local;
  below_->set_ends(remote, local);
}

void TlsStream::keep_session(OpensslPtr<ssl_session_st> session) {
  if (client_ != nullptr) client_->keep_session(session_key_, std::move(session));
}

}  // namespace headgate::tls
