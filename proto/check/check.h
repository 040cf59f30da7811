// check.h -- is this configuration legal? The one validator, used by both programs.
// Thread: any (pure; OpenSSL parses certificates, nothing is read from disk).   Owner: the caller.
// Every problem is found, not the first. What passes can be built; what a dataplane has not built yet is its builder's
// to refuse.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include "headgate/config/v1/resources.pb.h"

namespace headgate::check {

enum class Kind : uint8_t {
  kSettings,
  kListener,
  kRouteTable,
  kVirtualHost,
  kUpstream,
  kEndpointShard,
  kTlsSecret,
  kTicketKeys,
  kDnsZone,
};
std::string_view kind_name(Kind kind);  // "listener"

enum class Severity : uint8_t { kError, kWarning };  // a warning never keeps a resource from being used

struct Problem {
  Kind kind = Kind::kSettings;
  std::string resource;    // its name
  std::string field_path;  // "routes[2].match.regex"; empty: the resource as a whole
  std::string_view rule;   // stable name, static: "regex", "reference", "never-matches"
  std::string message;     // what is wrong and what is expected
  Severity severity = Severity::kError;
};
// `virtual_host "web/shop": routes[2].match.regex: ... [regex]`
std::string to_string(const Problem& problem);

// Where a check reports to: knows the resource, builds the field path as the check descends.
class Problems {
 public:
  void start(Kind kind, std::string_view resource);
  void error(std::string_view field, std::string_view rule, std::string message);
  void warning(std::string_view field, std::string_view rule, std::string message);
  [[nodiscard]] const std::vector<Problem>& list() const { return list_; }
  [[nodiscard]] std::vector<Problem> take() { return std::move(list_); }
  [[nodiscard]] bool has_errors() const;

 private:
  friend class Field;
  void add(std::string_view field, std::string_view rule, std::string message, Severity severity);
  Kind kind_ = Kind::kSettings;
  std::string resource_;
  std::string prefix_;
  std::vector<Problem> list_;
};

// Adds one step to the field path for its lifetime: Field at(problems, "routes", 2);
class Field {
 public:
  Field(Problems& problems, std::string_view name);
  Field(Problems& problems, std::string_view name, int index);
  ~Field() { problems_.prefix_.resize(length_); }
  Field(const Field&) = delete;
  Field& operator=(const Field&) = delete;

 private:
  Problems& problems_;
  size_t length_;
};

// Each resource alone.
void check_settings(const config::v1::ProxySettings& settings, Problems& problems);
void check_listener(const config::v1::Listener& listener, Problems& problems);
void check_route_table(const config::v1::RouteTable& table, Problems& problems);
void check_virtual_host(const config::v1::VirtualHost& host, Problems& problems);
void check_upstream(const config::v1::Upstream& upstream, Problems& problems);
void check_endpoint_shard(const config::v1::EndpointShard& shard, Problems& problems);
void check_tls_secret(const config::v1::TlsSecret& secret, std::time_t now, Problems& problems);
void check_ticket_keys(const config::v1::TicketKeys& keys, Problems& problems);
void check_dns_zone(const config::v1::DnsZone& zone, Problems& problems);

// What several resources must agree on: names are unique and exist, protocols fit, no address is bound twice.
void check_references(const config::v1::ResourceSet& set, Problems& problems);

// All of the above. `now`: for the dates of certificates, which give warnings only; 0: they are not looked at.
std::vector<Problem> check_resources(const config::v1::ResourceSet& set, std::time_t now);

}  // namespace headgate::check
