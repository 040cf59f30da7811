// server_names.h -- which certificate answers which server name: exact, wildcard (one label), default.
//
// Immutable. A renewed certificate makes a new table, which a ServerContext takes over between two handshakes
// (ServerContext::set_names); no SSL_CTX is rebuilt. Lookup is one or two hash probes however many names there are.
// Spec: RFC 6066 3, RFC 6125 6.4.3.   Thread: built by any, then any.   Owner: shared_ptr.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/tls/certificate.h"

namespace headgate::tls {

struct CertificateBinding {
  std::shared_ptr<const Certificate> certificate;  // never null
  std::vector<std::string> names;                  // "a.example.com", "*.example.com"; empty: those of the certificate
  bool is_default = false;                         // for unknown names and for clients that send none
};

class ServerNames {
 public:
  // At least one is set.
  struct Entry {
    const Certificate* ecdsa = nullptr;
    const Certificate* rsa = nullptr;
    bool operator==(const Entry&) const = default;
  };

  // Null with `problem` set when there is no certificate or a name cannot be one. Of two certificates of the same
  // kind of key for one name the first is used, and `warnings` says so. Default: those marked, else the first
  // certificate together with one of the other kind for the same name.
  static std::shared_ptr<const ServerNames> build(std::span<const CertificateBinding> bindings, std::string& problem,
                                                  std::vector<std::string>& warnings);

  // `name`: lower case, no final dot. Null: unknown.
  [[nodiscard]] const Entry* find(std::string_view name) const;
  [[nodiscard]] const Entry& default_entry() const { return default_; }
  [[nodiscard]] size_t size() const { return exact_.size() + wildcard_.size(); }

 private:
  using Table = std::unordered_map<std::string, Entry, TextHash, TextEqual>;
  ServerNames() = default;

  std::vector<std::shared_ptr<const Certificate>> certificates_;  // keeps what the entries point at
  Table exact_;
  Table wildcard_;  // key: what follows the star, ".example.com"
  Entry default_;
};

}  // namespace headgate::tls
