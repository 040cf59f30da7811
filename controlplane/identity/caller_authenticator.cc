#include "controlplane/identity/caller_authenticator.h"

#include <utility>

namespace headgate::identity {
namespace {

using publish::Caller;

Error denied(const char* reason) { return {.code = Errc::kDenied, .detail = reason}; }

}  // namespace

Result<Caller> CallerAuthenticator::authenticate(const publish::Credentials& credentials) {
  const bool has_token = !credentials.bearer_token.empty() && rules_.tokens != nullptr;
  if (!credentials.certificate_chain_pem.empty()) {
    auto caller = by_certificate(credentials.certificate_chain_pem);
    // An expired certificate beside a good token: the token stands for itself.
    if (caller || caller.error().code != Errc::kDenied || !has_token) return caller;
  }
  if (has_token) return by_token(credentials.bearer_token);
  return denied(credentials.bearer_token.empty() ? "neither a certificate nor a token"
                                                 : "a stream is opened with a certificate: ask Certify for one");
}

Result<Caller> CallerAuthenticator::by_certificate(const std::string& chain_pem) const {
  const WallTime now = rules_.clock->wall();
  if (rules_.authority != nullptr && !rules_.authority->is_ready()) {
    return Error{.code = Errc::kUnreachable, .detail = "the authority has not been loaded yet"};
  }
  Result<CertificateFacts> ours = denied("no authority");
  if (rules_.authority != nullptr) ours = verify_client(chain_pem, rules_.authority->roots_pem(), now);
  if (!ours) {
    // A certificate of theirs says nothing about workloads, whatever names are in it.
    const bool is_static =
        !rules_.static_clients_pem.empty() && verify_client(chain_pem, rules_.static_clients_pem, now);
    return is_static ? Result<Caller>(Caller{}) : denied(ours.error().detail);
  }
  if (ours->uris.size() != 1) return denied("the certificate does not name one workload");
  const auto name = parse_workload_uri(ours->uris.front());
  if (!name || name->trust_domain != rules_.authority->trust_domain()) {
    return denied("the certificate names a workload of another trust domain");
  }
  if (rules_.replica && *name == *rules_.replica) {
    return Caller{.part = Caller::Part::kReplica,
                  .namespace_name = name->namespace_name,
                  .service_account = name->service_account};
  }
  return check_standing(
      {.namespace_name = name->namespace_name, .service_account = name->service_account, .pod_uid = ours->pod_uid});
}

Result<Caller> CallerAuthenticator::by_token(const std::string& token) const {
  const auto holder = rules_.tokens->verify(token);
  if (!holder) return holder.error();
  return check_standing({.namespace_name = holder->namespace_name,
                         .service_account = holder->service_account,
                         .pod = holder->pod,
                         .pod_uid = holder->pod_uid});
}

Result<Caller> CallerAuthenticator::check_standing(Caller caller) const {
  // Without a Pod there is nothing to look up: a token made by hand for a proxy outside the cluster.
  if (rules_.standing == nullptr || caller.pod_uid.empty()) return caller;
  switch (rules_.standing(caller)) {
    case PodStanding::kRuns: return caller;
    case PodStanding::kUnknown:
      return Error{.code = Errc::kNotFound, .detail = "the Pod is not known: too new, or gone"};
    case PodStanding::kEnded: return denied("the Pod has ended, or is another's");
  }
  return denied("the standing of the Pod");
}

}  // namespace headgate::identity
