// basic_auth.h -- user name and password, against hashes as htpasswd files have them.
// Phase: ACCESS.   Thread: see filter.h.   Spec: RFC 7617.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/filters/access.h"

namespace headgate::filters {

struct BasicAuthOptions {
  std::string realm = "Restricted";
  std::vector<std::pair<std::string, std::string>> users;  // name -> hash (tls/crypto.h); the first of a name counts
};

class BasicAuth final : public AccessCheck {
 public:
  explicit BasicAuth(BasicAuthOptions options);
  AccessRun* start(http::Exchange& exchange) const override;

 private:
  class BasicAuthRun;
  [[nodiscard]] std::string_view hash_of(std::string_view user) const;

  std::string challenge_;  // WWW-Authenticate
  std::unordered_map<std::string, std::string, TextHash, TextEqual> users_;
  std::string decoy_;  // hash that a user who does not exist is compared with: the time tells nothing
};

}  // namespace headgate::filters
