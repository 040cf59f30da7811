// authority.h -- the authority of a cluster as every replica uses it: loaded, rotated by the leader, signing for all.
// Thread: any; refresh() from one thread at a time, it blocks on the store.   Owner: main.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/identity/ca.h"
#include "controlplane/identity/secret_store.h"
#include "controlplane/identity/spiffe.h"

namespace headgate::identity {

struct AuthorityOptions {
  SecretStore* store = nullptr;  // outlives the Authority
  std::string secret = "headgate-ca";
  // The Secret belongs to somebody else: it is read, never made or changed.
  bool external = false;
  std::string trust_domain = "cluster.local";
  // Gives the roots out to whoever mounts them (a ConfigMap). Called by refresh(true) until it succeeds, then when the
  // roots have changed. Null: nobody mounts them.
  std::function<Result<void>(const std::string& roots_pem)> publish;
  const Clock* clock = &system_clock();
};

struct Certified {
  std::string chain_pem;
  std::string roots_pem;
  WallTime not_after;
  WallTime renew_after;
};

struct ServerNames {
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;
  // Of the controller itself: its certificate is what it shows to other replicas, too. Empty: a server only.
  std::optional<WorkloadName> workload;
};

class Authority {
 public:
  static constexpr Duration kDataplaneLife = std::chrono::hours(24);
  static constexpr Duration kWebhookLife = CertificateAuthority::kLongestLeaf;
  static constexpr Duration kRefreshInterval = std::chrono::minutes(1);

  explicit Authority(AuthorityOptions options) : options_(std::move(options)) {}

  // Reads the state; with `may_write` (the leader, or nobody else is there) also makes the first one, rotates and
  // publishes. Every kRefreshInterval. What was loaded before stays in use after a failure.
  Result<void> refresh(bool may_write);
  // A new root from the next refresh(true) on: the key was seen by somebody.
  void request_rotation();

  [[nodiscard]] bool is_ready() const;
  [[nodiscard]] std::string roots_pem() const;  // empty until is_ready()
  [[nodiscard]] const std::string& trust_domain() const { return options_.trust_domain; }

  // For a dataplane; the key is that of the request. kUnreachable until is_ready().
  [[nodiscard]] Result<Certified> certify(const WorkloadName& workload, const std::string& pod_uid,
                                          std::string_view request_der) const;
  // For a server of the controller, with a new key.
  [[nodiscard]] Result<KeyPair> issue_server(const ServerNames& names, Duration life) const;

 private:
  Result<void> load(std::string& version);
  Result<void> store(const CertificateAuthority& state, std::string& version);
  Result<void> publish_roots(std::string& version);
  [[nodiscard]] std::optional<CertificateAuthority> state() const;

  const AuthorityOptions options_;
  mutable std::mutex mutex_;
  std::optional<CertificateAuthority> state_;  // under mutex_
  bool rotation_requested_ = false;            // under mutex_
  std::string published_pem_;                  // of refresh()
};

}  // namespace headgate::identity
