// caller_authenticator.h -- says who opens a stream: a dataplane with a certificate of ours, one with a token, a proxy
// outside the cluster with a certificate of its owner's, or another replica.
// Thread: as publish::Authenticator.   Owner: main; outlives the publish::Server.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "controlplane/identity/authority.h"
#include "controlplane/identity/token_review.h"
#include "controlplane/publish/authenticator.h"

namespace headgate::identity {

enum class PodStanding : uint8_t {
  kRuns,     // with that ServiceAccount and UID
  kUnknown,  // our cache has not seen it: it may be too new
  kEnded,    // or it is another's
};

struct CallerRules {
  const Authority* authority = nullptr;  // null: no certificate of ours opens a stream
  TokenVerifier* tokens = nullptr;       // null: tokens open no stream (they still get a certificate from Certify)
  // PEM. A client certificate of theirs may be any Node: for proxies outside the cluster. Empty: none.
  std::string static_clients_pem;
  // Name of the controller itself: a caller with it is another replica.
  std::optional<WorkloadName> replica;
  // Looks into the cache of Pods. Null: there is none, and what the certificate says is enough.
  std::function<PodStanding(const publish::Caller& caller)> standing;
  const Clock* clock = &system_clock();
};

class CallerAuthenticator final : public publish::Authenticator {
 public:
  explicit CallerAuthenticator(CallerRules rules) : rules_(std::move(rules)) {}

  Result<publish::Caller> authenticate(const publish::Credentials& credentials) override;

 private:
  Result<publish::Caller> by_certificate(const std::string& chain_pem) const;
  Result<publish::Caller> by_token(const std::string& token) const;
  [[nodiscard]] Result<publish::Caller> check_standing(publish::Caller caller) const;

  const CallerRules rules_;
};

}  // namespace headgate::identity
