#include "controlplane/publish/rotating_credentials.h"

#include <ctime>

#include "proto/check/check.h"

namespace headgate::publish {

bool CertificateSource::set(const ServerCertificate& certificate) {
  if (certificate.chain_pem.empty() || certificate.key_pem.empty()) return false;
  config::v1::TlsSecret secret;
  secret.set_name("control");
  secret.set_chain_pem(certificate.chain_pem);
  secret.set_key_pem(certificate.key_pem);
  check::Problems problems;
  problems.start(check::Kind::kTlsSecret, secret.name());
  check::check_tls_secret(secret, 0, problems);
  if (problems.has_errors()) return false;
  const std::lock_guard lock(mutex_);
  certificate_ = certificate;
  ++number_;
  return true;
}

ServerCertificate CertificateSource::current(uint64_t& number) const {
  const std::lock_guard lock(mutex_);
  number = number_;
  return certificate_;
}

RotatingCredentials::RotatingCredentials(std::shared_ptr<CertificateSource> source) : source_(std::move(source)) {
  grpc_ssl_server_credentials_options* const options = grpc_ssl_server_credentials_create_options_using_config_fetcher(
      GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY, &RotatingCredentials::fetch, this);
  credentials_ = grpc_ssl_server_credentials_create_with_options(options);
}

RotatingCredentials::~RotatingCredentials() { grpc_server_credentials_release(credentials_); }

int RotatingCredentials::AddPortToServer(const std::string& address, grpc_server* server) {
  return grpc_server_add_http2_port(server, address.c_str(), credentials_);
}

// gRPC calls this for each handshake, one at a time.
grpc_ssl_certificate_config_reload_status RotatingCredentials::fetch(void* self,
                                                                     grpc_ssl_server_certificate_config** config) {
  auto& credentials = *static_cast<RotatingCredentials*>(self);
  uint64_t number = 0;
  const ServerCertificate certificate = credentials.source_->current(number);
  if (number == credentials.given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
  const grpc_ssl_pem_key_cert_pair pair{certificate.key_pem.c_str(), certificate.chain_pem.c_str()};
  // Some root must be given although no client's chain is verified with it: that is the Authenticator's.
  *config = grpc_ssl_server_certificate_config_create(certificate.chain_pem.c_str(), &pair, 1);
  if (*config == nullptr) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
  credentials.given_ = number;
  return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

}  // namespace headgate::publish
