// secrets.h -- Secrets as TLS material: certificates with their key, authorities, revocation lists.
// Thread: that of the translation.   Owner: Translator.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "controlplane/translate/resource.h"
#include "controlplane/world/world.h"
#include "headgate/config/v1/tls.pb.h"

namespace headgate::translate {

struct SecretContent {
  config::v1::TlsSecret message;  // named "NAMESPACE/NAME"; holds only the parts that are good
  bool has_certificate = false;
  bool has_authorities = false;
  std::string certificate_problem{};  // why there is no certificate
  std::string authorities_problem{};
  ResourcePtr resource{};             // null when no part is good
};

// Keys tls.crt with tls.key, ca.crt, ca.crl. Parts that are absent or bad are left out, with the reason.
std::shared_ptr<const SecretContent> read_tls_secret(const kubernetes::Secret& secret);

// Reading a Secret parses keys: once per object is enough.
class SecretCache {
 public:
  // Null: there is no such Secret.
  std::shared_ptr<const SecretContent> content_of(const world::World& world, const world::ObjectKey& key);
  void forget(const world::ObjectKey& key) { known_.erase(key); }

 private:
  std::map<world::ObjectKey, std::pair<kube::ObjectPtr, std::shared_ptr<const SecretContent>>> known_;
};

}  // namespace headgate::translate
