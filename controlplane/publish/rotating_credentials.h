// rotating_credentials.h -- TLS of the gRPC port with a certificate that can be replaced while the port is open.
//
// A client's certificate is asked for and not required; its chain is not verified here: the Authenticator does that,
// because it knows the authorities of this moment. Each handshake takes the certificate that is current.
// Thread: any.   Owner: CertificateSource is shared by the server and its credentials.
#pragma once

#include <grpc/grpc_security.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <mutex>

#include "controlplane/publish/server.h"

namespace headgate::publish {

class CertificateSource {
 public:
  // False: the two do not fit together, or are not PEM; what was there stays.
  bool set(const ServerCertificate& certificate);
  // The certificate and a number that changes with it.
  [[nodiscard]] ServerCertificate current(uint64_t& number) const;

 private:
  mutable std::mutex mutex_;
  ServerCertificate certificate_;
  uint64_t number_ = 0;
};

class RotatingCredentials final : public grpc::ServerCredentials {
 public:
  // Must outlive the server: gRPC calls it for each handshake, but keeps only what it made.
  explicit RotatingCredentials(std::shared_ptr<CertificateSource> source);
  ~RotatingCredentials() override;
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override;
  static grpc_ssl_certificate_config_reload_status fetch(void* self, grpc_ssl_server_certificate_config** config);

  std::shared_ptr<CertificateSource> source_;
  uint64_t given_ = 0;  // number of what gRPC has
  grpc_server_credentials* credentials_ = nullptr;
};

}  // namespace headgate::publish
