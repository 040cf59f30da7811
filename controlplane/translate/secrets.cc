#include "controlplane/translate/secrets.h"

#include "controlplane/translate/notes.h"
#include "proto/check/check.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

std::string value_of(const kubernetes::Secret& secret, const char* key) {
  const auto at = secret.data().find(key);
  return at == secret.data().end() ? std::string() : at->second;
}

// The first error, empty when there is none. Dates are not looked at: the same input gives the same output.
std::string problem_of(const v1::TlsSecret& message) {
  check::Problems problems;
  problems.start(check::Kind::kTlsSecret, message.name());
  check::check_tls_secret(message, 0, problems);
  for (const check::Problem& problem : problems.list()) {
    if (problem.severity == check::Severity::kError) return problem.message;
  }
  return {};
}

}  // namespace

std::shared_ptr<const SecretContent> read_tls_secret(const kubernetes::Secret& secret) {
  auto content = std::make_shared<SecretContent>();
  v1::TlsSecret& message = content->message;
  message.set_name(secret.metadata().namespace_() + "/" + secret.metadata().name());

  v1::TlsSecret part;
  part.set_name(message.name());
  part.set_chain_pem(value_of(secret, "tls.crt"));
  part.set_key_pem(value_of(secret, "tls.key"));
  if (part.chain_pem().empty() || part.key_pem().empty()) {
    content->certificate_problem = "the Secret " + message.name() + " lacks tls.crt or tls.key";
  } else if (const std::string problem = problem_of(part); !problem.empty()) {
    content->certificate_problem = "the certificate in the Secret " + message.name() + " is not usable: " + problem;
  } else {
    content->has_certificate = true;
    message = part;
  }

  part.Clear();
  part.set_name(message.name());
  part.set_ca_pem(value_of(secret, "ca.crt"));
  part.set_crl_pem(value_of(secret, "ca.crl"));
  if (part.ca_pem().empty()) {
    content->authorities_problem = "the Secret " + message.name() + " lacks ca.crt";
  } else if (const std::string problem = problem_of(part); !problem.empty()) {
    content->authorities_problem = "ca.crt or ca.crl in the Secret " + message.name() + " is not usable: " + problem;
  } else {
    content->has_authorities = true;
    message.set_ca_pem(part.ca_pem());
    message.set_crl_pem(part.crl_pem());
  }
  if (content->has_certificate || content->has_authorities) {
    content->resource = encode(control::v1::KIND_TLS_SECRET, message.name(), message,
                               {reference_to("", "Secret", secret.metadata())});
  }
  return content;
}

std::shared_ptr<const SecretContent> SecretCache::content_of(const world::World& world, const world::ObjectKey& key) {
  const auto secret = world.find<kubernetes::Secret>(key.name_space, key.name);
  if (secret == nullptr) {
    known_.erase(key);
    return nullptr;
  }
  auto& entry = known_[key];
  if (entry.first != secret) entry = {secret, read_tls_secret(*secret)};
  return entry.second;
}

}  // namespace headgate::translate
