// build_parts.h -- what the files of snapshot/build share: the state between builds, and one build under way.
// Thread: control.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "dataplane/dns/zone.h"
#include "dataplane/filters/access.h"
#include "dataplane/filters/limit_key.h"
#include "dataplane/handlers/dns_forward.h"
#include "dataplane/handlers/forward_rule.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/tls/certificate.h"
#include "dataplane/tls/client_rules.h"
#include "dataplane/tls/trust_store.h"
#include "google/protobuf/duration.pb.h"

namespace headgate::handlers {
struct ProxyBackend;
struct ProxyOptions;
}  // namespace headgate::handlers

namespace headgate::snapshot {

namespace v1 = config::v1;

// Says without a look at any byte that what an object was built from is the same: its message, the one it depends on,
// and everything else (`era`). No revision: not known.
struct Stamp {
  uint64_t revision = 0;
  uint64_t second = 0;
  uint64_t era = 0;
  bool operator==(const Stamp&) const = default;
};

// A built object and the fingerprint of the messages it was built from.
template <typename T>
struct Remembered {
  std::string fingerprint;
  std::shared_ptr<T> built;
  Stamp stamp{};
  [[nodiscard]] bool is_of(const Stamp& other) const {
    return built != nullptr && other.revision != 0 && other.second != 0 && stamp == other;
  }
};

class Builder::Parts {
 public:
  EndpointResolver resolver;
  uint64_t version = 0;
  std::unordered_map<std::string, uint32_t> slots;  // of Upstreams, stable by name
  std::vector<uint32_t> free_slots;
  std::vector<std::string> new_slots;  // names that got theirs since the last retain()
  // Another one when settings changed. Not when a slot was taken from a name: whoever names an upstream that is gone is
  // a message that is gone, and its revision never comes again.
  uint64_t era = 1;
  std::string era_settings;
  size_t built_hosts = 0;              // of the latest build
  size_t built_upstreams = 0;
  std::vector<std::shared_ptr<const upstream::Upstream>> retained;  // by slot, of the last retain()
  uint32_t next_slot = 0;
  upstream::CellRegistry endpoint_cells;
  CellRegistry process_cells;
  std::unordered_map<std::string, Remembered<const upstream::UpstreamSettings>> upstream_settings;
  std::unordered_map<std::string, Remembered<const upstream::Upstream>> upstreams;
  std::unordered_map<std::string, Remembered<const tls::Certificate>> certificates;
  std::unordered_map<std::string, Remembered<const tls::TrustStore>> trust_stores;
  std::unordered_map<std::string, Remembered<const routing::VirtualHost>> hosts;
  std::unordered_map<std::string, std::shared_ptr<const routing::RouteTable>> tables;
  std::unordered_map<std::string, Remembered<const ListenerTls>> listener_tls;
  std::unordered_map<std::string, Remembered<const observe::AccessLog>> access_logs;
  std::unordered_map<std::string, Remembered<const net::StreamHandler>> stream_handlers;
  std::unordered_map<std::string, Remembered<const net::DatagramHandler>> datagram_handlers;
  std::unordered_map<std::string, Remembered<const dns::ZoneSet>> zone_sets;  // by the names of their zones
  std::unordered_map<std::string, Remembered<const handlers::DnsForwardSettings>> dns_resolvers;
};

// One build: reads messages, fills a Snapshot, collects problems.
class Build {
 public:
  Build(Builder::Parts& parts, const v1::ResourceSet& set, const Revisions& revisions)
      : parts_(parts), set_(set), revisions_(revisions) {}
  BuildOutcome run();

 private:
  // build_tls.cc
  std::shared_ptr<const tls::Certificate> certificate(const std::string& secret);
  std::shared_ptr<const tls::TrustStore> trust_store(const std::string& secret);
  std::shared_ptr<const ListenerTls> listener_tls(const v1::Listener& listener);
  // The certificates that the hosts of a route table ask for; null: none does.
  std::shared_ptr<const tls::ClientRules> client_rules(const std::string& table, std::string* fingerprint);
  std::shared_ptr<const tls::ClientSettings> client_tls(const v1::UpstreamTls& message, const v1::Upstream& upstream);
  const v1::TlsSecret* secret(const std::string& name) const;

  // build_upstreams.cc
  void build_upstreams();
  std::shared_ptr<const upstream::UpstreamSettings> upstream_settings(const v1::Upstream& message);
  std::vector<upstream::Endpoint> endpoints(const v1::Upstream& message);
  uint32_t slot_of(const std::string& upstream);

  // build_routes.cc
  std::shared_ptr<const routing::RouteTable> route_table(const v1::RouteTable& message);
  std::shared_ptr<const routing::VirtualHost> virtual_host(const v1::VirtualHost& message, const v1::RouteTable& table);
  std::shared_ptr<const routing::Route> route(const v1::Route& message, const v1::VirtualHost& host,
                                              const v1::RouteTable& table);
  bool add_match(const v1::RouteMatch& message, routing::Route& route);
  using HeadChanges = std::vector<std::shared_ptr<const http::HeadChange>>;
  std::shared_ptr<const http::Handler> handler(const v1::Route& message, const v1::RouteTable& table,
                                               HeadChanges changes);

