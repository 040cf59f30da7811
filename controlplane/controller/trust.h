// trust.h -- who we are and whom we let in: the authority, our certificate, and who may open a stream.
// Thread: refresh() that of the loop; the rest as the parts say.   Owner: Controller; outlives the publish::Server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/admin/admin.h"
#include "controlplane/controller/options.h"
#include "controlplane/identity/authority.h"
#include "controlplane/identity/caller_authenticator.h"
#include "controlplane/identity/secret_store.h"
#include "controlplane/identity/service.h"
#include "controlplane/identity/serving_certificate.h"
#include "controlplane/identity/token_review.h"
#include "controlplane/publish/server.h"

namespace headgate::controller {

// Names and addresses that clients inside and outside the cluster reach us by.
identity::ServerNames server_names(const Options& options);

struct TrustOptions {
  const Options* options = nullptr;
  std::unique_ptr<identity::SecretStore> secrets;
  std::unique_ptr<identity::TokenReviewer> reviewer;  // null: no tokens, outside a cluster
  std::function<Result<void>(const std::string& roots_pem)> publish_roots;
  std::function<identity::PodStanding(const publish::Caller& caller)> standing;  // null: no Pods
  std::string client_ca_pem;
};

class Trust {
 public:
  explicit Trust(TrustOptions options);

  // Makes or reads the authority, and our certificate. Every Authority::kRefreshInterval, and when leadership changed.
  Result<void> refresh(bool may_write);
  // The first certificate, for ServerOptions; empty before a refresh() succeeded.
  [[nodiscard]] const publish::ServerCertificate& certificate() const { return certificate_; }
  // From now on each new certificate goes there.
  void serve(publish::Server* server) { server_ = server; }

  // What became of tokens and requests for certificates; any thread.
  [[nodiscard]] std::vector<admin::Admin::Sample> samples() const;

  // For clients of HTTPS without a known name: kept in the store, so that all replicas show the same.
  Result<identity::KeyPair> fallback_certificate();

  [[nodiscard]] identity::Authority& authority() { return authority_; }
  [[nodiscard]] publish::Authenticator* authenticator() { return &authenticator_; }
  [[nodiscard]] std::vector<grpc::Service*> services();
  [[nodiscard]] const std::string& server_name() const { return server_name_; }

 private:
  const TrustOptions options_;
  const std::string server_name_;  // replicas call each other by it
  identity::Authority authority_;
  std::unique_ptr<identity::TokenVerifier> tokens_;
  std::unique_ptr<identity::IdentityService> certify_;
  identity::CallerAuthenticator authenticator_;
  identity::ServingCertificate serving_;
  publish::ServerCertificate certificate_;
  publish::Server* server_ = nullptr;
};

}  // namespace headgate::controller
