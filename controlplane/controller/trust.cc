#include "controlplane/controller/trust.h"

#include <utility>

#include "dataplane/base/address.h"

namespace headgate::controller {

namespace {

constexpr const char* kFallbackSecret = "headgate-default-certificate";
constexpr Duration kServingLife = std::chrono::hours(24 * 30);
constexpr Duration kRenewBefore = std::chrono::hours(24 * 30);

identity::AuthorityOptions authority_options(const TrustOptions& options) {
  identity::AuthorityOptions made;
  made.store = options.secrets.get();
  made.trust_domain = options.options->trust_domain;
  made.publish = options.publish_roots;
  return made;
}

identity::WorkloadName our_name(const Options& options) {
  return {.trust_domain = options.trust_domain,
          .namespace_name = options.pod_namespace,
          .service_account = options.service_account};
}

bool has_workload_name(const Options& options) {
  return !options.pod_namespace.empty() && !options.service_account.empty();
}

// Other replicas know us by our name as a workload.
identity::ServerNames stream_names(const Options& options) {
  identity::ServerNames names = server_names(options);
  if (has_workload_name(options)) names.workload = our_name(options);
  return names;
}

identity::CallerRules caller_rules(const TrustOptions& options, const identity::Authority& authority,
                                   identity::TokenVerifier* tokens) {
  identity::CallerRules rules;
  rules.authority = &authority;
  rules.tokens = tokens;
  rules.static_clients_pem = options.client_ca_pem;
  if (has_workload_name(*options.options)) rules.replica = our_name(*options.options);
  rules.standing = options.standing;
  return rules;
}

std::unique_ptr<identity::TokenVerifier> verifier(identity::TokenReviewer* reviewer) {
  return reviewer == nullptr ? nullptr : std::make_unique<identity::TokenVerifier>(*reviewer);
}

std::string field(const identity::SecretData& data, const char* name) {
  const auto found = data.find(name);
  return found == data.end() ? std::string() : found->second;
}

}  // namespace

identity::ServerNames server_names(const Options& options) {
  identity::ServerNames names;
  if (!options.pod_namespace.empty()) {
    names.dns_names = identity::service_names(options.service, options.pod_namespace, options.cluster_domain);
  } else {
    names.dns_names = {options.service, "localhost"};
    names.addresses = {"127.0.0.1", "::1"};
  }
  for (const std::string& name : options.server_names) {
    (IpAddress::parse(name) ? names.addresses : names.dns_names).push_back(name);
  }
  return names;
}

Trust::Trust(TrustOptions options)
    : options_(std::move(options)),
      server_name_(options_.options->service + "." + options_.options->pod_namespace + ".svc"),
      authority_(authority_options(options_)),
      tokens_(verifier(options_.reviewer.get())),
      certify_(tokens_ == nullptr ? nullptr : std::make_unique<identity::IdentityService>(authority_, *tokens_)),
      authenticator_(caller_rules(options_, authority_, tokens_.get())),
      serving_(authority_, stream_names(*options_.options), kServingLife, [this](const identity::KeyPair& pair) {
        certificate_ = {.chain_pem = pair.chain_pem, .key_pem = pair.key_pem};
        return server_ == nullptr || server_->set_certificate(certificate_);
      }) {}

Result<void> Trust::refresh(bool may_write) {
  HG_TRY(authority_.refresh(may_write));
  return serving_.refresh();
}

Result<identity::KeyPair> Trust::fallback_certificate() {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto stored = options_.secrets->load(kFallbackSecret);
    if (!stored && stored.error().code != Errc::kNotFound) return stored.error();
    if (stored) {
      identity::KeyPair pair{.chain_pem = field(stored->data, "tls.crt"), .key_pem = field(stored->data, "tls.key")};
      const auto facts = identity::inspect(pair.chain_pem);
      if (facts && facts->not_after - system_clock().wall() > kRenewBefore && identity::key_matches(pair)) return pair;
    }
    auto made = authority_.issue_server({.dns_names = {"ingress.local"}}, identity::Authority::kWebhookLife);
    if (!made) return made.error();
    const identity::SecretData data{{"tls.crt", made->chain_pem}, {"tls.key", made->key_pem}};
    const auto saved = options_.secrets->save(kFallbackSecret, data, stored ? stored->version : std::string());
    if (saved) return made;
    if (saved.error().code != Errc::kExists) return saved.error();
  }
  return Error{.code = Errc::kExists, .detail = "another controller keeps changing the default certificate"};
}

std::vector<admin::Admin::Sample> Trust::samples() const {
  std::vector<admin::Admin::Sample> all;
  if (certify_ == nullptr) return all;
  const auto add = [&](const char* name, const char* help, const char* result, uint64_t count) {
    all.push_back({name, help, true, {{"result", result}}, static_cast<double>(count)});
  };
  constexpr const char* kCertificates = "headgate_controller_certificates_total";
  constexpr const char* kAsked = "Certificates that dataplanes asked for with a token.";
  add(kCertificates, kAsked, "issued", certify_->issued());
  add(kCertificates, kAsked, "refused", certify_->refused());
  constexpr const char* kTokens = "headgate_controller_tokens_total";
  constexpr const char* kShown =
      "Tokens that were shown: reviewed by the API server, or known from a review before; of them "
      "denied, left undecided because it did not answer, or not asked because of too many.";
  const identity::TokenVerifier::Counts& counts = tokens_->counts();
  add(kTokens, kShown, "reviewed", counts.reviews);
  add(kTokens, kShown, "remembered", counts.remembered);
  add(kTokens, kShown, "denied", counts.denied);
  add(kTokens, kShown, "failed", counts.failed);
  add(kTokens, kShown, "limited", counts.limited);
  return all;
}

std::vector<grpc::Service*> Trust::services() {
  if (certify_ == nullptr) return {};
  return {certify_.get()};
}

}  // namespace headgate::controller
