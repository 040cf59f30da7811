// client_rules.h -- which server names are asked for a client certificate, and whose signature counts there.
//
// A rule only asks and verifies; nobody is turned away in the handshake. What came of it is in TlsFacts::judged, and
// filters/client_certificate answers in HTTP, so that a browser shows a page instead of a broken connection.
// Spec: RFC 6066 3 (server names).   Thread: built by any, then immutable and any.   Owner: shared_ptr in ServerSettings.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/tls/trust_store.h"

namespace headgate::tls {

struct ClientRule {
  std::string name{};  // what the filter of the host compares with TlsFacts::judged
  std::shared_ptr<const TrustStore> authorities{};  // never null
  std::optional<uint32_t> depth{};                // intermediate certificates allowed; default OpenSSL's (100)
  bool keeps_certificate = false;                 // its text is wanted later
};

class ClientRules {
 public:
  // Index for add_host().
  size_t add_rule(ClientRule rule) {
    rules_.push_back(std::move(rule));
    return rules_.size() - 1;
  }
  // `host` as of a VirtualHost: exact, "*.example.com", or "*" for every other name. Hosts without a rule have to be
  // added, too, where a wildcard would take them. The first of a name counts, as it does for routes.
  void add_host(const std::string& host, bool single_label, std::optional<size_t> rule) {
    hosts_.emplace(host, Host{rule, single_label});
  }

  [[nodiscard]] bool empty() const { return rules_.empty(); }
  // `server_name`: lower case; empty: none was sent. Null: no certificate is asked for.
  [[nodiscard]] const ClientRule* find(std::string_view server_name) const;

 private:
  struct Host {
    std::optional<size_t> rule;
    bool single_label;
  };
  [[nodiscard]] const ClientRule* rule_of(const Host& host) const { return host.rule ? &rules_[*host.rule] : nullptr; }

  std::vector<ClientRule> rules_;
  std::unordered_map<std::string, Host, TextHash, TextEqual> hosts_;
};

}  // namespace headgate::tls