  // build_proxy.cc
  std::shared_ptr<const http::Handler> proxy(const v1::ProxyAction& action, const v1::RouteTable& table,
                                             HeadChanges changes);
  bool backend_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages,
                       handlers::ProxyBackend& backend);
  std::string balance_refusal(const v1::ProxyAction& action) const;  // empty: nothing is wrong
  bool choices(const v1::ProxyAction& action, handlers::ProxyOptions& options);

  // build_refusals.cc
  void refuse_what_is_not_built();
  static std::string unbuilt_option(const v1::ProxyAction& action);  // empty: none

  // build_filters.cc
  struct PhasedFilter {
    int phase;
    std::shared_ptr<const http::Filter> filter;
    bool certificate = false;  // judges client certificates
  };
  // Of one route, while they are gathered from its table, its host and itself.
  struct RouteFilters {
    HeadChanges* head_changes = nullptr;  // null: the handler sends nothing upstream
    std::vector<PhasedFilter> list{};
    std::vector<std::shared_ptr<const filters::AccessCheck>> access{};
    bool any_access = false;
    bool asks_certificate = false;
    bool compresses = false;
    bool drop_authorization = false;
  };
  // `scope`: a name for limits that have none of their own.
  void add_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages, const std::string& scope,
                   RouteFilters& into);
  void finish_access(RouteFilters& filters);
  std::shared_ptr<const http::Filter> filter(const v1::HttpFilter& message);
  std::shared_ptr<const filters::AccessCheck> access_check(const v1::HttpFilter& message);
  void add_client_certificate(const v1::ClientCertificateAccess& message, RouteFilters& into);
  std::shared_ptr<const http::Filter> error_pages(const v1::ErrorPages& message, std::string* why);
  std::shared_ptr<const filters::AccessCheck> external_auth(const v1::ExternalAuth& message);
  std::optional<filters::LimitKey> limit_key(const std::string& name, const std::string& text, std::string* why);
  // The slots of the Upstreams that filters name: part of the fingerprint of what is built from them.
  std::string slots_of(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages);

  // build_listeners.cc
  void build_listeners();
  std::shared_ptr<const Listener> listener(const v1::Listener& message);
  std::shared_ptr<const observe::AccessLog> access_log();
  void add_http(const v1::Listener& message, Listener& listener);

  // build_forward.cc
  void add_handlers(const v1::Listener& message, Listener& listener);
  void add_forward(const v1::Listener& message, Listener& listener);
  handlers::ForwardRule forward_rule(const v1::Listener& listener, const v1::ForwardRule& message);

  // build_dns.cc
  void add_dns(const v1::Listener& message, Listener& listener);
  std::shared_ptr<const dns::ZoneSet> zone_set(const v1::DnsService& service);
  std::shared_ptr<const handlers::DnsForwardSettings> resolvers(const v1::DnsService& service);

  void error(check::Kind kind, std::string_view resource, std::string_view field, std::string message);
  bool failed() const;

  [[nodiscard]] uint64_t revision(const google::protobuf::Message& message) const {
    return revisions_ ? revisions_(message) : 0;
  }
  void begin_era();

  // Of whole resources: by revision where there is one.
  template <typename... Messages>
  std::string print_of(const Messages&... messages) const;

  Builder::Parts& parts_;
  const v1::ResourceSet& set_;
  const Revisions& revisions_;
  std::unordered_map<std::string_view, const v1::TlsSecret*> secrets_;
  struct ShardsOf {
    std::vector<std::pair<const v1::EndpointShard*, const v1::ShardTarget*>> shards;
    std::string print;
  };
  std::unordered_map<std::string_view, ShardsOf> shards_;  // by the Upstream they feed
  std::shared_ptr<Snapshot> snapshot_;
  std::vector<check::Problem> problems_;
  std::map<std::string, std::shared_ptr<const routing::RouteTable>> tables_;
  std::set<std::string> sticky_;  // Upstreams on which routes keep sessions
  std::string filter_scope_;    // of the filter being built
  std::string host_name_;       // VirtualHost being built: for problems
  std::string matched_prefix_;  // of the Route being built: what a prefix rewrite replaces
};

// build_routes.cc
Result<http::TextMatcher> text_matcher_of(const v1::TextMatch& message, std::string* why);
std::string without_final_slash(std::string path);
// build_tls.cc: the name of the tls::ClientRule that serves it.
std::string client_rule_name(const v1::ClientCertificateAccess& message);

inline Duration to_duration(const google::protobuf::Duration& message) {
  return std::chrono::seconds(message.seconds()) + std::chrono::nanoseconds(message.nanos());
}
// Equal texts: equal messages. Serialization is deterministic because resource bodies have no map fields.
template <typename... Messages>
std::string fingerprint_of(const Messages&... messages) {
  std::string bytes;
  (messages.AppendToString(&bytes), ...);
  return bytes.size() <= 64 ? bytes : std::to_string(bytes.size()) + ":" + std::to_string(stable_hash(bytes)) + ":" +
                                          std::to_string(stable_hash(bytes, 0x9e3779b97f4a7c15U));
}

template <typename... Messages>
std::string Build::print_of(const Messages&... messages) const {
  std::string print;
  const auto add = [&](const auto& message) {
    if (const uint64_t known = revision(message); known != 0) {
      print += '#' + std::to_string(known) + ' ';
    } else {
      print += '=' + fingerprint_of(message);
    }
  };
  (add(messages), ...);
  return print;
}

}  // namespace headgate::snapshot
